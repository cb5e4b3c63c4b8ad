#include "server/buffers.h"

#include <pthread.h>
#include <stdint.h>
#include <string.h>

#include "tests/test.h"

/* Many sizes from many threads: nobody gets what somebody else has. */
static void *take_and_return(void *ctx)
{
	unsigned seed = *(unsigned *)ctx;
	for (int i = 0; i < 2000; i++) {
		seed = seed * 1664525 + 1013904223;
		size_t size = (size_t)(seed >> 20) * 64; /* small ones are not kept */
		uint8_t *buffer = buffer_take(size);
		memset(buffer, (int)seed & 0xff, size);
		for (size_t j = 0; j < size; j += 97)
			assert_int_equal(buffer[j], seed & 0xff);
		buffer_return(buffer);
	}
	return NULL;
}

static void buffers_are_kept_apart(void **state)
{
	(void)state;
	pthread_t threads[4];
	unsigned seeds[4] = { 1, 2, 3, 4 };
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, take_and_return, &seeds[i]), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	buffer_return(NULL);
	assert_null(buffer_take(SIZE_MAX));
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(buffers_are_kept_apart) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
