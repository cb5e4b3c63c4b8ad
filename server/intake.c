#define _GNU_SOURCE /* pipe2 */

#include "server/intake.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "media/wav.h"

#define TIMEOUT_MS 120000
#define FAULT "the upload could not be decoded: "
#define MOVED_FD 10 /* above the numbers that the child gets */

struct child {
	pid_t pid;
	int words; /* its standard error */
	int64_t deadline_ns;
	char text[INLAY_ERROR_TEXT / 2];
	size_t size;
};

/* ---- the child's life ---- */

static enum inlay_err add_actions(posix_spawn_file_actions_t *actions, int in, int out, int words)
{
	if (posix_spawn_file_actions_addopen(actions, 0, "/dev/null", O_RDONLY, 0) ||
	    posix_spawn_file_actions_addopen(actions, 1, "/dev/null", O_WRONLY, 0) ||
	    posix_spawn_file_actions_adddup2(actions, words, 2) || posix_spawn_file_actions_adddup2(actions, in, 3) ||
	    posix_spawn_file_actions_adddup2(actions, out, 4))
		return INLAY_ERR_MEMORY;
	return INLAY_OK;
}

/* What the loader and sanitizers of the child read; what else is there is none of its business. */
static void choose_environment(char **chosen, size_t room)
{
	static const char *const passed[] = { "LD_LIBRARY_PATH=", "ASAN_", "LSAN_", "TSAN_", "UBSAN_", "LLVM_" };
	size_t n = 0;
	for (char **entry = environ; *entry && n + 1 < room; entry++)
		for (size_t i = 0; i < sizeof passed / sizeof *passed; i++)
			if (!strncmp(*entry, passed[i], strlen(passed[i]))) {
				chosen[n++] = *entry;
				break;
			}
	chosen[n] = NULL;
}

static enum inlay_err spawn(pid_t *pid, double limit_s, int in, int out, int words, struct inlay_error *err)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	char program[] = "inlay", command[] = INTAKE_COMMAND, limit[32];
	char *argv[] = { program, command, limit, NULL }, *environment[16];
	sigset_t blocked, all;
	snprintf(limit, sizeof limit, "%.3f", limit_s);
	choose_environment(environment, sizeof environment / sizeof *environment);
	/* What asks the whole group to stop leaves uploads under way to the server, which drains. */
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGINT);
	sigaddset(&blocked, SIGTERM);
	sigaddset(&blocked, SIGHUP);
	sigfillset(&all);
	if (posix_spawn_file_actions_init(&actions))
		return il_fail_memory(err);
	if (posix_spawnattr_init(&attributes)) {
		posix_spawn_file_actions_destroy(&actions);
		return il_fail_memory(err);
	}
	posix_spawnattr_setsigmask(&attributes, &blocked);
	posix_spawnattr_setsigdefault(&attributes, &all);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	enum inlay_err rc = add_actions(&actions, in, out, words);
	errno = rc ? ENOMEM : posix_spawn(pid, "/proc/self/exe", &actions, &attributes, argv, environment);
	if (errno)
		rc = il_fail_errno(err, "uploads cannot be decoded: no process for it");
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	return rc;
}

/* Its words until it closes them, as it does by ending; false past the deadline. */
static bool listen_to(struct child *child)
{
	for (;;) {
		int64_t left_ms = (child->deadline_ns - il_clock_ns() + 999999) / 1000000;
		if (left_ms <= 0)
			return false;
		struct pollfd poll_fd = { .fd = child->words, .events = POLLIN };
		int n = poll(&poll_fd, 1, (int)left_ms);
		if (n <= 0)
			continue;
		char bytes[256];
		ssize_t got = read(child->words, bytes, sizeof bytes);
		if (got <= 0)
			return true;
		size_t room = sizeof child->text - 1 - child->size;
		size_t keep = (size_t)got < room ? (size_t)got : room;
		memcpy(child->text + child->size, bytes, keep);
		child->size += keep;
	}
}

/* Words of a process that may be an attacker's by now: one line of plain characters. */
static const char *clean_words(struct child *child)
{
	while (child->size && child->text[child->size - 1] == '\n')
		child->size--;
	child->text[child->size] = 0;
	for (size_t i = 0; i < child->size; i++)
		if (child->text[i] < ' ' || child->text[i] > '~')
			child->text[i] = '?';
	return child->text;
}

static enum inlay_err judge(struct child *child, int status, bool late, const struct intake_limits *limits,
                            struct inlay_error *err)
{
	const char *words = clean_words(child);
	if (WIFEXITED(status) && WEXITSTATUS(status) == INLAY_OK)
		return INLAY_OK;
	if (late)
		return il_fail(err, INLAY_ERR_FORMAT, FAULT "it took longer than %g s",
		               (double)(limits->timeout_ms > 0 ? limits->timeout_ms : TIMEOUT_MS) / 1000);
	if (WIFSIGNALED(status) && (WTERMSIG(status) == SIGXCPU || WTERMSIG(status) == SIGKILL))
		return il_fail(err, INLAY_ERR_FORMAT, FAULT "it needs more time or memory than it may have");
	if (WIFSIGNALED(status))
		return il_fail(err, INLAY_ERR_FORMAT, FAULT "the decoder crashed (signal %d)", WTERMSIG(status));
	bool ours = WEXITSTATUS(status) == INLAY_ERR_IO;
	return il_fail(err, ours ? INLAY_ERR_IO : INLAY_ERR_FORMAT, FAULT "%s",
	               *words ? words : "the decoder gives no reason");
}

/* Until it ends or, where it closed its words and goes on, is ended. */
static enum inlay_err wait_for(const struct child *child, int *status, bool *late, struct inlay_error *err)
{
	for (;;) {
		pid_t ended = waitpid(child->pid, status, *late ? 0 : WNOHANG);
		if (ended == child->pid)
			return INLAY_OK;
		if (ended < 0 && errno != EINTR) {
			il_fail_errno(err, "the decoder's end cannot be waited for");
			return INLAY_ERR_IO;
		}
		if (il_clock_ns() >= child->deadline_ns && !*late) {
			*late = true;
			kill(child->pid, SIGKILL);
		}
		if (!*late)
			nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	}
}

static enum inlay_err run_child(const struct intake_limits *limits, int in, int out, struct inlay_error *err)
{
	int64_t timeout_ms = limits->timeout_ms > 0 ? limits->timeout_ms : TIMEOUT_MS;
	struct child child = { .deadline_ns = il_clock_ns() + timeout_ms * 1000000 };
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) < 0)
		return il_fail_errno(err, "uploads cannot be decoded");
	int words = fcntl(ends[1], F_DUPFD_CLOEXEC, MOVED_FD);
	close(ends[1]);
	child.words = ends[0];
	enum inlay_err rc = words < 0 ? il_fail_errno(err, "uploads cannot be decoded")
	                              : spawn(&child.pid, limits->seconds, in, out, words, err);
	if (words >= 0)
		close(words);
	if (!rc) {
		bool late = !listen_to(&child);
		if (late)
			kill(child.pid, SIGKILL);
		int status = 0;
		rc = wait_for(&child, &status, &late, err);
		if (!rc)
			rc = judge(&child, status, late, limits, err);
	}
	close(ends[0]);
	return rc;
}

/* ---- its files ---- */

static int open_high(const char *path, int flags)
{
	int low = open(path, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (low < 0)
		return -1;
	int fd = fcntl(low, F_DUPFD_CLOEXEC, MOVED_FD);
	close(low);
	return fd;
}

static enum inlay_err open_upload(int *fd, const char *path, int64_t limit_bytes, struct inlay_error *err)
{
	struct stat st;
	*fd = open_high(path, O_RDONLY);
	if (*fd < 0 || fstat(*fd, &st) < 0)
		return il_fail_errno(err, "the upload cannot be opened");
	if (!S_ISREG(st.st_mode))
		return il_fail(err, INLAY_ERR_INVALID, FAULT "it is no file");
	if (st.st_size == 0)
		return il_fail(err, INLAY_ERR_FORMAT, FAULT "it is empty");
	if (st.st_size > limit_bytes)
		return il_fail(err, INLAY_ERR_FORMAT, FAULT "%lld bytes, more than the %lld it may have",
		               (long long)st.st_size, (long long)limit_bytes);
	return INLAY_OK;
}

/* The child may have been taken over by the upload: what it wrote must not be a danger to who reads it here. */
static enum inlay_err check_output(const char *path, struct inlay_error *err)
{
	struct inlay_error fault = { 0 };
	int fd = open_high(path, O_RDONLY);
	if (fd < 0)
		return il_fail_errno(err, "%s: cannot be opened", path);
	enum inlay_err rc = il_wav_check(fd, &fault);
	close(fd);
	return rc ? il_fail(err, rc, FAULT "%s", fault.text) : INLAY_OK;
}

enum inlay_err intake_audio(const char *path, const char *wav_out, const struct intake_limits *limits,
                            struct inlay_error *err)
{
	struct il_part *part = NULL;
	int in = -1, out = -1;
	enum inlay_err rc = open_upload(&in, path, limits->bytes, err);
	if (!rc)
		rc = il_part_open(&part, wav_out, true, err);
	if (!rc && (out = open_high(il_part_path(part), O_WRONLY)) < 0)
		rc = il_fail_errno(err, "%s: cannot be written", wav_out);
	if (!rc)
		rc = run_child(limits, in, out, err);
	if (out >= 0)
		close(out);
	if (in >= 0)
		close(in);
	if (!rc)
		rc = check_output(il_part_path(part), err);
	if (!rc)
		rc = il_part_commit(part, err);
	il_part_destroy(&part);
	return rc;
}
