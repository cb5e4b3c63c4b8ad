/* KServe's messages of inference: a request read with its tensors where they lie, an answer written so that mouths are
 * drawn into it. */
#ifndef SERVER_RPC_KSERVE_MESSAGES_H
#define SERVER_RPC_KSERVE_MESSAGES_H

#include "server/kserve.h"
#include "server/rpc/message.h"

#define KSERVE_TENSORS 16 /* of a request or an answer at most */

/* Points into the message's bytes and into the arena, both of which outlive it. */
struct kserve_call {
	struct kserve_request request;
	const char *id;
	struct kserve_input inputs[KSERVE_TENSORS];
	struct kserve_output outputs[KSERVE_TENSORS];
	struct arena arena;
};

/* INLAY_ERR_INVALID for what is no ModelInferRequest. kserve_call_clear it whatever comes back. */
enum inlay_err kserve_call_read(struct kserve_call *call, const uint8_t *data, size_t size, struct inlay_error *err);
void kserve_call_clear(struct kserve_call *call);

/* A message with room for the output in it: kserve_draw into `output`, then send all. */
struct kserve_answer {
	uint8_t *data; /* buffer_take */
	size_t size;
	uint8_t *output; /* NULL where it is in shared memory */
};
/* stream: a ModelStreamInferResponse instead of a ModelInferResponse. */
enum inlay_err kserve_answer_begin(struct kserve_answer *answer, const struct kserve_inference *inference,
                                   const char *id, bool stream, struct inlay_error *err);
void kserve_answer_clear(struct kserve_answer *answer); /* accepts {0} */

#endif
