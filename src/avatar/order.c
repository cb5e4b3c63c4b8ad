/* In which order an avatar's frames are shown. */
#include <string.h>

#include "avatar/avatar.h"

static const char *const names[] = {
	[IL_ORDER_BOUNCE] = "bounce",
	[IL_ORDER_LOOP] = "loop",
	[IL_ORDER_HOLD] = "hold",
	[IL_ORDER_CUT] = "cut",
};

int il_order_parse(const char *word)
{
	for (int i = 0; i < (int)(sizeof names / sizeof *names); i++)
		if (!strcmp(word, names[i]))
			return i;
	return -1;
}

const char *il_order_name(enum il_order order)
{
	return (unsigned)order < sizeof names / sizeof *names ? names[order] : "unknown";
}

int64_t il_order_index(enum il_order order, int64_t n, int64_t start, int64_t k)
{
	int64_t at = start + k;
	switch (order) {
	case IL_ORDER_BOUNCE:
		if (n == 1)
			return 0;
		at %= 2 * (n - 1);
		return at < n ? at : 2 * (n - 1) - at;
	case IL_ORDER_LOOP: return at % n;
	case IL_ORDER_HOLD: return at < n ? at : n - 1;
	case IL_ORDER_CUT: return at < n ? at : -1;
	}
	return -1;
}
