/* How long an avatar takes to be ready: opened, its first frame and the face in it there; then its network. By hand:
 * bench_avatar_open PACK|NAME.inlay... */
#include <stdio.h>
#include <stdlib.h>

#include "avatar/avatar.h"
#include "avatar/clip.h"
#include "base/clock.h"
#include "composite/place.h"
#include "infer/lipsync_net.h"

enum { ROUNDS = 9 };

struct times {
	double opened, frame, network; /* ms, each from the beginning */
};

static double since(int64_t start)
{
	return (double)(il_clock_ns() - start) / 1e6;
}

/* The frame, or of a compiled avatar the pixels around the face, and the face for the network. */
static enum inlay_err take_first(struct il_clip *clip, const struct il_avatar *avatar, struct inlay_error *err)
{
	struct il_place *place = NULL;
	struct il_clip_patch patch = { 0 };
	struct inlay_rect rect = avatar->rects[0];
	enum inlay_err rc = il_place_create(&place, 320, IL_INTERP_LINEAR, err);
	uint8_t *crop = rc ? NULL : malloc(il_place_crop_bytes(place));
	if (!rc)
		rc = il_clip_has_patches(clip) ? il_clip_patch(clip, 0, &patch, err)
		                               : il_clip_frame(clip, 0, &patch.frame, err);
	rect = (struct inlay_rect){ rect.x0 - patch.place.x0, rect.y0 - patch.place.y0, rect.x1 - patch.place.x0,
		                    rect.y1 - patch.place.y0 };
	if (!rc)
		rc = il_place_crop(place, patch.frame, rect, crop, err);
	inlay_frame_destroy(&patch.frame);
	free(crop);
	il_place_destroy(&place);
	return rc;
}

static enum inlay_err measure(const char *path, struct times *times, struct inlay_error *err)
{
	struct il_avatar *avatar = NULL;
	struct il_clip *clip = NULL;
	struct il_lipsync_net *net = NULL;
	struct il_lipsync_net_params params = { .threads = 1 };
	int64_t start = il_clock_ns();
	enum inlay_err rc = il_avatar_open(&avatar, path, err);
	times->opened = since(start);
	if (!rc)
		rc = il_clip_open(&clip, avatar, 0, 0, err);
	if (!rc)
		rc = take_first(clip, avatar, err);
	times->frame = since(start);
	if (!rc && avatar->model) {
		il_avatar_network(avatar, &params);
		rc = il_lipsync_net_open(&net, &params, err);
	}
	times->network = since(start);
	il_lipsync_net_destroy(&net);
	il_clip_destroy(&clip);
	il_avatar_destroy(&avatar);
	return rc;
}

static int by_frame(const void *a, const void *b)
{
	double x = ((const struct times *)a)->frame, y = ((const struct times *)b)->frame;
	return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
	struct inlay_error err = { 0 };
	for (int i = 1; i < argc; i++) {
		struct times times[ROUNDS];
		for (int round = -1; round < ROUNDS; round++) {
			struct times *t = &times[round < 0 ? 0 : round];
			if (measure(argv[i], t, &err)) {
				fprintf(stderr, "%s\n", err.text);
				return EXIT_FAILURE;
			}
		}
		qsort(times, ROUNDS, sizeof *times, by_frame);
		const struct times *middle = &times[ROUNDS / 2];
		printf("%s: opened after %.1f ms, first frame ready after %.1f, network too after %.1f\n", argv[i],
		       middle->opened, middle->frame, middle->network);
	}
	return EXIT_SUCCESS;
}
