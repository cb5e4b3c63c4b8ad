/* Makes a block: checks its parameters and packs its weights as the kernels read them. */
#include "kernel/block.h"

#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "base/error.h"
#include "kernel/block_impl.h"

#define ALIGN 64
#define MAX_CHANNELS 65536

static enum inlay_err check(const struct il_block_params *p, struct inlay_error *err)
{
	if (p->in < 1 || p->mid < 1 || p->out < 1 || p->skip < 0 || p->in > MAX_CHANNELS || p->skip > MAX_CHANNELS ||
	    p->mid > MAX_CHANNELS || p->out > MAX_CHANNELS)
		return il_fail(err, INLAY_ERR_INVALID, "block: %d + %d > %d > %d channels; expected 1 to %d", p->in,
		               p->skip, p->mid, p->out, MAX_CHANNELS);
	if (p->stride != 1 && p->stride != 2)
		return il_fail(err, INLAY_ERR_INVALID, "block: stride %d; expected 1 or 2", p->stride);
	if (p->residual && (p->in != p->out || p->stride != 1 || p->resize != IL_BLOCK_SAME))
		return il_fail(err, INLAY_ERR_INVALID,
		               "block: a residual from %d to %d channels, stride %d; expected equal ones, stride 1, "
		               "no resize",
		               p->in, p->out, p->stride);
	if (!p->expand_w || !p->depthwise_w || !p->project_w || (p->skip && !p->skip_w))
		return il_fail(err, INLAY_ERR_INVALID, "block: weights are missing");
	return INLAY_OK;
}

/* weights [rows][columns] -> [panels of rows][columns][lanes]; weights NULL: zeros. */
static float *pack(const float *weights, int rows, int columns, int lanes)
{
	const int panels = (rows + lanes - 1) / lanes;
	const size_t size = (size_t)panels * (size_t)columns * (size_t)lanes * sizeof(float) + ALIGN;
	float *packed = aligned_alloc(ALIGN, (size + ALIGN - 1) / ALIGN * ALIGN);
	if (!packed)
		return NULL;
	memset(packed, 0, size);
	for (int row = 0; weights && row < rows; row++) {
		float *to = packed + (size_t)(row / lanes) * (size_t)columns * (size_t)lanes + row % lanes;
		for (int column = 0; column < columns; column++)
			to[(size_t)column * (size_t)lanes] = weights[(size_t)row * (size_t)columns + (size_t)column];
	}
	return packed;
}

static float *pack_depthwise(const float *taps, const float *bias, int channels, int lanes)
{
	float *rows = malloc((size_t)channels * 10 * sizeof *rows);
	if (!rows)
		return NULL;
	for (int i = 0; i < channels; i++) {
		memcpy(rows + (size_t)i * 10, taps + (size_t)i * 9, 9 * sizeof *rows);
		rows[(size_t)i * 10 + 9] = bias ? bias[i] : 0.0f;
	}
	float *packed = pack(rows, channels, 10, lanes);
	free(rows);
	return packed;
}

static void keep_shape(struct il_block *b, const struct il_block_params *params)
{
	b->params = *params;
	b->params.expand_w = b->params.skip_w = b->params.expand_b = NULL;
	b->params.depthwise_w = b->params.depthwise_b = b->params.project_w = b->params.project_b = NULL;
	b->kernels = params->kernels ? params->kernels : il_block_kernels_get();
	b->mid_panels = (params->mid + b->kernels->lanes - 1) / b->kernels->lanes;
	b->out_panels = (params->out + b->kernels->lanes - 1) / b->kernels->lanes;
}

enum inlay_err il_block_create(struct il_block **block, const struct il_block_params *params, struct inlay_error *err)
{
	*block = NULL;
	enum inlay_err rc = check(params, err);
	if (rc)
		return rc;
	struct il_block *b = calloc(1, sizeof *b);
	if (!b)
		return il_fail_memory(err);
	keep_shape(b, params);
	const int lanes = b->kernels->lanes;
	b->expand_w = pack(params->expand_w, params->mid, params->in, lanes);
	b->skip_w = pack(params->skip_w, params->mid, params->skip, lanes);
	b->expand_b = pack(params->expand_b, params->mid, 1, lanes);
	b->depthwise_w = pack_depthwise(params->depthwise_w, params->depthwise_b, params->mid, lanes);
	b->project_w = pack(params->project_w, params->out, params->mid, lanes);
	b->project_b = pack(params->project_b, params->out, 1, lanes);
	*block = b;
	if (b->expand_w && b->skip_w && b->expand_b && b->depthwise_w && b->project_w && b->project_b)
		return INLAY_OK;
	il_block_destroy(block);
	return il_fail_memory(err);
}

void il_block_destroy(struct il_block **block)
{
	struct il_block *b = *block;
	if (!b)
		return;
	free(b->expand_w);
	free(b->skip_w);
	free(b->expand_b);
	free(b->depthwise_w);
	free(b->project_w);
	free(b->project_b);
	free(b);
	*block = NULL;
}

int il_block_out(const struct il_block *block, int mid)
{
	return (mid - 1) / block->params.stride + 1;
}

double il_block_operations(const struct il_block *block, int in_h, int in_w, int mid_h, int mid_w)
{
	const struct il_block_params *p = &block->params;
	const double in = (double)in_h * in_w, mid = (double)mid_h * mid_w;
	const double out = (double)il_block_out(block, mid_h) * il_block_out(block, mid_w);
	return 2.0 * p->mid * (in * p->in + mid * p->skip + out * (9 + p->out));
}

/* Every table of this build and the instruction set it needs, from the best to the plainest. */
static const struct {
	const struct il_block_kernels *table;
	unsigned needs;
} tables[] = {
#if defined(__x86_64__)
	{ &il_block_kernels_avx512, IL_CPU_AVX512 },
	{ &il_block_kernels_avx2, IL_CPU_AVX2 },
#endif
	{ &il_block_kernels_c, 0 },
};

const struct il_block_kernels *il_block_kernels_get(void)
{
	const unsigned flags = il_cpu_flags();
	size_t i = 0;
	while ((tables[i].needs & flags) != tables[i].needs)
		i++;
	return tables[i].table;
}
