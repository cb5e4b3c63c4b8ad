/* Forms and uploads, whole and cut, good and bad, through a server. */
#define _GNU_SOURCE /* strcasestr */
#include "server/http/http_echo_test.h"

static struct text form_of(const char *text, const char *name, const void *file, size_t size)
{
	static const char text_head[] = "--x-Y\r\nContent-Disposition: form-data; name=\"text\"\r\n\r\n";
	static const char name_head[] = "\r\n--x-Y\r\nContent-Disposition: form-data; name=\"file\"; filename=\"";
	static const char file_head[] = "\r\nContent-Type: application/octet-stream\r\n\r\n";
	struct text form_text = { 0 };
	put(&form_text, text_head, sizeof text_head - 1);
	put(&form_text, text, strlen(text));
	put(&form_text, name_head, sizeof name_head - 1);
	put(&form_text, name, strlen(name));
	put(&form_text, "\"", 1);
	put(&form_text, file_head, sizeof file_head - 1);
	put(&form_text, file, size);
	put(&form_text, "\r\n--x-Y--\r\n", 11);
	return form_text;
}

#define FORM_TYPE "Content-Type: multipart/form-data; boundary=x-Y\r\n"

static void expect_upload(const void *data, size_t size, const char *name, const char *found_name)
{
	struct text body = form_of("hello", name, data, size);
	struct reply r = client_ask(port, "POST", "/form", FORM_TYPE, body.data, body.size);
	if (r.status != 200)
		fail_msg("%s of %zu bytes: %d %s", found_name, size, r.status, r.body);
	assert_string_equal(text_of(&r, "text"), "hello");
	assert_string_equal(text_of(&r, "name"), found_name);
	assert_int_equal(number_of(&r, "size"), size);
	assert_int_equal(number_of(&r, "sum"), sum(data, size));
	reply_free(&r);
	free(body.data);
}

static void takes_uploads(void **state)
{
	(void)state;
	static uint8_t bytes[200000];
	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (uint8_t)test_random();
	/* What a boundary begins like, at all distances from where a reader's buffer ends. */
	static const char like[] = "\r\n--x-\r\n--\r--x-Y\r\n-\n--x-Y\r\n--x";
	for (size_t at = 60; at + sizeof like < sizeof bytes; at += 61)
		memcpy(bytes + at, like, sizeof like - 1);
	expect_upload(bytes, sizeof bytes, "voice.wav", "voice.wav");
	expect_upload(bytes, 1, "C:\\my\\voice.wav", "voice.wav");
	expect_upload(bytes, 70000, "../../etc/passwd", "passwd");
	expect_upload(bytes, 32768, "\xff.wav", "upload");
	expect_upload(like, sizeof like - 1, "a", "a");
	expect_upload("", 0, "empty.wav", "empty.wav");
}

/* The head of a request and its form, in two pieces that the server reads one by one. */
static void send_in_two(const char *type, const struct text *body, size_t cut, const char *value, const char *name)
{
	char head[256];
	int n = snprintf(head, sizeof head, "POST /form HTTP/1.1\r\nHost: localhost\r\nContent-Length: %zu\r\n%s\r\n",
	                 body->size, type);
	int fd = client_connect(port), on = 1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	client_send(fd, head, (size_t)n);
	client_send(fd, body->data, cut);
	usleep(2000);
	client_send(fd, body->data + cut, body->size - cut);
	struct reply r = client_read(fd, true);
	if (r.status != 200 || strcmp(text_of(&r, "text"), value) || strcmp(text_of(&r, "name"), name))
		fail_msg("cut at %zu of %zu: %d %s", cut, body->size, r.status, r.body);
	reply_free(&r);
	close(fd);
}

static void takes_forms_wherever_a_read_ends(void **state)
{
	(void)state;
	struct text body = form_of("hello", "a.wav", "RIFF \r\n--x", 10), fields = { 0 };
	for (size_t cut = 0; cut <= body.size; cut++)
		send_in_two(FORM_TYPE, &body, cut, "hello", "a.wav");
	free(body.data);
	put(&fields, "one=1&text=a%20b%2Bc+d&other=", 29);
	for (size_t cut = 0; cut <= fields.size; cut++)
		send_in_two("Content-Type: application/x-www-form-urlencoded\r\n", &fields, cut, "a b+c d", "none");
	free(fields.data);
}

static void takes_text_forms(void **state)
{
	(void)state;
	static const char fields[] = "text=a%20b%2Bc+d&other=1";
	struct reply r = client_ask(port, "POST", "/form", "Content-Type: application/x-www-form-urlencoded\r\n",
	                            fields, sizeof fields - 1);
	assert_int_equal(r.status, 200);
	assert_string_equal(text_of(&r, "text"), "a b+c d");
	assert_int_equal(number_of(&r, "size"), -1);
	reply_free(&r);
}

static void expect_bad_form(const char *body, size_t size, int status)
{
	struct reply r = client_ask(port, "POST", "/form", FORM_TYPE, body, size);
	if (r.status != status)
		fail_msg("%.*s: %d, expected %d", (int)size, body, r.status, status);
	reply_free(&r);
}

static void refuses_bad_forms(void **state)
{
	(void)state;
	static const char twice[] = "--x-Y\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n"
				    "--x-Y\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n2\r\n--x-Y--\r\n";
	static const char kinds[] =
		"--x-Y\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n\r\n"
		"--x-Y\r\nContent-Disposition: form-data; name=\"a\"; filename=\"f\"\r\n\r\n2\r\n--x-Y--\r\n";
	static const char zero[] = "--x-Y\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\0\r\n--x-Y--\r\n";
	static const char cut[] = "--x-Y\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n12345";
	static const char nameless[] = "--x-Y\r\nContent-Disposition: form-data\r\n\r\n1\r\n--x-Y--\r\n";
	expect_bad_form(twice, sizeof twice - 1, 400);
	expect_bad_form(kinds, sizeof kinds - 1, 400);
	expect_bad_form(zero, sizeof zero - 1, 400);
	expect_bad_form(cut, sizeof cut - 1, 400);
	expect_bad_form(nameless, sizeof nameless - 1, 400);
	struct text long_text = { 0 };
	put(&long_text, twice, (size_t)(strstr(twice, "1\r\n") - twice));
	for (int i = 0; i < 20; i++) {
		char kb[1024];
		memset(kb, 'x', sizeof kb);
		put(&long_text, kb, sizeof kb);
	}
	put(&long_text, "\r\n--x-Y--\r\n", 11);
	expect_bad_form(long_text.data, long_text.size, 413);
	free(long_text.data);
	struct text many = { 0 };
	for (int i = 0; i < 40; i++) {
		char part[128];
		int n = snprintf(part, sizeof part,
		                 "--x-Y\r\nContent-Disposition: form-data; name=\"f%d\"; filename=\"f\"\r\n\r\n1\r\n",
		                 i);
		put(&many, part, (size_t)n);
	}
	put(&many, "--x-Y--\r\n", 9);
	expect_bad_form(many.data, many.size, 400);
	free(many.data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_forms_wherever_a_read_ends),
		cmocka_unit_test(takes_uploads),
		cmocka_unit_test(takes_text_forms),
		cmocka_unit_test(refuses_bad_forms),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
