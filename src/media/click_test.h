/* Sound whose place in time can be found again: a click in silence. */
#ifndef IL_MEDIA_CLICK_TEST_H
#define IL_MEDIA_CLICK_TEST_H

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <math.h>

#include "media/sink_test.h"

static inline void put_le(uint8_t *to, uint32_t value, int bytes)
{
	for (int i = 0; i < bytes; i++)
		to[i] = (uint8_t)(value >> (8 * i));
}

/* `seconds` of silence with 2 ms of a tone at `at_s`. */
static inline void write_click_at(const char *path, int rate, int channels, double seconds, int at_s)
{
	uint32_t samples = (uint32_t)(seconds * rate), size = samples * (uint32_t)channels * 2;
	uint8_t *wav = calloc(1, 44 + size);
	memcpy(wav, "RIFF    WAVEfmt ", 16);
	put_le(wav + 4, 36 + size, 4);
	put_le(wav + 16, 16, 4);
	put_le(wav + 20, 1, 2);
	put_le(wav + 22, (uint32_t)channels, 2);
	put_le(wav + 24, (uint32_t)rate, 4);
	put_le(wav + 28, (uint32_t)(rate * channels * 2), 4);
	put_le(wav + 32, (uint32_t)channels * 2, 2);
	put_le(wav + 34, 16, 2);
	memcpy(wav + 36, "data", 4);
	put_le(wav + 40, size, 4);
	for (int i = 0; i < rate / 500; i++)
		for (int c = 0; c < channels; c++)
			put_le(wav + 44 + ((at_s * rate + i) * channels + c) * 2,
			       (uint32_t)(int)(29000 * sin(2 * M_PI * 1000 * i / rate)), 2);
	assert_ok(il_file_write(path, wav, 44 + size, true, &err));
	free(wav);
}

static inline void write_click(const char *path, int rate, int channels, double seconds)
{
	write_click_at(path, rate, channels, seconds, 1);
}

static inline double sample_at(const AVFrame *frame, int i)
{
	int channels = frame->ch_layout.nb_channels;
	switch (frame->format) {
	case AV_SAMPLE_FMT_FLTP: return ((const float *)frame->extended_data[0])[i];
	case AV_SAMPLE_FMT_FLT: return ((const float *)frame->extended_data[0])[i * channels];
	case AV_SAMPLE_FMT_S16: return ((const int16_t *)frame->extended_data[0])[i * channels] / 32768.0;
	case AV_SAMPLE_FMT_U8: return (((const uint8_t *)frame->extended_data[0])[i * channels] - 128) / 128.0;
	case AV_SAMPLE_FMT_S16P: return ((const int16_t *)frame->extended_data[0])[i] / 32768.0;
	}
	fail_msg("sample format %d", frame->format);
	return 0;
}

/* When the click is heard after the first picture is shown, by the timestamps in the file: what a player does. */
static inline double click_time(const char *path)
{
	AVFormatContext *input = NULL;
	assert_true(avformat_open_input(&input, path, NULL, NULL) >= 0);
	assert_true(avformat_find_stream_info(input, NULL) >= 0);
	const AVCodec *codec;
	int sound = av_find_best_stream(input, AVMEDIA_TYPE_AUDIO, -1, -1, &codec, 0);
	AVCodecContext *decoder = avcodec_alloc_context3(codec);
	assert_true(avcodec_parameters_to_context(decoder, input->streams[sound]->codecpar) >= 0);
	decoder->pkt_timebase = input->streams[sound]->time_base;
	assert_true(avcodec_open2(decoder, codec, NULL) >= 0);
	AVPacket *packet = av_packet_alloc();
	AVFrame *frame = av_frame_alloc();
	double picture = HUGE_VAL, click = HUGE_VAL;
	while (av_read_frame(input, packet) >= 0) {
		double unit = av_q2d(input->streams[packet->stream_index]->time_base);
		if (packet->stream_index != sound)
			picture = fmin(picture, (double)packet->pts * unit);
		else if (avcodec_send_packet(decoder, packet) >= 0)
			while (avcodec_receive_frame(decoder, frame) >= 0)
				for (int i = 0; click == HUGE_VAL && i < frame->nb_samples; i++)
					if (fabs(sample_at(frame, i)) > 0.25)
						click = (double)frame->pts * unit + (double)i / frame->sample_rate;
		av_packet_unref(packet);
	}
	av_frame_free(&frame);
	av_packet_free(&packet);
	avcodec_free_context(&decoder);
	avformat_close_input(&input);
	return click - picture;
}

#endif
