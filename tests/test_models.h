/* Networks that tools/make_test_models.py wrote before the tests. */
#ifndef IL_TESTS_TEST_MODELS_H
#define IL_TESTS_TEST_MODELS_H

#include "tests/test.h"

/* Path of NAME.onnx in $INLAY_TEST_MODELS; fails the test where that is not set. A ring of 8 static buffers. */
static inline const char *test_model(const char *name)
{
	static char paths[8][1024];
	static unsigned next;
	const char *root = getenv("INLAY_TEST_MODELS");
	if (!root || !*root)
		fail_msg("INLAY_TEST_MODELS is not set: expected the folder that tools/make_test_models.py filled");
	char *path = paths[next++ % 8];
	snprintf(path, sizeof paths[0], "%s/%s.onnx", root, name);
	return path;
}

/* Floats in 0..1, the same for every run of the test. */
static inline void test_fill(float *data, size_t n)
{
	for (size_t i = 0; i < n; i++)
		data[i] = (float)(test_random() & 0xffff) / 65535.0f;
}

#endif
