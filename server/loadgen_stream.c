/* A sentence as a stream: this thread speaks, another takes the frames. */
#include "base/clock.h"
#include "base/file.h"
#include "server/loadgen_impl.h"

enum { RATE = 16000, PIECE_MAX = 16000, STREAM_MS = 600000 };

static const int64_t POLL_NS = 20000000;

struct stream {
	struct loadgen_client *client;
	struct rpc_stream *rpc;
	int64_t begun_ns, frame_ns;
	bool paced;
	struct inlay_error err; /* the reader's, when it is done */
	atomic_bool done;
};

/* Paced, the frame's sound is complete one frame's time after it began, and shown at the first frame's time plus its
 * own; flat out, each frame follows the one before. */
static void count(struct stream *s, int64_t index, int64_t first_ns, int64_t before_ns)
{
	if (s->paced)
		loadgen_count_frames(s->client, 1, s->begun_ns + (index + 1) * s->frame_ns,
		                     first_ns + (index + 1) * s->frame_ns);
	else
		loadgen_count_frames(s->client, 1, before_ns, before_ns + s->frame_ns);
}

static void *read_frames(void *ctx)
{
	struct stream *s = ctx;
	int64_t first_ns = 0, before_ns = s->begun_ns;
	for (int64_t index = 0;; index++) {
		struct il_bytes message = { 0 };
		enum inlay_err rc = rpc_stream_read(s->rpc, &message, &s->err);
		if (!rc)
			rc = loadgen_check_frame(message.data, message.size, index, &s->err);
		il_bytes_destroy(&message);
		if (rc)
			break;
		first_ns = index ? first_ns : il_clock_ns();
		count(s, index, first_ns, before_ns);
		before_ns = il_clock_ns();
	}
	atomic_store(&s->done, true);
	return NULL;
}

/* The noise as sound, from a place that changes. */
static size_t next_piece(const struct loadgen *all, int16_t *samples, size_t n, size_t from)
{
	for (size_t i = 0; i < n; i++)
		samples[i] = (int16_t)(all->noise[(from + i) % LOADGEN_NOISE] * 20000);
	return from + n;
}

static void speak(struct stream *s, const char *avatar, double seconds)
{
	struct loadgen_client *c = s->client;
	struct loadgen *all = c->all;
	struct inlay_error err = { 0 };
	int16_t samples[PIECE_MAX];
	int64_t pieces = (int64_t)(seconds * 1e9) / s->frame_ns;
	size_t n = (size_t)(s->frame_ns * RATE / 1000000000), at = c->number * 7919u;
	loadgen_write_options(&c->wire, avatar, 1e9 / (double)s->frame_ns);
	enum inlay_err rc = rpc_stream_write(s->rpc, c->wire.data, c->wire.size, &err);
	for (int64_t i = 0; i < pieces && !rc && !atomic_load(&s->done); i++) {
		if (s->paced && !loadgen_wait(all, s->begun_ns + (i + 1) * s->frame_ns))
			return;
		at = next_piece(all, samples, n < PIECE_MAX ? n : PIECE_MAX, at);
		loadgen_write_sound(&c->wire, samples, n < PIECE_MAX ? n : PIECE_MAX);
		rc = rpc_stream_write(s->rpc, c->wire.data, c->wire.size, &err);
	}
	if (!rc)
		rpc_stream_end(s->rpc, &err);
}

void loadgen_speak_stream(struct loadgen_client *c, unsigned avatar, double seconds)
{
	double fps = c->all->params->fps;
	struct stream s = { .client = c, .paced = fps > 0, .frame_ns = (int64_t)(1e9 / (fps > 0 ? fps : 25)) };
	struct inlay_error err = { 0 };
	pthread_t reader;
	if (rpc_stream_open(&s.rpc, c->channel, LOADGEN_RENDER_STREAM, STREAM_MS, &err)) {
		loadgen_count_error(c, RPC_OK, &err);
		return;
	}
	s.begun_ns = il_clock_ns();
	if (pthread_create(&reader, NULL, read_frames, &s)) {
		rpc_stream_destroy(&s.rpc);
		il_fail_memory(&err);
		loadgen_count_error(c, RPC_OK, &err);
		return;
	}
	speak(&s, c->all->avatars[avatar], seconds);
	while (!atomic_load(&s.done) && loadgen_wait(c->all, il_clock_ns() + POLL_NS))
		;
	if (loadgen_stopped(c->all))
		rpc_stream_cancel(s.rpc);
	pthread_join(reader, NULL);
	rpc_stream_destroy(&s.rpc);
	if (s.err.code)
		loadgen_count_error(c, RPC_OK, &s.err);
}
