/* inlay: draws what a neural network predicts into video. */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "cli.h"
#include "inlay/log.h"
#include "inlay/version.h"
#include "server/intake.h"

static const struct {
	const char *name;
	command_fn *run;
	const char *what;
} commands[] = {
	{ "lipsync", cmd_lipsync, "an avatar and speech in, a video whose mouth follows the speech out" },
	{ "matte", cmd_matte, "a video in, the same with its background removed, blurred or replaced out" },
	{ "avatar", cmd_avatar, "avatar packs: info, check, and compile for speed" },
	{ "features", cmd_features, "mel rows or audio features of a speech file, as .npy" },
	{ "model", cmd_model, "look into networks, run or lighten them: info, run, optimize, diff" },
	{ "models", cmd_models, "the matting networks that are here or can be fetched: list, get" },
	{ "serve", cmd_serve, "lip-sync for many clients at a time: gRPC, KServe v2, HTTP, a page" },
	{ "loadgen", cmd_loadgen, "clients that measure a server" },
	{ "bench", cmd_bench, "measure this machine: lipsync, matte" },
};
enum { N_COMMANDS = sizeof commands / sizeof *commands };

/* ---- messages ---- */

static int verbosity;

static void print_log(void *ctx, enum inlay_log_level level, const char *text)
{
	static const char *const names[] = { "", "warning", "note", "debug" };
	(void)ctx;
	fprintf(stderr, "inlay: %s: %s\n", names[level], text);
}

static void set_verbosity(int v)
{
	verbosity = v;
	inlay_log_set(print_log, NULL,
	              v < 0    ? INLAY_LOG_NONE
	              : v == 0 ? INLAY_LOG_WARN
	              : v == 1 ? INLAY_LOG_INFO
	                       : INLAY_LOG_DEBUG);
}

int report_error(const struct inlay_error *err)
{
	fprintf(stderr, "inlay: error: %s%s\n", err->text[0] ? err->text : inlay_err_name(err->code),
	        err->code == INLAY_ERR_EXISTS ? " (-y replaces it)" : "");
	return EXIT_FAILURE;
}

void say(const char *format, ...)
{
	if (verbosity < 0)
		return;
	va_list args;
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}

/* ---- options ---- */

enum { OPT_CPU_MASK = 0x2000 };

static const struct argp_option common_options[] = {
	{ 0, 0, 0, 0, "General:", -1 },
	{ "verbose", 'v', 0, 0, "say more; twice: everything", 0 },
	{ "quiet", 'q', 0, 0, "errors only", 0 },
	{ "cpu-mask", OPT_CPU_MASK, "LIST", 0, "instruction sets allowed: none, avx2, avx512, neon, all", 0 },
	{ 0 },
};

static error_t parse_common(int key, char *arg, struct argp_state *state)
{
	struct common *common = state->input;
	int flags;
	switch (key) {
	case 'v': set_verbosity(++common->verbose); return 0;
	case 'q': set_verbosity(common->verbose = -1); return 0;
	case OPT_CPU_MASK:
		flags = il_cpu_parse(arg);
		if (flags < 0)
			argp_error(state, "--cpu-mask: \"%s\": expected none, avx2, avx512, neon or all", arg);
		il_cpu_mask((unsigned)flags);
		return 0;
	default: return ARGP_ERR_UNKNOWN;
	}
}

const struct argp common_argp = { .options = common_options, .parser = parse_common };

void parse_options(const struct argp *argp, int argc, char **argv, void *input)
{
	argp_err_exit_status = EXIT_USAGE;
	argp_parse(argp, argc, argv, 0, 0, input);
}

int64_t parse_integer(const struct argp_state *state, const char *option, const char *text, int64_t min, int64_t max)
{
	char *end;
	errno = 0;
	long long value = strtoll(text, &end, 10);
	if (errno || end == text || *end || value < min || value > max)
		argp_error(state, "--%s: \"%s\": expected a whole number from %lld to %lld", option, text,
		           (long long)min, (long long)max);
	return value;
}

struct inlay_rational parse_rate(const struct argp_state *state, const char *option, const char *text)
{
	int num = 0, den = 1, used = 0;
	if (sscanf(text, "%d/%d%n", &num, &den, &used) == 2 && !text[used] && num > 0 && den > 0 && num <= 1000000 &&
	    den <= 1000000 && num / den <= 1000)
		return (struct inlay_rational){ num, den };
	char *end;
	double value = strtod(text, &end);
	if (end == text || *end || !(value >= 0.1 && value <= 1000))
		argp_error(state, "--%s: \"%s\": expected frames a second such as 25, 29.97 or 30000/1001", option,
		           text);
	/* The NTSC rates are k * 1000 / 1001, and people write two or three decimals of them. */
	int whole = (int)(value + 0.5);
	double ntsc = whole * 1000.0 / 1001.0;
	if (value != whole && value > ntsc - 0.005 && value < ntsc + 0.005)
		return (struct inlay_rational){ whole * 1000, 1001 };
	return (struct inlay_rational){ (int)(value * 1000 + 0.5), 1000 };
}

int parse_crf(const struct argp_state *state, const char *text)
{
	int crf = (int)parse_integer(state, "crf", text, 0, 63);
	return crf ? crf : INLAY_CRF_LOSSLESS;
}

int parse_word(const struct argp_state *state, const char *option, const char *text, const char *const *words)
{
	char list[256] = "";
	for (int i = 0; words[i]; i++) {
		if (!strcmp(text, words[i]))
			return i;
		size_t used = strlen(list);
		snprintf(list + used, sizeof list - used, "%s%s", used ? ", " : "", words[i]);
	}
	argp_error(state, "--%s: \"%s\": expected one of %s", option, text, list);
	return 0;
}

/* ---- interrupts ---- */

static volatile sig_atomic_t caught;

static void on_signal(int number)
{
	caught = number;
	signal(number, SIG_DFL);
}

void catch_interrupts(void)
{
	static const int numbers[] = { SIGINT, SIGTERM, SIGHUP };
	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
		if (signal(numbers[i], on_signal) == SIG_IGN)
			signal(numbers[i], SIG_IGN); /* nohup and the like: as it was */
}

int interrupted(void)
{
	return caught;
}

/* ---- the program ---- */

static int usage(FILE *out, int status)
{
	fputs("Usage: inlay COMMAND [OPTION...]\n\nDraws what a neural network predicts into video, fast.\n\n", out);
	for (int i = 0; i < N_COMMANDS; i++)
		fprintf(out, "  %-9s %s\n", commands[i].name, commands[i].what);
	fputs("\n\"inlay COMMAND --help\" tells a command's options. --version prints the version.\n", out);
	return status;
}

int main(int argc, char **argv)
{
	signal(SIGPIPE, SIG_IGN); /* a reader that went away is an error of the write */
	signal(SIGXFSZ, SIG_IGN);
	set_verbosity(0);
	if (argc < 2)
		return usage(stderr, EXIT_USAGE);
	if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "version")) {
		printf("inlay %s\n", inlay_version());
		return EXIT_SUCCESS;
	}
	char help[] = "--help";
	if (!strcmp(argv[1], "help") && argc == 3) { /* "help COMMAND" is "COMMAND --help" */
		argv[1] = argv[2];
		argv[2] = help;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help"))
		return usage(stdout, EXIT_SUCCESS);
	if (!strcmp(argv[1], INTAKE_COMMAND)) /* a server's own child: in no list */
		return intake_child_main(argc - 1, argv + 1);
	for (int i = 0; i < N_COMMANDS; i++)
		if (!strcmp(argv[1], commands[i].name)) {
			char name[64];
			snprintf(name, sizeof name, "inlay %s", commands[i].name);
			argv[1] = name;
			return commands[i].run(argc - 1, argv + 1);
		}
	fprintf(stderr, "inlay: \"%s\" is no command\n\n", argv[1]);
	return usage(stderr, EXIT_USAGE);
}
