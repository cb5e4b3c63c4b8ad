#define _GNU_SOURCE
#include "media/byte_out.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "media/sink_impl.h"

#define ASK_MS 200 /* how long a wait goes on before it asks whether to stop */

static enum inlay_err ask(const struct il_byte_out *out, struct inlay_error *err)
{
	if (out->cancelled && out->cancelled(out->cancel_ctx))
		return il_fail(err, INLAY_ERR_CANCELLED, "%s: stopped while waiting for its reader", out->name);
	return INLAY_OK;
}

/* Non-blocking concerns nobody else here: the open file is ours alone. A pipe cannot be opened so without a reader. */
static enum inlay_err open_special(struct il_byte_out *out, const char *path, bool pipe, struct inlay_error *err)
{
	enum inlay_err rc = INLAY_OK;
	for (bool told = false; (out->fd = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)) < 0; told = true) {
		if (errno != ENXIO || !pipe)
			return il_fail_errno(err, "%s: cannot be opened for writing", path);
		if (!told)
			il_log_info("%s: waiting for somebody to read it", path);
		rc = ask(out, err);
		if (rc)
			return rc;
		poll(NULL, 0, ASK_MS);
	}
	out->owned = true;
	out->write_most = SIZE_MAX;
	return INLAY_OK;
}

static enum inlay_err open_path(struct il_byte_out *out, const struct il_sink_params *params, struct inlay_error *err)
{
	struct stat st;
	enum inlay_err rc = il_sink_check_place(params->path, err);
	if (rc)
		return rc;
	if (stat(params->path, &st) == 0 && !S_ISREG(st.st_mode))
		return open_special(out, params->path, S_ISFIFO(st.st_mode), err);
	return il_part_open(&out->part, params->path, params->overwrite, err);
}

/* Standard output is shared with other programs and must stay blocking. A pipe can be opened once more for us alone,
 * which is four times as fast; anything else is written in pieces for which there is room when poll says so. */
static void open_standard(struct il_byte_out *out)
{
	struct stat st;
	int fd = -1;
	if (fstat(STDOUT_FILENO, &st) == 0 && S_ISFIFO(st.st_mode))
		fd = open("/proc/self/fd/1", O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	out->owned = fd >= 0;
	out->fd = out->owned ? fd : STDOUT_FILENO;
	out->write_most = out->owned ? SIZE_MAX : PIPE_BUF;
}

enum inlay_err il_byte_out_open(struct il_byte_out *out, const struct il_sink_params *params, struct inlay_error *err)
{
	bool standard = il_sink_is_stdout(params->path);
	enum inlay_err rc = INLAY_OK;
	*out = (struct il_byte_out){ .fd = -1, .cancelled = params->cancelled, .cancel_ctx = params->cancel_ctx };
	out->name = strdup(standard ? "standard output" : params->path);
	if (!out->name)
		return il_fail_memory(err);
	if (standard)
		open_standard(out);
	else
		rc = open_path(out, params, err);
	if (rc)
		il_byte_out_close(out);
	return rc;
}

/* Returns at once for what is no pipe, socket or terminal; what is wrong with the descriptor is left to write to say.
 */
static enum inlay_err wait_for_room(const struct il_byte_out *out, struct inlay_error *err)
{
	struct pollfd room = { .fd = out->fd, .events = POLLOUT };
	enum inlay_err rc = INLAY_OK;
	while (!rc && poll(&room, 1, ASK_MS) == 0)
		rc = ask(out, err);
	return rc;
}

enum inlay_err il_byte_out_write(struct il_byte_out *out, const void *data, size_t size, struct inlay_error *err)
{
	const uint8_t *p = data;
	if (out->part)
		return il_part_write(out->part, data, size, err);
	while (size) {
		enum inlay_err rc = wait_for_room(out, err);
		if (rc)
			return rc;
		ssize_t n = write(out->fd, p, size < out->write_most ? size : out->write_most);
		if (n >= 0) {
			p += n;
			size -= (size_t)n;
		} else if (errno != EINTR && errno != EAGAIN) {
			return il_fail_errno(err, "%s: cannot be written", out->name);
		}
	}
	return INLAY_OK;
}

enum inlay_err il_byte_out_finish(struct il_byte_out *out, struct inlay_error *err)
{
	int fd = out->owned ? out->fd : -1;
	out->owned = false;
	if (fd >= 0 && close(fd))
		return il_fail_errno(err, "%s: cannot be written", out->name);
	return out->part ? il_part_commit(out->part, err) : INLAY_OK;
}

void il_byte_out_close(struct il_byte_out *out)
{
	if (out->owned)
		close(out->fd);
	il_part_destroy(&out->part);
	free(out->name);
	*out = (struct il_byte_out){ 0 };
}
