/* A sound track of the source's own packets. */
#include <math.h>

#include "media/audio_track_impl.h"

/* Sound before time 0 that a copy carries along for the decoder to start on; no codec's delay is longer. */
#define PREROLL_S 0.5

static double seconds(const struct il_audio_track *t, int64_t time)
{
	return (double)time * av_q2d(il_sound_source_stream(t->source)->time_base);
}

enum inlay_err il_audio_copy_start(struct il_audio_track *t, struct inlay_error *err)
{
	enum inlay_err rc = il_sound_source_restart(t->source, err);
	if (rc)
		return rc;
	const AVStream *in = il_sound_source_stream(t->source);
	rc = il_audio_track_add(t, err);
	if (rc)
		return rc;
	AVCodecParameters *par = t->out->codecpar;
	if (avcodec_parameters_copy(par, in->codecpar) < 0)
		return il_fail_memory(err);
	par->codec_tag = 0; /* each container has its own */
	int64_t delay = il_sound_source_lead(t->source);
	bool sane = delay >= 0 && seconds(t, delay) < PREROLL_S;
	par->initial_padding = sane ? (int)av_rescale_q(delay, in->time_base, (AVRational){ 1, par->sample_rate }) : 0;
	t->out->time_base = in->time_base;
	snprintf(t->text, sizeof t->text, "copied (%s)", avcodec_get_name(par->codec_id));
	return INLAY_OK;
}

static enum inlay_err read_audible(struct il_audio_track *t, struct inlay_error *err)
{
	enum inlay_err rc;
	do
		rc = il_sound_source_packet(t->source, t->packet, err);
	while (!rc && seconds(t, t->packet->pts) < -PREROLL_S);
	t->packet->flags = AV_PKT_FLAG_KEY;
	return rc;
}

static void end_at_limit(const struct il_audio_track *t, AVPacket *packet)
{
	double left_s = t->limit_s - seconds(t, packet->pts);
	if (left_s < seconds(t, packet->duration))
		packet->duration = llrint(left_s / seconds(t, 1));
}

enum inlay_err il_audio_copy_until(struct il_audio_track *t, double until_s, struct inlay_error *err)
{
	while (!t->ended) {
		enum inlay_err rc = t->pending ? INLAY_OK : read_audible(t, err);
		if (il_is_fault(rc))
			return rc;
		double time_s = seconds(t, t->packet->pts);
		t->ended = rc == INLAY_EOF || time_s >= t->limit_s;
		t->pending = !t->ended && time_s > until_s;
		if (t->ended || t->pending)
			break;
		end_at_limit(t, t->packet);
		rc = il_audio_track_write(t, il_sound_source_stream(t->source)->time_base, err);
		if (rc)
			return rc;
	}
	return INLAY_OK;
}
