/* inlay models list | get: which matting networks there are, where they are, and fetching one. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "catalogue/catalogue.h"
#include "cli.h"

enum { OPT_JSON = 0x1000, OPT_CAFILE, OPT_PROGRESS };

static const struct argp_option options[] = {
	{ "json", OPT_JSON, 0, 0, "list: as JSON", 0 },
	{ "output", 'o', "FILE|DIR", 0, "get: where to put it, instead of the user's own folder", 0 },
	{ "overwrite", 'y', 0, 0, "get: replace a file that has other content", 0 },
	{ "cafile", OPT_CAFILE, "FILE.pem", 0,
	  "get: the authorities to trust (default: SSL_CERT_FILE, else the "
	  "system's)",
	  0 },
	{ "progress", OPT_PROGRESS, "WHEN", 0, "get: auto, always or never", 0 },
	{ 0 },
};

struct arguments {
	struct common common;
	const char *verb, *name, *output, *cafile;
	int progress;
	bool json, overwrite;
};

static void check_arguments(const struct argp_state *state, const struct arguments *a)
{
	bool gets = a->verb && !strcmp(a->verb, "get");
	if (!gets && (!a->verb || strcmp(a->verb, "list") != 0))
		argp_error(state, "expected \"list\" or \"get NAME\"");
	if (gets && !a->name)
		argp_error(state, "which model? %s get NAME (\"%s list\" shows the names)", state->name, state->name);
	if (gets && a->json)
		argp_error(state, "--json belongs to \"list\"");
	if (!gets && a->name)
		argp_error(state, "\"%s\" is one argument too many", a->name);
	if (!gets && (a->output || a->cafile || a->overwrite || a->progress))
		argp_error(state, "-o, -y, --cafile and --progress belong to \"get\"");
	if (a->output && !*a->output)
		argp_error(state, "-o: expected the name of a file or folder");
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *a = state->input;
	switch (key) {
	case ARGP_KEY_INIT: state->child_inputs[0] = &a->common; return 0;
	case OPT_JSON: a->json = true; return 0;
	case 'o': a->output = arg; return 0;
	case 'y': a->overwrite = true; return 0;
	case OPT_CAFILE: a->cafile = arg; return 0;
	case OPT_PROGRESS: a->progress = parse_word(state, "progress", arg, progress_words); return 0;
	case ARGP_KEY_ARG:
		if (state->arg_num == 0)
			a->verb = arg;
		else if (state->arg_num == 1)
			a->name = arg;
		else
			argp_error(state, "\"%s\" is one argument too many", arg);
		return 0;
	case ARGP_KEY_END: check_arguments(state, a); return 0;
	default: return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_child children[] = { { .argp = &common_argp }, { 0 } };
static const struct argp argp = {
	.options = options,
	.parser = parse,
	.args_doc = "list\nget NAME",
	.doc = "Lists the matting networks that inlay knows or finds in its folders, or fetches a public one over "
	       "HTTPS. "
	       "A transfer that was stopped is gone on with; the file appears when it is whole and its SHA-256 is "
	       "right. "
	       "INLAY_MODELS names folders to look into, INLAY_MODELS_MIRROR a folder to fetch from "
	       "(https://host/folder).",
	.children = children,
};

/* ---- list ---- */

static const struct il_model_file *find_file(const struct il_model_list *list, const char *name)
{
	for (int i = 0; i < list->file_count; i++)
		if (!strcmp(list->files[i].name, name))
			return &list->files[i];
	return NULL;
}

static void print_row(int width, const char *name, int64_t bytes, const char *licence)
{
	printf("%-*s  %7.2f MB  %-41s  ", width, name, (double)bytes / 1e6, licence);
}

static void print_known(int width, const struct il_catalogue_entry *entry, const struct il_model_file *file)
{
	print_row(width, entry->name, entry->bytes, entry->licence);
	if (!file)
		printf("not here: inlay models get %s\n", entry->name);
	else if (file->bytes != entry->bytes)
		printf("%s (%lld bytes: not the published file)\n", file->path, (long long)file->bytes);
	else
		printf("%s\n", file->path);
}

static void print_list(const struct il_model_list *list)
{
	int width = 0;
	for (const struct il_catalogue_entry *e = il_catalogue; e->name; e++)
		width = width > (int)strlen(e->name) ? width : (int)strlen(e->name);
	for (int i = 0; i < list->file_count; i++)
		width = width > (int)strlen(list->files[i].name) ? width : (int)strlen(list->files[i].name);
	for (const struct il_catalogue_entry *e = il_catalogue; e->name; e++)
		print_known(width, e, find_file(list, e->name));
	for (int i = 0; i < list->file_count; i++)
		if (!il_catalogue_find(list->files[i].name)) {
			print_row(width, list->files[i].name, list->files[i].bytes, "-");
			printf("%s\n", list->files[i].path);
		}
}

/* A string of a file's name, which need not be UTF-8. */
static json_t *to_json(const char *text)
{
	json_t *value = json_string(text);
	char *plain = value ? NULL : strdup(text);
	for (char *c = plain; c && *c; c++)
		*c = *c & 0x80 ? '?' : *c;
	if (plain)
		value = json_string(plain);
	free(plain);
	return value;
}

static json_t *known_to_json(const struct il_catalogue_entry *e, const struct il_model_file *file)
{
	return json_pack("{s:s, s:s, s:I, s:s, s:s, s:s, s:s, s:o}", "name", e->name, "what", e->what, "bytes",
	                 (json_int_t)e->bytes, "licence", e->licence, "file", e->file, "url", e->url, "sha256",
	                 e->sha256, "path", file ? to_json(file->path) : json_null());
}

/* {"folders": [...], "models": [...]}; what is not known of a model is null. */
static int print_json(const struct il_model_list *list)
{
	json_t *folders = json_array(), *models = json_array();
	for (int i = 0; i < list->folder_count; i++)
		json_array_append_new(folders, to_json(list->folders[i]));
	for (const struct il_catalogue_entry *e = il_catalogue; e->name; e++)
		json_array_append_new(models, known_to_json(e, find_file(list, e->name)));
	for (int i = 0; i < list->file_count; i++) {
		const struct il_model_file *f = &list->files[i];
		if (!il_catalogue_find(f->name))
			json_array_append_new(models,
			                      json_pack("{s:o, s:n, s:I, s:n, s:n, s:n, s:n, s:o}", "name",
			                                to_json(f->name), "what", "bytes", (json_int_t)f->bytes,
			                                "licence", "file", "url", "sha256", "path", to_json(f->path)));
	}
	json_t *root = json_pack("{s:o, s:o}", "folders", folders, "models", models);
	int failed = !root || json_dumpf(root, stdout, JSON_INDENT(2)) || putchar('\n') == EOF;
	json_decref(root);
	return failed;
}

static int list_models(const struct arguments *a)
{
	struct inlay_error err = { 0 };
	struct il_model_list list;
	int failed = 0;
	if (il_model_list_read(&list, &err))
		return report_error(&err);
	if (a->json)
		failed = print_json(&list);
	else
		print_list(&list);
	il_model_list_destroy(&list);
	if (failed || fflush(stdout) || ferror(stdout)) {
		fputs("inlay: error: cannot write the list to standard output\n", stderr);
		return EXIT_FAILURE;
	}
	return EXIT_SUCCESS;
}

/* ---- get ---- */

static bool show(void *ctx, int64_t done, int64_t expected)
{
	progress_show(ctx, done, expected);
	return !interrupted();
}

static int get_model(const struct arguments *a)
{
	struct inlay_error err = { 0 };
	struct progress progress;
	const struct il_model_get_params params = { .name = a->name,
		                                    .output = a->output,
		                                    .cafile = a->cafile,
		                                    .overwrite = a->overwrite,
		                                    .progress = show,
		                                    .ctx = &progress };
	char *path;
	bool fetched;
	catch_interrupts();
	progress_begin(&progress, a->common.verbose < 0 ? PROGRESS_NEVER : (enum progress_mode)a->progress);
	progress.bytes = true;
	enum inlay_err rc = il_model_get(&path, &fetched, &params, &err);
	progress_end(&progress);
	if (rc == INLAY_ERR_CANCELLED) {
		say("inlay: %s", err.text);
		return 128 + interrupted();
	}
	if (rc)
		return report_error(&err);
	say(fetched ? "%s: fetched, SHA-256 as published" : "%s: is here already, SHA-256 as published", path);
	free(path);
	return EXIT_SUCCESS;
}

int cmd_models(int argc, char **argv)
{
	struct arguments a = { 0 };
	parse_options(&argp, argc, argv, &a);
	return strcmp(a.verb, "get") ? list_models(&a) : get_model(&a);
}
