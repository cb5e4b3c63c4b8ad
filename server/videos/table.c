#include "server/videos/table.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/utf8.h"

#define APPLICATION_ID 0x696e6c79 /* "inly" */
#define VERSION 1
#define BUSY_MS 5000

#define COLUMNS                                                                                                        \
	"id, client, key, ordered, state, attempts, refusals, avatar, format, audio_name, frames, start_frame, crf, "  \
	"frames_done, frames_expected, created, started, finished, bytes, error"

/* Each is prepared once. */
#define STATEMENTS(X)                                                                                                  \
	X(BEGIN, "BEGIN IMMEDIATE")                                                                                    \
	X(COMMIT, "COMMIT")                                                                                            \
	X(ROLLBACK, "ROLLBACK")                                                                                        \
	X(LAZY, "PRAGMA synchronous = NORMAL")                                                                         \
	X(FULL, "PRAGMA synchronous = FULL")                                                                           \
	X(FAIL_OFTEN, "UPDATE videos SET state = 3, finished = ?1, error = ?3 WHERE state = 1 AND attempts >= ?2")     \
	X(QUEUE_AGAIN, "UPDATE videos SET state = 0, due = ?1, started = 0, frames_done = 0 WHERE state = 1")          \
	X(ADD, "INSERT INTO videos (" COLUMNS ", due) VALUES "                                                         \
	       "(?1,?2,?3,?4,0,0,0,?5,?6,?7,?8,?9,?10,0,-1,?11,0,0,0,'',?11)")                                         \
	X(FIND, "SELECT " COLUMNS " FROM videos WHERE id = ?1")                                                        \
	X(FIND_KEY, "SELECT " COLUMNS " FROM videos WHERE client = ?1 AND key = ?2")                                   \
	X(NUMBER, "SELECT number FROM videos WHERE id = ?1")                                                           \
	X(LIST, "SELECT " COLUMNS " FROM videos WHERE number < ?1 ORDER BY number DESC LIMIT ?2")                      \
	X(STATS, "SELECT state, count(*) FROM videos GROUP BY state")                                                  \
	X(NEXT, "SELECT " COLUMNS " FROM videos v WHERE state = 0 AND due <= ?1 ORDER BY "                             \
	        "(SELECT count(*) FROM videos r WHERE r.state = 1 AND r.client = v.client), due, number LIMIT 1")      \
	X(DUE, "SELECT min(due) FROM videos WHERE state = 0")                                                          \
	X(TAKE, "UPDATE videos SET state = 1, attempts = attempts + 1, started = ?2, frames_done = 0 WHERE id = ?1")   \
	X(PROGRESS, "UPDATE videos SET frames_done = ?2, frames_expected = ?3 WHERE id = ?1")                          \
	X(FINISH, "UPDATE videos SET state = ?2, finished = ?3, bytes = ?4, error = ?5, frames_done = ?6, "            \
	          "frames_expected = ?7 WHERE id = ?1")                                                                \
	X(RETURN, "UPDATE videos SET state = 0, attempts = min(attempts, max(?4, 0)), started = 0, frames_done = 0, "  \
	          "due = ?2, refusals = refusals + ?3 WHERE id = ?1 AND state = 1")                                    \
	X(UNCOUNT, "UPDATE videos SET attempts = max(attempts - 1, 0) WHERE state = 1")                                \
	X(REMOVE, "DELETE FROM videos WHERE id = ?1")                                                                  \
	X(OLDEST, "SELECT " COLUMNS " FROM videos WHERE state >= 2 AND finished < ?1 ORDER BY finished LIMIT 1")

#define NAME(name, sql) name,
#define SQL(name, sql) sql,
enum statement { STATEMENTS(NAME) N_STATEMENTS };
static const char *const statements[] = { STATEMENTS(SQL) };

/* `number` counts orders and never comes again: it is the order of the list. */
static const char schema[] = "CREATE TABLE videos ("
			     "number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, client TEXT NOT NULL, "
			     "key TEXT, ordered TEXT NOT NULL, state INTEGER NOT NULL, attempts INTEGER NOT NULL, "
			     "refusals INTEGER NOT NULL, due INTEGER NOT NULL, avatar TEXT NOT NULL, "
			     "format TEXT NOT NULL, audio_name TEXT NOT NULL, frames INTEGER NOT NULL, "
			     "start_frame INTEGER NOT NULL, crf INTEGER NOT NULL, frames_done INTEGER NOT NULL, "
			     "frames_expected INTEGER NOT NULL, created INTEGER NOT NULL, started INTEGER NOT NULL, "
			     "finished INTEGER NOT NULL, bytes INTEGER NOT NULL, error TEXT NOT NULL) STRICT;"
			     "CREATE UNIQUE INDEX videos_key ON videos (client, key) WHERE key IS NOT NULL;"
			     "CREATE INDEX videos_state ON videos (state, client);"
			     "CREATE INDEX videos_finished ON videos (finished) WHERE state >= 2;";

struct table {
	sqlite3 *db;
	char *path;
	sqlite3_stmt *prepared[N_STATEMENTS];
};

/* ---- SQLite ---- */

static enum inlay_err fail_sql(const struct table *table, struct inlay_error *err)
{
	int code = sqlite3_extended_errcode(table->db), kind = code & 0xff;
	const char *text = sqlite3_errmsg(table->db);
	switch (kind) {
	case SQLITE_NOMEM: return il_fail_memory(err);
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return il_fail(err, INLAY_ERR_FORMAT, "%s: the table of videos is damaged: %s", table->path, text);
	case SQLITE_FULL: return il_fail(err, INLAY_ERR_IO, "%s: the disk is full", table->path);
	case SQLITE_BUSY: return il_fail(err, INLAY_ERR_IO, "%s: another program keeps it locked", table->path);
	default: return il_fail(err, INLAY_ERR_IO, "%s: %s (SQLite %d)", table->path, text, code);
	}
}

static enum inlay_err run_text(struct table *table, const char *sql, struct inlay_error *err)
{
	return sqlite3_exec(table->db, sql, NULL, NULL, NULL) == SQLITE_OK ? INLAY_OK : fail_sql(table, err);
}

/* INLAY_OK with a row, INLAY_EOF after the last. An error ends the statement. */
static enum inlay_err step(struct table *table, enum statement which, struct inlay_error *err)
{
	switch (sqlite3_step(table->prepared[which])) {
	case SQLITE_ROW: return INLAY_OK;
	case SQLITE_DONE: return INLAY_EOF;
	default: return fail_sql(table, err);
	}
}

static void reset(struct table *table, enum statement which)
{
	sqlite3_reset(table->prepared[which]);
	sqlite3_clear_bindings(table->prepared[which]);
}

/* To the end of a statement without rows. */
static enum inlay_err finish(struct table *table, enum statement which, struct inlay_error *err)
{
	enum inlay_err rc;
	do
		rc = step(table, which, err);
	while (!rc);
	reset(table, which);
	return rc == INLAY_EOF ? INLAY_OK : rc;
}

static void bind_text(struct table *table, enum statement which, int i, const char *text)
{
	sqlite3_bind_text(table->prepared[which], i, text, -1, SQLITE_TRANSIENT);
}

static void bind_number(struct table *table, enum statement which, int i, int64_t number)
{
	sqlite3_bind_int64(table->prepared[which], i, number);
}

static void read_text(sqlite3_stmt *statement, int i, char *to, size_t size)
{
	const unsigned char *text = sqlite3_column_text(statement, i);
	snprintf(to, size, "%s", text ? (const char *)text : "");
}

void table_clean_text(char *text)
{
	for (size_t n; *text; text += n ? n : 1) {
		n = il_utf8_bytes(text);
		if (!n || (unsigned char)*text < 0x20 || *text == 0x7f)
			*text = '?';
	}
}

static void read_row(sqlite3_stmt *s, struct table_row *row)
{
	struct video *v = &row->video;
	*row = (struct table_row){
		.attempts = sqlite3_column_int(s, 5),
		.refusals = sqlite3_column_int(s, 6),
		.frames = sqlite3_column_int64(s, 10),
		.start_frame = sqlite3_column_int64(s, 11),
		.crf = sqlite3_column_int(s, 12),
		.video = { .state = (enum video_state)sqlite3_column_int(s, 4),
		           .frames_done = sqlite3_column_int64(s, 13),
		           .frames_expected = sqlite3_column_int64(s, 14),
		           .created_unix_ms = sqlite3_column_int64(s, 15),
		           .started_unix_ms = sqlite3_column_int64(s, 16),
		           .finished_unix_ms = sqlite3_column_int64(s, 17),
		           .bytes = sqlite3_column_int64(s, 18) },
	};
	read_text(s, 0, v->id, sizeof v->id);
	read_text(s, 1, row->client, sizeof row->client);
	read_text(s, 2, row->key, sizeof row->key);
	read_text(s, 3, row->order, sizeof row->order);
	read_text(s, 7, v->avatar, sizeof v->avatar);
	read_text(s, 8, v->format, sizeof v->format);
	read_text(s, 9, v->audio_name, sizeof v->audio_name);
	read_text(s, 19, v->error, sizeof v->error);
	table_clean_text(v->error); /* older versions kept whatever bytes there were */
}

/* The one row of a statement that is bound: INLAY_EOF where there is none. */
static enum inlay_err read_one(struct table *table, enum statement which, struct table_row *row,
                               struct inlay_error *err)
{
	enum inlay_err rc = step(table, which, err);
	if (!rc)
		read_row(table->prepared[which], row);
	reset(table, which);
	return rc;
}

/* The first number of a row, 0 where there is none. */
static enum inlay_err read_number(struct table *table, enum statement which, int64_t *number, struct inlay_error *err)
{
	enum inlay_err rc = step(table, which, err);
	*number = rc ? 0 : sqlite3_column_int64(table->prepared[which], 0);
	reset(table, which);
	return il_is_fault(rc) ? rc : INLAY_OK;
}

/* ---- opening ---- */

static enum inlay_err read_pragma(struct table *table, const char *sql, char *text, size_t size,
                                  struct inlay_error *err)
{
	sqlite3_stmt *statement = NULL;
	if (sqlite3_prepare_v2(table->db, sql, -1, &statement, NULL) != SQLITE_OK)
		return fail_sql(table, err);
	enum inlay_err rc = INLAY_OK;
	if (sqlite3_step(statement) == SQLITE_ROW)
		read_text(statement, 0, text, size);
	else
		rc = fail_sql(table, err);
	sqlite3_finalize(statement);
	return rc;
}

static enum inlay_err read_pragma_number(struct table *table, const char *sql, long *number, struct inlay_error *err)
{
	char text[32] = "";
	enum inlay_err rc = read_pragma(table, sql, text, sizeof text, err);
	*number = strtol(text, NULL, 10);
	return rc;
}

static enum inlay_err make_schema(struct table *table, struct inlay_error *err)
{
	char marks[128];
	snprintf(marks, sizeof marks, "PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT", APPLICATION_ID,
	         VERSION);
	enum inlay_err rc = run_text(table, "BEGIN IMMEDIATE", err);
	if (!rc)
		rc = run_text(table, schema, err);
	if (!rc)
		rc = run_text(table, marks, err);
	return rc;
}

static enum inlay_err check_schema(struct table *table, struct inlay_error *err)
{
	long owner, version, tables;
	char health[256] = "";
	enum inlay_err rc = read_pragma_number(table, "PRAGMA application_id", &owner, err);
	if (!rc)
		rc = read_pragma_number(table, "PRAGMA user_version", &version, err);
	if (!rc)
		rc = read_pragma_number(table, "SELECT count(*) FROM sqlite_schema", &tables, err);
	if (rc)
		return rc;
	if (!owner && !version && !tables)
		return make_schema(table, err);
	if (owner != APPLICATION_ID)
		return il_fail(err, INLAY_ERR_FORMAT, "%s: is the database of another program", table->path);
	if (version > VERSION)
		return il_fail(err, INLAY_ERR_UNSUPPORTED,
		               "%s: made by a newer inlay (version %ld of the table; this one knows %d)", table->path,
		               version, VERSION);
	rc = read_pragma(table, "PRAGMA quick_check(1)", health, sizeof health, err);
	if (!rc && strcmp(health, "ok"))
		return il_fail(err, INLAY_ERR_FORMAT, "%s: the table of videos is damaged: %s", table->path, health);
	return rc;
}

static enum inlay_err prepare(struct table *table, struct inlay_error *err)
{
	for (int i = 0; i < N_STATEMENTS; i++)
		if (sqlite3_prepare_v3(table->db, statements[i], -1, SQLITE_PREPARE_PERSISTENT, &table->prepared[i],
		                       NULL) != SQLITE_OK)
			return fail_sql(table, err);
	return INLAY_OK;
}

static enum inlay_err open_table(struct table *table, const char *path, struct inlay_error *err)
{
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE;
	table->path = strdup(path);
	if (!table->path)
		return il_fail_memory(err);
	if (sqlite3_open_v2(path, &table->db, flags, NULL) != SQLITE_OK)
		return table->db ? fail_sql(table, err) : il_fail_memory(err);
	sqlite3_busy_timeout(table->db, BUSY_MS);
	/* What a damaged file says of itself is not trusted. */
	sqlite3_db_config(table->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_db_config(table->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	/* Only then: the mode is written into the file, whosever it is. */
	enum inlay_err rc = check_schema(table, err);
	if (!rc)
		rc = run_text(table, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL", err);
	return rc ? rc : prepare(table, err);
}

enum inlay_err table_open(struct table **out, const char *path, struct inlay_error *err)
{
	*out = NULL;
	struct table *table = calloc(1, sizeof *table);
	if (!table)
		return il_fail_memory(err);
	enum inlay_err rc = open_table(table, path, err);
	if (rc)
		table_close(&table);
	*out = table;
	return rc;
}

void table_close(struct table **slot)
{
	struct table *table = *slot;
	if (!table)
		return;
	*slot = NULL;
	for (int i = 0; i < N_STATEMENTS; i++)
		sqlite3_finalize(table->prepared[i]);
	sqlite3_close(table->db);
	free(table->path);
	free(table);
}

/* ---- writing ---- */

/* Ends what BEGIN began, for good or, after an error, for nothing. */
static enum inlay_err end(struct table *table, enum inlay_err rc, struct inlay_error *err)
{
	if (!rc)
		rc = finish(table, COMMIT, err);
	if (rc && !sqlite3_get_autocommit(table->db))
		finish(table, ROLLBACK, NULL);
	return rc;
}

enum inlay_err table_recover(struct table *table, int64_t now_ms, struct inlay_error *err)
{
	enum inlay_err rc = finish(table, BEGIN, err);
	if (rc)
		return rc;
	bind_number(table, FAIL_OFTEN, 1, now_ms);
	bind_number(table, FAIL_OFTEN, 2, TABLE_ATTEMPTS);
	bind_text(table, FAIL_OFTEN, 3, "the server ended unexpectedly each time it was rendered");
	rc = finish(table, FAIL_OFTEN, err);
	bind_number(table, QUEUE_AGAIN, 1, now_ms);
	if (!rc)
		rc = finish(table, QUEUE_AGAIN, err);
	return end(table, rc, err);
}

enum inlay_err table_add(struct table *table, const struct table_row *row, struct inlay_error *err)
{
	const struct video *v = &row->video;
	bind_text(table, ADD, 1, v->id);
	bind_text(table, ADD, 2, row->client);
	bind_text(table, ADD, 3, *row->key ? row->key : NULL);
	bind_text(table, ADD, 4, row->order);
	bind_text(table, ADD, 5, v->avatar);
	bind_text(table, ADD, 6, v->format);
	bind_text(table, ADD, 7, v->audio_name);
	bind_number(table, ADD, 8, row->frames);
	bind_number(table, ADD, 9, row->start_frame);
	bind_number(table, ADD, 10, row->crf);
	bind_number(table, ADD, 11, v->created_unix_ms);
	return finish(table, ADD, err);
}

enum inlay_err table_take(struct table *table, int64_t now_ms, struct table_row *row, int64_t *next_ms,
                          struct inlay_error *err)
{
	*next_ms = 0;
	bind_number(table, NEXT, 1, now_ms);
	enum inlay_err rc = read_one(table, NEXT, row, err);
	if (rc == INLAY_EOF) {
		rc = read_number(table, DUE, next_ms, err);
		return rc ? rc : INLAY_EOF;
	}
	if (rc)
		return rc;
	row->video.state = VIDEO_IN_PROGRESS;
	row->video.started_unix_ms = now_ms;
	row->attempts++;
	bind_text(table, TAKE, 1, row->video.id);
	bind_number(table, TAKE, 2, now_ms);
	return finish(table, TAKE, err);
}

enum inlay_err table_progress(struct table *table, const char *id, int64_t done, int64_t expected,
                              struct inlay_error *err)
{
	enum inlay_err rc = finish(table, LAZY, err);
	bind_text(table, PROGRESS, 1, id);
	bind_number(table, PROGRESS, 2, done);
	bind_number(table, PROGRESS, 3, expected);
	if (!rc)
		rc = finish(table, PROGRESS, err);
	enum inlay_err rc2 = finish(table, FULL, err);
	return rc ? rc : rc2;
}

enum inlay_err table_finish(struct table *table, const struct video *v, struct inlay_error *err)
{
	bind_text(table, FINISH, 1, v->id);
	bind_number(table, FINISH, 2, v->state);
	bind_number(table, FINISH, 3, v->finished_unix_ms);
	bind_number(table, FINISH, 4, v->bytes);
	bind_text(table, FINISH, 5, v->error);
	bind_number(table, FINISH, 6, v->frames_done);
	bind_number(table, FINISH, 7, v->frames_expected);
	return finish(table, FINISH, err);
}

enum inlay_err table_uncount(struct table *table, struct inlay_error *err)
{
	return finish(table, UNCOUNT, err);
}

enum inlay_err table_return(struct table *table, const struct table_row *row, int64_t due_ms, bool refused,
                            struct inlay_error *err)
{
	bind_text(table, RETURN, 1, row->video.id);
	bind_number(table, RETURN, 2, due_ms);
	bind_number(table, RETURN, 3, refused);
	bind_number(table, RETURN, 4, row->attempts - 1);
	return finish(table, RETURN, err);
}

enum inlay_err table_remove(struct table *table, const char *id, struct inlay_error *err)
{
	bind_text(table, REMOVE, 1, id);
	return finish(table, REMOVE, err);
}

/* ---- reading ---- */

enum inlay_err table_find(struct table *table, const char *id, struct table_row *row, struct inlay_error *err)
{
	bind_text(table, FIND, 1, id);
	enum inlay_err rc = read_one(table, FIND, row, err);
	return rc == INLAY_EOF ? il_fail(err, INLAY_ERR_NOT_FOUND, "%s: no such video", id) : rc;
}

enum inlay_err table_find_key(struct table *table, const char *client, const char *key, struct table_row *row,
                              struct inlay_error *err)
{
	bind_text(table, FIND_KEY, 1, client);
	bind_text(table, FIND_KEY, 2, key);
	return read_one(table, FIND_KEY, row, err);
}

static enum inlay_err number_of(struct table *table, const char *id, int64_t *number, struct inlay_error *err)
{
	*number = INT64_MAX;
	if (!id)
		return INLAY_OK;
	bind_text(table, NUMBER, 1, id);
	enum inlay_err rc = read_number(table, NUMBER, number, err);
	if (!rc && !*number)
		return il_fail(err, INLAY_ERR_NOT_FOUND, "%s: no such video", id);
	return rc;
}

enum inlay_err table_list(struct table *table, const char *before, struct video *list, size_t *n,
                          struct inlay_error *err)
{
	size_t room = *n;
	int64_t number;
	*n = 0;
	enum inlay_err rc = number_of(table, before, &number, err);
	if (rc)
		return rc;
	bind_number(table, LIST, 1, number);
	bind_number(table, LIST, 2, (int64_t)room);
	while (*n < room && !(rc = step(table, LIST, err))) {
		struct table_row row;
		read_row(table->prepared[LIST], &row);
		list[(*n)++] = row.video;
	}
	reset(table, LIST);
	return il_is_fault(rc) ? rc : INLAY_OK;
}

enum inlay_err table_stats(struct table *table, struct videos_stats *stats, struct inlay_error *err)
{
	int64_t counts[4] = { 0 };
	enum inlay_err rc;
	while (!(rc = step(table, STATS, err))) {
		int state = sqlite3_column_int(table->prepared[STATS], 0);
		if (state >= VIDEO_QUEUED && state <= VIDEO_FAILED)
			counts[state] = sqlite3_column_int64(table->prepared[STATS], 1);
	}
	reset(table, STATS);
	*stats = (struct videos_stats){ counts[VIDEO_QUEUED], counts[VIDEO_IN_PROGRESS], counts[VIDEO_COMPLETED],
		                        counts[VIDEO_FAILED] };
	return il_is_fault(rc) ? rc : INLAY_OK;
}

enum inlay_err table_oldest(struct table *table, int64_t before_ms, struct table_row *row, struct inlay_error *err)
{
	bind_number(table, OLDEST, 1, before_ms);
	return read_one(table, OLDEST, row, err);
}
