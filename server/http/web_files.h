/* The files of web/, as web/embed.py makes them into C. */
#ifndef SERVER_HTTP_WEB_FILES_H
#define SERVER_HTTP_WEB_FILES_H

#include <stddef.h>

extern const unsigned char web_index_html[], web_style_css[], web_app_js[], web_icon_svg[], web_openapi_json[];
extern const size_t web_index_html_size, web_style_css_size, web_app_js_size, web_icon_svg_size, web_openapi_json_size;

#endif
