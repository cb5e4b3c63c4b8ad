/* One file over HTTPS, of which size and SHA-256 are known. */
#ifndef IL_CATALOGUE_FETCH_H
#define IL_CATALOGUE_FETCH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct il_fetch_params {
	const char *url;    /* https; also http to 127.0.0.1 or localhost. Redirects lead to https only */
	const char *path;   /* where the file appears, in a folder that exists; PATH.part until it is whole */
	const char *sha256; /* 64 small hexadecimal digits */
	int64_t bytes;
	const char *cafile; /* PEM file of the authorities to trust; NULL: libcurl's own choice */
	bool overwrite;     /* of a file with other content */
	int stall_s;        /* give up where next to nothing comes for so long; 0: 30 seconds */
	/* NULL or called once a second or more often, on the caller's thread, with bytes; false stops. */
	bool (*progress)(void *ctx, int64_t done, int64_t expected);
	void *ctx;
};

/* Downloads the file, checks it on the way, and renames it into place. *fetched is false where a file with this
 * content is there already; one with other content is INLAY_ERR_EXISTS unless `overwrite`.
 *
 * A PATH.part that an earlier call left is gone on with, if the server can; it is left by a transfer that was stopped
 * (INLAY_ERR_CANCELLED) or broke off (INLAY_ERR_IO). Content that is not what was expected is INLAY_ERR_FORMAT, and its
 * part is removed. INLAY_ERR_NOT_FOUND: the server has no such file. Another call that is writing the part makes this
 * one fail. Proxies are those of libcurl's environment variables, for this machine none. Any thread. */
enum inlay_err il_fetch(const struct il_fetch_params *params, bool *fetched, struct inlay_error *err);

/* True for the URLs that il_fetch takes. */
bool il_fetch_allows(const char *url);

#endif
