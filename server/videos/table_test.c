#include "server/videos/table.h"

#include <sqlite3.h>

#include "base/error.h"
#include "base/file.h"
#include "tests/test.h"

static struct inlay_error err;

static const char *fresh(void)
{
	const char *path = test_scratch("table.db");
	char other[1100];
	unlink(path);
	snprintf(other, sizeof other, "%s-wal", path);
	unlink(other);
	snprintf(other, sizeof other, "%s-shm", path);
	unlink(other);
	return path;
}

static struct table *open_fresh(void)
{
	struct table *table = NULL;
	assert_ok(table_open(&table, fresh(), &err));
	return table;
}

static void add(struct table *table, const char *id, const char *client, const char *key)
{
	struct table_row row = { .frames = 7, .start_frame = -1, .crf = 23 };
	snprintf(row.video.id, sizeof row.video.id, "%s", id);
	snprintf(row.video.avatar, sizeof row.video.avatar, "anna");
	snprintf(row.video.format, sizeof row.video.format, "webm");
	snprintf(row.video.audio_name, sizeof row.video.audio_name, "a'b\"c.wav");
	snprintf(row.client, sizeof row.client, "%s", client);
	snprintf(row.key, sizeof row.key, "%s", key);
	snprintf(row.order, sizeof row.order, "order of %s", id);
	row.video.created_unix_ms = 1000;
	assert_ok(table_add(table, &row, &err));
}

static void take(struct table *table, int64_t now_ms, const char *expected)
{
	struct table_row row;
	int64_t next;
	assert_ok(table_take(table, now_ms, &row, &next, &err));
	assert_string_equal(row.video.id, expected);
	assert_int_equal(row.video.state, VIDEO_IN_PROGRESS);
}

static void a_row_is_kept(void **state)
{
	(void)state;
	struct table *table = open_fresh();
	struct table_row row;
	add(table, "a", "client", "key");
	table_close(&table);
	assert_ok(table_open(&table, test_scratch("table.db"), &err));
	assert_ok(table_find(table, "a", &row, &err));
	assert_string_equal(row.video.avatar, "anna");
	assert_string_equal(row.video.format, "webm");
	assert_string_equal(row.video.audio_name, "a'b\"c.wav");
	assert_string_equal(row.client, "client");
	assert_string_equal(row.key, "key");
	assert_string_equal(row.order, "order of a");
	assert_int_equal(row.frames, 7);
	assert_int_equal(row.start_frame, -1);
	assert_int_equal(row.crf, 23);
	assert_int_equal(row.video.created_unix_ms, 1000);
	assert_int_equal(row.video.frames_expected, -1);
	assert_int_equal(row.video.state, VIDEO_QUEUED);
	assert_fails(table_find(table, "b", &row, &err), INLAY_ERR_NOT_FOUND, "no such video");
	assert_int_equal(table_find_key(table, "client", "key", &row, &err), INLAY_OK);
	assert_int_equal(table_find_key(table, "other", "key", &row, &err), INLAY_EOF);
	table_close(&table);
}

static void clients_take_turns(void **state)
{
	(void)state;
	struct table *table = open_fresh();
	struct table_row row;
	int64_t next;
	static const char *const ids[] = { "a1", "a2", "a3", "b1", "c1", "b2" };
	for (size_t i = 0; i < 6; i++)
		add(table, ids[i], (char[]){ ids[i][0], 0 }, "");
	take(table, 2000, "a1");
	take(table, 2000, "b1");
	take(table, 2000, "c1");
	take(table, 2000, "a2");
	/* b has nothing in progress again. */
	row.video = (struct video){ .id = "b1", .state = VIDEO_COMPLETED, .finished_unix_ms = 3000, .bytes = 5 };
	assert_ok(table_finish(table, &row.video, &err));
	take(table, 2000, "b2");
	take(table, 2000, "a3");
	assert_int_equal(table_take(table, 2000, &row, &next, &err), INLAY_EOF);
	assert_int_equal(next, 0);
	struct videos_stats stats;
	assert_ok(table_stats(table, &stats, &err));
	assert_true(stats.queued == 0 && stats.in_progress == 5 && stats.completed == 1 && stats.failed == 0);
	table_close(&table);
}

static void what_was_given_back_comes_later(void **state)
{
	(void)state;
	struct table *table = open_fresh();
	struct table_row row;
	int64_t next;
	add(table, "a", "", "");
	add(table, "b", "", "");
	take(table, 2000, "a");
	row = (struct table_row){ .video.id = "a", .attempts = 1 };
	assert_ok(table_return(table, &row, 5000, true, &err));
	assert_ok(table_find(table, "a", &row, &err));
	assert_true(row.attempts == 0 && row.refusals == 1 && row.video.started_unix_ms == 0);
	take(table, 2000, "b");
	assert_int_equal(table_take(table, 4999, &row, &next, &err), INLAY_EOF);
	assert_int_equal(next, 5000);
	take(table, 5000, "a");
	table_close(&table);
}

static void crashes_are_counted(void **state)
{
	(void)state;
	struct table *table = open_fresh();
	struct table_row row;
	add(table, "a", "", "");
	for (int i = 1; i <= TABLE_ATTEMPTS; i++) {
		take(table, 9000, "a");
		assert_ok(table_progress(table, "a", 10, 20, &err));
		assert_ok(table_find(table, "a", &row, &err));
		assert_true(row.attempts == i && row.video.frames_done == 10 && row.video.frames_expected == 20);
		table_close(&table);
		assert_ok(table_open(&table, test_scratch("table.db"), &err));
		assert_ok(table_recover(table, 8000, &err));
		assert_ok(table_find(table, "a", &row, &err));
		assert_int_equal(row.video.state, i < TABLE_ATTEMPTS ? VIDEO_QUEUED : VIDEO_FAILED);
	}
	assert_non_null(strstr(row.video.error, "ended unexpectedly"));
	assert_int_equal(row.video.finished_unix_ms, 8000);
	table_close(&table);
}

static int attempts_of(struct table *table, const char *id)
{
	struct table_row row;
	assert_ok(table_find(table, id, &row, &err));
	return row.attempts;
}

/* Stops are no crashes, and no more than one attempt is given back for one. */
static void stops_are_not_counted(void **state)
{
	(void)state;
	struct table *table = open_fresh();
	struct table_row row = { .video.id = "a" };
	add(table, "a", "", "");
	add(table, "b", "", "");
	take(table, 9000, "a");
	assert_ok(table_recover(table, 8000, &err));
	for (int i = 0; i < 2 * TABLE_ATTEMPTS; i++) {
		take(table, 9000, i ? "a" : "b");
		take(table, 9000, i ? "b" : "a");
		assert_int_equal(attempts_of(table, "a"), 2);
		assert_int_equal(attempts_of(table, "b"), 1);
		assert_ok(table_uncount(table, &err));
		assert_int_equal(attempts_of(table, "a"), 1);
		assert_int_equal(attempts_of(table, "b"), 0);
		row.attempts = 2;
		if (i % 2)
			assert_ok(table_return(table, &row, 100, false, &err));
		assert_ok(table_recover(table, 8000, &err));
		assert_int_equal(attempts_of(table, "a"), 1);
		assert_int_equal(attempts_of(table, "b"), 0);
	}
	table_close(&table);
}

static void lists_go_back_in_time(void **state)
{
	(void)state;
	struct table *table = open_fresh();
	struct video list[4];
	size_t n = 2;
	add(table, "a", "", "");
	add(table, "b", "", "");
	add(table, "c", "", "");
	assert_ok(table_list(table, NULL, list, &n, &err));
	assert_true(n == 2 && !strcmp(list[0].id, "c") && !strcmp(list[1].id, "b"));
	n = 4;
	assert_ok(table_list(table, "b", list, &n, &err));
	assert_true(n == 1 && !strcmp(list[0].id, "a"));
	n = 4;
	assert_ok(table_remove(table, "a", &err));
	assert_fails(table_list(table, "a", list, &n, &err), INLAY_ERR_NOT_FOUND, "no such video");
	assert_int_equal(n, 0);
	table_close(&table);
}

static void the_oldest_finished_one_is_found(void **state)
{
	(void)state;
	struct table *table = open_fresh();
	struct table_row row;
	add(table, "a", "", "");
	add(table, "b", "", "");
	take(table, 2000, "a");
	row.video = (struct video){ .id = "a", .state = VIDEO_FAILED, .finished_unix_ms = 3000, .error = "why" };
	assert_ok(table_finish(table, &row.video, &err));
	assert_int_equal(table_oldest(table, 3000, &row, &err), INLAY_EOF);
	assert_ok(table_oldest(table, 3001, &row, &err));
	assert_string_equal(row.video.id, "a");
	assert_string_equal(row.video.error, "why");
	table_close(&table);
}

static void run_sql(const char *path, const char *sql)
{
	sqlite3 *db;
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

static void errors_are_text(void **state)
{
	(void)state;
	struct table *table = open_fresh();
	struct table_row row;
	char text[] = "caf\xc3\xa9 \xff\x80\n\xf0\x9f\x98";
	table_clean_text(text);
	assert_string_equal(text, "caf\xc3\xa9 ???\?\?\?");
	add(table, "a", "", "");
	table_close(&table);
	run_sql(test_scratch("table.db"), "UPDATE videos SET error = CAST(x'61ff0a62' AS TEXT)");
	assert_ok(table_open(&table, test_scratch("table.db"), &err));
	assert_ok(table_find(table, "a", &row, &err));
	assert_string_equal(row.video.error, "a??b");
	table_close(&table);
}

static void other_tables_are_refused(void **state)
{
	(void)state;
	struct table *table = open_fresh();
	const char *path = test_scratch("table.db");
	add(table, "a", "", "");
	table_close(&table);
	run_sql(path, "PRAGMA user_version = 2");
	assert_fails(table_open(&table, path, &err), INLAY_ERR_UNSUPPORTED, "made by a newer inlay");
	assert_null(table);
	run_sql(path, "PRAGMA application_id = 5");
	assert_fails(table_open(&table, path, &err), INLAY_ERR_FORMAT, "another program");
	fresh();
	/* Not a byte of another program's is changed. */
	struct il_bytes before, after;
	run_sql(path, "CREATE TABLE notes (text)");
	assert_ok(il_file_read(path, 1 << 20, &before, &err));
	assert_fails(table_open(&table, path, &err), INLAY_ERR_FORMAT, "another program");
	assert_ok(il_file_read(path, 1 << 20, &after, &err));
	assert_int_equal(after.size, before.size);
	assert_memory_equal(after.data, before.data, before.size);
	il_bytes_destroy(&before);
	il_bytes_destroy(&after);
	fresh();
	assert_ok(il_file_write(path, "this is text", 12, true, &err));
	assert_fails(table_open(&table, path, &err), INLAY_ERR_FORMAT, "damaged");
	fresh();
	assert_fails(table_open(&table, "/nowhere/table.db", &err), INLAY_ERR_IO, "unable to open");
}

/* Wherever bytes are wrong: an error or a table, and no crash. */
static void damage_is_no_disaster(void **state)
{
	(void)state;
	struct table *table = open_fresh();
	const char *path = test_scratch("table.db");
	for (int i = 0; i < 40; i++)
		add(table, (char[]){ 'a', (char)('0' + i), 0 }, "x", "");
	table_close(&table);
	struct il_bytes whole;
	assert_ok(il_file_read(path, 1 << 20, &whole, &err));
	unsigned refused = 0;
	for (int round = 0; round < 60; round++) {
		struct videos_stats stats;
		struct table_row row;
		int64_t next;
		fresh();
		FILE *file = fopen(path, "wb");
		assert_non_null(file);
		size_t place = test_random() % whole.size, n = 1 + test_random() % 2048;
		for (size_t i = 0; i < whole.size; i++)
			fputc(i >= place && i < place + n ? (int)(test_random() & 255) : whole.data[i], file);
		fclose(file);
		struct inlay_error fault = { 0 };
		enum inlay_err rc = table_open(&table, path, &fault);
		if (!rc)
			rc = table_recover(table, 1, &fault);
		if (!rc)
			rc = table_stats(table, &stats, &fault);
		if (!rc)
			rc = table_take(table, 5000, &row, &next, &fault);
		refused += il_is_fault(rc);
		assert_true(!il_is_fault(rc) || fault.text[0]);
		table_close(&table);
	}
	assert_true(refused > 5);
	il_bytes_destroy(&whole);
	fresh();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_row_is_kept),
		cmocka_unit_test(clients_take_turns),
		cmocka_unit_test(what_was_given_back_comes_later),
		cmocka_unit_test(crashes_are_counted),
		cmocka_unit_test(stops_are_not_counted),
		cmocka_unit_test(errors_are_text),
		cmocka_unit_test(lists_go_back_in_time),
		cmocka_unit_test(the_oldest_finished_one_is_found),
		cmocka_unit_test(other_tables_are_refused),
		cmocka_unit_test(damage_is_no_disaster),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
