/* What every user of libav in this folder shares. */
#ifndef IL_MEDIA_LIBAV_H
#define IL_MEDIA_LIBAV_H

#include <stdbool.h>

#include "base/error.h"
#include "inlay/frame.h"

/* Sends libav's messages to il_log, all at debug level: what the user reads is our own error text. Every open
 * function calls it first; any thread. */
void il_libav_init(void);

/* Loads libavdevice, so that cameras and output devices are known: on demand, because the libraries that come along
 * cost every start 18 MB and some 50 ms. Any thread. */
enum inlay_err il_libav_devices(struct inlay_error *err);

/* FFmpeg's version, e.g. "5.1.9-0+deb12u1". */
const char *il_libav_version(void);

/* il_fail with ": " and libav's text for `av_error` added. The code follows the error: no such file, out of memory,
 * broken data, something that this libav lacks, or else the system's fault. */
__attribute__((format(printf, 3, 4), cold)) enum inlay_err il_fail_av(struct inlay_error *err, int av_error,
                                                                      const char *format, ...);

/* Opens the local file `path` for demuxing and finds its streams. Never follows a URL, be it the path or a reference
 * inside a playlist. kind ("video", "sound") is for messages. avformat_close_input ends it. */
struct AVFormatContext;
enum inlay_err il_libav_open(struct AVFormatContext **format, const char *path, const char *kind,
                             struct inlay_error *err);

/* Can `muxer` hold a copy of this stream? Its list promises more than its start keeps, so it is started for a trial. */
struct AVOutputFormat;
struct AVStream;
int il_libav_muxer_takes(const struct AVOutputFormat *muxer, const struct AVStream *stream);

/* A video stream that players show, not a cover picture. */
bool il_libav_shows(const struct AVStream *stream);

/* The stream's average rate as the nearest fraction of terms up to 100000; 25 where it tells none. */
struct inlay_rational il_libav_rate(const struct AVStream *stream);

/* How many threads a video decoder gets when `threads` are asked for, 0 for a sensible number. */
int il_libav_threads(unsigned threads);

#endif
