/* Where the faults of a pack go: opening ends at the first, checking reports each and goes on. */
#ifndef IL_AVATAR_FAULTS_H
#define IL_AVATAR_FAULTS_H

#include "avatar/avatar.h"

/* On its maker's stack; one thread. */
struct il_faults {
	struct inlay_error *err;    /* text of the fault under way; never NULL */
	il_avatar_fault_fn *report; /* NULL: the first fault is the end */
	void *ctx;
	int count;
	enum inlay_err first;
};

/* One thing wrong. Opening: the caller returns what this returns. Checking: the fault is reported and INLAY_OK comes
 * back, whereupon the caller goes on with what is sound. Control characters of `...` do not reach the text. */
__attribute__((format(printf, 3, 4), cold)) enum inlay_err il_fault(struct il_faults *faults, enum inlay_err code,
                                                                    const char *format, ...);

/* il_fault for a call that has filled faults->err and returned rc. Lack of memory and a cancel stop checking too. */
enum inlay_err il_fault_pass(struct il_faults *faults, enum inlay_err rc);

/* How checking ended: reports rc as the last fault where it is one that il_fault_pass would not (but a cancel, which
 * the caller asked for), and returns rc, or else the first fault, or INLAY_OK. */
enum inlay_err il_fault_end(struct il_faults *faults, enum inlay_err rc);

#endif
