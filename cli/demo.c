/* --demo: the presenter that inlay brings along. */
#include "base/data.h"
#include "cli.h"

enum inlay_err use_demo(struct inlay_lipsync_params *p, struct inlay_error *err)
{
	static char *pack, *hello;
	enum inlay_err rc = il_data_find(&pack, DEMO_PACK, NULL, err);
	p->avatar = pack;
	if (rc || p->audio || p->features)
		return rc;
	rc = il_data_find(&hello, DEMO_PACK "/hello.flac", NULL, err);
	p->audio = hello;
	return rc;
}
