#include "server/metrics.h"

#include <ctype.h>
#include <math.h>
#include <pthread.h>
#include <stdbool.h>

#include "tests/test.h"

static struct inlay_error err;

static char *text_of(struct metrics *metrics)
{
	struct il_bytes text;
	struct inlay_error error = { 0 }; /* called by many threads */
	assert_int_equal(metrics_text(metrics, &text, &error), INLAY_OK);
	assert_int_equal(strlen((char *)text.data), text.size);
	return (char *)text.data;
}

static void assert_line(const char *text, const char *line)
{
	char whole[512];
	snprintf(whole, sizeof whole, "\n%s\n", line);
	if (!strstr(text, whole) && strncmp(text, whole + 1, strlen(whole + 1)) != 0)
		fail_msg("no line \"%s\" in\n%s", line, text);
}

/* --- a reader of the format, as strict as promtool --- */

struct sample {
	char name[128], labels[512], le[32]; /* labels: without le, as they stand */
	double value;
};

static const char *read_name(const char *s, char *name)
{
	size_t n = 0;
	assert_true(isalpha((unsigned char)*s) || *s == '_');
	while (isalnum((unsigned char)*s) || *s == '_')
		name[n++] = *s++;
	name[n] = 0;
	return s;
}

static const char *read_label(const char *s, struct sample *sample)
{
	char name[128], value[512];
	size_t n = 0;
	s = read_name(s, name);
	assert_true(s[0] == '=' && s[1] == '"');
	for (s += 2; *s != '"'; s++) {
		assert_true(*s && *s != '\n');
		if (*s == '\\') {
			assert_non_null(strchr("\\\"n", s[1]));
			value[n++] = *s++;
		}
		value[n++] = *s;
	}
	value[n] = 0;
	if (!strcmp(name, "le"))
		snprintf(sample->le, sizeof sample->le, "%s", value);
	else
		snprintf(sample->labels + strlen(sample->labels), sizeof sample->labels - strlen(sample->labels),
		         "%s=%s;", name, value);
	return s + 1;
}

static void read_sample(const char *line, struct sample *sample)
{
	*sample = (struct sample){ 0 };
	const char *s = read_name(line, sample->name);
	if (*s == '{') {
		do
			s = read_label(s + 1, sample);
		while (*s == ',');
		assert_int_equal(*s++, '}');
	}
	assert_int_equal(*s++, ' ');
	char *end;
	sample->value = strtod(s, &end);
	assert_true(end > s && *end == 0);
}

static bool is_part_of(const char *name, const char *family, const char *type)
{
	size_t n = strlen(family);
	if (strncmp(name, family, n))
		return false;
	const char *suffix = name + n;
	return strcmp(type, "histogram")
	               ? !*suffix
	               : !strcmp(suffix, "_bucket") || !strcmp(suffix, "_sum") || !strcmp(suffix, "_count");
}

/* A histogram's samples of one label stand together: buckets that grow up to +Inf, the sum, the count. */
static void check_histogram(const struct sample *sample, const char *family, struct sample *before)
{
	const char *suffix = sample->name + strlen(family);
	if (!strcmp(suffix, "_bucket")) {
		double le = !strcmp(sample->le, "+Inf") ? INFINITY : strtod(sample->le, NULL);
		if (before->le[0] && strcmp(before->le, "+Inf")) {
			assert_string_equal(before->labels, sample->labels);
			assert_true(le > strtod(before->le, NULL));
			assert_true(sample->value >= before->value);
		} else {
			assert_true(le > 0);
		}
		*before = *sample;
		return;
	}
	assert_string_equal(before->le, "+Inf");
	assert_string_equal(before->labels, sample->labels);
	if (!strcmp(suffix, "_count"))
		assert_true(sample->value == before->value);
}

static unsigned check_text(const char *text)
{
	static struct sample samples[8192];
	unsigned n = 0, families = 0;
	char family[128] = "", type[32] = "", *copy = strdup(text), *rest = copy;
	struct sample before = { 0 };
	char(*seen)[128] = calloc(256, sizeof *seen);
	assert_true(*text && text[strlen(text) - 1] == '\n');
	for (char *line; (line = strsep(&rest, "\n")) && rest;) {
		if (!strncmp(line, "# HELP ", 7)) {
			assert_int_equal(*read_name(line + 7, family), ' ');
			for (unsigned i = 0; i < families; i++)
				assert_string_not_equal(seen[i], family);
			memcpy(seen[families++], family, sizeof family);
			type[0] = 0;
			continue;
		}
		if (!strncmp(line, "# TYPE ", 7)) {
			char name[128];
			const char *s = read_name(line + 7, name);
			assert_string_equal(name, family);
			snprintf(type, sizeof type, "%s", s + 1);
			assert_true(!strcmp(type, "counter") || !strcmp(type, "gauge") || !strcmp(type, "histogram"));
			before = (struct sample){ 0 };
			continue;
		}
		struct sample *sample = &samples[n];
		read_sample(line, sample);
		assert_true(is_part_of(sample->name, family, type));
		for (unsigned i = 0; i < n; i++)
			assert_true(strcmp(samples[i].name, sample->name) ||
			            strcmp(samples[i].labels, sample->labels) || strcmp(samples[i].le, sample->le));
		if (!strcmp(type, "histogram"))
			check_histogram(sample, family, &before);
		n++;
	}
	free(copy);
	free(seen);
	return n;
}

/* --- tests --- */

static void test_text(void **state)
{
	(void)state;
	struct metrics *metrics;
	assert_ok(metrics_create(&metrics, &err));
	struct metric *count =
		metrics_add(metrics, METRICS_COUNTER, "inlay_frames_total", "Frames\nand a \\ \"b\".", NULL);
	struct metric *gauge = metrics_add(metrics, METRICS_GAUGE, "inlay_level", "A level.", "where");
	struct metric *times = metrics_add(metrics, METRICS_HISTOGRAM, "inlay_took_seconds", "How long.", "what");
	char *text = text_of(metrics);
	assert_string_equal(text, "# HELP inlay_frames_total Frames\\nand a \\\\ \"b\".\n# TYPE inlay_frames_total "
	                          "counter\ninlay_frames_total 0\n");
	free(text);

	metric_count(count, NULL, 5);
	metric_count(count, NULL, 9007199254740993);
	metric_count(count, NULL, -3); /* a counter never falls */
	metric_set(gauge, "here", 0.1);
	metric_set(gauge, "here", 0.25);
	metric_set(gauge, "there", -INFINITY);
	metric_set(gauge, "nan", NAN);
	metric_set(gauge, "third", 1.0 / 3);
	metric_observe_ns(times, "a", 500000); /* 0.0005 s: a bound belongs to its bucket */
	metric_observe_ns(times, "a", 500001);
	metric_observe_ns(times, "a", 61000000000);
	metric_observe_ns(times, "a", -1);
	text = text_of(metrics);
	check_text(text);
	assert_line(text, "inlay_frames_total 9007199254740998");
	assert_line(text, "inlay_level{where=\"here\"} 0.25");
	assert_line(text, "inlay_level{where=\"there\"} -Inf");
	assert_line(text, "inlay_level{where=\"nan\"} NaN");
	assert_line(text, "inlay_level{where=\"third\"} 0.33333333333333331");
	assert_line(text, "inlay_took_seconds_bucket{what=\"a\",le=\"0.0005\"} 2");
	assert_line(text, "inlay_took_seconds_bucket{what=\"a\",le=\"0.001\"} 3");
	assert_line(text, "inlay_took_seconds_bucket{what=\"a\",le=\"60\"} 3");
	assert_line(text, "inlay_took_seconds_bucket{what=\"a\",le=\"+Inf\"} 4");
	assert_line(text, "inlay_took_seconds_sum{what=\"a\"} 61.001000001");
	assert_line(text, "inlay_took_seconds_count{what=\"a\"} 4");
	free(text);
	metrics_destroy(&metrics);
	assert_null(metrics);
	metrics_destroy(&metrics);
}

static void test_hostile_labels(void **state)
{
	(void)state;
	static const char *const values[][2] = {
		{ "a\"b\\c\nd", "a\\\"b\\\\c\\nd" },
		{ "", "" },
		{ "}\" 1\nevil 2", "}\\\" 1\\nevil 2" },
		{ "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80" },
		{ "x\xffy\xc0\xaf", "x?y??" },  /* not UTF-8; a / that is too long */
		{ "\xed\xa0\x80|", "???|" },    /* a surrogate */
		{ "\xf4\x90\x80\x80", "????" }, /* past the last */
		{ "cut\xe2\x82", "cut??" },
	};
	struct metrics *metrics;
	assert_ok(metrics_create(&metrics, &err));
	struct metric *count = metrics_add(metrics, METRICS_COUNTER, "requests_total", "", "client");
	for (size_t i = 0; i < sizeof values / sizeof *values; i++)
		metric_count(count, values[i][0], (int64_t)i + 1);
	char endless[1000];
	memset(endless, 'x', sizeof endless);
	endless[sizeof endless - 1] = 0;
	metric_count(count, endless, 1);
	memcpy(endless + 127, "\xe2\x82\xac", 3); /* does not fit whole */
	metric_count(count, endless, 1);
	char *text = text_of(metrics);
	check_text(text);
	for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
		char line[256];
		snprintf(line, sizeof line, "requests_total{client=\"%s\"} %zu", values[i][1], i + 1);
		assert_line(text, line);
	}
	char line[256];
	endless[128] = endless[127] = 'x';
	snprintf(line, sizeof line, "requests_total{client=\"%.128s\"} 1", endless);
	assert_line(text, line);
	snprintf(line, sizeof line, "requests_total{client=\"%.127s\"} 1", endless);
	assert_line(text, line);
	free(text);
	metrics_destroy(&metrics);
}

static void test_too_many_values(void **state)
{
	(void)state;
	struct metrics *metrics;
	assert_ok(metrics_create(&metrics, &err));
	struct metric *count = metrics_add(metrics, METRICS_COUNTER, "c", "", "client");
	for (int i = 0; i < 1000; i++) {
		char value[16];
		snprintf(value, sizeof value, "v%d", i % 500);
		metric_count(count, value, 1);
	}
	char *text = text_of(metrics);
	assert_int_equal(check_text(text), 65);
	assert_line(text, "c{client=\"v63\"} 2");
	assert_line(text, "c{client=\"other\"} 872");
	free(text);
	metrics_destroy(&metrics);
}

static void test_adding(void **state)
{
	(void)state;
	struct metrics *metrics;
	assert_ok(metrics_create(&metrics, &err));
	struct metric *one = metrics_add(metrics, METRICS_COUNTER, "one", "One.", NULL);
	assert_ptr_equal(metrics_add(metrics, METRICS_GAUGE, "one", "Another.", "label"), one);
	assert_null(metrics_add(metrics, METRICS_COUNTER, "", "", NULL));
	assert_null(metrics_add(metrics, METRICS_COUNTER, "1st", "", NULL));
	assert_null(metrics_add(metrics, METRICS_COUNTER, "a b", "", NULL));
	assert_null(metrics_add(metrics, METRICS_COUNTER, "a", "", "b-c"));
	assert_null(metrics_add(NULL, METRICS_COUNTER, "a", "", NULL));
	metric_count(NULL, NULL, 1);
	metric_set(NULL, "x", 1);
	metric_observe_ns(NULL, NULL, 1);
	metric_set(one, NULL, 1);
	metric_observe_ns(one, NULL, 1);
	metric_count(one, "ignored", 1);
	char *text = text_of(metrics);
	assert_string_equal(text, "# HELP one One.\n# TYPE one counter\none 1\n");
	free(text);
	metrics_destroy(&metrics);
}

static void set_seven(void *metric)
{
	metric_set(metric, NULL, 7);
}

static struct metrics *shared;

static void *record(void *number)
{
	struct metric *count = metrics_add(shared, METRICS_COUNTER, "count_total", "", "who");
	struct metric *times = metrics_add(shared, METRICS_HISTOGRAM, "times_seconds", "", NULL);
	for (int i = 0; i < 3000; i++) {
		char who[16], name[16];
		snprintf(who, sizeof who, "w%d", (i * 7 + (int)(intptr_t)number) % 80);
		metric_count(count, who, 1);
		metric_observe_ns(times, NULL, i * 1000);
		if (i % 300 == 0) {
			snprintf(name, sizeof name, "extra_%d", i / 300);
			metric_set(metrics_add(shared, METRICS_GAUGE, name, "", NULL), NULL, i);
			free(text_of(shared));
		}
	}
	return NULL;
}

static void test_threads(void **state)
{
	(void)state;
	assert_ok(metrics_create(&shared, &err));
	struct metric *seven = metrics_add(shared, METRICS_GAUGE, "seven", "", NULL);
	metrics_on_read(shared, set_seven, seven);
	pthread_t threads[6];
	for (int i = 0; i < 6; i++)
		pthread_create(&threads[i], NULL, record, (void *)(intptr_t)i);
	for (int i = 0; i < 6; i++)
		pthread_join(threads[i], NULL);
	char *text = text_of(shared), *line;
	check_text(text);
	long long sum = 0;
	for (line = text; (line = strstr(line, "\ncount_total{")); line++)
		sum += atoll(strchr(line, ' '));
	assert_int_equal(sum, 6 * 3000);
	assert_line(text, "times_seconds_count 18000");
	assert_line(text, "times_seconds_sum 26.991000000");
	assert_line(text, "seven 7");
	assert_line(text, "extra_9 2700");
	free(text);
	metrics_destroy(&shared);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_hostile_labels),
		cmocka_unit_test(test_too_many_values),
		cmocka_unit_test(test_adding),
		cmocka_unit_test(test_threads),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
