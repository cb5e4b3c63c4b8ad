/* Forms: text into memory, files into temporary files beside where they will be kept. */
#define _GNU_SOURCE /* mkostemp */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "server/http/http_impl.h"
#include "server/http/http_text.h"

#define POST_MEMORY 65536 /* of the library's parser */

static struct http_form_field *find(const struct http_request *request, const char *name, bool file)
{
	for (size_t i = 0; i < request->n_fields; i++) {
		const struct http_form_field *field = &request->fields[i];
		if (strcmp(field->name, name) == 0 && !field->text == file)
			return (struct http_form_field *)field;
	}
	return NULL;
}

const char *http_field(const struct http_request *request, const char *name)
{
	const struct http_form_field *field = find(request, name, false);
	return field ? field->text : NULL;
}

const char *http_upload(const struct http_request *request, const char *name, const char **file_name)
{
	const struct http_form_field *field = find(request, name, true);
	if (field && file_name)
		*file_name = field->file_name;
	return field ? field->path : NULL;
}

const char *http_field_name(const struct http_request *request, size_t i)
{
	return i < request->n_fields ? request->fields[i].name : NULL;
}

static bool refuse(struct http_request *request, int status, const char *why)
{
	if (!request->refused) {
		request->refused = status;
		snprintf(request->reason, sizeof request->reason, "%s", why);
	}
	return false;
}

static bool refuse_errno(struct http_request *request)
{
	bool full = errno == ENOSPC || errno == EDQUOT || errno == EFBIG;
	return refuse(request, full ? MHD_HTTP_INSUFFICIENT_STORAGE : MHD_HTTP_INTERNAL_SERVER_ERROR,
	              full ? "there is no room for the upload" : "the upload cannot be written");
}

/* Browsers give the name alone, others a path. */
static char *base_name(const char *name)
{
	for (const char *p = name; *p; p++) {
		if (*p == '/' || *p == '\\')
			name = p + 1;
	}
	return strdup(http_text_clean(name) && *name ? name : "upload");
}

static bool open_file(struct http_request *request, struct http_form_field *field, const char *file_name)
{
	const char *folder = request->server->params.upload_folder;
	field->path = il_path_join(folder ? folder : "/tmp", "upload-XXXXXX");
	field->file_name = base_name(file_name);
	if (!field->path || !field->file_name)
		return refuse(request, MHD_HTTP_SERVICE_UNAVAILABLE, "out of memory");
	field->fd = mkostemp(field->path, O_CLOEXEC);
	if (field->fd >= 0)
		return true;
	free(field->path);
	field->path = NULL;
	return refuse_errno(request);
}

static struct http_form_field *add_field(struct http_request *request, const char *name, const char *file_name)
{
	if (!http_text_clean(name)) {
		refuse(request, MHD_HTTP_BAD_REQUEST, "a field's name is not text");
		return NULL;
	}
	if (request->n_fields == HTTP_FIELDS || find(request, name, true) || find(request, name, false)) {
		refuse(request, MHD_HTTP_BAD_REQUEST, "a field is there twice, or there are too many");
		return NULL;
	}
	struct http_form_field *field = &request->fields[request->n_fields++];
	*field = (struct http_form_field){ .name = strdup(name), .fd = -1 };
	if (!file_name)
		field->text = calloc(1, HTTP_FIELD_BYTES + 1);
	if (!field->name || (!file_name && !field->text)) {
		refuse(request, MHD_HTTP_SERVICE_UNAVAILABLE, "out of memory");
		return NULL;
	}
	return !file_name || open_file(request, field, file_name) ? field : NULL;
}

static bool write_all(int fd, const char *data, size_t size)
{
	while (size) {
		ssize_t n = write(fd, data, size);
		if (n < 0 && errno != EINTR)
			return false;
		data += n > 0 ? n : 0;
		size -= n > 0 ? (size_t)n : 0;
	}
	return true;
}

static bool append(struct http_request *request, struct http_form_field *field, const char *data, size_t size)
{
	if (!size)
		return true;
	if (!field->text) {
		field->size += size;
		return write_all(field->fd, data, size) || refuse_errno(request);
	}
	if (size > HTTP_FIELD_BYTES - field->size)
		return refuse(request, MHD_HTTP_CONTENT_TOO_LARGE, "a field's text is too long");
	if (memchr(data, 0, size))
		return refuse(request, MHD_HTTP_BAD_REQUEST, "a field's text holds a 0");
	memcpy(field->text + field->size, data, size);
	field->size += size;
	return true;
}

/* A part comes in pieces. Where a read ends at its head, the first has no bytes and the next is at offset 0 again. */
static bool goes_on(const struct http_form_field *field, const char *key, const char *file_name, uint64_t offset)
{
	return field->name && strcmp(field->name, key) == 0 && !field->text == (file_name != NULL) &&
	       (offset || !field->size);
}

static enum MHD_Result take_part(void *ctx, enum MHD_ValueKind kind, const char *key, const char *file_name,
                                 const char *type, const char *encoding, const char *data, uint64_t offset, size_t size)
{
	(void)kind, (void)type, (void)encoding;
	struct http_request *request = ctx;
	if (!key)
		return refuse(request, MHD_HTTP_BAD_REQUEST, "a part of the form has no name") ? MHD_YES : MHD_NO;
	struct http_form_field *field = request->n_fields ? &request->fields[request->n_fields - 1] : NULL;
	if (!field || !goes_on(field, key, file_name, offset))
		field = add_field(request, key, file_name);
	return field && append(request, field, data, size) ? MHD_YES : MHD_NO;
}

bool http_form_begin(struct http_request *request, const char *content_type)
{
	bool multipart = strncasecmp(content_type, "multipart/", 10) == 0;
	if (!multipart && strncasecmp(content_type, MHD_HTTP_POST_ENCODING_FORM_URLENCODED,
	                              strlen(MHD_HTTP_POST_ENCODING_FORM_URLENCODED)) != 0)
		return false;
	if (multipart && !http_text_multipart(content_type))
		return refuse(request, MHD_HTTP_BAD_REQUEST,
		              "Content-Type: expected multipart/form-data; boundary=... of 2 to 70 characters");
	request->post = MHD_create_post_processor(request->connection, POST_MEMORY, take_part, request);
	return request->post || refuse(request, MHD_HTTP_SERVICE_UNAVAILABLE, "out of memory");
}

bool http_form_take(struct http_request *request, const char *data, size_t size)
{
	if (MHD_post_process(request->post, data, size) == MHD_YES)
		return true;
	return refuse(request, MHD_HTTP_BAD_REQUEST, "the form cannot be read");
}

void http_form_end(struct http_request *request)
{
	if (MHD_destroy_post_processor(request->post) != MHD_YES)
		refuse(request, MHD_HTTP_BAD_REQUEST, "the form ends too early");
	request->post = NULL;
	for (size_t i = 0; i < request->n_fields; i++) {
		struct http_form_field *field = &request->fields[i];
		if (field->text && !http_text_clean(field->text))
			refuse(request, MHD_HTTP_BAD_REQUEST, "a field's text is not UTF-8 without control characters");
		if (field->fd >= 0 && close(field->fd) != 0)
			refuse_errno(request);
		field->fd = -1;
	}
}

void http_form_clear(struct http_request *request)
{
	if (request->post)
		MHD_destroy_post_processor(request->post);
	for (size_t i = 0; i < request->n_fields; i++) {
		struct http_form_field *field = &request->fields[i];
		if (field->fd >= 0)
			close(field->fd);
		if (field->path)
			unlink(field->path);
		free(field->name);
		free(field->text);
		free(field->file_name);
		free(field->path);
	}
}
