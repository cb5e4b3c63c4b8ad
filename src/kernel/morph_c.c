/* Dilation and erosion in plain C. */
#include "kernel/mask_kernels.h"

#include <string.h>

static inline uint8_t extreme(uint8_t a, uint8_t b, bool least)
{
	return (a < b) == least ? a : b;
}

/* Windows of 1 become windows of 3, 9, ..; the last pass makes them what they must be. */
static IL_SIGNATURE_MORPH_ACROSS(across)
{
	for (int own = 1, next; own < window; own = next) {
		next = 3 * own < window ? 3 * own : window;
		int far = next - own, near = (far + 1) / 2, count = n + window - next;
		for (int i = 0; i < count; i++)
			line[i] = extreme(extreme(line[i], line[i + near], least), line[i + far], least);
	}
	memcpy(out, line, (size_t)n);
}

static inline void merge(uint8_t *out, const uint8_t *a, const uint8_t *b, bool least, int n)
{
	for (int i = 0; i < n; i++)
		out[i] = extreme(a[i], b[i], least);
}

static IL_SIGNATURE_MORPH_COLUMNS(columns)
{
	uint8_t prefix[IL_MORPH_STRIP];
	for (int x = 0; x < n; x += IL_MORPH_STRIP) {
		int count = n - x < IL_MORPH_STRIP ? n - x : IL_MORPH_STRIP;
		/* scratch row j: of rows j .. window - 1 */
		uint8_t *suffix = scratch + (ptrdiff_t)(window - 1) * IL_MORPH_STRIP;
		merge(suffix, in[window - 1] + x, in[window - 1] + x, least, count);
		for (int j = window - 2; j >= 0; j--, suffix -= IL_MORPH_STRIP)
			merge(suffix - IL_MORPH_STRIP, suffix, in[j] + x, least, count);
		merge(out + x, scratch, scratch, least, count);
		for (int j = 1; j < rows_out; j++) { /* prefix: of rows window .. window + j - 1 */
			const uint8_t *last = in[window + j - 1] + x;
			merge(prefix, last, j > 1 ? prefix : last, least, count);
			merge(out + j * stride + x, scratch + (ptrdiff_t)j * IL_MORPH_STRIP, prefix, least, count);
		}
	}
}

const struct il_morph_kernels il_morph_kernels_c = {
	.across = across,
	.columns = columns,
};
