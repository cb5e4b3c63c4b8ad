/* ModelStreamInfer: requests of one stream are drawn several at a time and answered in their order. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "server/buffers.h"
#include "server/rpc/kserve.pb-c.h"
#include "server/rpc/kserve_impl.h"

#define AHEAD 4 /* requests under way, each with a thread */

struct job {
	uint8_t *data; /* buffer_take */
	size_t size;
};

struct stream {
	struct app *app;
	struct rpc_call *call;
	pthread_mutex_t lock; /* of all below */
	pthread_cond_t changed;
	struct job jobs[AHEAD];        /* request k at k mod AHEAD */
	uint64_t read, taken, written; /* requests that have got so far */
	bool ended;                    /* nothing more is read */
	enum inlay_err rc;             /* what ended the answers, with its text */
	struct inlay_error err;
	pthread_t threads[AHEAD];
	unsigned n_threads;
};

/* The message that tells of a request that failed: the stream goes on. */
static enum inlay_err fail_answer(struct kserve_answer *answer, const char *id, const struct inlay_error *failure,
                                  struct inlay_error *err)
{
	Inference__ModelInferResponse response = INFERENCE__MODEL_INFER_RESPONSE__INIT;
	response.id = (char *)id;
	Inference__ModelStreamInferResponse message = INFERENCE__MODEL_STREAM_INFER_RESPONSE__INIT;
	message.error_message = message_text_valid(failure->text) ? (char *)failure->text : "invalid request";
	message.infer_response = &response;
	kserve_answer_clear(answer);
	answer->size = inference__model_stream_infer_response__get_packed_size(&message);
	answer->data = buffer_take(answer->size);
	if (!answer->data)
		return il_fail_memory(err);
	inference__model_stream_infer_response__pack(&message, answer->data);
	return INLAY_OK;
}

/* The answer to a request, whatever it is. */
static enum inlay_err draw_job(struct stream *stream, const struct job *job, struct kserve_answer *answer,
                               struct inlay_error *err)
{
	struct inlay_error failure = { 0 };
	struct kserve_call parsed;
	enum inlay_err rc = kserve_call_read(&parsed, job->data, job->size, &failure);
	if (!rc)
		rc = kserve_draw_answer(answer, &parsed, stream->app, stream->call, true, &failure);
	if (rc == INLAY_ERR_CANCELLED)
		rc = il_fail(err, rc, "%s", failure.text);
	else if (rc)
		rc = fail_answer(answer, parsed.id, &failure, err);
	kserve_call_clear(&parsed);
	return rc;
}

/* Draws, waits for the turn, writes. */
static void answer_job(struct stream *stream, uint64_t number)
{
	struct job *job = &stream->jobs[number % AHEAD];
	struct kserve_answer answer = { 0 };
	struct inlay_error err = { 0 };
	enum inlay_err rc = draw_job(stream, job, &answer, &err);
	pthread_mutex_lock(&stream->lock);
	while (stream->written != number)
		pthread_cond_wait(&stream->changed, &stream->lock);
	bool over = stream->rc != INLAY_OK;
	pthread_mutex_unlock(&stream->lock);
	if (!rc && !over)
		rc = rpc_write(stream->call, answer.data, answer.size, &err);
	kserve_answer_clear(&answer);
	buffer_return(job->data);
	pthread_mutex_lock(&stream->lock);
	if (rc && !stream->rc) {
		stream->rc = rc;
		stream->err = err;
	}
	stream->written++;
	pthread_cond_broadcast(&stream->changed);
	pthread_mutex_unlock(&stream->lock);
}

static void *work(void *ctx)
{
	struct stream *stream = ctx;
	pthread_mutex_lock(&stream->lock);
	for (;;) {
		while (stream->taken == stream->read && !stream->ended)
			pthread_cond_wait(&stream->changed, &stream->lock);
		if (stream->taken == stream->read)
			break;
		uint64_t number = stream->taken++;
		pthread_mutex_unlock(&stream->lock);
		answer_job(stream, number);
		pthread_mutex_lock(&stream->lock);
	}
	pthread_mutex_unlock(&stream->lock);
	return NULL;
}

/* One thread more, where all are at work. */
static enum inlay_err add_thread(struct stream *stream, struct inlay_error *err)
{
	if (stream->n_threads == AHEAD)
		return INLAY_OK;
	errno = pthread_create(&stream->threads[stream->n_threads], NULL, work, stream);
	if (!errno)
		stream->n_threads++;
	return stream->n_threads ? INLAY_OK : il_fail_errno(err, "a thread for requests of a stream");
}

/* Hands a request on, when there is room. */
static enum inlay_err add_job(struct stream *stream, const uint8_t *data, size_t size, struct inlay_error *err)
{
	struct job job = { .data = buffer_take(size), .size = size };
	if (!job.data)
		return il_fail_memory(err);
	if (size)
		memcpy(job.data, data, size);
	pthread_mutex_lock(&stream->lock);
	while (stream->read - stream->written == AHEAD)
		pthread_cond_wait(&stream->changed, &stream->lock);
	bool idle = stream->written + stream->n_threads > stream->read;
	enum inlay_err rc = stream->rc ? il_fail(err, stream->rc, "%s", stream->err.text) : INLAY_OK;
	if (!rc && !idle)
		rc = add_thread(stream, err);
	if (!rc) {
		stream->jobs[stream->read++ % AHEAD] = job;
		pthread_cond_broadcast(&stream->changed);
	}
	pthread_mutex_unlock(&stream->lock);
	if (rc)
		buffer_return(job.data);
	return rc;
}

enum inlay_err kserve_stream_infer(void *ctx, struct rpc_call *call, struct inlay_error *err)
{
	struct stream stream = { .app = ctx, .call = call };
	const uint8_t *data = NULL;
	size_t size = 0;
	enum inlay_err rc;
	pthread_mutex_init(&stream.lock, NULL);
	pthread_cond_init(&stream.changed, NULL);
	while (!(rc = rpc_read(call, &data, &size, err)))
		if ((rc = add_job(&stream, data, size, err)))
			break;
	pthread_mutex_lock(&stream.lock);
	stream.ended = true;
	pthread_cond_broadcast(&stream.changed);
	pthread_mutex_unlock(&stream.lock);
	for (unsigned i = 0; i < stream.n_threads; i++)
		pthread_join(stream.threads[i], NULL);
	pthread_cond_destroy(&stream.changed);
	pthread_mutex_destroy(&stream.lock);
	if (rc == INLAY_EOF)
		rc = stream.rc ? il_fail(err, stream.rc, "%s", stream.err.text) : INLAY_OK;
	return rc;
}
