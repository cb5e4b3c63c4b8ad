/* What the subcommands share. */
#ifndef INLAY_CLI_H
#define INLAY_CLI_H

#include <argp.h>
#include <stdbool.h>
#include <stdint.h>

#include "inlay/error.h"
#include "inlay/frame.h"
#include "inlay/lipsync.h"

enum { EXIT_USAGE = 2, EXIT_PARTIAL = 3 };

/* A subcommand: argv[0] is its full name ("inlay lipsync"). Returns the exit status. */
typedef int command_fn(int argc, char **argv);
command_fn cmd_lipsync, cmd_matte, cmd_avatar, cmd_avatar_compile, cmd_features, cmd_model, cmd_models, cmd_bench,
	cmd_serve, cmd_loadgen;

/* Options that every command takes, as an argp child; input is struct common. */
struct common {
	int verbose; /* -1 quiet, 0, 1 info, 2 debug */
};
extern const struct argp common_argp;

/* argp_parse with the house's flags: exits with EXIT_USAGE on a wrong command line. */
void parse_options(const struct argp *argp, int argc, char **argv, void *input);

/* Option values; a wrong one ends the program through argp_error with the option's name and what was expected. */
int64_t parse_integer(const struct argp_state *state, const char *option, const char *text, int64_t min, int64_t max);
struct inlay_rational parse_rate(const struct argp_state *state, const char *option, const char *text);
/* 0..63, as the jobs want it. */
int parse_crf(const struct argp_state *state, const char *text);
/* Index of `text` in the NULL-terminated `words`. */
int parse_word(const struct argp_state *state, const char *option, const char *text, const char *const *words);

#define DEMO_PACK "presenter" /* of the data folder (base/data.h) */
/* What --demo stands for: the avatar becomes DEMO_PACK, the speech its own where there is none.
 * Both paths live as long as the program. */
enum inlay_err use_demo(struct inlay_lipsync_params *params, struct inlay_error *err);

/* What a job's end has to say. Output name for people; frames and speed; figures as JSON text (taken, NULL: out of
 * memory) into their file; the exit status, `fine` where nothing failed. */
struct il_part;
const char *output_name(const char *output, const char *format);
void say_figures(const char *name, int64_t frames, double wall_s, double fps, int64_t peak_rss_bytes);
enum inlay_err write_figures(char *json, struct il_part *part, struct inlay_error *err);
int end_of_job(enum inlay_err rc, const struct inlay_error *err, const char *output, int fine);

/* "inlay: error: TEXT" on standard error; returns EXIT_FAILURE. */
int report_error(const struct inlay_error *err);
/* One line on standard error unless --quiet. */
__attribute__((format(printf, 1, 2))) void say(const char *format, ...);

/* From now on Ctrl-C, SIGTERM and SIGHUP only set a flag; a second one kills. */
void catch_interrupts(void);
/* The signal that came, or 0. */
int interrupted(void);

/* A progress line: live on a terminal, a plain line now and then otherwise. */
enum progress_mode { PROGRESS_AUTO, PROGRESS_ALWAYS, PROGRESS_NEVER };
extern const char *const progress_words[];
struct progress {
	enum progress_mode mode;
	bool live;
	bool bytes; /* are counted, and not frames; set after progress_begin */
	int64_t begun_ns, shown_ns;
};
void progress_begin(struct progress *p, enum progress_mode mode);
void progress_show(struct progress *p, int64_t done, int64_t expected);
/* Wipes a live line. */
void progress_end(struct progress *p);

#endif
