/* What the parts of the KServe service share. */
#ifndef SERVER_RPC_KSERVE_IMPL_H
#define SERVER_RPC_KSERVE_IMPL_H

#include "server/rpc/kserve_messages.h"
#include "server/rpc/rpc.h"

/* Draws what a request asks for: a whole answer, which the caller clears whatever comes back. Any thread. */
enum inlay_err kserve_draw_answer(struct kserve_answer *answer, struct kserve_call *parsed, struct app *app,
                                  struct rpc_call *call, bool stream, struct inlay_error *err);

/* ModelStreamInfer; ctx is the app. */
rpc_handler kserve_stream_infer;

#endif
