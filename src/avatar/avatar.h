/* An avatar: frames of a person, a face rectangle for each, and what belongs to them.
 *
 * Three layouts are read (avatar.c lists them):
 *   video pack         full_body_video.mp4 + crop_rectangles.json or crop_rects.json
 *   SyncTalk_2D folder full_body_img/N.jpg + landmarks/N.lms, N from 0 or 1 on
 *   avatar.json        our own manifest, in docs/avatar.md
 */
#ifndef IL_AVATAR_AVATAR_H
#define IL_AVATAR_AVATAR_H

#include <stdbool.h>

#include "base/error.h"
#include "frame/frame.h"
#include "infer/lipsync_net.h"
#include "kernel/resize.h"
#include "media/video.h"

struct il_compiled;

enum il_order { IL_ORDER_BOUNCE, IL_ORDER_LOOP, IL_ORDER_HOLD, IL_ORDER_CUT };

/* "bounce" -> IL_ORDER_BOUNCE and so on; -1 for an unknown word. */
int il_order_parse(const char *word);
const char *il_order_name(enum il_order order);

/* Avatar frame shown at step k >= 0 of an avatar of n frames that starts at frame `start`:
 * bounce 0 1 .. n-1 n-2 .. 1 0 1 .., loop 0 1 .. n-1 0 .., hold 0 1 .. n-1 n-1 .., cut as hold but -1 past the last. */
int64_t il_order_index(enum il_order order, int64_t n, int64_t start, int64_t k);

/* What a pack says, all of it checked for form, none of the frames decoded. Paths are absolute or relative to the
 * working folder, NULL where the pack names none. */
struct il_avatar {
	char *path;         /* as given */
	const char *layout; /* "video pack", "SyncTalk_2D folder", "avatar.json" */
	char *video;        /* the source video, or NULL */
	char *pattern;      /* or a printf pattern with one %d, frame i being number first + i */
	int first;
	int64_t frames;
	int width, height;
	struct inlay_rational fps;   /* in lowest terms up to 1000000; 25 where a folder of pictures says nothing */
	struct inlay_rect *rects;    /* [frames], inside the frame each */
	char *manifest;              /* the avatar.json it comes from, or NULL */
	char *rect_file, *landmarks; /* of the rectangles: a file, or a pattern numbered as frames; NULL */
	char *parsing; /* printf pattern of parsing masks, numbered as the pictures (from 0 for a video) */
	char *model, *audio_encoder;
	int order; /* enum il_order, or -1 where the pack has no opinion */
	int64_t start_frame;
	int interp;                   /* enum il_interp, or -1 */
	struct il_compiled *compiled; /* of a compiled avatar, or NULL; video and pattern are NULL then */
	struct il_video *reader;      /* of `video`, at frame 0; who takes it leaves NULL and destroys it. Or NULL */
};

/* path: the pack's folder, or an avatar.json. The first thing wrong is the error, naming file and field. */
enum inlay_err il_avatar_open(struct il_avatar **avatar, const char *path, struct inlay_error *err);
void il_avatar_destroy(struct il_avatar **avatar);

/* Replaces the avatar's parsing masks: a folder of N.png numbered as its frames, or a pattern with one %d. They must
 * all be there. */
enum inlay_err il_avatar_set_parsing(struct il_avatar *avatar, const char *where, struct inlay_error *err);

/* The avatar's own network, for opening: its path and, of a compiled avatar, its weights, which can be given back to
 * the system when it is open. Nothing where it has none. */
void il_avatar_network(const struct il_avatar *avatar, struct il_lipsync_net_params *params);
void il_avatar_network_opened(const struct il_avatar *avatar);

/* Every file that the avatar is made from, networks included: paths in fresh memory, freed with the list. */
enum inlay_err il_avatar_sources(const struct il_avatar *avatar, char ***paths, size_t *count, struct inlay_error *err);
void il_avatar_sources_destroy(char ***paths, size_t count);

/* Every fault of a pack, one call a fault; ctx is the caller's. */
typedef void il_avatar_fault_fn(void *ctx, const char *text);

/* Decodes every frame, looks at every rectangle and mask, opens the models; calls `fault` for each thing wrong and
 * goes on. Returns INLAY_OK when there was none. *faults counts them; what ends the check early, such as a lack of
 * memory, is the last one. cancel: polled between frames, may be NULL; INLAY_ERR_CANCELLED is no fault. */
enum inlay_err il_avatar_check(const char *path, il_avatar_fault_fn *fault, void *ctx, int *faults,
                               bool (*cancel)(void *ctx));

#endif
