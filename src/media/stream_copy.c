#include "media/stream_copy.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/log.h"
#include "media/audio_track.h"
#include "media/libav.h"
#include "media/subtitle_track.h"

#define FAR_S 600.0 /* no recording's sound starts so far from its pictures: the timestamps are wrong */
#define STEP_S 0.5  /* what tracks write in turns after the last picture */

/* Sound has a reader of its own for each stream, subtitles share `in`. */
struct il_stream_copy {
	AVFormatContext *in, *mux;
	const char *path; /* in->url lives as long */
	double video_s;   /* when the file's video starts */
	double shift_s;   /* from the file's time to the output's */
	double fed_s;

	struct il_audio_track **sounds; /* as many as `in` has streams, as the next */
	unsigned n_sounds;
	struct il_subtitle_track **subtitles; /* by the stream's number; NULL: none */
	AVPacket *packet;
	bool pending, ended; /* of the subtitles */
	char text[256];
};

/* Tags */

/* What a muxer says of itself and of its own bytes, and what holds no more for new pictures. */
static bool is_own(const char *key)
{
	static const char *const keys[] = {
		"major_brand", "minor_version", "compatible_brands", "encoder",         "vendor_id",
		"rotate",      "timecode",      "alpha_mode",        "DURATION",        "BPS",
		"_STATISTICS", "SOURCE_ID",     "NUMBER_OF_FRAMES",  "NUMBER_OF_BYTES",
	};
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
		size_t n = strlen(keys[i]);
		if (!strncasecmp(key, keys[i], n) && (!key[n] || key[n] == '-' || key[n] == '_'))
			return true;
	}
	return false;
}

static enum inlay_err copy_tags(AVDictionary **to, const AVDictionary *from, struct inlay_error *err)
{
	for (const AVDictionaryEntry *tag = NULL; (tag = av_dict_get(from, "", tag, AV_DICT_IGNORE_SUFFIX));)
		if (!is_own(tag->key) && av_dict_set(to, tag->key, tag->value, 0) < 0)
			return il_fail_memory(err);
	return INLAY_OK;
}

static enum inlay_err copy_stream_tags(AVStream *to, const AVStream *from, struct inlay_error *err)
{
	to->disposition = from->disposition & ~AV_DISPOSITION_ATTACHED_PIC;
	return copy_tags(&to->metadata, from->metadata, err);
}

static enum inlay_err copy_chapters(struct il_stream_copy *c, struct inlay_error *err)
{
	const AVFormatContext *in = c->in;
	if (!in->nb_chapters)
		return INLAY_OK;
	c->mux->chapters = av_calloc(in->nb_chapters, sizeof *c->mux->chapters);
	if (!c->mux->chapters)
		return il_fail_memory(err);
	for (unsigned i = 0; i < in->nb_chapters; i++) {
		AVChapter *chapter = c->mux->chapters[i] = av_mallocz(sizeof *chapter);
		if (!chapter)
			return il_fail_memory(err);
		c->mux->nb_chapters++;
		chapter->id = in->chapters[i]->id;
		chapter->time_base = in->chapters[i]->time_base;
		chapter->start = in->chapters[i]->start;
		chapter->end = in->chapters[i]->end;
		enum inlay_err rc = copy_tags(&chapter->metadata, in->chapters[i]->metadata, err);
		if (rc)
			return rc;
	}
	return INLAY_OK;
}

/* Streams */

static void add_text(struct il_stream_copy *c, const char *kind, const char *what)
{
	size_t used = strlen(c->text);
	snprintf(c->text + used, sizeof c->text - used, ", %s %s", kind, what);
}

/* A stream that cannot come along is no reason to do without the video. */
static enum inlay_err leave_out(const struct il_stream_copy *c, const AVStream *in, enum inlay_err rc,
                                const struct inlay_error *why, struct inlay_error *err)
{
	if (rc == INLAY_ERR_MEMORY)
		return il_fail_memory(err);
	il_log_warn("%s: stream %d (%s, %s) is left out: %s", c->path, in->index,
	            av_get_media_type_string(in->codecpar->codec_type), avcodec_get_name(in->codecpar->codec_id),
	            why->text);
	return INLAY_OK;
}

static enum inlay_err add_sound(struct il_stream_copy *c, const AVStream *in,
                                const struct il_stream_copy_params *params, struct inlay_error *err)
{
	struct inlay_error why = { 0 };
	struct il_audio_track *track;
	enum inlay_err rc =
		il_audio_track_open(&track, c->mux, c->path, in->index, params->audio_encoder, params->limit_s, &why);
	if (rc)
		return leave_out(c, in, rc, &why, err);
	c->sounds[c->n_sounds++] = track;
	add_text(c, "audio", il_audio_track_describe(track));
	return copy_stream_tags(il_audio_track_stream(track), in, err);
}

static enum inlay_err add_subtitles(struct il_stream_copy *c, AVStream *in, const struct il_stream_copy_params *params,
                                    struct inlay_error *err)
{
	struct inlay_error why = { 0 };
	struct il_subtitle_track **track = &c->subtitles[in->index];
	enum inlay_err rc = il_subtitle_track_open(track, c->mux, in, params->subtitle_encoder, &why);
	if (rc)
		return leave_out(c, in, rc, &why, err);
	in->discard = AVDISCARD_DEFAULT;
	c->ended = false;
	add_text(c, "subtitles", il_subtitle_track_describe(*track));
	return copy_stream_tags(il_subtitle_track_stream(*track), in, err);
}

/* Such as fonts for subtitles. Matroska keeps them in its header. */
static enum inlay_err add_attachment(struct il_stream_copy *c, const AVStream *in, struct inlay_error *err)
{
	if (strcmp(c->mux->oformat->name, "matroska") != 0 || !in->codecpar->extradata_size)
		return INLAY_OK;
	AVStream *out = avformat_new_stream(c->mux, NULL);
	if (!out || avcodec_parameters_copy(out->codecpar, in->codecpar) < 0)
		return il_fail_memory(err);
	out->time_base = in->time_base;
	return copy_stream_tags(out, in, err);
}

static enum inlay_err add_stream(struct il_stream_copy *c, AVStream *in, const struct il_stream_copy_params *params,
                                 struct inlay_error *err)
{
	switch (in->codecpar->codec_type) {
	case AVMEDIA_TYPE_AUDIO: return add_sound(c, in, params, err);
	case AVMEDIA_TYPE_SUBTITLE: return add_subtitles(c, in, params, err);
	case AVMEDIA_TYPE_ATTACHMENT: return add_attachment(c, in, err);
	case AVMEDIA_TYPE_VIDEO: return INLAY_OK;
	default:
		il_log_info("%s: stream %d holds data that no player shows and is left out", c->path, in->index);
		return INLAY_OK;
	}
}

static enum inlay_err add_all(struct il_stream_copy *c, AVStream *video, const struct il_stream_copy_params *params,
                              struct inlay_error *err)
{
	unsigned n = c->in->nb_streams;
	c->sounds = calloc(n + 1, sizeof *c->sounds);
	c->subtitles = calloc(n + 1, sizeof *c->subtitles);
	c->packet = av_packet_alloc();
	if (!c->sounds || !c->subtitles || !c->packet)
		return il_fail_memory(err);
	int best = av_find_best_stream(c->in, AVMEDIA_TYPE_VIDEO, -1, -1, NULL, 0);
	enum inlay_err rc = copy_tags(&c->mux->metadata, c->in->metadata, err);
	if (!rc)
		rc = copy_chapters(c, err);
	if (best >= 0) {
		const AVStream *in = c->in->streams[best];
		c->video_s = in->start_time == AV_NOPTS_VALUE ? 0 : (double)in->start_time * av_q2d(in->time_base);
		rc = rc ? rc : copy_stream_tags(video, in, err);
	}
	for (unsigned i = 0; i < n; i++)
		c->in->streams[i]->discard = AVDISCARD_ALL;
	for (unsigned i = 0; !rc && i < n; i++)
		rc = add_stream(c, c->in->streams[i], params, err);
	return rc;
}

enum inlay_err il_stream_copy_open(struct il_stream_copy **out, AVFormatContext *mux, AVStream *video,
                                   const struct il_stream_copy_params *params, struct inlay_error *err)
{
	*out = NULL;
	struct il_stream_copy *c = calloc(1, sizeof *c);
	if (!c)
		return il_fail_memory(err);
	c->mux = mux;
	c->path = params->path;
	c->ended = true;
	enum inlay_err rc = il_libav_open(&c->in, params->path, "video", err);
	if (!rc) {
		c->path = c->in->url + strlen("file:");
		rc = add_all(c, video, params, err);
	}
	if (rc)
		il_stream_copy_destroy(&c);
	*out = c;
	return rc;
}

void il_stream_copy_destroy(struct il_stream_copy **slot)
{
	struct il_stream_copy *c = *slot;
	if (!c)
		return;
	*slot = NULL;
	for (unsigned i = 0; c->subtitles && i < c->in->nb_streams; i++)
		il_subtitle_track_destroy(&c->subtitles[i]);
	for (unsigned i = 0; i < c->n_sounds; i++)
		il_audio_track_destroy(&c->sounds[i]);
	free(c->subtitles);
	free(c->sounds);
	av_packet_free(&c->packet);
	avformat_close_input(&c->in);
	free(c);
}

/* Times */

static double sound_start(const struct il_stream_copy *c, unsigned i, double first_s)
{
	double start_s = il_audio_track_source_start_s(c->sounds[i]) - first_s;
	if (fabs(start_s) < FAR_S)
		return start_s;
	il_log_warn("%s: sound starts %.0f s from the pictures by its timestamps, which cannot be; it starts with them",
	            c->path, start_s);
	return 0;
}

static void shift_chapters(const struct il_stream_copy *c)
{
	for (unsigned i = 0; i < c->mux->nb_chapters; i++) {
		AVChapter *chapter = c->mux->chapters[i];
		int64_t shift = llrint(c->shift_s / av_q2d(chapter->time_base));
		chapter->start = FFMAX(0, chapter->start + shift);
		if (chapter->end != AV_NOPTS_VALUE)
			chapter->end = FFMAX(chapter->start, chapter->end + shift);
	}
}

int64_t il_stream_copy_begin(struct il_stream_copy *c, double first_s, double tick_s)
{
	if (isnan(first_s))
		first_s = c->video_s;
	double earliest_s = 0;
	for (unsigned i = 0; i < c->n_sounds; i++) {
		double start_s = sound_start(c, i, first_s);
		il_audio_track_move(c->sounds[i], start_s);
		earliest_s = fmin(earliest_s, start_s);
	}
	int64_t lead = (int64_t)ceil(-earliest_s / tick_s - 1e-6);
	for (unsigned i = 0; i < c->n_sounds; i++)
		il_audio_track_move(c->sounds[i], (double)lead * tick_s);
	c->shift_s = (double)lead * tick_s - first_s;
	shift_chapters(c);
	return lead;
}

static enum inlay_err read_subtitle(struct il_stream_copy *c)
{
	int ret;
	do {
		av_packet_unref(c->packet);
		ret = av_read_frame(c->in, c->packet);
	} while (ret == AVERROR(EAGAIN) || (ret >= 0 && !c->subtitles[c->packet->stream_index]));
	if (ret < 0 && ret != AVERROR_EOF)
		il_log_warn("%s: its subtitles break off", c->path);
	return ret < 0 ? INLAY_EOF : INLAY_OK;
}

static enum inlay_err feed_subtitles(struct il_stream_copy *c, double until_s, struct inlay_error *err)
{
	enum inlay_err rc = INLAY_OK;
	while (!rc && !c->ended) {
		c->ended = !c->pending && read_subtitle(c) == INLAY_EOF;
		if (c->ended)
			break;
		const AVStream *in = c->in->streams[c->packet->stream_index];
		c->pending = c->packet->pts != AV_NOPTS_VALUE &&
		             (double)c->packet->pts * av_q2d(in->time_base) + c->shift_s > until_s;
		if (c->pending)
			break;
		rc = il_subtitle_track_write(c->subtitles[in->index], c->packet, c->shift_s, err);
	}
	return rc;
}

static enum inlay_err feed(struct il_stream_copy *c, double until_s, struct inlay_error *err)
{
	enum inlay_err rc = INLAY_OK;
	for (unsigned i = 0; !rc && i < c->n_sounds; i++)
		rc = il_audio_track_feed(c->sounds[i], until_s, err);
	return rc ? rc : feed_subtitles(c, until_s, err);
}

static bool any_sound_left(const struct il_stream_copy *c)
{
	unsigned i = 0;
	while (i < c->n_sounds && il_audio_track_ended(c->sounds[i]))
		i++;
	return i < c->n_sounds;
}

enum inlay_err il_stream_copy_feed(struct il_stream_copy *c, double until_s, struct inlay_error *err)
{
	if (until_s < HUGE_VAL) {
		c->fed_s = until_s;
		return feed(c, until_s, err);
	}
	enum inlay_err rc = INLAY_OK;
	while (!rc && any_sound_left(c))
		rc = feed(c, c->fed_s += STEP_S, err);
	return rc ? rc : feed(c, HUGE_VAL, err);
}

const char *il_stream_copy_describe(const struct il_stream_copy *c)
{
	return c->text;
}
