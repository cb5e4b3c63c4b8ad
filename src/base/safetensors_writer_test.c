#include "tests/test.h"

#include <pthread.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/safetensors.h"

#define COUNT 40
#define MAX_BYTES 3000
#define KEY 77

static struct inlay_error err;

static const struct il_safetensors_plan plan = { COUNT, 12, 3, 64, KEY };

/* Tensor k: of any type and of a size that fits nothing; NumPy makes the same bytes below. */
static struct il_safetensor make(int k, uint8_t *data)
{
	static const enum il_safetensor_type types[] = { IL_ST_U8, IL_ST_F16, IL_ST_U32, IL_ST_F64 };
	static char names[COUNT][12];
	sprintf(names[k], "kind%d.%d", k % 4, k / 4);
	struct il_safetensor t = { .name = names[k], .type = types[k % 4], .rank = k % 4, .data = data };
	for (int i = 0; i < t.rank; i++)
		t.dims[i] = (size_t)(k * (i + 3) % 8 + (k % 11 ? 1 : 0));
	assert_true(il_safetensor_size(t.type, t.rank, t.dims, &t.size));
	assert_true(t.size <= MAX_BYTES * 4);
	for (size_t i = 0; i < t.size; i++)
		data[i] = (uint8_t)(i * 7 + (size_t)k * 13 + (i >> 8));
	return t;
}

static struct il_safetensors_writer *open_writer(const char *path)
{
	struct il_safetensors_writer *writer;
	assert_ok(il_safetensors_writer_open(&writer, path, &plan, &err));
	return writer;
}

/* Adds what is missing of tensors 0 .. end-1; returns how many were. */
static int add_missing(struct il_safetensors_writer *writer, int end)
{
	static uint8_t data[MAX_BYTES * 4];
	int added = 0;
	for (int k = 0; k < end; k++) {
		struct il_safetensor t = make(k, data);
		if (il_safetensors_writer_has(writer, t.name))
			continue;
		assert_ok(il_safetensors_writer_add(writer, &t, &err));
		added++;
	}
	return added;
}

static void write_whole(const char *path)
{
	struct il_safetensors_writer *writer = open_writer(path);
	add_missing(writer, COUNT);
	assert_ok(il_safetensors_writer_finish(writer, &err));
	il_safetensors_writer_destroy(&writer);
}

static struct il_bytes contents(const char *path)
{
	struct il_bytes bytes;
	assert_ok(il_file_read(path, 1 << 24, &bytes, &err));
	return bytes;
}

static void check_whole(const struct il_safetensors *file)
{
	uint8_t data[MAX_BYTES * 4];
	size_t pads = 0;
	for (size_t i = 0; i < il_safetensors_count(file); i++)
		pads += il_safetensor_is_pad(il_safetensors_at(file, i));
	assert_int_equal(il_safetensors_count(file), COUNT + pads);
	for (int k = 0; k < COUNT; k++) {
		struct il_safetensor t = make(k, data);
		const struct il_safetensor *found = il_safetensors_find(file, t.name);
		assert_non_null(found);
		assert_int_equal(found->type, t.type);
		assert_int_equal(found->rank, t.rank);
		assert_memory_equal(found->dims, t.dims, sizeof t.dims);
		assert_int_equal(found->size, t.size);
		assert_memory_equal(found->data, data, t.size);
		assert_true(!t.size || (uintptr_t)found->data % 64 == 0);
	}
}

static void reads_back(void **state)
{
	(void)state;
	const char *path = test_scratch("whole");
	struct il_safetensors *file;
	write_whole(path);
	assert_ok(il_safetensors_open(&file, path, &err));
	check_whole(file);
	assert_ok(il_safetensors_verify(file, NULL, NULL, &err));
	il_safetensors_prefetch(file, 0, SIZE_MAX);
	il_safetensors_release(file, 3, 5);
	il_safetensors_release(file, COUNT * 3, 1);
	check_whole(file);
	il_safetensors_destroy(&file);
	il_safetensors_forget(path);
	unlink(path);
}

/* A second implementation of the format after its reference's validator: sorted by offsets, each tensor must begin
 * where the last one ended, and the last one end with the file. Prints a weighted sum of each tensor's bytes. */
static const char reader_py[] =
	"import json, struct, sys\n"
	"import numpy as np\n"
	"raw = open(sys.argv[1], 'rb').read()\n"
	"n, = struct.unpack('<Q', raw[:8])\n"
	"head = json.loads(raw[8:8 + n].decode('utf-8'))\n"
	"meta = head.pop('__metadata__')\n"
	"assert all(isinstance(v, str) for v in meta.values())\n"
	"types = {'U8': 'u1', 'F16': '<f2', 'U32': '<u4', 'F64': '<f8'}\n"
	"end = 0\n"
	"for name, t in sorted(head.items(), key=lambda i: i[1]['data_offsets']):\n"
	"    a, z = t['data_offsets']\n"
	"    assert a == end, name\n"
	"    end = z\n"
	"    array = np.frombuffer(raw[8 + n + a:8 + n + z], types[t['dtype']]).reshape(t['shape'])\n"
	"    bytes_ = np.frombuffer(array.tobytes(), 'u1').astype('u8')\n"
	"    if name.startswith('__pad__.'):\n"
	"        assert not bytes_.any()\n"
	"    else:\n"
	"        print(name, t['dtype'], list(array.shape), int((bytes_ * np.arange(1, len(bytes_) + 1, "
	"dtype='u8')).sum()))\n"
	"assert 8 + n + end == len(raw)\n"
	"assert len(meta['xxh3']) == 16 * len(head)\n";

static void numpy_reads_it(void **state)
{
	(void)state;
	const char *path = test_scratch("numpy"), *script = test_scratch("reader.py");
	char command[2400], line[200], expected[200];
	uint8_t data[MAX_BYTES * 4];
	write_whole(path);
	assert_ok(il_file_write(script, reader_py, sizeof reader_py - 1, true, &err));
	snprintf(command, sizeof command, "/usr/bin/python3 %s %s", script, path);
	FILE *python = popen(command, "r");
	assert_non_null(python);
	for (int k = 0; k < COUNT; k++) {
		struct il_safetensor t = make(k, data);
		uint64_t sum = 0;
		for (size_t i = 0; i < t.size; i++)
			sum += (uint64_t)data[i] * (i + 1);
		int n = sprintf(expected, "%s %s [", t.name, il_safetensor_type_name(t.type));
		for (int i = 0; i < t.rank; i++)
			n += sprintf(expected + n, "%s%zu", i ? ", " : "", t.dims[i]);
		sprintf(expected + n, "] %llu\n", (unsigned long long)sum);
		assert_non_null(fgets(line, sizeof line, python));
		assert_string_equal(line, expected);
	}
	assert_int_equal(pclose(python), 0);
	il_safetensors_forget(path);
	unlink(path);
	unlink(script);
}

/* As the reference writes them: by falling alignment, then by name, the header to a multiple of 8. */
static void reads_what_numpy_wrote(void **state)
{
	(void)state;
	static const char writer_py[] =
		"import json, struct, sys\n"
		"import numpy as np\n"
		"tensors = {'w': np.arange(6, dtype='<f4').reshape(2, 3), 'b': np.array([1, 2, 3], 'u1'),\n"
		"           'a': np.array([[0.5], [-2]], '<f2')}\n"
		"names, head, end = {'<f4': 'F32', '|u1': 'U8', '<f2': 'F16'}, {'__metadata__': {'format': 'np'}}, 0\n"
		"order = sorted(tensors, key=lambda n: (-tensors[n].itemsize, n))\n"
		"for n in order:\n"
		"    t = tensors[n]\n"
		"    head[n] = {'dtype': names[t.dtype.str], 'shape': t.shape, 'data_offsets': [end, end + t.nbytes]}\n"
		"    end += t.nbytes\n"
		"text = json.dumps(head, separators=(',', ':')).encode()\n"
		"text += b' ' * (-len(text) % 8)\n"
		"open(sys.argv[1], 'wb').write(struct.pack('<Q', len(text)) + text + b''.join(tensors[n].tobytes() for "
		"n in "
		"order))\n";
	static const float w[6] = { 0, 1, 2, 3, 4, 5 };
	const char *path = test_scratch("from-numpy"), *script = test_scratch("writer.py");
	char command[2400];
	struct il_safetensors *file;
	assert_ok(il_file_write(script, writer_py, sizeof writer_py - 1, true, &err));
	snprintf(command, sizeof command, "/usr/bin/python3 %s %s", script, path);
	assert_int_equal(system(command), 0);
	assert_ok(il_safetensors_open(&file, path, &err));
	assert_int_equal(il_safetensors_count(file), 3);
	assert_string_equal(il_safetensors_metadata(file, "format"), "np");
	assert_memory_equal(il_safetensors_find(file, "w")->data, w, sizeof w);
	assert_memory_equal(il_safetensors_find(file, "b")->data, "\1\2\3", 3);
	assert_memory_equal(il_safetensors_find(file, "a")->data, "\x00\x38\x00\xc0", 4);
	il_safetensors_destroy(&file);
	unlink(path);
	unlink(script);
}

/* Every bit of every tensor, pad and line of the header that says what they are is covered. */
static void damage_is_found_and_named(void **state)
{
	(void)state;
	const char *path = test_scratch("damaged");
	write_whole(path);
	struct il_bytes bytes = contents(path);
	struct il_safetensors *file;
	assert_ok(il_safetensors_parse(&file, bytes.data, bytes.size, "x", &err));
	assert_ok(il_safetensors_verify(file, NULL, NULL, &err));
	for (size_t i = 0; i < il_safetensors_count(file); i++) {
		const struct il_safetensor *t = il_safetensors_at(file, i);
		if (!t->size)
			continue;
		uint8_t *at = (uint8_t *)t->data + test_random() % t->size, bit = (uint8_t)(1 << test_random() % 8);
		char says[60];
		snprintf(says, sizeof says, "x: tensor %s: damaged", t->name);
		*at ^= bit;
		assert_fails(il_safetensors_verify(file, NULL, NULL, &err), INLAY_ERR_FORMAT, says);
		*at ^= bit;
	}
	il_safetensors_destroy(&file);
	char *name = strstr((char *)bytes.data + 8, "kind1.2");
	assert_non_null(name);
	name[4] = '9';
	assert_ok(il_safetensors_parse(&file, bytes.data, bytes.size, "x", &err));
	assert_fails(il_safetensors_verify(file, NULL, NULL, &err), INLAY_ERR_FORMAT, "tensor kind9.2: damaged");
	il_safetensors_destroy(&file);
	il_bytes_destroy(&bytes);
	il_safetensors_forget(path);
	unlink(path);
}

static bool always(void *ctx)
{
	(void)ctx;
	return true;
}

static void refuses_what_does_not_fit(void **state)
{
	(void)state;
	const char *path = test_scratch("unfit");
	static const uint8_t data[8];
	struct il_safetensors_writer *writer = open_writer(path);
	static const struct {
		struct il_safetensor tensor;
		enum inlay_err code;
		const char *says;
	} cases[] = {
		{ { "", IL_ST_U8, 1, { 8 }, data, 0, 8 }, INLAY_ERR_INVALID, "cannot be named \"\"" },
		{ { "a b", IL_ST_U8, 1, { 8 }, data, 0, 8 }, INLAY_ERR_INVALID, "cannot be named \"a b\"" },
		{ { "a\"", IL_ST_U8, 1, { 8 }, data, 0, 8 }, INLAY_ERR_INVALID, "cannot be named" },
		{ { "a\\", IL_ST_U8, 1, { 8 }, data, 0, 8 }, INLAY_ERR_INVALID, "cannot be named" },
		{ { "\xc3\xa9", IL_ST_U8, 1, { 8 }, data, 0, 8 }, INLAY_ERR_INVALID, "cannot be named" },
		{ { "__metadata__", IL_ST_U8, 1, { 8 }, data, 0, 8 }, INLAY_ERR_INVALID, "cannot be named" },
		{ { "__pad__.1", IL_ST_U8, 1, { 8 }, data, 0, 8 }, INLAY_ERR_INVALID, "cannot be named" },
		{ { "thirteenchars", IL_ST_U8, 1, { 8 }, data, 0, 8 }, INLAY_ERR_INVALID, "up to 12" },
		{ { "a", IL_ST_U8, 1, { 7 }, data, 0, 8 }, INLAY_ERR_INVALID, "a: its 8 bytes do not fit" },
		{ { "a", IL_ST_U8, 4, { 8, 1, 1, 1 }, data, 0, 8 }, INLAY_ERR_INVALID, "do not fit" },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		assert_fails(il_safetensors_writer_add(writer, &cases[i].tensor, &err), cases[i].code, cases[i].says);
	struct il_safetensor sound = { "a", IL_ST_U8, 1, { 8 }, data, 0, 8 };
	assert_ok(il_safetensors_writer_add(writer, &sound, &err));
	assert_fails(il_safetensors_writer_add(writer, &sound, &err), INLAY_ERR_EXISTS, "tensor a: is in the file");
	add_missing(writer, COUNT - 1);
	sound.name = "z";
	assert_fails(il_safetensors_writer_add(writer, &sound, &err), INLAY_ERR_INVALID, "more than the 40 planned");
	assert_ok(il_safetensors_writer_finish(writer, &err));
	il_safetensors_writer_destroy(&writer);
	il_safetensors_writer_destroy(&writer);
	struct il_safetensors *file;
	assert_ok(il_safetensors_open(&file, path, &err));
	assert_fails(il_safetensors_verify(file, always, NULL, &err), INLAY_ERR_CANCELLED, "cancelled");
	il_safetensors_destroy(&file);
	il_safetensors_forget(path);
	unlink(path);
	struct il_safetensors_plan bad = plan;
	bad.align = 48;
	assert_fails(il_safetensors_writer_open(&writer, path, &bad, &err), INLAY_ERR_INVALID, "no safetensors file");
	bad = (struct il_safetensors_plan){ .tensors = 2000000, .name_bytes = 20, .rank = 4, .align = 64 };
	assert_fails(il_safetensors_writer_open(&writer, path, &bad, &err), INLAY_ERR_INVALID, "2000000 tensors");
	assert_null(writer);
}

/* The longest names, shapes and offsets still leave the header in its room. */
static void header_room_suffices(void **state)
{
	(void)state;
	const char *path = test_scratch("room");
	struct il_safetensors_plan most = { 300, 12, 8, 4096, 0 };
	struct il_safetensors_writer *writer;
	struct il_safetensors *file;
	uint8_t data[100] = { 0 };
	char name[13];
	assert_ok(il_safetensors_writer_open(&writer, path, &most, &err));
	for (int k = 0; k < 300; k++) {
		snprintf(name, sizeof name, "%012d", k);
		struct il_safetensor t = { name, IL_ST_F8_E4M3, 8, { 1, 1, 1, 1, 1, 1, 1, 99 }, data, 0, 99 };
		assert_ok(il_safetensors_writer_add(writer, &t, &err));
	}
	assert_ok(il_safetensors_writer_finish(writer, &err));
	il_safetensors_writer_destroy(&writer);
	assert_ok(il_safetensors_open(&file, path, &err));
	assert_int_equal(il_safetensors_count(file), 599);
	assert_ok(il_safetensors_verify(file, NULL, NULL, &err));
	il_safetensors_destroy(&file);
	il_safetensors_forget(path);
	unlink(path);
}

/* Going on after a kill. */

static void journal_path(char *out, size_t size, const char *path)
{
	snprintf(out, size, "%s.journal", path);
}

static size_t size_of(const char *path)
{
	struct stat st;
	return stat(path, &st) ? 0 : (size_t)st.st_size;
}

static void damage(const char *path, size_t size)
{
	FILE *f = fopen(path, "r+b");
	assert_non_null(f);
	long at = (long)(test_random() % size);
	assert_int_equal(fseek(f, at, SEEK_SET), 0);
	int c = fgetc(f);
	assert_int_equal(fseek(f, at, SEEK_SET), 0);
	assert_int_equal(fputc((c ^ 0x11) & 0xff, f), (c ^ 0x11) & 0xff);
	assert_int_equal(fclose(f), 0);
}

/* Whatever is cut off or changed of either file, going on ends in the same bytes as an undisturbed run. */
static void goes_on_after_a_kill_anywhere(void **state)
{
	(void)state;
	const char *path = test_scratch("killed"), *whole = test_scratch("undisturbed");
	char journal[1100];
	journal_path(journal, sizeof journal, path);
	write_whole(whole);
	struct il_bytes expected = contents(whole);
	int kept_some = 0;
	for (int round = 0; round < 120; round++) {
		struct il_safetensors_writer *writer = open_writer(path);
		int before = 1 + (int)(test_random() % COUNT);
		add_missing(writer, before);
		if (round % 5 == 4)
			assert_ok(il_safetensors_writer_finish(writer, &err));
		il_safetensors_writer_destroy(&writer);
		size_t data_bytes = size_of(path), journal_bytes = size_of(journal);
		switch (round % 4) {
		case 0: assert_int_equal(truncate(path, (off_t)(test_random() % (data_bytes + 1))), 0); break;
		case 1: assert_int_equal(truncate(journal, (off_t)(test_random() % (journal_bytes + 1))), 0); break;
		case 2: damage(journal, journal_bytes); break;
		default:
			damage(path, data_bytes);
			assert_int_equal(truncate(journal, (off_t)(test_random() % (journal_bytes + 1))), 0);
		}
		writer = open_writer(path);
		size_t kept = il_safetensors_writer_count(writer);
		assert_true(kept <= (size_t)before);
		assert_int_equal(add_missing(writer, COUNT), COUNT - (int)kept);
		kept_some += kept > 0;
		assert_ok(il_safetensors_writer_finish(writer, &err));
		il_safetensors_writer_destroy(&writer);
		struct il_bytes got = contents(path);
		assert_int_equal(got.size, expected.size);
		assert_memory_equal(got.data, expected.data, got.size);
		il_bytes_destroy(&got);
		il_safetensors_forget(path);
		unlink(path);
	}
	assert_true(kept_some > 60);
	il_bytes_destroy(&expected);
	il_safetensors_forget(whole);
	unlink(whole);
}

static void goes_on_with_all_where_nothing_is_lost(void **state)
{
	(void)state;
	const char *path = test_scratch("going");
	for (int k = 0; k < COUNT; k++) {
		struct il_safetensors_writer *writer = open_writer(path);
		assert_int_equal(il_safetensors_writer_count(writer), k);
		assert_int_equal(add_missing(writer, k + 1), 1);
		il_safetensors_writer_destroy(&writer);
	}
	struct il_safetensors_writer *writer;
	struct il_safetensors_plan other = plan;
	other.key++;
	assert_ok(il_safetensors_writer_open(&writer, path, &other, &err));
	assert_int_equal(il_safetensors_writer_count(writer), 0);
	il_safetensors_writer_destroy(&writer);
	il_safetensors_forget(path);
	unlink(path);
}

/* What was synced is not read again: only the size of the file is looked at. */
static void trusts_what_was_synced(void **state)
{
	(void)state;
	enum { BIG = 33 << 20 };
	const char *path = test_scratch("synced");
	uint8_t *data = calloc(1, BIG);
	assert_non_null(data);
	struct il_safetensors_writer *writer = open_writer(path);
	static const char *const names[] = { "a", "b", "c" };
	for (int i = 0; i < 3; i++) {
		struct il_safetensor t = { names[i], IL_ST_U8, 1, { BIG }, data, 0, BIG };
		assert_ok(il_safetensors_writer_add(writer, &t, &err));
	}
	il_safetensors_writer_destroy(&writer);
	for (int i = 2; i >= 0; i--) {
		FILE *f = fopen(path, "r+b");
		assert_non_null(f);
		assert_int_equal(fseek(f, (long)(size_of(path) - (size_t)(3 - i) * BIG), SEEK_SET), 0);
		fputc(1, f);
		fclose(f);
	}
	writer = open_writer(path);
	assert_int_equal(il_safetensors_writer_count(writer), 2);
	assert_false(il_safetensors_writer_has(writer, "c"));
	il_safetensors_writer_destroy(&writer);
	assert_int_equal(truncate(path, (off_t)(size_of(path) - 1)), 0);
	writer = open_writer(path);
	assert_int_equal(il_safetensors_writer_count(writer), 1);
	il_safetensors_writer_destroy(&writer);
	il_safetensors_forget(path);
	unlink(path);
	free(data);
}

static void *read_all(void *ctx)
{
	const struct il_safetensors *file = ctx;
	struct inlay_error mine = { 0 };
	intptr_t faults = 0;
	for (int round = 0; round < 20; round++) {
		faults += il_safetensors_verify(file, NULL, NULL, &mine) != INLAY_OK;
		faults += !il_safetensors_find(file, "kind3.7");
		il_safetensors_prefetch(file, (size_t)round, 4);
	}
	return (void *)faults;
}

static void many_threads_read(void **state)
{
	(void)state;
	const char *path = test_scratch("threads");
	struct il_safetensors *file;
	pthread_t threads[4];
	void *faults;
	write_whole(path);
	assert_ok(il_safetensors_open(&file, path, &err));
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, read_all, file), 0);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(pthread_join(threads[i], &faults), 0);
		assert_null(faults);
	}
	il_safetensors_destroy(&file);
	il_safetensors_forget(path);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_back),
		cmocka_unit_test(numpy_reads_it),
		cmocka_unit_test(reads_what_numpy_wrote),
		cmocka_unit_test(damage_is_found_and_named),
		cmocka_unit_test(refuses_what_does_not_fit),
		cmocka_unit_test(header_room_suffices),
		cmocka_unit_test(goes_on_after_a_kill_anywhere),
		cmocka_unit_test(goes_on_with_all_where_nothing_is_lost),
		cmocka_unit_test(trusts_what_was_synced),
		cmocka_unit_test(many_threads_read),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
