#include "infer/min_cut.h"

#include "tests/test.h"

#define VERTICES 9
#define EDGES 24

static int64_t price_of(const struct il_cut_edge *edges, size_t n, unsigned sides)
{
	int64_t price = 0;
	for (size_t i = 0; i < n; i++)
		price += (sides >> edges[i].from & 1) && !(sides >> edges[i].to & 1) ? edges[i].price : 0;
	return price;
}

/* Against trying every way to part the vertices. */
static void no_other_cut_is_cheaper(void **state)
{
	(void)state;
	srand(1);
	for (int round = 0; round < 500; round++) {
		struct il_cut_edge edges[EDGES];
		bool side[VERTICES];
		unsigned found = 0;
		int64_t least = INT64_MAX;
		size_t n = (size_t)(rand() % (EDGES + 1));
		for (size_t i = 0; i < n; i++)
			edges[i] = (struct il_cut_edge){ (unsigned)rand() % VERTICES, (unsigned)rand() % VERTICES,
				                         rand() % 8 ? rand() % 20 : IL_CUT_NEVER / EDGES };
		assert_true(il_min_cut(edges, n, VERTICES, 0, VERTICES - 1, side));
		for (unsigned v = 0; v < VERTICES; v++)
			found |= (unsigned)side[v] << v;
		assert_true(side[0] && !side[VERTICES - 1]);
		for (unsigned sides = 1; sides < 1u << (VERTICES - 1); sides += 2) {
			int64_t price = price_of(edges, n, sides);
			least = price < least ? price : least;
		}
		assert_int_equal(price_of(edges, n, found), least);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(no_other_cut_is_cheaper) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
