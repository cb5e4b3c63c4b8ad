/* The journal of a safetensors file being written: a line a tensor, so that the writing can go on after a kill.
 *
 *     inlay-journal 1 KEY ROOM ALIGN *SUM      key of the plan, bytes of the header's room, alignment
 *     t NAME DTYPE OFFSET SIZE SUM RANK D0 .. *SUM
 *     s END *SUM                               all up to offset END of the data is on the disk
 *
 * The SUM at the end of a line, 16 hexadecimal digits, is il_sum of what stands before " *" with the last line's sum
 * for a seed: a line that is cut off, changed or out of place ends the journal.
 */
#ifndef IL_BASE_SAFETENSORS_JOURNAL_H
#define IL_BASE_SAFETENSORS_JOURNAL_H

#include "base/safetensors.h"

/* A place in the journal. */
struct il_journal_mark {
	size_t end;        /* bytes before it */
	uint64_t line_sum; /* of the line before it */
};

struct il_journal_entry {
	struct il_safetensor tensor; /* data NULL; the name is the journal's */
	uint64_t sum;
	struct il_journal_mark mark; /* behind its line, and a line of syncing that follows it */
};

/* One thread. */
struct il_journal {
	char *path;
	int fd;
	struct il_journal_mark head, at;  /* behind the first line, and behind the last */
	struct il_journal_entry *entries; /* in the order of the data */
	size_t count, capacity;
	size_t synced; /* offset in the data up to which the last "s" line vouches */
};

/* Opens PATH.journal, made if it is not there, and reads what is sound of it: entries that follow each other in the
 * data, each at a multiple of `align`. Starts anew where the first line is another. */
enum inlay_err il_journal_open(struct il_journal *journal, const char *path, const struct il_safetensors_plan *plan,
                               size_t room, struct inlay_error *err);
void il_journal_close(struct il_journal *journal); /* accepts what a failed open left */

/* Where the data of the last entry ends, as an offset in the data. */
size_t il_journal_end(const struct il_journal *journal);
/* Where a tensor of `size` bytes goes behind that: an empty one needs no alignment. */
size_t il_journal_next(const struct il_journal *journal, size_t size, size_t align);

/* Keeps the first `count` entries. */
enum inlay_err il_journal_cut(struct il_journal *journal, size_t count, struct inlay_error *err);
/* Copies the name. */
enum inlay_err il_journal_add(struct il_journal *journal, const struct il_safetensor *tensor, uint64_t sum,
                              struct inlay_error *err);
/* The caller has synced the data up to `end`; syncs the journal. */
enum inlay_err il_journal_sync(struct il_journal *journal, size_t end, struct inlay_error *err);

/* PATH.journal in fresh memory, or NULL. */
char *il_journal_path(const char *path);

#endif
