#include "job/backdrop.h"

#include <math.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/file.h"
#include "media/colour_name.h"
#include "media/scale.h"
#include "media/source.h"

#define ROUNDING_S 1e-4 /* of times in the ticks of two videos */

/* A video shows at `elapsed` seconds what its own timeline, repeated, has there. */
struct film {
	struct il_source *source;
	struct il_scaler *scaler;
	struct il_frame_pool *pool;
	struct inlay_frame *ahead; /* as decoded; the first that is not shown yet */
	double ahead_s;            /* when it is shown */
	double begun_s;            /* when the present round began */
	int64_t first_pts;         /* of the first round's first frame */
};

struct il_backdrop {
	struct inlay_frame_info info;
	struct il_matte_background fill;
	struct inlay_frame *shown; /* picture or the video's present frame, scaled */
	struct film film;          /* source NULL: no video */
};

static enum il_fit scaler_fit(enum inlay_fit fit)
{
	static const enum il_fit fits[] = { [INLAY_FIT_FILL] = IL_FIT_FILL,
		                            [INLAY_FIT_FIT] = IL_FIT_FIT,
		                            [INLAY_FIT_TILE] = IL_FIT_TILE,
		                            [INLAY_FIT_STRETCH] = IL_FIT_STRETCH };
	return fits[fit];
}

/* ---- colours ---- */

/* In the frames' own colour: by way of a small picture, so that there is one place that converts. */
static enum inlay_err set_colour(struct il_backdrop *b, const uint8_t bgr[3], struct inlay_error *err)
{
	struct inlay_frame_info from = { .format = INLAY_PIX_BGR24, .width = 16, .height = 16 }, to = from;
	struct inlay_frame *picture = NULL, *converted = NULL;
	struct il_scaler *scaler = NULL;
	struct inlay_planes planes;
	to.format = b->info.format == INLAY_PIX_BGR24 ? INLAY_PIX_BGR24 : INLAY_PIX_I420;
	to.colour = b->info.colour;
	enum inlay_err rc = il_frame_create(&picture, &from, err);
	if (!rc)
		rc = il_frame_create(&converted, &to, err);
	if (!rc)
		rc = il_scaler_create(&scaler, &from, &to, IL_FIT_STRETCH, err);
	if (!rc) {
		inlay_frame_map(picture, &planes);
		for (int y = 0; y < from.height; y++)
			for (int x = 0; x < 3 * from.width; x++)
				planes.data[0][y * planes.stride[0] + x] = bgr[x % 3];
		inlay_frame_unmap(picture);
		rc = il_scaler_run(scaler, picture, converted, err);
	}
	if (!rc) {
		inlay_frame_map(converted, &planes);
		for (int i = 0; i < 3; i++)
			b->fill.constant[i] = to.format == INLAY_PIX_BGR24 ? planes.data[0][i] : planes.data[i][0];
		inlay_frame_unmap(converted);
	}
	il_scaler_destroy(&scaler);
	inlay_frame_destroy(&converted);
	inlay_frame_destroy(&picture);
	return rc;
}

/* ---- pictures ---- */

static enum inlay_err scale_once(struct inlay_frame **out, const struct inlay_frame *from,
                                 const struct inlay_frame_info *info, enum inlay_fit fit, struct inlay_error *err)
{
	struct il_scaler *scaler = NULL;
	struct inlay_frame *scaled = NULL;
	enum inlay_err rc = il_scaler_create(&scaler, inlay_frame_info(from), info, scaler_fit(fit), err);
	if (!rc)
		rc = il_frame_create(&scaled, info, err);
	if (!rc)
		rc = il_scaler_run(scaler, from, scaled, err);
	il_scaler_destroy(&scaler);
	if (rc)
		inlay_frame_destroy(&scaled);
	else
		*out = scaled;
	return rc;
}

enum inlay_err il_backdrop_plate(struct inlay_frame **out, const char *path, const struct inlay_frame_info *info,
                                 struct inlay_error *err)
{
	const struct il_source_params params = { .path = path, .threads = 1, .hwaccel = IL_HWACCEL_NONE };
	struct il_source *source = NULL;
	struct inlay_frame *frame = NULL;
	enum inlay_err rc = il_source_open(&source, &params, err);
	const struct inlay_frame_info *found = rc ? info : &il_source_info(source)->frame;
	if (found->width != info->width || found->height != info->height)
		rc = il_fail(err, INLAY_ERR_INVALID,
		             "plate %s: is %dx%d; expected the frames' size, %dx%d, since it is the same scene", path,
		             found->width, found->height, info->width, info->height);
	if (!rc)
		rc = il_source_read(source, &frame, err);
	if (!rc)
		rc = scale_once(out, frame, info, INLAY_FIT_STRETCH, err);
	inlay_frame_destroy(&frame);
	il_source_destroy(&source);
	return rc;
}

/* ---- videos ---- */

static double seconds_of(const struct film *film, int64_t pts)
{
	const struct inlay_rational *base = &il_source_info(film->source)->timebase;
	return (double)(pts - film->first_pts) * base->num / base->den;
}

/* The round that follows begins one frame's time after the last frame; rounds that end before `seconds` are left out,
 * so that a gap in the frames' times costs no more than a round. */
static void begin_round(struct film *film, double last_s, double seconds)
{
	const struct inlay_rational *fps = &il_source_info(film->source)->fps;
	const double round_s = last_s + (double)fps->den / fps->num - film->begun_s;
	const double rounds = floor((seconds - film->begun_s) / round_s);
	film->begun_s += fmax(rounds, 1) * round_s;
}

/* Leaves the next frame in film->ahead; after the last one the first one follows. */
static enum inlay_err read_ahead(struct film *film, double seconds, struct inlay_error *err)
{
	double last_s = film->ahead_s;
	inlay_frame_destroy(&film->ahead);
	enum inlay_err rc = il_source_read(film->source, &film->ahead, err);
	if (rc == INLAY_EOF) {
		begin_round(film, last_s, seconds);
		rc = il_source_rewind(film->source, err);
		if (!rc)
			rc = il_source_read(film->source, &film->ahead, err);
	}
	if (rc == INLAY_EOF)
		return il_fail(err, INLAY_ERR_FORMAT, "the background video gave frames once and then none");
	if (!rc)
		film->ahead_s = film->begun_s + seconds_of(film, inlay_frame_pts(film->ahead));
	return rc;
}

static enum inlay_err open_film(struct il_backdrop *b, const struct inlay_matte_settings *settings,
                                struct inlay_error *err)
{
	struct film *film = &b->film;
	const struct inlay_frame_info *info = &il_source_info(film->source)->frame;
	enum inlay_err rc = il_scaler_create(&film->scaler, info, &b->info, scaler_fit(settings->fit), err);
	if (!rc)
		rc = il_frame_pool_create(&film->pool, &b->info, err);
	if (!rc)
		rc = il_source_read(film->source, &film->ahead, err);
	if (!rc)
		film->first_pts = inlay_frame_pts(film->ahead);
	return rc;
}

static enum inlay_err show(struct il_backdrop *b, const struct inlay_frame *frame, struct inlay_error *err)
{
	inlay_frame_destroy(&b->shown);
	enum inlay_err rc = il_frame_pool_take(b->film.pool, &b->shown, err);
	return rc ? rc : il_scaler_run(b->film.scaler, frame, b->shown, err);
}

static enum inlay_err advance(struct il_backdrop *b, double seconds, struct inlay_error *err)
{
	struct film *film = &b->film;
	struct inlay_frame *newest = NULL;
	enum inlay_err rc = INLAY_OK;
	while (!rc && (film->ahead_s <= seconds + ROUNDING_S || (!b->shown && !newest))) {
		inlay_frame_destroy(&newest);
		newest = film->ahead;
		film->ahead = NULL;
		rc = read_ahead(film, seconds, err);
	}
	if (!rc && newest)
		rc = show(b, newest, err);
	inlay_frame_destroy(&newest);
	return rc;
}

/* ---- all kinds ---- */

static enum inlay_err open_file(struct il_backdrop *b, const struct inlay_matte_settings *settings, unsigned threads,
                                struct inlay_error *err)
{
	const struct il_source_params params = { .path = settings->background, .threads = threads };
	struct inlay_frame *frame = NULL;
	b->fill.fill = IL_FILL_PICTURE;
	enum inlay_err rc = il_source_open(&b->film.source, &params, err);
	if (rc || !il_source_info(b->film.source)->picture)
		return rc ? rc : open_film(b, settings, err);
	rc = il_source_read(b->film.source, &frame, err);
	if (!rc)
		rc = scale_once(&b->shown, frame, &b->info, settings->fit, err);
	inlay_frame_destroy(&frame);
	il_source_destroy(&b->film.source);
	return rc;
}

enum inlay_err il_backdrop_open(struct il_backdrop **out, const struct inlay_matte_settings *settings,
                                const struct inlay_frame_info *info, unsigned threads, struct inlay_error *err)
{
	const char *name = settings->background;
	uint8_t bgr[3] = { 0 };
	struct il_backdrop *b = calloc(1, sizeof *b);
	if (!b)
		return il_fail_memory(err);
	b->info = *info;
	b->fill.fill = IL_FILL_COLOUR;
	enum inlay_err rc = INLAY_OK;
	if (!name && settings->look.blur > 0)
		b->fill.fill = IL_FILL_BLUR;
	else if (!name || (!il_path_exists(name) && il_colour_parse(name, bgr)))
		rc = set_colour(b, bgr, err);
	else if (!il_path_exists(name))
		rc = il_fail(err, INLAY_ERR_NOT_FOUND,
		             "background %s: there is no such file, and it is no colour such as green or #20c040",
		             name);
	else
		rc = open_file(b, settings, threads, err);
	if (rc)
		il_backdrop_destroy(&b);
	*out = b;
	return rc;
}

void il_backdrop_destroy(struct il_backdrop **slot)
{
	struct il_backdrop *b = *slot;
	*slot = NULL;
	if (!b)
		return;
	inlay_frame_destroy(&b->film.ahead);
	inlay_frame_destroy(&b->shown);
	il_scaler_destroy(&b->film.scaler);
	il_frame_pool_destroy(&b->film.pool);
	il_source_destroy(&b->film.source);
	free(b);
}

enum inlay_err il_backdrop_at(struct il_backdrop *b, double seconds, struct inlay_frame **frame,
                              struct inlay_error *err)
{
	enum inlay_err rc = b->film.source ? advance(b, seconds, err) : INLAY_OK;
	*frame = !rc && b->shown ? inlay_frame_ref(b->shown) : NULL;
	return rc;
}

struct il_matte_background il_backdrop_fill(const struct il_backdrop *b)
{
	return b->fill;
}
