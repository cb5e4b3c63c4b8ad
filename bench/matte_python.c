/* The process that runs the Python rows: a pipe for questions, one for answers, a line each. */
#define _GNU_SOURCE /* pipe2 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/data.h"
#include "base/error.h"
#include "base/file.h"
#include "inlay/matte.h"
#include "matte_impl.h"

#define SCRIPT "bench/matte_baseline.py"

extern char **environ;

struct bench_python {
	const char *program, *scratch;
	pid_t child;
	FILE *questions, *answers;
	size_t result_bytes;
	char versions[256], answer[512];
};

/* A working tree's script stands beside its models folder, an installed one inside the data folder. */
static enum inlay_err find_script(char **path, struct inlay_error *err)
{
	return il_data_find(path, "../" SCRIPT, NULL, NULL) ? il_data_find(path, SCRIPT, NULL, err) : INLAY_OK;
}

static void scratch_path(char path[PATH_MAX], const char *folder, const char *name)
{
	snprintf(path, PATH_MAX, "%s/%s", folder, name);
}

/* Both ends are closed on exec; the child's copies are made by dup2. */
static enum inlay_err spawn(struct bench_python *python, char *const argv[], struct inlay_error *err)
{
	int to[2], from[2];
	if (pipe2(to, O_CLOEXEC))
		return il_fail_errno(err, "pipe to %s", python->program);
	python->questions = fdopen(to[1], "w");
	if (pipe2(from, O_CLOEXEC)) {
		close(to[0]);
		return il_fail_errno(err, "pipe from %s", python->program);
	}
	python->answers = fdopen(from[0], "r");
	posix_spawn_file_actions_t actions;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, to[0], STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&actions, from[1], STDOUT_FILENO);
	int failed = posix_spawnp(&python->child, python->program, &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	close(to[0]);
	close(from[1]);
	if (!failed)
		return python->questions && python->answers ? INLAY_OK : il_fail_memory(err);
	python->child = 0;
	errno = failed;
	return il_fail_errno(err,
	                     "%s: cannot be started, and runs the rows to compare with (--python names another "
	                     "interpreter, --no-python leaves these rows out)",
	                     python->program);
}

static enum inlay_err receive(struct bench_python *python, struct inlay_error *err)
{
	if (!fgets(python->answer, sizeof python->answer, python->answers))
		return il_fail(err, INLAY_ERR_IO, "%s " SCRIPT ": ended without an answer; what it said stands above",
		               python->program);
	python->answer[strcspn(python->answer, "\n")] = 0;
	return INLAY_OK;
}

static enum inlay_err unexpected(const struct bench_python *python, struct inlay_error *err)
{
	return il_fail(err, INLAY_ERR_FORMAT, "%s " SCRIPT ": answered \"%s\", which is not what was asked for",
	               python->program, python->answer);
}

__attribute__((format(printf, 3, 4))) static enum inlay_err ask(struct bench_python *python, struct inlay_error *err,
                                                                const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vfprintf(python->questions, format, args);
	va_end(args);
	fflush(python->questions);
	return receive(python, err);
}

static enum inlay_err launch(struct bench_python *python, const struct bench_matte_params *p, struct inlay_error *err)
{
	struct inlay_matte_look look;
	inlay_matte_look_init(&look, INLAY_MATTE_REFERENCE);
	char *script = NULL, frame[PATH_MAX], mask[PATH_MAX], numbers[8][32];
	scratch_path(frame, p->scratch, "frame");
	scratch_path(mask, p->scratch, "mask");
	snprintf(numbers[0], sizeof *numbers, "--width=%d", p->width);
	snprintf(numbers[1], sizeof *numbers, "--height=%d", p->height);
	snprintf(numbers[2], sizeof *numbers, "--threshold=%g", look.threshold);
	snprintf(numbers[3], sizeof *numbers, "--soft=%g", look.soft);
	snprintf(numbers[4], sizeof *numbers, "--expand=%d", p->expand);
	snprintf(numbers[5], sizeof *numbers, "--smooth=%g", p->smooth);
	snprintf(numbers[6], sizeof *numbers, "--feather=%g", p->feather);
	snprintf(numbers[7], sizeof *numbers, "--blur=%g", p->blur);
	enum inlay_err rc = find_script(&script, err);
	if (rc)
		return rc;
	char frame_option[] = "--frame", mask_option[] = "--mask", *program = strdup(p->python);
	char *const argv[] = { program,    script,     frame_option, frame,      mask_option,
		               mask,       numbers[0], numbers[1],   numbers[2], numbers[3],
		               numbers[4], numbers[5], numbers[6],   numbers[7], NULL };
	rc = program ? spawn(python, argv, err) : il_fail_memory(err);
	free(program);
	free(script);
	return rc;
}

static enum inlay_err greet(struct bench_python *python, struct inlay_error *err)
{
	char package[256];
	enum inlay_err rc = receive(python, err);
	if (!rc && sscanf(python->answer, "missing %255[^\n]", package) == 1)
		return il_fail(err, INLAY_ERR_NOT_FOUND,
		               "%s lacks the package %s (--python names another interpreter, --no-python leaves the "
		               "rows to compare with out)",
		               python->program, package);
	if (!rc && sscanf(python->answer, "ready %255[^\n]", python->versions) != 1)
		return unexpected(python, err);
	return rc;
}

enum inlay_err bench_python_start(struct bench_python **out, const struct bench_matte_params *p,
                                  const struct bench_picture *picture, struct inlay_error *err)
{
	char frame[PATH_MAX], mask[PATH_MAX];
	const size_t pixels = (size_t)p->width * (size_t)p->height;
	struct bench_python *python = calloc(1, sizeof *python);
	*out = NULL;
	if (!python)
		return il_fail_memory(err);
	*python = (struct bench_python){ .program = p->python, .scratch = p->scratch, .result_bytes = 4 * pixels };
	scratch_path(frame, p->scratch, "frame");
	scratch_path(mask, p->scratch, "mask");
	enum inlay_err rc = il_file_write(frame, picture->bgr, 3 * pixels, true, err);
	if (!rc)
		rc = il_file_write(mask, picture->mask, sizeof picture->mask, true, err);
	if (!rc)
		rc = launch(python, p, err);
	if (!rc)
		rc = greet(python, err);
	unlink(frame);
	unlink(mask);
	if (rc)
		bench_python_destroy(&python);
	*out = python;
	return rc;
}

/* The child ends at the end of its input. */
void bench_python_destroy(struct bench_python **slot)
{
	struct bench_python *python = *slot;
	*slot = NULL;
	if (!python)
		return;
	if (python->questions)
		fclose(python->questions);
	if (python->answers)
		fclose(python->answers);
	while (python->child && waitpid(python->child, NULL, 0) < 0 && errno == EINTR)
		;
	free(python);
}

const char *bench_python_versions(const struct bench_python *python)
{
	return python->versions;
}

enum inlay_err bench_python_run(struct bench_python *python, const char *row, double *ms, struct inlay_error *err)
{
	enum inlay_err rc = ask(python, err, "%s\n", row);
	if (!rc && (sscanf(python->answer, "%lf", ms) != 1 || !(*ms > 0)))
		return unexpected(python, err);
	return rc;
}

enum inlay_err bench_python_result(struct bench_python *python, const char *row, uint8_t **alpha_and_bgr,
                                   struct inlay_error *err)
{
	char path[PATH_MAX];
	struct il_bytes bytes = { NULL };
	scratch_path(path, python->scratch, "result");
	enum inlay_err rc = ask(python, err, "dump %s %s\n", row, path);
	if (!rc)
		rc = strcmp(python->answer, "ok") ? unexpected(python, err)
		                                  : il_file_read(path, python->result_bytes, &bytes, err);
	if (!rc && bytes.size != python->result_bytes)
		rc = il_fail(err, INLAY_ERR_FORMAT, "%s: %zu bytes from " SCRIPT ", expected %zu", path, bytes.size,
		             python->result_bytes);
	unlink(path);
	*alpha_and_bgr = rc ? NULL : bytes.data;
	if (rc)
		il_bytes_destroy(&bytes);
	return rc;
}
