#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/safetensors_impl.h"
#include "base/safetensors_journal.h"
#include "base/sum.h"

#define LENGTH_BYTES 8
#define DATA_ALIGN ((size_t)4096) /* of the first byte of data in the file */
#define SYNC_BYTES ((size_t)64 << 20)
#define OFFSET_DIGITS 15 /* files up to a petabyte */
#define PAD_NAME_BYTES (sizeof IL_SAFETENSORS_PAD + 8)
#define MAX_FILE ((size_t)1000000000000000)

static const char tensor_format[] = "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[";
static const char offsets_format[] = "],\"data_offsets\":[%zu,%zu]}";
static const char metadata_start[] = "{\"__metadata__\":{\"" IL_SAFETENSORS_SUMS "\":\"";

struct il_safetensors_writer {
	char *path;
	int fd;
	struct il_safetensors_plan plan;
	size_t room, data_start; /* of the header's text; 8 + room */
	struct il_journal journal;
	uint32_t *slots; /* [mask + 1] by name: number of an entry of the journal + 1, 0 for none */
	size_t mask;
};

/* A tensor's part of the header and its sum, at their longest. */
static size_t entry_room(size_t name_bytes, int rank)
{
	return sizeof tensor_format + sizeof offsets_format + name_bytes + sizeof "F8_E4M3" + (size_t)rank * 2 +
	       OFFSET_DIGITS * 3 + IL_SAFETENSORS_SUM_DIGITS;
}

static size_t header_room(const struct il_safetensors_plan *plan)
{
	size_t each = entry_room(plan->name_bytes, plan->rank);
	each += plan->align > 1 ? entry_room(PAD_NAME_BYTES, 1) : 0;
	size_t room = LENGTH_BYTES + sizeof metadata_start + 8 + plan->tensors * each;
	return (room + DATA_ALIGN - 1) / DATA_ALIGN * DATA_ALIGN - LENGTH_BYTES;
}

static bool plan_fits(const struct il_safetensors_plan *plan)
{
	return plan->tensors <= IL_SAFETENSORS_MAX_HEADER && plan->name_bytes <= 4096 && plan->rank >= 0 &&
	       plan->rank <= IL_SAFETENSOR_MAX_RANK && plan->align >= 1 && plan->align <= DATA_ALIGN &&
	       !(plan->align & (plan->align - 1)) && header_room(plan) <= IL_SAFETENSORS_MAX_HEADER;
}

/* Names. */

static uint32_t *find_slot(const struct il_safetensors_writer *w, const char *name)
{
	size_t at = (size_t)il_sum(name, strlen(name), 0) & w->mask;
	while (w->slots[at] && strcmp(w->journal.entries[w->slots[at] - 1].tensor.name, name))
		at = (at + 1) & w->mask;
	return &w->slots[at];
}

/* Also drops the entries from the first doubled name on, which no journal of ours has. */
static enum inlay_err index_entries(struct il_safetensors_writer *w, struct inlay_error *err)
{
	size_t slots = 16;
	while (slots < w->plan.tensors * 2 || slots < w->journal.count * 2)
		slots *= 2;
	w->mask = slots - 1;
	w->slots = calloc(slots, sizeof *w->slots);
	if (!w->slots)
		return il_fail_memory(err);
	for (size_t i = 0; i < w->journal.count; i++) {
		uint32_t *slot = find_slot(w, w->journal.entries[i].tensor.name);
		if (*slot)
			return il_journal_cut(&w->journal, i, err);
		*slot = (uint32_t)i + 1;
	}
	return INLAY_OK;
}

/* Going on. */

static bool is_zero(const uint8_t *data, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (data[i])
			return false;
	return true;
}

/* How many of the entries have their data in the file: those before the last sync if the file is long enough, those
 * behind it if their sums say so. */
static size_t count_sound(const struct il_safetensors_writer *w, const uint8_t *data, size_t size)
{
	const struct il_journal *j = &w->journal;
	size_t end = 0;
	for (size_t i = 0; i < j->count; i++) {
		const struct il_safetensor *t = &j->entries[i].tensor;
		if (t->offset + t->size > size)
			return i;
		if (t->offset + t->size > j->synced && (!is_zero(data + end, t->offset - end) ||
		                                        il_safetensor_sum(t, data + t->offset) != j->entries[i].sum))
			return i;
		end = t->offset + t->size;
	}
	return j->count;
}

/* The file ends with the last sound tensor afterwards. */
static enum inlay_err keep_sound(struct il_safetensors_writer *w, struct inlay_error *err)
{
	struct stat st;
	size_t sound = 0;
	if (fstat(w->fd, &st) < 0)
		return il_fail_errno(err, "%s: cannot stat", w->path);
	size_t size = (size_t)st.st_size;
	if (w->journal.count && size > w->data_start) {
		uint8_t *map = mmap(NULL, size, PROT_READ, MAP_SHARED, w->fd, 0);
		if (map == MAP_FAILED)
			return il_fail_errno(err, "%s: cannot map", w->path);
		sound = count_sound(w, map + w->data_start, size - w->data_start);
		munmap(map, size);
	}
	if (sound < w->journal.count)
		il_log_info("%s: %zu of %zu tensors are whole; going on behind them", w->path, sound, w->journal.count);
	enum inlay_err rc = il_journal_cut(&w->journal, sound, err);
	if (!rc && ftruncate(w->fd, (off_t)(w->data_start + il_journal_end(&w->journal))) < 0)
		rc = il_fail_errno(err, "%s: cannot write", w->path);
	return rc;
}

static enum inlay_err open_files(struct il_safetensors_writer *w, struct inlay_error *err)
{
	w->fd = open(w->path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666);
	if (w->fd < 0)
		return il_fail_errno(err, "%s: cannot create", w->path);
	enum inlay_err rc = il_journal_open(&w->journal, w->path, &w->plan, w->room, err);
	if (!rc)
		rc = keep_sound(w, err);
	return rc ? rc : index_entries(w, err);
}

enum inlay_err il_safetensors_writer_open(struct il_safetensors_writer **out, const char *path,
                                          const struct il_safetensors_plan *plan, struct inlay_error *err)
{
	*out = NULL;
	if (!plan_fits(plan))
		return il_fail(err, INLAY_ERR_INVALID, "%s: no safetensors file can hold %zu tensors with such names",
		               path, plan->tensors);
	struct il_safetensors_writer *w = calloc(1, sizeof *w);
	if (!w)
		return il_fail_memory(err);
	w->fd = w->journal.fd = -1;
	w->plan = *plan;
	w->room = header_room(plan);
	w->data_start = LENGTH_BYTES + w->room;
	w->path = strdup(path);
	enum inlay_err rc = w->path ? open_files(w, err) : il_fail_memory(err);
	if (rc)
		il_safetensors_writer_destroy(&w);
	*out = w;
	return rc;
}

void il_safetensors_writer_destroy(struct il_safetensors_writer **slot)
{
	struct il_safetensors_writer *w = *slot;
	if (!w)
		return;
	il_journal_close(&w->journal);
	if (w->fd >= 0)
		close(w->fd);
	free(w->slots);
	free(w->path);
	free(w);
	*slot = NULL;
}

bool il_safetensors_writer_has(const struct il_safetensors_writer *w, const char *name)
{
	return *find_slot(w, name) != 0;
}

size_t il_safetensors_writer_count(const struct il_safetensors_writer *w)
{
	return w->journal.count;
}

/* Adding. */

static enum inlay_err write_at(struct il_safetensors_writer *w, const void *data, size_t size, size_t offset,
                               struct inlay_error *err)
{
	for (size_t done = 0; done < size;) {
		ssize_t n = pwrite(w->fd, (const uint8_t *)data + done, size - done, (off_t)(offset + done));
		if (n < 0 && errno != EINTR)
			return il_fail_errno(err, "%s: cannot write", w->path);
		done += n > 0 ? (size_t)n : 0;
	}
	return INLAY_OK;
}

static bool name_is_plain(const char *name)
{
	for (const char *p = name; *p; p++)
		if (*p <= ' ' || *p > '~' || *p == '"' || *p == '\\')
			return false;
	return *name && strcmp(name, "__metadata__") &&
	       strncmp(name, IL_SAFETENSORS_PAD, sizeof IL_SAFETENSORS_PAD - 1);
}

static enum inlay_err check_tensor(const struct il_safetensors_writer *w, const struct il_safetensor *t,
                                   struct inlay_error *err)
{
	size_t size;
	if (!name_is_plain(t->name) || strlen(t->name) > w->plan.name_bytes)
		return il_fail(
			err, INLAY_ERR_INVALID,
			"%s: a tensor cannot be named \"%.200s\"; expected up to %zu printable characters of ASCII "
			"but spaces, quotes and backslashes",
			w->path, t->name, w->plan.name_bytes);
	if (t->rank < 0 || t->rank > w->plan.rank || !il_safetensor_size(t->type, t->rank, t->dims, &size) ||
	    size != t->size || size > MAX_FILE)
		return il_fail(err, INLAY_ERR_INVALID, "%s: tensor %s: its %zu bytes do not fit its shape or the plan",
		               w->path, t->name, t->size);
	if (il_safetensors_writer_has(w, t->name))
		return il_fail(err, INLAY_ERR_EXISTS, "%s: tensor %s: is in the file already", w->path, t->name);
	if (w->journal.count == w->plan.tensors)
		return il_fail(err, INLAY_ERR_INVALID, "%s: tensor %s: is one more than the %zu planned", w->path,
		               t->name, w->plan.tensors);
	return INLAY_OK;
}

static enum inlay_err sync_data(struct il_safetensors_writer *w, struct inlay_error *err)
{
	if (fdatasync(w->fd) < 0)
		return il_fail_errno(err, "%s: cannot sync", w->path);
	return il_journal_sync(&w->journal, il_journal_end(&w->journal), err);
}

/* The file is as long as its tensors, so that what is skipped for a pad reads as zeros: what a write that failed has
 * left goes. */
static void cut_to_tensors(struct il_safetensors_writer *w)
{
	if (ftruncate(w->fd, (off_t)(w->data_start + il_journal_end(&w->journal))) < 0)
		il_log_debug("%s: cannot be cut to its tensors", w->path);
}

enum inlay_err il_safetensors_writer_add(struct il_safetensors_writer *w, const struct il_safetensor *given,
                                         struct inlay_error *err)
{
	struct il_safetensor tensor = *given;
	enum inlay_err rc = check_tensor(w, given, err);
	if (rc)
		return rc;
	/* Before it is in the file, so that an error means that it is not. */
	if (il_journal_end(&w->journal) - w->journal.synced >= SYNC_BYTES && (rc = sync_data(w, err)))
		return rc;
	tensor.offset = il_journal_next(&w->journal, tensor.size, w->plan.align);
	if (tensor.offset > MAX_FILE - tensor.size)
		return il_fail(err, INLAY_ERR_INVALID, "%s: tensor %s: the file would be too large", w->path,
		               given->name);
	rc = write_at(w, tensor.data, tensor.size, w->data_start + tensor.offset, err);
	if (!rc)
		rc = il_journal_add(&w->journal, &tensor, il_safetensor_sum(&tensor, tensor.data), err);
	if (rc) {
		cut_to_tensors(w);
		return rc;
	}
	*find_slot(w, given->name) = (uint32_t)w->journal.count;
	return INLAY_OK;
}

/* The header. */

struct header {
	char *text;
	size_t at;        /* where the next member goes */
	size_t sum_at;    /* where the next sum goes */
	size_t pads, end; /* pads so far; offset in the data where the last tensor ended */
};

static void put_tensor(struct header *h, const struct il_safetensor *t, uint64_t sum)
{
	char digits[IL_SAFETENSORS_SUM_DIGITS + 1];
	h->at += (size_t)sprintf(h->text + h->at, tensor_format, ",", t->name, il_safetensor_type_name(t->type));
	for (int i = 0; i < t->rank; i++)
		h->at += (size_t)sprintf(h->text + h->at, "%s%zu", i ? "," : "", t->dims[i]);
	h->end = t->offset + t->size;
	h->at += (size_t)sprintf(h->text + h->at, offsets_format, t->offset, h->end);
	sprintf(digits, "%016" PRIx64, sum);
	memcpy(h->text + h->sum_at, digits, IL_SAFETENSORS_SUM_DIGITS);
	h->sum_at += IL_SAFETENSORS_SUM_DIGITS;
}

static void put_pad(struct header *h, size_t size)
{
	static const uint8_t zeros[DATA_ALIGN];
	char name[PAD_NAME_BYTES + 16];
	snprintf(name, sizeof name, IL_SAFETENSORS_PAD "%zu", h->pads++);
	struct il_safetensor pad = { name, IL_ST_U8, 1, { size }, zeros, h->end, size };
	put_tensor(h, &pad, il_safetensor_sum(&pad, zeros));
}

static size_t count_pads(const struct il_journal *journal)
{
	size_t pads = 0, end = 0;
	for (size_t i = 0; i < journal->count; i++) {
		pads += journal->entries[i].tensor.offset > end;
		end = journal->entries[i].tensor.offset + journal->entries[i].tensor.size;
	}
	return pads;
}

/* All sums go in front, before the tensors are known to the header: their number says how much room they take. */
static void format_header(const struct il_journal *journal, struct header *h)
{
	size_t sums = (journal->count + count_pads(journal)) * IL_SAFETENSORS_SUM_DIGITS;
	h->sum_at = sizeof metadata_start - 1;
	memcpy(h->text, metadata_start, h->sum_at);
	memcpy(h->text + h->sum_at + sums, "\"}", 2);
	h->at = h->sum_at + sums + 2;
	for (size_t i = 0; i < journal->count; i++) {
		const struct il_safetensor *t = &journal->entries[i].tensor;
		if (t->offset > h->end)
			put_pad(h, t->offset - h->end);
		put_tensor(h, t, journal->entries[i].sum);
	}
	h->text[h->at++] = '}';
}

static enum inlay_err write_header(struct il_safetensors_writer *w, struct inlay_error *err)
{
	struct header h = { .text = malloc(w->data_start + 1) };
	uint8_t length[LENGTH_BYTES];
	if (!h.text)
		return il_fail_memory(err);
	format_header(&w->journal, &h);
	memset(h.text + h.at, ' ', w->room - h.at);
	for (int i = 0; i < LENGTH_BYTES; i++)
		length[i] = (uint8_t)(w->room >> 8 * i);
	enum inlay_err rc = write_at(w, h.text, w->room, LENGTH_BYTES, err);
	if (!rc)
		rc = write_at(w, length, sizeof length, 0, err);
	free(h.text);
	return rc;
}

enum inlay_err il_safetensors_writer_finish(struct il_safetensors_writer *w, struct inlay_error *err)
{
	enum inlay_err rc = write_header(w, err);
	if (!rc && ftruncate(w->fd, (off_t)(w->data_start + il_journal_end(&w->journal))) < 0)
		rc = il_fail_errno(err, "%s: cannot write", w->path);
	if (!rc && fsync(w->fd) < 0)
		rc = il_fail_errno(err, "%s: cannot sync", w->path);
	return rc;
}

void il_safetensors_forget(const char *path)
{
	char *journal = il_journal_path(path);
	if (journal)
		unlink(journal);
	free(journal);
}
