/* What session.c and session_tensors.c share. */
#ifndef IL_INFER_SESSION_IMPL_H
#define IL_INFER_SESSION_IMPL_H

#include "infer/fused_ops.h"
#include "infer/runtime.h"
#include "infer/session.h"

#define IL_SESSION_BINDINGS 8

/* The runtime's handle of memory that was bound. It may outlive that memory: it is looked into only while bound. */
struct il_binding {
	OrtValue *value;
	const void *data;
	int64_t dims[IL_TENSOR_MAX_RANK];
};

/* One input or output and what is bound to it. */
struct il_port {
	char *name; /* the runtime's, whole; desc.name is for people */
	struct il_tensor_desc desc;
	OrtValue *value; /* of one of the bindings; NULL until bound */
	struct il_binding bindings[IL_SESSION_BINDINGS];
	unsigned next; /* binding that is given up first */
};

/* All inputs, or all outputs. names and values are what Run gets: the bound ports in order. */
struct il_side {
	const char *word; /* "input" or "output" */
	int count, bound;
	struct il_port *ports;
	const char **names;
	OrtValue **values;
};

struct il_session {
	const struct il_runtime *rt;
	char *path;
	OrtSession *session;
	struct il_fused_ops *fused;
	struct il_side inputs, outputs;
};

#endif
