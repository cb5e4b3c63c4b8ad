/* web/openapi.json tells of every route, and of no other. */
#include "server/http/routes.h"
#include "server/http/web_files.h"

#include <strings.h>

#include "tests/test.h"

static struct http_route routes[256];

static size_t all_routes(void)
{
	size_t room = sizeof routes / sizeof routes[0];
	size_t n = kserve_routes(NULL, routes, room);
	n += video_routes(NULL, NULL, routes + n, room - n);
	n += status_routes(NULL, routes + n, room - n);
	assert_true(n <= room);
	return n;
}

/* "/a/{id}/b" as a pattern: "/a/STAR/b". */
static void as_pattern(const char *path, char *pattern)
{
	for (; *path; path++) {
		if (*path == '{') {
			*pattern++ = '*';
			path = strchr(path, '}');
		} else {
			*pattern++ = *path;
		}
	}
	*pattern = '\0';
}

static bool is_route(size_t n, const char *method, const char *pattern)
{
	for (size_t i = 0; i < n; i++) {
		if (strcasecmp(routes[i].method, method) == 0 && strcmp(routes[i].pattern, pattern) == 0)
			return true;
	}
	return false;
}

static void tells_all(void **state)
{
	(void)state;
	size_t n = all_routes(), told = 0;
	json_t *root = json_loadb((const char *)web_openapi_json, web_openapi_json_size, JSON_REJECT_DUPLICATES, NULL);
	const char *path, *method;
	json_t *methods, *operation;
	json_object_foreach(json_object_get(root, "paths"), path, methods)
	{
		char pattern[256];
		as_pattern(path, pattern);
		json_object_foreach(methods, method, operation)
		{
			if (!is_route(n, method, pattern))
				print_error("%s %s is told of and no route\n", method, path);
			told += is_route(n, method, pattern);
		}
	}
	assert_int_equal(told, n);
	json_decref(root);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(tells_all) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
