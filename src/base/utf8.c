#include "base/utf8.h"

#include <stdint.h>

size_t il_utf8_bytes_of(const char *text, size_t left)
{
	static const struct {
		unsigned char first, last, second_first, second_last, bytes;
	} forms[] = {
		{ 0x00, 0x7f, 0x00, 0xff, 1 }, { 0xc2, 0xdf, 0x80, 0xbf, 2 }, { 0xe0, 0xe0, 0xa0, 0xbf, 3 },
		{ 0xe1, 0xec, 0x80, 0xbf, 3 }, { 0xed, 0xed, 0x80, 0x9f, 3 }, { 0xee, 0xef, 0x80, 0xbf, 3 },
		{ 0xf0, 0xf0, 0x90, 0xbf, 4 }, { 0xf1, 0xf3, 0x80, 0xbf, 4 }, { 0xf4, 0xf4, 0x80, 0x8f, 4 },
	};
	const unsigned char *s = (const unsigned char *)text;
	size_t i = 0;
	while (i < sizeof forms / sizeof *forms && (*s < forms[i].first || *s > forms[i].last))
		i++;
	if (i == sizeof forms / sizeof *forms || forms[i].bytes > left)
		return 0;
	if (forms[i].bytes > 1 && (s[1] < forms[i].second_first || s[1] > forms[i].second_last))
		return 0;
	for (size_t n = 2; n < forms[i].bytes; n++)
		if ((s[n] & 0xc0) != 0x80)
			return 0;
	return forms[i].bytes;
}

size_t il_utf8_bytes(const char *text)
{
	return il_utf8_bytes_of(text, SIZE_MAX); /* the 0 byte belongs to no longer character */
}
