/* Against what the C library's own decoder says of every start of a text. */
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include "base/utf8.h"
#include "tests/test.h"

static void as_the_c_library(void **state)
{
	(void)state;
	if (!setlocale(LC_CTYPE, "C.UTF-8"))
		skip();
	static const unsigned char later[] = { 0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xff };
	enum { LATER = sizeof later };
	for (unsigned first = 1; first < 256; first++)
		for (unsigned second = 0; second < 256; second++)
			for (unsigned rest = 0; rest < LATER * LATER; rest++) {
				const char text[] = { (char)first, (char)second, (char)later[rest / LATER],
					              (char)later[rest % LATER], 0 };
				mbstate_t none = { 0 };
				wchar_t wide = 0;
				size_t n = mbrtowc(&wide, text, sizeof text, &none);
				n = n > 4 || wide > 0x10ffff ? 0 : n; /* glibc knows more */
				if (il_utf8_bytes(text) != n)
					fail_msg("%02x %02x %02x %02x: %zu bytes, expected %zu", first, second,
					         later[rest / LATER], later[rest % LATER], il_utf8_bytes(text), n);
			}
	assert_int_equal(il_utf8_bytes(""), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(as_the_c_library) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
