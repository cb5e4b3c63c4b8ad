#include "media/colour_name.h"

#include <libavutil/parseutils.h>
#include <string.h>
#include <strings.h>

bool il_colour_parse(const char *text, uint8_t bgr[3])
{
	uint8_t rgba[4];
	/* libav takes a share of opacity behind an @, and colours by chance. */
	if (strchr(text, '@') || !strcasecmp(text, "random") || !strcasecmp(text, "bikeshed"))
		return false;
	if (av_parse_color(rgba, text, -1, NULL) < 0 || rgba[3] != 255)
		return false;
	for (int i = 0; i < 3; i++)
		bgr[i] = rgba[2 - i];
	return true;
}
