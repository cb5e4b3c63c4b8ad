#include "base/npy.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC "\x93NUMPY"
#define MAGIC_SIZE 6
#define KNOWN_TYPES "little-endian float32, float64, uint8, int16, int32 or int64"

static const struct {
	const char *descr, *name;
	size_t size;
} types[] = {
	[IL_NPY_F32] = { "<f4", "float32", 4 }, [IL_NPY_F64] = { "<f8", "float64", 8 },
	[IL_NPY_U8] = { "|u1", "uint8", 1 },    [IL_NPY_I16] = { "<i2", "int16", 2 },
	[IL_NPY_I32] = { "<i4", "int32", 4 },   [IL_NPY_I64] = { "<i8", "int64", 8 },
};

#define TYPE_COUNT (sizeof types / sizeof *types)

size_t il_npy_item_size(enum il_npy_type type)
{
	return (unsigned)type < TYPE_COUNT ? types[type].size : 0;
}

const char *il_npy_type_name(enum il_npy_type type)
{
	return (unsigned)type < TYPE_COUNT ? types[type].name : "unknown";
}

/* The header's dictionary, a Python literal, read from `at` to `end`. */
struct reader {
	const char *at, *end;
	const char *name;
	struct inlay_error *err;
};

static void skip_spaces(struct reader *r)
{
	while (r->at < r->end && (*r->at == ' ' || *r->at == '\t' || *r->at == '\n' || *r->at == '\r'))
		r->at++;
}

static bool accept(struct reader *r, char c)
{
	skip_spaces(r);
	if (r->at == r->end || *r->at != c)
		return false;
	r->at++;
	return true;
}

static bool accept_word(struct reader *r, const char *word)
{
	size_t n = strlen(word);
	skip_spaces(r);
	if ((size_t)(r->end - r->at) < n || memcmp(r->at, word, n))
		return false;
	r->at += n;
	return true;
}

/* What stands at the reader, made printable, for messages. */
static const char *found(const struct reader *r, char text[32])
{
	size_t n = 0;
	for (const char *p = r->at; p < r->end && *p != '\n' && n < 24; p++)
		text[n++] = isprint((unsigned char)*p) ? *p : '?';
	text[n] = 0;
	return n ? text : "the end of the header";
}

static enum inlay_err unexpected(struct reader *r, const char *expected)
{
	char text[32];
	return il_fail(r->err, INLAY_ERR_FORMAT, "%s: .npy header: expected %s, found %s", r->name, expected,
	               found(r, text));
}

static enum inlay_err read_string(struct reader *r, char *out, size_t capacity, const char *expected)
{
	skip_spaces(r);
	if (r->at == r->end || (*r->at != '\'' && *r->at != '"'))
		return unexpected(r, expected);
	const char *start = r->at + 1;
	const char *stop = memchr(start, *r->at, (size_t)(r->end - start));
	if (!stop || (size_t)(stop - start) >= capacity)
		return unexpected(r, expected);
	memcpy(out, start, (size_t)(stop - start));
	out[stop - start] = 0;
	r->at = stop + 1;
	return INLAY_OK;
}

static enum inlay_err read_type(struct reader *r, enum il_npy_type *type)
{
	char descr[16], text[32];
	struct reader before = *r;
	skip_spaces(&before);
	/* A list instead of a string is a structured type. */
	if (before.at < before.end && *before.at == '[')
		return il_fail(r->err, INLAY_ERR_UNSUPPORTED, "%s: expected " KNOWN_TYPES ", found the fields %s",
		               r->name, found(&before, text));
	if (read_string(r, descr, sizeof descr, "a type such as '<f4'"))
		return INLAY_ERR_FORMAT;
	for (unsigned i = 0; i < TYPE_COUNT; i++) {
		*type = (enum il_npy_type)i;
		if (!strcmp(descr, types[i].descr))
			return INLAY_OK;
	}
	before.end = r->at;
	return il_fail(r->err, INLAY_ERR_UNSUPPORTED, "%s: expected " KNOWN_TYPES ", found %s", r->name,
	               found(&before, text));
}

static enum inlay_err read_order(struct reader *r, bool *fortran_order)
{
	*fortran_order = accept_word(r, "True");
	if (!*fortran_order && !accept_word(r, "False"))
		return unexpected(r, "True or False as fortran_order");
	return INLAY_OK;
}

static enum inlay_err read_dimension(struct reader *r, size_t *dim)
{
	skip_spaces(r);
	if (r->at == r->end || !isdigit((unsigned char)*r->at))
		return unexpected(r, "a dimension of the shape");
	struct reader before = *r;
	*dim = 0;
	for (; r->at < r->end && isdigit((unsigned char)*r->at); r->at++) {
		if (__builtin_mul_overflow(*dim, 10, dim) || __builtin_add_overflow(*dim, (size_t)(*r->at - '0'), dim))
			return unexpected(&before, "a dimension that fits 64 bits");
	}
	return INLAY_OK;
}

/* "()", "(3,)", "(3, 4)" or "(3, 4,)"; "(3)" is a number to Python, not a shape. */
static enum inlay_err read_shape(struct reader *r, struct il_npy_header *header)
{
	if (!accept(r, '('))
		return unexpected(r, "a shape such as (3, 4)");
	bool comma = true;
	while (!accept(r, ')')) {
		if (!comma)
			return unexpected(r, "',' or ')' in the shape");
		if (header->rank == IL_NPY_MAX_RANK)
			return il_fail(r->err, INLAY_ERR_UNSUPPORTED, "%s: more than %d dimensions", r->name,
			               IL_NPY_MAX_RANK);
		enum inlay_err rc = read_dimension(r, &header->dims[header->rank]);
		if (rc)
			return rc;
		header->rank++;
		comma = accept(r, ',');
	}
	return header->rank == 1 && !comma ? unexpected(r, "',' after the only dimension of the shape") : INLAY_OK;
}

static enum inlay_err read_entry(struct reader *r, struct il_npy_header *header, unsigned *seen)
{
	static const char *const keys[] = { "descr", "fortran_order", "shape" };
	char key[16];
	struct reader before = *r;
	if (read_string(r, key, sizeof key, "'descr', 'fortran_order' or 'shape'"))
		return INLAY_ERR_FORMAT;
	unsigned i = 0;
	while (i < 3 && strcmp(key, keys[i]))
		i++;
	if (i == 3)
		return unexpected(&before, "'descr', 'fortran_order' or 'shape'");
	if (*seen & 1u << i)
		return unexpected(&before, "each key once");
	*seen |= 1u << i;
	if (!accept(r, ':'))
		return unexpected(r, "':'");
	switch (i) {
	case 0: return read_type(r, &header->type);
	case 1: return read_order(r, &header->fortran_order);
	default: return read_shape(r, header);
	}
}

static enum inlay_err read_dictionary(struct reader *r, struct il_npy_header *header)
{
	unsigned seen = 0;
	bool comma = true;
	if (!accept(r, '{'))
		return unexpected(r, "'{'");
	while (!accept(r, '}')) {
		if (!comma)
			return unexpected(r, "',' or '}'");
		enum inlay_err rc = read_entry(r, header, &seen);
		if (rc)
			return rc;
		comma = accept(r, ',');
	}
	if (seen != 7)
		return il_fail(r->err, INLAY_ERR_FORMAT, "%s: .npy header lacks '%s'", r->name,
		               !(seen & 1)   ? "descr"
		               : !(seen & 2) ? "fortran_order"
		                             : "shape");
	skip_spaces(r);
	return r->at == r->end ? INLAY_OK : unexpected(r, "nothing after the dictionary");
}

/* Counts stay below half the address space, so that sizes and offsets add up without overflow. */
static enum inlay_err count_items(struct il_npy_header *header, const char *name, struct inlay_error *err)
{
	size_t bytes = types[header->type].size;
	header->count = 1;
	for (int i = 0; i < header->rank; i++) {
		if (__builtin_mul_overflow(bytes, header->dims[i], &bytes) || bytes > SIZE_MAX / 4)
			return il_fail(err, INLAY_ERR_FORMAT,
			               "%s: .npy header: dimension %d of %zu makes the array "
			               "larger than memory can be",
			               name, i, header->dims[i]);
		header->count *= header->dims[i];
	}
	return INLAY_OK;
}

enum inlay_err il_npy_parse(const uint8_t *data, size_t size, const char *name, struct il_npy_header *header,
                            struct inlay_error *err)
{
	*header = (struct il_npy_header){ 0 };
	if (size < MAGIC_SIZE + 2 || memcmp(data, MAGIC, MAGIC_SIZE))
		return il_fail(err, INLAY_ERR_FORMAT, "%s: not an .npy file (it does not begin with \\x93NUMPY)", name);
	unsigned major = data[6], minor = data[7];
	if (major < 1 || major > 3 || minor)
		return il_fail(err, INLAY_ERR_UNSUPPORTED, "%s: .npy format version %u.%u, expected 1.0, 2.0 or 3.0",
		               name, major, minor);
	size_t length_bytes = major == 1 ? 2 : 4, start = MAGIC_SIZE + 2 + length_bytes, length = 0;
	for (size_t i = 0; i < length_bytes && start <= size; i++)
		length |= (size_t)data[MAGIC_SIZE + 2 + i] << 8 * i;
	if (start > size || length > size - start)
		return il_fail(err, INLAY_ERR_FORMAT, "%s: .npy header of %zu bytes is cut off after %zu", name, length,
		               size > start ? size - start : 0);
	struct reader r = { (const char *)data + start, (const char *)data + start + length, name, err };
	enum inlay_err rc = read_dictionary(&r, header);
	if (rc)
		return rc;
	header->data_offset = start + length;
	return count_items(header, name, err);
}

static enum inlay_err map_file(struct il_npy *npy, const char *path, struct inlay_error *err)
{
	/* Non-blocking, lest a pipe of that name waits for a writer for ever. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return il_fail_errno(err, "%s: cannot open", path);
	enum inlay_err rc = INLAY_OK;
	struct stat st;
	if (fstat(fd, &st) < 0)
		rc = il_fail_errno(err, "%s: cannot stat", path);
	else if (!S_ISREG(st.st_mode))
		rc = il_fail(err, INLAY_ERR_INVALID, "%s: is no regular file, expected an .npy file", path);
	else if (st.st_size == 0)
		rc = il_fail(err, INLAY_ERR_FORMAT, "%s: is empty, expected an .npy file", path);
	else {
		npy->map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
		npy->map_size = (size_t)st.st_size;
		if (npy->map == MAP_FAILED) {
			npy->map = NULL;
			rc = il_fail_errno(err, "%s: cannot map", path);
		}
	}
	close(fd);
	return rc;
}

enum inlay_err il_npy_open(struct il_npy *npy, const char *path, struct inlay_error *err)
{
	*npy = (struct il_npy){ 0 };
	enum inlay_err rc = map_file(npy, path, err);
	if (rc)
		goto fail;
	const struct il_npy_header *h = &npy->header;
	rc = il_npy_parse(npy->map, npy->map_size, path, &npy->header, err);
	if (rc)
		goto fail;
	size_t have = npy->map_size - h->data_offset, need = h->count * types[h->type].size;
	if (have < need) {
		rc = il_fail(err, INLAY_ERR_FORMAT, "%s: cut off: %zu items of %s need %zu bytes, found %zu", path,
		             h->count, types[h->type].name, need, have);
		goto fail;
	}
	npy->data = (const uint8_t *)npy->map + h->data_offset;
	return INLAY_OK;
fail:
	il_npy_close(npy);
	return rc;
}

void il_npy_close(struct il_npy *npy)
{
	if (npy->map)
		munmap(npy->map, npy->map_size);
	*npy = (struct il_npy){ 0 };
}

/* memcpy, because a header of odd length leaves the items unaligned. */
static float load(const uint8_t *p, enum il_npy_type type)
{
	union {
		float f32;
		double f64;
		int16_t i16;
		int32_t i32;
		int64_t i64;
	} v;
	switch (type) {
	case IL_NPY_F32: memcpy(&v, p, 4); return v.f32;
	case IL_NPY_F64: memcpy(&v, p, 8); return (float)v.f64;
	case IL_NPY_U8: return *p;
	case IL_NPY_I16: memcpy(&v, p, 2); return v.i16;
	case IL_NPY_I32: memcpy(&v, p, 4); return (float)v.i32;
	case IL_NPY_I64: memcpy(&v, p, 8); return (float)v.i64;
	}
	return 0;
}

/* Counts through the indices behind the first with the last one fastest, keeping their place in a file where the first
 * one is fastest. */
static void row_of_fortran(const struct il_npy *npy, size_t row, size_t n, float *out)
{
	const struct il_npy_header *h = &npy->header;
	size_t index[IL_NPY_MAX_RANK] = { 0 }, stride[IL_NPY_MAX_RANK] = { 1 }, at = row;
	for (int d = 1; d < h->rank; d++)
		stride[d] = stride[d - 1] * h->dims[d - 1];
	for (size_t i = 0; i < n; i++) {
		out[i] = load((const uint8_t *)npy->data + at * types[h->type].size, h->type);
		for (int d = h->rank - 1; d > 0; d--) {
			at += stride[d];
			if (++index[d] < h->dims[d])
				break;
			at -= stride[d] * h->dims[d];
			index[d] = 0;
		}
	}
}

void il_npy_row_to_float(const struct il_npy *npy, size_t row, float *out)
{
	const struct il_npy_header *h = &npy->header;
	if (!h->count)
		return;
	size_t n = h->rank ? h->count / h->dims[0] : 1, size = types[h->type].size;
	const uint8_t *from = (const uint8_t *)npy->data + row * n * size;
	if (h->fortran_order)
		row_of_fortran(npy, row, n, out);
	else if (h->type == IL_NPY_F32)
		memcpy(out, from, n * size);
	else
		for (size_t i = 0; i < n; i++)
			out[i] = load(from + i * size, h->type);
}

enum inlay_err il_npy_to_float(const struct il_npy *npy, float **out, struct inlay_error *err)
{
	const struct il_npy_header *h = &npy->header;
	*out = malloc((h->count ? h->count : 1) * sizeof **out);
	if (!*out)
		return il_fail_memory(err);
	size_t rows = !h->count ? 0 : h->rank ? h->dims[0] : 1;
	for (size_t row = 0; row < rows; row++)
		il_npy_row_to_float(npy, row, *out + row * (h->count / rows));
	return INLAY_OK;
}

size_t il_npy_format_header(enum il_npy_type type, int rank, const size_t *dims, uint8_t out[256])
{
	char text[256];
	size_t n = (size_t)snprintf(text, sizeof text, "{'descr': '%s', 'fortran_order': False, 'shape': (",
	                            types[type].descr);
	for (int i = 0; i < rank; i++)
		n += (size_t)snprintf(text + n, sizeof text - n, "%s%zu%s", i ? ", " : "", dims[i],
		                      rank == 1 ? "," : "");
	n += (size_t)snprintf(text + n, sizeof text - n, "), }");
	size_t start = MAGIC_SIZE + 4, total = (start + n + 1 + 63) / 64 * 64;
	memset(out, ' ', total);
	memcpy(out, MAGIC "\x01\x00", MAGIC_SIZE + 2);
	out[8] = (uint8_t)(total - start);
	out[9] = (uint8_t)((total - start) >> 8);
	memcpy(out + start, text, n);
	out[total - 1] = '\n';
	return total;
}
