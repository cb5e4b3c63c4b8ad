/* What every cmocka test includes. */
#ifndef IL_TESTS_TEST_H
#define IL_TESTS_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "inlay/error.h"

/* Path of a file in $INLAY_TEST_DATA; skips the test where that is not set. A ring of 8 static buffers. */
static inline const char *test_data(const char *name)
{
	static char paths[8][1024];
	static unsigned next;
	const char *root = getenv("INLAY_TEST_DATA");
	if (!root || !*root)
		skip();
	char *path = paths[next++ % 8];
	snprintf(path, sizeof paths[0], "%s/%s", root, name);
	return path;
}

/* A path for scratch output of this test program; the folder is made by the test runner or is /tmp. */
static inline const char *test_scratch(const char *name)
{
	static char paths[8][1024];
	static unsigned next;
	const char *root = getenv("TMPDIR");
	char *path = paths[next++ % 8];
	snprintf(path, sizeof paths[0], "%s/inlay-%d-%s", root ? root : "/tmp", (int)getpid(), name);
	return path;
}

/* assert_ok(call(..., &err)): fails with the error's text. */
#define assert_ok(call)                                                                                                \
	do {                                                                                                           \
		err = (struct inlay_error){ 0 };                                                                       \
		enum inlay_err rc_ = (call);                                                                           \
		if (rc_)                                                                                               \
			fail_msg("%s: %s: %s", #call, inlay_err_name(rc_), err.text);                                  \
	} while (0)

/* assert_fails(call, INLAY_ERR_FORMAT, "expected float32"): the code, and a part of the text. */
#define assert_fails(call, code_, part)                                                                                \
	do {                                                                                                           \
		err = (struct inlay_error){ 0 };                                                                       \
		enum inlay_err rc_ = (call);                                                                           \
		assert_int_equal(rc_, code_);                                                                          \
		assert_int_equal(err.code, code_);                                                                     \
		if (!strstr(err.text, part))                                                                           \
			fail_msg("error text \"%s\" lacks \"%s\"", err.text, part);                                    \
	} while (0)

/* xorshift: repeatable random numbers. */
static inline uint32_t test_random(void)
{
	static uint32_t state = 2463534242u;
	state ^= state << 13;
	state ^= state >> 17;
	state ^= state << 5;
	return state;
}

#endif
