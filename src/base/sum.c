#include "base/sum.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <xxhash.h>

#define PIECE ((size_t)1 << 20)

uint64_t il_sum(const void *data, size_t size, uint64_t seed)
{
	return XXH3_64bits_withSeed(size ? data : "", size, seed);
}

static enum inlay_err stamp(int fd, const char *path, struct il_file_sum *sum, struct inlay_error *err)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return il_fail_errno(err, "%s: cannot stat", path);
	if (!S_ISREG(st.st_mode))
		return il_fail(err, INLAY_ERR_INVALID, "%s: is no regular file; expected one", path);
	*sum = (struct il_file_sum){ st.st_size, st.st_mtim.tv_sec * INT64_C(1000000000) + st.st_mtim.tv_nsec, 0 };
	return INLAY_OK;
}

static enum inlay_err add_pieces(XXH3_state_t *state, void *piece, int fd, const char *path, struct inlay_error *err)
{
	for (;;) {
		ssize_t n = read(fd, piece, PIECE);
		if (n == 0)
			return INLAY_OK;
		if (n < 0 && errno != EINTR)
			return il_fail_errno(err, "%s: cannot read", path);
		if (n > 0)
			XXH3_64bits_update(state, piece, (size_t)n);
	}
}

static enum inlay_err sum_content(int fd, const char *path, uint64_t *sum, struct inlay_error *err)
{
	XXH3_state_t *state = XXH3_createState();
	void *piece = malloc(PIECE);
	enum inlay_err rc;
	if (!state || !piece)
		rc = il_fail_memory(err);
	else {
		XXH3_64bits_reset(state);
		rc = add_pieces(state, piece, fd, path, err);
	}
	if (!rc)
		*sum = XXH3_64bits_digest(state);
	free(piece);
	XXH3_freeState(state);
	return rc;
}

/* Non-blocking, lest a pipe of that name waits for a writer for ever. */
static enum inlay_err look_at(const char *path, bool content, struct il_file_sum *sum, struct inlay_error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return il_fail_errno(err, "%s: cannot open", path);
	enum inlay_err rc = stamp(fd, path, sum, err);
	if (!rc && content)
		rc = sum_content(fd, path, &sum->sum, err);
	close(fd);
	return rc;
}

enum inlay_err il_file_sum(const char *path, struct il_file_sum *sum, struct inlay_error *err)
{
	return look_at(path, true, sum, err);
}

enum inlay_err il_file_stamp(const char *path, struct il_file_sum *sum, struct inlay_error *err)
{
	return look_at(path, false, sum, err);
}
