#include "media/video_index.h"

#include <libavformat/avformat.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "media/libav.h"

struct list {
	int64_t *items;
	int64_t count, capacity;
};

static bool append(struct list *list, int64_t item)
{
	if (list->count == list->capacity) {
		int64_t capacity = list->capacity ? list->capacity * 2 : 1024;
		int64_t *items = realloc(list->items, (size_t)capacity * sizeof *items);
		if (!items)
			return false;
		list->items = items;
		list->capacity = capacity;
	}
	list->items[list->count++] = item;
	return true;
}

static int compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
	return (x > y) - (x < y);
}

static void sort(struct list *list)
{
	if (list->count)
		qsort(list->items, (size_t)list->count, sizeof *list->items, compare);
}

/* First position whose item is >= value. */
static int64_t lower_bound(const int64_t *items, int64_t count, int64_t value)
{
	int64_t low = 0, high = count;
	while (low < high) {
		int64_t middle = low + (high - low) / 2;
		if (items[middle] < value)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct scan {
	struct list shown, keys;
	int64_t packets;
	bool timed; /* every packet has a timestamp */
};

/* A packet that the end of the file cuts short counts as missing. */
static bool is_cut(const AVFormatContext *format, const AVPacket *packet)
{
	return (packet->flags & AV_PKT_FLAG_CORRUPT) && format->pb && avio_feof(format->pb);
}

static bool note(struct scan *scan, const AVPacket *packet)
{
	scan->packets++;
	if (packet->pts == AV_NOPTS_VALUE) {
		scan->timed = false;
		return true;
	}
	if ((packet->flags & AV_PKT_FLAG_KEY) && !append(&scan->keys, packet->pts))
		return false;
	if ((packet->flags & AV_PKT_FLAG_DISCARD) || !scan->keys.count || packet->pts < scan->keys.items[0])
		return true;
	return append(&scan->shown, packet->pts);
}

static enum inlay_err read_all(struct scan *scan, AVFormatContext *format, int stream, const char *path,
                               struct inlay_error *err)
{
	AVPacket *packet = av_packet_alloc();
	if (!packet)
		return il_fail_memory(err);
	enum inlay_err rc = INLAY_OK;
	while (!rc) {
		int ret = av_read_frame(format, packet);
		if (ret == AVERROR(EAGAIN))
			continue;
		if (ret == AVERROR_EOF || ret == AVERROR_INVALIDDATA)
			break;
		if (ret < 0) {
			rc = il_fail_av(err, ret, "%s: reading failed after %lld video packets", path,
			                (long long)scan->packets);
			break;
		}
		if (packet->stream_index == stream && packet->size && !is_cut(format, packet) && !note(scan, packet))
			rc = il_fail_memory(err);
		av_packet_unref(packet);
	}
	av_packet_free(&packet);
	return rc;
}

/* Containers without a table of packets promise none or few. */
static int64_t promised_packets(AVStream *stream)
{
	int64_t n = 0;
	for (int i = 0; i < avformat_index_get_entries_count(stream); i++)
		n += avformat_index_get_entry(stream, i)->size > 0;
	return n;
}

static bool is_unique(const struct list *list)
{
	for (int64_t i = 1; i < list->count; i++)
		if (list->items[i] == list->items[i - 1])
			return false;
	return true;
}

enum inlay_err il_video_index_build(struct il_video_index *index, AVFormatContext *format, int stream, const char *path,
                                    struct inlay_error *err)
{
	struct scan scan = { .timed = true };
	enum inlay_err rc = read_all(&scan, format, stream, path, err);
	if (rc)
		goto fail;
	int64_t promised = promised_packets(format->streams[stream]);
	if (promised > scan.packets) {
		rc = il_fail(err, INLAY_ERR_FORMAT,
		             "%s: is cut short or damaged: its index promises %lld frames, the data holds %lld", path,
		             (long long)promised, (long long)scan.packets);
		goto fail;
	}
	if (!scan.packets) {
		rc = il_fail(err, INLAY_ERR_FORMAT, "%s: its video stream holds no frames", path);
		goto fail;
	}
	sort(&scan.shown);
	sort(&scan.keys);
	if (scan.timed && scan.shown.count && is_unique(&scan.shown)) {
		*index = (struct il_video_index){ .pts = scan.shown.items,
			                          .frames = scan.shown.count,
			                          .key_pts = scan.keys.items,
			                          .keys = scan.keys.count };
		return INLAY_OK;
	}
	*index = (struct il_video_index){ 0 };
fail:
	free(scan.shown.items);
	free(scan.keys.items);
	return rc;
}

void il_video_index_destroy(struct il_video_index *index)
{
	free(index->pts);
	free(index->key_pts);
	*index = (struct il_video_index){ 0 };
}

int64_t il_video_index_find(const struct il_video_index *index, int64_t pts)
{
	int64_t i = lower_bound(index->pts, index->frames, pts);
	return i < index->frames && index->pts[i] == pts ? i : -1;
}

int64_t il_video_index_key(const struct il_video_index *index, int64_t frame)
{
	/* Keys up to and with the frame's own timestamp; the first key is at or before every frame. */
	int64_t after = lower_bound(index->key_pts, index->keys, index->pts[frame] + 1);
	return after > 0 ? after - 1 : 0;
}

int64_t il_video_index_key_frame(const struct il_video_index *index, int64_t key)
{
	return lower_bound(index->pts, index->frames, index->key_pts[key]);
}
