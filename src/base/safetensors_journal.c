#include "base/safetensors_journal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/sum.h"

#define MAX_BYTES ((size_t)1 << 30)
#define LINE_SUM_BYTES 19 /* " *", 16 digits, "\n" */

char *il_journal_path(const char *path)
{
	char *joined = malloc(strlen(path) + sizeof ".journal");
	if (joined)
		sprintf(joined, "%s.journal", path);
	return joined;
}

size_t il_journal_end(const struct il_journal *journal)
{
	const struct il_safetensor *last = journal->count ? &journal->entries[journal->count - 1].tensor : NULL;
	return last ? last->offset + last->size : 0;
}

size_t il_journal_next(const struct il_journal *journal, size_t size, size_t align)
{
	size_t end = il_journal_end(journal);
	return size ? (end + align - 1) & ~(align - 1) : end;
}

static void pass_line(struct il_journal *journal, size_t length, uint64_t sum)
{
	journal->at.line_sum = sum;
	journal->at.end += length;
	*(journal->count ? &journal->entries[journal->count - 1].mark : &journal->head) = journal->at;
}

/* Writing. */

/* At the end that is known good, so that a line which did not fit the disk is written over. `line` has room for its
 * sum behind the `length` bytes. */
static enum inlay_err write_line(struct il_journal *journal, char *line, size_t length, struct inlay_error *err)
{
	uint64_t sum = il_sum(line, length, journal->at.line_sum);
	sprintf(line + length, " *%016" PRIx64 "\n", sum);
	length += LINE_SUM_BYTES;
	for (size_t done = 0; done < length;) {
		ssize_t n = pwrite(journal->fd, line + done, length - done, (off_t)(journal->at.end + done));
		if (n < 0 && errno != EINTR)
			return il_fail_errno(err, "%s: cannot write", journal->path);
		done += n > 0 ? (size_t)n : 0;
	}
	pass_line(journal, length, sum);
	return INLAY_OK;
}

static enum inlay_err append_entry(struct il_journal *journal, const struct il_safetensor *tensor, uint64_t sum,
                                   struct inlay_error *err)
{
	if (journal->count == journal->capacity) {
		size_t capacity = journal->capacity ? journal->capacity * 2 : 64;
		struct il_journal_entry *grown = realloc(journal->entries, capacity * sizeof *grown);
		if (!grown)
			return il_fail_memory(err);
		journal->entries = grown;
		journal->capacity = capacity;
	}
	struct il_journal_entry *entry = &journal->entries[journal->count];
	*entry = (struct il_journal_entry){ *tensor, sum, { 0 } };
	entry->tensor.data = NULL;
	entry->tensor.name = strdup(tensor->name);
	if (!entry->tensor.name)
		return il_fail_memory(err);
	journal->count++;
	return INLAY_OK;
}

static void drop_last(struct il_journal *journal)
{
	free((char *)journal->entries[--journal->count].tensor.name);
}

static size_t format_tensor(char *line, const struct il_safetensor *t, uint64_t sum)
{
	size_t n = (size_t)sprintf(line, "t %s %s %zu %zu %016" PRIx64 " %d", t->name, il_safetensor_type_name(t->type),
	                           t->offset, t->size, sum, t->rank);
	for (int i = 0; i < t->rank; i++)
		n += (size_t)sprintf(line + n, " %zu", t->dims[i]);
	return n;
}

enum inlay_err il_journal_add(struct il_journal *journal, const struct il_safetensor *tensor, uint64_t sum,
                              struct inlay_error *err)
{
	char *line = malloc(strlen(tensor->name) + 100 + IL_SAFETENSOR_MAX_RANK * 21 + LINE_SUM_BYTES);
	if (!line)
		return il_fail_memory(err);
	enum inlay_err rc = append_entry(journal, tensor, sum, err);
	if (!rc && (rc = write_line(journal, line, format_tensor(line, tensor, sum), err)))
		drop_last(journal);
	free(line);
	return rc;
}

enum inlay_err il_journal_sync(struct il_journal *journal, size_t end, struct inlay_error *err)
{
	char line[40 + LINE_SUM_BYTES];
	enum inlay_err rc = write_line(journal, line, (size_t)sprintf(line, "s %zu", end), err);
	if (!rc && fdatasync(journal->fd) < 0)
		rc = il_fail_errno(err, "%s: cannot sync", journal->path);
	if (!rc)
		journal->synced = end;
	return rc;
}

/* Reading. */

/* The next word of a line, which ends up behind it; NULL at the end. */
static char *next_word(char **at)
{
	char *word = *at;
	if (!word)
		return NULL;
	char *space = strchr(word, ' ');
	*at = space ? space + 1 : NULL;
	if (space)
		*space = 0;
	return *word ? word : NULL;
}

static bool read_number(char **at, int base, uint64_t *number)
{
	const char *word = next_word(at);
	const char *digits = base == 16 ? "0123456789abcdef" : "0123456789";
	if (!word || strspn(word, digits) != strlen(word))
		return false;
	errno = 0;
	*number = strtoull(word, NULL, base);
	return !errno;
}

static bool read_dims(char **at, struct il_safetensor *t)
{
	uint64_t n;
	if (!read_number(at, 10, &n) || n > IL_SAFETENSOR_MAX_RANK)
		return false;
	t->rank = (int)n;
	for (int i = 0; i < t->rank; i++) {
		if (!read_number(at, 10, &n))
			return false;
		t->dims[i] = n;
	}
	return !*at;
}

static bool read_tensor(char *at, struct il_safetensor *t, uint64_t *sum)
{
	uint64_t offset, size;
	size_t expected;
	t->name = next_word(&at);
	const char *type = next_word(&at);
	if (!t->name || !type || !il_safetensor_type_parse(type, &t->type) || !read_number(&at, 10, &offset) ||
	    !read_number(&at, 10, &size) || !read_number(&at, 16, sum) || !read_dims(&at, t))
		return false;
	t->offset = offset;
	t->size = size;
	return il_safetensor_size(t->type, t->rank, t->dims, &expected) && expected == size;
}

/* Takes the sum off the end of a line; false where it is not the line's. */
static bool check_line(const struct il_journal *journal, char *line, size_t length, uint64_t *sum)
{
	char expected[LINE_SUM_BYTES + 1];
	if (length < LINE_SUM_BYTES - 1)
		return false;
	char *tail = line + length - (LINE_SUM_BYTES - 1);
	*sum = il_sum(line, (size_t)(tail - line), journal->at.line_sum);
	sprintf(expected, " *%016" PRIx64, *sum);
	if (memcmp(tail, expected, LINE_SUM_BYTES - 1))
		return false;
	*tail = 0;
	return !memchr(line, 0, (size_t)(tail - line));
}

/* False where the journal is sound no further. */
static bool take_line(struct il_journal *journal, char *line, size_t align, enum inlay_err *rc, struct inlay_error *err)
{
	struct il_safetensor tensor = { 0 };
	uint64_t number;
	char *at = line;
	const char *word = next_word(&at);
	if (word && !strcmp(word, "s") && read_number(&at, 10, &number) && !at && number == il_journal_end(journal)) {
		journal->synced = number;
		return true;
	}
	if (!word || strcmp(word, "t") || !at || !read_tensor(at, &tensor, &number) ||
	    tensor.offset != il_journal_next(journal, tensor.size, align))
		return false;
	*rc = append_entry(journal, &tensor, number, err);
	return !*rc;
}

static size_t first_line(char *line, const struct il_safetensors_plan *plan, size_t room)
{
	return (size_t)sprintf(line, "inlay-journal 1 %016" PRIx64 " %zu %zu", plan->key, room, plan->align);
}

static enum inlay_err replay(struct il_journal *journal, struct il_bytes *bytes, const char *head,
                             const struct il_safetensors_plan *plan, struct inlay_error *err)
{
	enum inlay_err rc = INLAY_OK;
	char *at = (char *)bytes->data, *end = at + bytes->size, *stop;
	for (; (stop = memchr(at, '\n', (size_t)(end - at))); at = stop + 1) {
		uint64_t sum;
		if (!check_line(journal, at, (size_t)(stop - at), &sum))
			break;
		bool sound = journal->at.end ? take_line(journal, at, plan->align, &rc, err) : !strcmp(at, head);
		if (!sound)
			break;
		pass_line(journal, (size_t)(stop + 1 - at), sum);
	}
	return rc;
}

/* The lines that are not sound are cut off, and where that is all of them the first is written. */
static enum inlay_err start(struct il_journal *journal, char *head, size_t head_bytes, struct inlay_error *err)
{
	if (ftruncate(journal->fd, (off_t)journal->at.end) < 0)
		return il_fail_errno(err, "%s: cannot write", journal->path);
	return journal->at.end ? INLAY_OK : write_line(journal, head, head_bytes, err);
}

enum inlay_err il_journal_open(struct il_journal *journal, const char *path, const struct il_safetensors_plan *plan,
                               size_t room, struct inlay_error *err)
{
	char head[100 + LINE_SUM_BYTES];
	struct il_bytes bytes = { 0 };
	*journal = (struct il_journal){ .fd = -1, .path = il_journal_path(path) };
	if (!journal->path)
		return il_fail_memory(err);
	journal->fd = open(journal->path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666);
	if (journal->fd < 0)
		return il_fail_errno(err, "%s: cannot open", journal->path);
	enum inlay_err rc = il_file_read(journal->path, MAX_BYTES, &bytes, err);
	size_t head_bytes = first_line(head, plan, room);
	if (!rc)
		rc = replay(journal, &bytes, head, plan, err);
	if (!rc)
		rc = start(journal, head, head_bytes, err);
	il_bytes_destroy(&bytes);
	return rc;
}

enum inlay_err il_journal_cut(struct il_journal *journal, size_t count, struct inlay_error *err)
{
	while (journal->count > count)
		drop_last(journal);
	journal->at = count ? journal->entries[count - 1].mark : journal->head;
	if (journal->synced > il_journal_end(journal))
		journal->synced = il_journal_end(journal);
	if (ftruncate(journal->fd, (off_t)journal->at.end) < 0)
		return il_fail_errno(err, "%s: cannot write", journal->path);
	return INLAY_OK;
}

void il_journal_close(struct il_journal *journal)
{
	while (journal->count)
		drop_last(journal);
	free(journal->entries);
	free(journal->path);
	if (journal->fd >= 0)
		close(journal->fd);
	*journal = (struct il_journal){ .fd = -1 };
}
