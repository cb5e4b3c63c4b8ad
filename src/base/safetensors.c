#include "base/safetensors.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/safetensors_impl.h"
#include "base/sum.h"

#define LENGTH_BYTES 8
#define FAULT_AROUND ((size_t)64 << 10) /* what Linux maps about a page that is read, released neighbours included */
#define VERIFY_BYTES ((size_t)16 << 20) /* checked between two releases */

struct il_safetensors {
	char *name;
	const uint8_t *bytes;
	size_t size;
	bool mapped;
	struct il_safetensors_header header; /* tensors in the order of the data */
	uint32_t *slots;                     /* [mask + 1] hash table by name: number of a tensor + 1, 0 for none */
	size_t mask;
	uint64_t seed; /* of the hash: nobody can write a file whose names all meet in one slot */
};

bool il_safetensor_is_pad(const struct il_safetensor *tensor)
{
	return !strncmp(tensor->name, IL_SAFETENSORS_PAD, sizeof IL_SAFETENSORS_PAD - 1);
}

uint64_t il_safetensor_sum(const struct il_safetensor *tensor, const void *data)
{
	char form[IL_SAFETENSOR_MAX_RANK * 21 + 20];
	size_t n = (size_t)snprintf(form, sizeof form, "%s ", il_safetensor_type_name(tensor->type));
	for (int i = 0; i < tensor->rank; i++)
		n += (size_t)snprintf(form + n, sizeof form - n, "%s%zu", i ? "," : "", tensor->dims[i]);
	return il_sum(data, tensor->size, il_sum(form, n, il_sum(tensor->name, strlen(tensor->name), 0)));
}

/* Where the name is, or the empty slot where it belongs. */
static uint32_t *find_slot(const struct il_safetensors *file, const char *name)
{
	size_t at = (size_t)il_sum(name, strlen(name), file->seed) & file->mask;
	while (file->slots[at] && strcmp(file->header.tensors[file->slots[at] - 1].name, name))
		at = (at + 1) & file->mask;
	return &file->slots[at];
}

static enum inlay_err index_names(struct il_safetensors *file, struct inlay_error *err)
{
	const struct il_safetensors_header *h = &file->header;
	size_t slots = 16;
	while (slots < h->count * 2)
		slots *= 2;
	file->mask = slots - 1;
	file->slots = calloc(slots, sizeof *file->slots);
	if (!file->slots)
		return il_fail_memory(err);
	if (getrandom(&file->seed, sizeof file->seed, GRND_NONBLOCK) != (ssize_t)sizeof file->seed)
		file->seed = (uint64_t)(uintptr_t)file->slots;
	for (size_t i = 0; i < h->count; i++) {
		uint32_t *slot = find_slot(file, h->tensors[i].name);
		if (*slot)
			return il_fail(err, INLAY_ERR_FORMAT, "%s: tensor %.200s: stands in the header twice",
			               file->name, h->tensors[i].name);
		*slot = (uint32_t)i + 1;
	}
	return INLAY_OK;
}

/* Empty tensors stand before the one that begins where they do. */
static int by_offset(const void *a, const void *b)
{
	const struct il_safetensor *x = a, *y = b;
	if (x->offset != y->offset)
		return x->offset < y->offset ? -1 : 1;
	return x->size != y->size ? (x->size < y->size ? -1 : 1) : strcmp(x->name, y->name);
}

static void sort_tensors(struct il_safetensors_header *h)
{
	for (size_t i = 1; i < h->count; i++)
		if (by_offset(&h->tensors[i - 1], &h->tensors[i]) > 0) {
			qsort(h->tensors, h->count, sizeof *h->tensors, by_offset);
			return;
		}
}

/* Each tensor begins where the last one ends, the last ends with the file. */
static enum inlay_err place_tensors(struct il_safetensors *file, size_t data_start, struct inlay_error *err)
{
	struct il_safetensors_header *h = &file->header;
	size_t have = file->size - data_start, end = 0;
	sort_tensors(h);
	for (size_t i = 0; i < h->count; i++) {
		struct il_safetensor *t = &h->tensors[i];
		if (t->offset != end)
			return il_fail(err, INLAY_ERR_FORMAT, "%s: tensor %.200s: begins at %zu, %s that ends at %zu",
			               file->name, t->name, t->offset,
			               t->offset < end ? "inside another" : "with a gap behind what", end);
		end += t->size;
		if (end > have)
			return il_fail(err, INLAY_ERR_FORMAT, "%s: cut off: tensor %.200s ends at %zu, the data at %zu",
			               file->name, t->name, end, have);
		t->data = file->bytes + data_start + t->offset;
	}
	if (end != have)
		return il_fail(err, INLAY_ERR_FORMAT, "%s: %zu bytes behind the last tensor; expected none", file->name,
		               have - end);
	return INLAY_OK;
}

static enum inlay_err read_header(struct il_safetensors *file, struct inlay_error *err)
{
	uint64_t length = 0;
	if (file->size < LENGTH_BYTES)
		return il_fail(err, INLAY_ERR_FORMAT, "%s: %zu bytes; expected the 8 of a safetensors file's length",
		               file->name, file->size);
	for (int i = 0; i < LENGTH_BYTES; i++)
		length |= (uint64_t)file->bytes[i] << 8 * i;
	if (length > IL_SAFETENSORS_MAX_HEADER)
		return il_fail(err, INLAY_ERR_FORMAT,
		               "%s: header of %" PRIu64 " bytes; a safetensors file has %d at most", file->name, length,
		               IL_SAFETENSORS_MAX_HEADER);
	if (length > file->size - LENGTH_BYTES)
		return il_fail(err, INLAY_ERR_FORMAT, "%s: header of %" PRIu64 " bytes is cut off after %zu",
		               file->name, length, file->size - LENGTH_BYTES);
	const char *json = (const char *)file->bytes + LENGTH_BYTES;
	enum inlay_err rc = il_safetensors_header_parse(json, (size_t)length, file->name, &file->header, err);
	if (!rc)
		rc = place_tensors(file, LENGTH_BYTES + (size_t)length, err);
	return rc ? rc : index_names(file, err);
}

/* Non-blocking, lest a pipe of that name waits for a writer for ever. */
static enum inlay_err map_file(struct il_safetensors *file, const char *path, struct inlay_error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return il_fail_errno(err, "%s: cannot open", path);
	enum inlay_err rc = INLAY_OK;
	struct stat st;
	if (fstat(fd, &st) < 0)
		rc = il_fail_errno(err, "%s: cannot stat", path);
	else if (!S_ISREG(st.st_mode))
		rc = il_fail(err, INLAY_ERR_INVALID, "%s: is no regular file, expected a safetensors file", path);
	else if (st.st_size > 0) {
		void *map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
		if (map == MAP_FAILED)
			rc = il_fail_errno(err, "%s: cannot map", path);
		else {
			file->bytes = map;
			file->size = (size_t)st.st_size;
			file->mapped = true;
		}
	}
	close(fd);
	return rc;
}

static enum inlay_err open_bytes(struct il_safetensors **out, const char *path, const void *data, size_t size,
                                 const char *name, struct inlay_error *err)
{
	*out = NULL;
	struct il_safetensors *file = calloc(1, sizeof *file);
	if (!file || !(file->name = strdup(name))) {
		free(file);
		return il_fail_memory(err);
	}
	file->bytes = data;
	file->size = size;
	enum inlay_err rc = path ? map_file(file, path, err) : INLAY_OK;
	if (!rc)
		rc = read_header(file, err);
	if (rc)
		il_safetensors_destroy(&file);
	*out = file;
	return rc;
}

enum inlay_err il_safetensors_open(struct il_safetensors **file, const char *path, struct inlay_error *err)
{
	return open_bytes(file, path, NULL, 0, path, err);
}

enum inlay_err il_safetensors_parse(struct il_safetensors **file, const void *data, size_t size, const char *name,
                                    struct inlay_error *err)
{
	return open_bytes(file, NULL, data, size, name, err);
}

void il_safetensors_destroy(struct il_safetensors **slot)
{
	struct il_safetensors *file = *slot;
	if (!file)
		return;
	if (file->mapped)
		munmap((void *)file->bytes, file->size);
	il_safetensors_header_destroy(&file->header);
	free(file->slots);
	free(file->name);
	free(file);
	*slot = NULL;
}

size_t il_safetensors_count(const struct il_safetensors *file)
{
	return file->header.count;
}

const struct il_safetensor *il_safetensors_at(const struct il_safetensors *file, size_t i)
{
	return i < file->header.count ? &file->header.tensors[i] : NULL;
}

const struct il_safetensor *il_safetensors_find(const struct il_safetensors *file, const char *name)
{
	uint32_t found = *find_slot(file, name);
	return found ? &file->header.tensors[found - 1] : NULL;
}

const char *il_safetensors_metadata(const struct il_safetensors *file, const char *key)
{
	for (size_t i = 0; i < file->header.metadata_count; i++)
		if (!strcmp(file->header.metadata[i].key, key))
			return file->header.metadata[i].value;
	return NULL;
}

/* `around` bytes more on either side; whole pages. A neighbour's bytes come back from the page cache when they are
 * read. */
static void advise(const struct il_safetensors *file, size_t first, size_t count, size_t around, int advice)
{
	if (!file->mapped || !count || first >= file->header.count)
		return;
	if (count > file->header.count - first)
		count = file->header.count - first;
	const struct il_safetensor *a = &file->header.tensors[first], *z = a + count - 1;
	size_t start = (size_t)(a->data - file->bytes), end = (size_t)(z->data + z->size - file->bytes);
	start = start > around ? (start - around) & ~((size_t)sysconf(_SC_PAGESIZE) - 1) : 0;
	end = file->size - end > around ? end + around : file->size;
	if (end > start)
		madvise((uint8_t *)file->bytes + start, end - start, advice);
}

void il_safetensors_release(const struct il_safetensors *file, size_t first, size_t count)
{
	advise(file, first, count, FAULT_AROUND, MADV_DONTNEED);
}

void il_safetensors_prefetch(const struct il_safetensors *file, size_t first, size_t count)
{
	advise(file, first, count, 0, MADV_WILLNEED);
}

static enum inlay_err check_sum(const struct il_safetensors *file, size_t i, const char *digits,
                                struct inlay_error *err)
{
	const struct il_safetensor *t = &file->header.tensors[i];
	char found[IL_SAFETENSORS_SUM_DIGITS + 1];
	snprintf(found, sizeof found, "%016" PRIx64, il_safetensor_sum(t, t->data));
	if (memcmp(found, digits, IL_SAFETENSORS_SUM_DIGITS))
		return il_fail(err, INLAY_ERR_FORMAT, "%s: tensor %.200s: damaged: its checksum is %s, expected %.16s",
		               file->name, t->name, found, digits);
	return INLAY_OK;
}

enum inlay_err il_safetensors_verify(const struct il_safetensors *file, bool (*cancel)(void *ctx), void *ctx,
                                     struct inlay_error *err)
{
	const char *sums = il_safetensors_metadata(file, IL_SAFETENSORS_SUMS);
	size_t count = file->header.count;
	if (!sums)
		return il_fail(err, INLAY_ERR_UNSUPPORTED, "%s: holds no checksums (no \"%s\" in its __metadata__)",
		               file->name, IL_SAFETENSORS_SUMS);
	if (strlen(sums) != count * IL_SAFETENSORS_SUM_DIGITS ||
	    strspn(sums, "0123456789abcdef") != count * IL_SAFETENSORS_SUM_DIGITS)
		return il_fail(err, INLAY_ERR_FORMAT,
		               "%s: the checksums are damaged: expected %d digits for %zu tensors", file->name,
		               IL_SAFETENSORS_SUM_DIGITS, count);
	for (size_t i = 0, first = 0, bytes = 0; i < count; i++) {
		if (cancel && cancel(ctx))
			return il_fail(err, INLAY_ERR_CANCELLED, "%s: cancelled", file->name);
		enum inlay_err rc = check_sum(file, i, sums + i * IL_SAFETENSORS_SUM_DIGITS, err);
		if (rc)
			return rc;
		bytes += file->header.tensors[i].size;
		if (bytes < VERIFY_BYTES && i + 1 < count)
			continue;
		il_safetensors_release(file, first, i + 1 - first);
		first = i + 1;
		bytes = 0;
	}
	return INLAY_OK;
}
