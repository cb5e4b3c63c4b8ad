#include "media/audio_track.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "media/audio_track_impl.h"
#include "media/libav.h"

static bool is_pcm(enum AVCodecID id)
{
	return id >= AV_CODEC_ID_FIRST_AUDIO && id < AV_CODEC_ID_ADPCM_IMA_QT;
}

/* What players of a container expect in it; muxers take more, and more with every version. */
static bool is_customary(const char *muxer, enum AVCodecID id)
{
	bool mov = !strcmp(muxer, "mov"), webm = !strcmp(muxer, "webm");
	if (!mov && !webm && strcmp(muxer, "mp4"))
		return true;
	switch (id) {
	case AV_CODEC_ID_AAC:
	case AV_CODEC_ID_MP3:
	case AV_CODEC_ID_AC3:
	case AV_CODEC_ID_EAC3:
	case AV_CODEC_ID_ALAC: return !webm;
	case AV_CODEC_ID_OPUS:
	case AV_CODEC_ID_VORBIS: return webm;
	default: return mov && is_pcm(id);
	}
}

/* Matroska takes a block's time to include the encoder delay that its track names. Before FFmpeg 6 libav names the
 * delay of Opus and forgets to add it, then moves all streams so that no time is below 0: pictures come 7 ms late. */
static int missing_lead(const struct il_audio_track *t)
{
	const char *muxer = t->mux->oformat->name;
	bool matroska = !strcmp(muxer, "matroska") || !strcmp(muxer, "webm");
	bool forgets = LIBAVFORMAT_VERSION_MAJOR < 60 && matroska && t->out->codecpar->codec_id == AV_CODEC_ID_OPUS;
	return forgets ? t->out->codecpar->initial_padding : 0;
}

static enum inlay_err start(struct il_audio_track *t, const char *path, int stream, const char *encoder,
                            struct inlay_error *err)
{
	enum inlay_err rc = il_sound_source_open(&t->source, path, stream, err);
	if (rc)
		return rc;
	t->packet = av_packet_alloc();
	if (!t->packet)
		return il_fail_memory(err);
	const AVStream *in = il_sound_source_stream(t->source);
	enum AVCodecID id = in->codecpar->codec_id;
	const AVOutputFormat *muxer = t->mux->oformat;
	bool copies = is_customary(muxer->name, id) && il_libav_muxer_takes(muxer, in);
	/* A track of bare samples has no times, so gaps must be filled: its "encoder" copies frames. */
	const AVCodec *codec =
		copies ? is_pcm(id) ? avcodec_find_encoder(id) : NULL : avcodec_find_encoder_by_name(encoder);
	if (!codec && !copies)
		return il_fail(err, INLAY_ERR_UNSUPPORTED,
		               "%s: no encoder named %s in this libav, which its %s sound needs in %s", path, encoder,
		               avcodec_get_name(id), muxer->name);
	rc = codec ? il_audio_transcode_start(t, codec, err) : il_audio_copy_start(t, err);
	t->lead_samples = rc ? 0 : missing_lead(t);
	return rc;
}

enum inlay_err il_audio_track_open(struct il_audio_track **out, AVFormatContext *mux, const char *path, int stream,
                                   const char *encoder, double limit_s, struct inlay_error *err)
{
	*out = NULL;
	struct il_audio_track *t = calloc(1, sizeof *t);
	if (!t)
		return il_fail_memory(err);
	t->mux = mux;
	t->limit_s = limit_s > 0 ? limit_s : HUGE_VAL;
	t->last_dts = AV_NOPTS_VALUE;
	enum inlay_err rc = start(t, path, stream, encoder, err);
	if (rc)
		il_audio_track_destroy(&t);
	*out = t;
	return rc;
}

void il_audio_track_destroy(struct il_audio_track **slot)
{
	struct il_audio_track *t = *slot;
	if (!t)
		return;
	*slot = NULL;
	il_audio_transcode_destroy(&t->transcode);
	av_packet_free(&t->packet);
	il_sound_source_destroy(&t->source);
	free(t);
}

enum inlay_err il_audio_track_add(struct il_audio_track *t, struct inlay_error *err)
{
	t->out = avformat_new_stream(t->mux, NULL);
	return t->out ? INLAY_OK : il_fail_memory(err);
}

void il_audio_track_move(struct il_audio_track *t, double by_s)
{
	t->start_s += by_s;
	t->limit_s -= by_s;
}

double il_audio_track_source_start_s(const struct il_audio_track *t)
{
	return il_sound_source_start_s(t->source);
}

AVStream *il_audio_track_stream(const struct il_audio_track *t)
{
	return t->out;
}

bool il_audio_track_ended(const struct il_audio_track *t)
{
	return t->ended;
}

/* Two packets of the same time, as broken files have, would make the muxer refuse the second. */
enum inlay_err il_audio_track_write(struct il_audio_track *t, AVRational from, struct inlay_error *err)
{
	AVPacket *packet = t->packet;
	packet->stream_index = t->out->index;
	packet->pos = -1;
	packet->pts += av_rescale_q(t->lead_samples, (AVRational){ 1, t->out->codecpar->sample_rate }, from);
	packet->pts += llrint(t->start_s / av_q2d(from));
	packet->dts = packet->pts;
	av_packet_rescale_ts(packet, from, t->out->time_base);
	if (t->last_dts != AV_NOPTS_VALUE && packet->dts <= t->last_dts)
		packet->pts = packet->dts = t->last_dts + 1;
	t->last_dts = packet->dts;
	int ret = av_interleaved_write_frame(t->mux, packet);
	return ret < 0 ? il_fail_av(err, ret, "%s: cannot be written", t->mux->url) : INLAY_OK;
}

enum inlay_err il_audio_track_feed(struct il_audio_track *t, double until_s, struct inlay_error *err)
{
	until_s -= t->start_s;
	return t->transcode ? il_audio_transcode_until(t, until_s, err) : il_audio_copy_until(t, until_s, err);
}

const char *il_audio_track_describe(const struct il_audio_track *t)
{
	return t->text;
}
