/* KServe's REST requests and answers for inference: JSON, with tensors in it or as bytes behind it. Knows no HTTP. */
#ifndef SERVER_HTTP_KSERVE_JSON_H
#define SERVER_HTTP_KSERVE_JSON_H

#include <jansson.h>

#include "base/file.h"
#include "server/kserve.h"

#define KSERVE_JSON_TENSORS 16
#define KSERVE_JSON_MAX ((size_t)8 << 20) /* bytes of JSON: what it is in memory is ten times as much and more */

/* Points into the body, which outlives it. */
struct kserve_json {
	struct kserve_request request;
	const char *id; /* NULL: none */
	bool binary;    /* the output goes behind the JSON of the answer */
	struct kserve_input inputs[KSERVE_JSON_TENSORS];
	struct kserve_output outputs[KSERVE_JSON_TENSORS];
	int64_t shapes[KSERVE_JSON_TENSORS][8];
	void *numbers[KSERVE_JSON_TENSORS];
	json_t *root;
};

/* header: what Inference-Header-Content-Length says, NULL where it is not there. INLAY_ERR_INVALID or _FORMAT for what
 * is no request. kserve_json_clear it whatever comes back. */
enum inlay_err kserve_json_read(struct kserve_json *json, const uint8_t *body, size_t size, const char *header,
                                struct inlay_error *err);
void kserve_json_clear(struct kserve_json *json);

/* An answer with its output left out: in fresh memory, `data` of size bytes. Where the output is neither binary nor in
 * a region, its numbers go in at `gap`, the place in `data` (else 0). */
enum inlay_err kserve_json_answer(struct il_bytes *answer, size_t *gap, const struct kserve_json *json,
                                  const struct kserve_inference *inference, struct inlay_error *err);
/* The answer with these numbers in its gap, in fresh memory. */
enum inlay_err kserve_json_fill(struct il_bytes *filled, const struct il_bytes *answer, size_t gap,
                                const uint8_t *output, size_t size, struct inlay_error *err);

#endif
