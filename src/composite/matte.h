/* The matte chain: what a network says about a frame -> alpha, and the frame over another background.
 *
 * Mask of the network's size, once a stream and in the order of frames (struct il_mask_stream):
 *   ramp round the threshold -> invert -> contour filter -> temporal smoothing
 * Alpha of the frame's size, once a frame, in any order and by any number of chains (struct il_matte_chain):
 *   upsampling -> expansion -> smoothing -> feather -> chroma alpha, classes of tiles
 * The frame, in place, in its own format:
 *   out = (frame * alpha + background * (255 - alpha)) / 255
 *
 * With `exact` this is, value for value, the Python chain being replaced: nearest neighbour, MaxFilter or MinFilter,
 * two times GaussianBlur, all at the frame's size. Otherwise the soft threshold is applied after upsampling, which
 * keeps the edge as sharp as asked for however coarse the mask is; and what comes after upsampling is done on half or a
 * quarter of the frame's size, each way, where smoothing leaves no detail finer than that.
 */
#ifndef IL_COMPOSITE_MATTE_H
#define IL_COMPOSITE_MATTE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "frame/frame.h"
#include "inlay/matte.h"
#include "kernel/mask.h"

/* --- masks of one stream ------------------------------------------------------------------------------------------ */

/* The last mask of a stream, with what temporal smoothing remembers. One thread at a time. */
struct il_mask_stream;

/* Masks of width x height (1..32767), which is the network's size. */
enum inlay_err il_mask_stream_create(struct il_mask_stream **stream, const struct inlay_matte_look *params, int width,
                                     int height, struct inlay_error *err);
void il_mask_stream_destroy(struct il_mask_stream **stream);

/* The next mask. The matte has the stream's size. Allocates nothing. */
enum inlay_err il_mask_stream_take(struct il_mask_stream *stream, const struct il_matte *matte,
                                   struct inlay_error *err);

/* Forgets what was; the next mask is a first one. */
void il_mask_stream_reset(struct il_mask_stream *stream);

/* width * height bytes, for il_matte_chain_alpha; of meaning once a mask was taken, and until the next one is. */
const uint8_t *il_mask_stream_mask(const struct il_mask_stream *stream);

/* --- frames ------------------------------------------------------------------------------------------------------- */

/* The alpha of a frame and scratch memory. One thread at a time; any number of chains may share a stream's masks. */
struct il_matte_chain;

/* Frames as `info` says: I420, NV12, YUVA420P, BGR24 or BGR24A8, 1..32767 each way. All memory is allocated here. */
enum inlay_err il_matte_chain_create(struct il_matte_chain **chain, const struct inlay_matte_look *params,
                                     const struct inlay_frame_info *info, int mask_width, int mask_height,
                                     struct inlay_error *err);
void il_matte_chain_destroy(struct il_matte_chain **chain);

/* A mask of mask_width x mask_height (no gaps between rows) becomes the chain's alpha. `frame` is read for guided
 * upsampling only, and may be NULL otherwise. */
enum inlay_err il_matte_chain_alpha(struct il_matte_chain *chain, const uint8_t *mask, const struct inlay_frame *frame,
                                    struct inlay_error *err);

/* That alpha, of the frame's size: the chain's, until its next call. */
const uint8_t *il_matte_chain_plane(const struct il_matte_chain *chain, ptrdiff_t *stride);

enum il_fill {
	IL_FILL_COLOUR,  /* one colour */
	IL_FILL_PICTURE, /* planes of the frame's format and size */
	IL_FILL_BLUR,    /* the frame itself, blurred */
};

struct il_matte_background {
	enum il_fill fill;
	uint8_t constant[3]; /* Y, Cb, Cr or B, G, R */
	struct inlay_planes picture;
};

/* Puts the frame over the background, in place; the caller is the frame's only holder. Where alpha is 255 throughout a
 * tile of 64 x 16 pixels, not a byte of colour is touched. Allocates nothing.
 *
 * A frame with an alpha plane leaves opaque. Or without a background (NULL) it keeps its colours and gets the chain's
 * alpha; frames of other formats are INLAY_ERR_INVALID then. */
enum inlay_err il_matte_chain_apply(struct il_matte_chain *chain, struct inlay_frame *frame,
                                    const struct il_matte_background *background, struct inlay_error *err);

/* --- the subject's own colours ------------------------------------------------------------------------------------ */

/* Where the subject is half transparent, a frame's colours are mixed with those of the old background. These take that
 * share out, in place, before il_matte_chain_apply: only where 0 < alpha < 255 (chroma: the mean alpha of its pixels),
 * with the alpha of the chain's last call. The caller is the frame's only holder. They allocate nothing. */

/* What a network says about it. Both pictures have the size of the chain's masks, width x height. */
struct il_clean_foreground {
	const uint8_t *bgr;     /* the picture that the network saw */
	ptrdiff_t bgr_stride;   /* bytes from row to row */
	const float *planes[3]; /* B, G, R of the subject alone, 0..1; what is outside, or NaN, is clipped */
	ptrdiff_t step;         /* pixel i of plane c is planes[c][i * step]; i counts row by row */
	int width, height;
};

/* Frame += subject - seen, the difference scaled up linearly (centres on centres) and converted with the frame's
 * matrix. The frame's own detail stays, however small the network's pictures are. */
enum inlay_err il_matte_chain_clean(struct il_matte_chain *chain, struct inlay_frame *frame,
                                    const struct il_clean_foreground *fg, struct inlay_error *err);

/* Frame = plate + (frame - plate) * 255 / alpha, where `plate` (planes of the frame's format and size; its alpha is not
 * read) is the scene without the subject. The factor ends at 8, from alpha 32 down: put over a background, the noise of
 * frame and plate is never stronger than it was, and what is less than an eighth subject fades into the plate. */
enum inlay_err il_matte_chain_unmix(struct il_matte_chain *chain, struct inlay_frame *frame,
                                    const struct inlay_planes *plate, struct inlay_error *err);

/* Without anyone's help: each sample of mixed alpha goes over into the mean of the subject's sure colours round it, the
 * more the more transparent it is; from half transparency on it is that mean. (The normalised convolution that
 * kernel/blur.h has for backgrounds, with the subject's weights.) */
enum inlay_err il_matte_chain_estimate(struct il_matte_chain *chain, struct inlay_frame *frame,
                                       struct inlay_error *err);

#endif
