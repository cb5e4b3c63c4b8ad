/* inlay bench lipsync | matte */
#include "cmd_bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

static const struct {
	const char *name;
	command_fn *run;
	const char *what;
} benches[] = {
	{ "lipsync", cmd_bench_lipsync, "the lip-sync job beside its network alone, for a sweep of workers x batch" },
	{ "matte", cmd_bench_matte, "a frame over its blurred background, beside PIL, OpenCV and a copy of the frame" },
};
enum { N_BENCHES = sizeof benches / sizeof *benches };

enum inlay_err bench_scratch(char path[PATH_MAX], struct inlay_error *err)
{
	snprintf(path, PATH_MAX, "%s/inlay-bench-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	return mkdtemp(path) ? INLAY_OK : il_fail_errno(err, "%s: cannot make this folder", path);
}

bool bench_cancelled(void)
{
	return interrupted() != 0;
}

int bench_status(enum inlay_err rc, const struct inlay_error *err)
{
	if (rc == INLAY_ERR_CANCELLED)
		return 128 + interrupted();
	return rc ? report_error(err) : EXIT_SUCCESS;
}

static int usage(FILE *out, int status)
{
	fputs("Usage: inlay bench WHAT [OPTION...]\n\nMeasures this machine.\n\n", out);
	for (int i = 0; i < N_BENCHES; i++)
		fprintf(out, "  %-8s %s\n", benches[i].name, benches[i].what);
	fputs("\n\"inlay bench WHAT --help\" tells its options.\n", out);
	return status;
}

int cmd_bench(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	for (int i = 0; i < N_BENCHES; i++)
		if (!strcmp(what, benches[i].name)) {
			char name[64];
			snprintf(name, sizeof name, "%s %s", argv[0], what);
			argv[1] = name;
			return benches[i].run(argc - 1, argv + 1);
		}
	if (!strcmp(what, "--help") || !strcmp(what, "-?"))
		return usage(stdout, EXIT_SUCCESS);
	fprintf(stderr, "inlay: bench what? There are \"bench lipsync\" and \"bench matte\", found \"%s\"\n\n", what);
	return usage(stderr, EXIT_USAGE);
}
