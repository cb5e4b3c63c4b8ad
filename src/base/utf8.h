#ifndef IL_BASE_UTF8_H
#define IL_BASE_UTF8_H

#include <stddef.h>

/* Bytes of the UTF-8 character at `text`, which ends in a 0 byte: 1..4, or 0 where there is none (RFC 3629, section 4:
 * no overlong forms, no surrogates, nothing past U+10FFFF). The 0 byte itself counts as a character. */
size_t il_utf8_bytes(const char *text);
/* The same of text of `left` bytes, at least 1, which need not end in a 0 byte. */
size_t il_utf8_bytes_of(const char *text, size_t left);

#endif
