/* An app on a folder of avatars made here, for tests. */
#ifndef SERVER_APP_TEST_H
#define SERVER_APP_TEST_H

#include <sys/stat.h>

#include "inlay/compile.h"
#include "server/app.h"

#include "tests/test.h"

#define TEST_FRAMES 8 /* of the compiled avatar */

static inline const char *test_given(const char *name)
{
	const char *value = getenv(name);
	if (!value || !*value)
		fail_msg("%s is not set", name);
	return value;
}

/* "anna", the test pack; "bert", its first frames compiled; "fault", which cannot be loaded. */
static inline void test_avatars(const char *folder)
{
	struct inlay_error err;
	struct inlay_compile *job;
	char path[1100];
	assert_int_equal(mkdir(folder, 0777), 0);
	snprintf(path, sizeof path, "%s/anna", folder);
	assert_int_equal(symlink(test_given("INLAY_TEST_PACK"), path), 0);
	snprintf(path, sizeof path, "%s/fault", folder);
	assert_int_equal(mkdir(path, 0777), 0);
	snprintf(path, sizeof path, "%s/bert.inlay", folder);
	const struct inlay_compile_params params = {
		.avatar = test_given("INLAY_TEST_PACK"), .output = path, .frames = TEST_FRAMES, .threads = 2
	};
	assert_ok(inlay_compile_create(&job, &params, &err));
	assert_ok(inlay_compile_run(job, NULL, NULL, &err));
	inlay_compile_destroy(&job);
}

static inline void test_remove(const char *folder)
{
	char command[1200];
	snprintf(command, sizeof command, "rm -rf '%s'", folder);
	assert_int_equal(system(command), 0);
}

static inline struct server_config test_config(const char *folder)
{
	return (struct server_config){ .avatars = (char *)folder,
		                       .memory_bytes = (int64_t)1 << 30,
		                       .workers = 2,
		                       .limits = { .message_bytes = 100000000, .renders = 1 } };
}

#endif
