#include "catalogue/fetch.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <nettle/sha2.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "inlay/version.h"

enum { CONNECT_S = 30, STALL_S = 30, STALL_BYTES_A_SECOND = 100, MAX_REDIRECTS = 5 };
enum { HTTP_PARTIAL = 206, HTTP_NOT_FOUND = 404, HTTP_GONE = 410, HTTP_BAD_RANGE = 416 };
enum { DIGEST_TEXT = 2 * SHA256_DIGEST_SIZE + 1 };

struct fetch {
	const struct il_fetch_params *params;
	CURL *curl;
	char *part;
	int fd;        /* of the part, locked */
	int64_t size;  /* bytes in the part; all of them are in `sum` */
	int64_t asked; /* the server was asked for what follows so many bytes */
	bool begun;    /* the answer's first bytes have come */
	bool unfit;    /* the part cannot become the file */
	struct sha256_ctx sum;
	char reason[CURL_ERROR_SIZE];
	enum inlay_err rc; /* of our side of the transfer */
	struct inlay_error *err;
};

/* ---- URLs ---- */

/* Scheme and host as libcurl itself reads them: "http://localhost@elsewhere/" is elsewhere. */
static bool read_url(const char *text, bool *secure, bool *local)
{
	CURLU *url = curl_url();
	char *scheme = NULL, *host = NULL;
	bool good = url && !curl_url_set(url, CURLUPART_URL, text, 0) &&
	            !curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) && !curl_url_get(url, CURLUPART_HOST, &host, 0);
	*secure = good && !strcmp(scheme, "https");
	*local = good && (!strcmp(host, "127.0.0.1") || !strcmp(host, "localhost"));
	good = *secure || (good && *local && !strcmp(scheme, "http"));
	curl_free(scheme);
	curl_free(host);
	curl_url_cleanup(url);
	return good;
}

bool il_fetch_allows(const char *url)
{
	bool secure, local;
	return read_url(url, &secure, &local);
}

/* ---- sums ---- */

static void format_digest(struct sha256_ctx *sum, char text[DIGEST_TEXT])
{
	uint8_t digest[SHA256_DIGEST_SIZE];
	sha256_digest(sum, sizeof digest, digest);
	for (size_t i = 0; i < sizeof digest; i++)
		sprintf(text + 2 * i, "%02x", digest[i]);
}

/* All that is to be read from `fd`. */
static enum inlay_err add_to_sum(struct sha256_ctx *sum, int64_t *size, int fd, const char *path,
                                 struct inlay_error *err)
{
	uint8_t buffer[32768];
	for (;;) {
		ssize_t n = read(fd, buffer, sizeof buffer);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return il_fail_errno(err, "%s: cannot read", path);
		if (n == 0)
			return INLAY_OK;
		sha256_update(sum, (size_t)n, buffer);
		*size += n;
	}
}

/* What stands at the path already: nothing, the file itself (*there), or something else, which may be replaced. */
static enum inlay_err look_at_target(const struct il_fetch_params *params, bool *there, struct inlay_error *err)
{
	struct sha256_ctx sum;
	struct stat st;
	char found[DIGEST_TEXT];
	int64_t size = 0;
	*there = false;
	if (stat(params->path, &st) < 0)
		return INLAY_OK;
	if (!S_ISREG(st.st_mode))
		return il_fail(err, INLAY_ERR_INVALID, "%s: is a folder, device or pipe; expected the name of a file",
		               params->path);
	int fd = open(params->path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return il_fail_errno(err, "%s: cannot open", params->path);
	sha256_init(&sum);
	enum inlay_err rc = add_to_sum(&sum, &size, fd, params->path, err);
	close(fd);
	format_digest(&sum, found);
	*there = !rc && !strcmp(found, params->sha256);
	if (!rc && !*there && !params->overwrite)
		rc = il_fail(err, INLAY_ERR_EXISTS, "%s: is there with other content: its SHA-256 is %s, expected %s",
		             params->path, found, params->sha256);
	return rc;
}

/* ---- the part ---- */

static enum inlay_err empty_part(struct fetch *f)
{
	sha256_init(&f->sum);
	f->size = 0;
	if (ftruncate(f->fd, 0) < 0 || lseek(f->fd, 0, SEEK_SET) < 0)
		return il_fail_errno(f->err, "%s: cannot write", f->part);
	return INLAY_OK;
}

/* Locked, so that two runs do not write one part; il_part_open of base/file.h would empty it. */
static enum inlay_err open_part(struct fetch *f)
{
	struct stat held, named;
	f->fd = open(f->part, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666);
	if (f->fd < 0)
		return il_fail_errno(f->err, "%s: cannot create", f->part);
	if (fstat(f->fd, &held) < 0 || !S_ISREG(held.st_mode))
		return il_fail(f->err, INLAY_ERR_INVALID, "%s: is in the way; expected a file or nothing", f->part);
	if (flock(f->fd, LOCK_EX | LOCK_NB) < 0 || stat(f->part, &named) < 0 || named.st_ino != held.st_ino)
		return il_fail(f->err, INLAY_ERR_IO, "%s: another run is fetching it", f->params->path);
	return INLAY_OK;
}

static bool sum_is_right(const struct fetch *f, char found[DIGEST_TEXT])
{
	struct sha256_ctx sum = f->sum;
	format_digest(&sum, found);
	return !strcmp(found, f->params->sha256);
}

/* What an earlier run left counts as far as it goes; as much as there should be, or more, must be the file. */
static enum inlay_err take_up_part(struct fetch *f)
{
	char found[DIGEST_TEXT];
	sha256_init(&f->sum);
	enum inlay_err rc = add_to_sum(&f->sum, &f->size, f->fd, f->part, f->err);
	if (!rc && f->size >= f->params->bytes && !sum_is_right(f, found))
		rc = empty_part(f);
	return rc;
}

static enum inlay_err append(struct fetch *f, const char *data, size_t size)
{
	sha256_update(&f->sum, size, (const uint8_t *)data);
	while (size) {
		ssize_t n = write(f->fd, data, size);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return il_fail_errno(f->err, "%s: cannot write", f->part);
		data += n;
		size -= (size_t)n;
		f->size += n;
	}
	return INLAY_OK;
}

/* ---- the transfer ---- */

/* Which byte the answer begins with. */
static int64_t answer_start(const struct fetch *f)
{
	struct curl_header *range;
	long long start = 0;
	long status = 0;
	curl_easy_getinfo(f->curl, CURLINFO_RESPONSE_CODE, &status);
	if (status == HTTP_PARTIAL && (curl_easy_header(f->curl, "Content-Range", 0, CURLH_HEADER, -1, &range) ||
	                               sscanf(range->value, "bytes %lld-", &start) != 1))
		return -1;
	return start;
}

/* The answer goes on where the part ends, or is the whole file: then the part is written anew. */
static enum inlay_err begin_answer(struct fetch *f)
{
	curl_off_t length = -1;
	int64_t start = answer_start(f);
	curl_easy_getinfo(f->curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
	if (start != 0 && start != f->asked)
		return f->asked ? INLAY_AGAIN
		                : il_fail(f->err, INLAY_ERR_FORMAT,
		                          "%s: the server sent another part than was asked for", f->params->url);
	if (length >= 0 && start + length != f->params->bytes)
		return il_fail(f->err, INLAY_ERR_FORMAT,
		               "%s: is a file of %lld bytes, expected %lld: it is not the one that was published",
		               f->params->url, (long long)(start + length), (long long)f->params->bytes);
	return start < f->size ? empty_part(f) : INLAY_OK;
}

static size_t take_bytes(char *data, size_t one, size_t size, void *ctx)
{
	struct fetch *f = ctx;
	(void)one;
	if (!f->begun)
		f->rc = begin_answer(f);
	f->begun = true;
	if (!f->rc && (int64_t)size > f->params->bytes - f->size) {
		f->unfit = true;
		f->rc = il_fail(f->err, INLAY_ERR_FORMAT,
		                "%s: is longer than the expected %lld bytes: it is not the file that was published",
		                f->params->url, (long long)f->params->bytes);
	}
	if (!f->rc)
		f->rc = append(f, data, size);
	return f->rc ? CURL_WRITEFUNC_ERROR : size;
}

static int show_progress(void *ctx, curl_off_t total, curl_off_t now, curl_off_t sent_total, curl_off_t sent)
{
	const struct fetch *f = ctx;
	(void)total, (void)now, (void)sent_total, (void)sent;
	return f->params->progress && !f->params->progress(f->params->ctx, f->size, f->params->bytes);
}

static CURLcode set_options(struct fetch *f)
{
	const struct il_fetch_params *p = f->params;
	char range[32], agent[64];
	bool secure, local;
	CURL *c = f->curl;
	CURLcode bad = CURLE_OK;
	read_url(p->url, &secure, &local);
	snprintf(range, sizeof range, "%lld-", (long long)f->asked);
	snprintf(agent, sizeof agent, "inlay/%s", inlay_version());
#define SET(option, value) (bad = bad ? bad : curl_easy_setopt(c, option, value))
	SET(CURLOPT_ERRORBUFFER, f->reason);
	SET(CURLOPT_URL, p->url);
	SET(CURLOPT_PROTOCOLS_STR, secure ? "https" : "http,https");
	SET(CURLOPT_REDIR_PROTOCOLS_STR, "https");
	SET(CURLOPT_FOLLOWLOCATION, 1L);
	SET(CURLOPT_MAXREDIRS, (long)MAX_REDIRECTS);
	SET(CURLOPT_FAILONERROR, 1L);
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_CONNECTTIMEOUT, (long)CONNECT_S);
	SET(CURLOPT_LOW_SPEED_LIMIT, (long)STALL_BYTES_A_SECOND);
	SET(CURLOPT_LOW_SPEED_TIME, (long)(p->stall_s ? p->stall_s : STALL_S));
	SET(CURLOPT_USERAGENT, agent);
	SET(CURLOPT_WRITEFUNCTION, take_bytes);
	SET(CURLOPT_WRITEDATA, f);
	SET(CURLOPT_NOPROGRESS, 0L);
	SET(CURLOPT_XFERINFOFUNCTION, show_progress);
	SET(CURLOPT_XFERINFODATA, f);
	if (f->asked)
		SET(CURLOPT_RANGE, range);
	if (local)
		SET(CURLOPT_PROXY, "");
	if (p->cafile)
		SET(CURLOPT_CAINFO, p->cafile);
#undef SET
	return bad;
}

/* What libcurl's code means for the file; INLAY_AGAIN asks for the whole of it. */
static enum inlay_err judge(struct fetch *f, CURLcode code)
{
	const char *url = f->params->url;
	long long size = f->size, bytes = f->params->bytes;
	long status = 0;
	if (f->rc || code == CURLE_OK)
		return f->rc;
	curl_easy_getinfo(f->curl, CURLINFO_RESPONSE_CODE, &status);
	if (code == CURLE_ABORTED_BY_CALLBACK)
		return il_fail(f->err, INLAY_ERR_CANCELLED,
		               "%s: stopped at %lld of %lld bytes; the next run goes on from there", url, size, bytes);
	if (code == CURLE_HTTP_RETURNED_ERROR && status == HTTP_BAD_RANGE && f->asked)
		return INLAY_AGAIN;
	if (code == CURLE_HTTP_RETURNED_ERROR)
		return il_fail(f->err,
		               status == HTTP_NOT_FOUND || status == HTTP_GONE ? INLAY_ERR_NOT_FOUND : INLAY_ERR_IO,
		               "%s: the server answered %ld, expected the file", url, status);
	if (code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE)
		return il_fail(f->err, INLAY_ERR_IO, "%s: %s (--cafile FILE names the authorities to trust)", url,
		               f->reason[0] ? f->reason : curl_easy_strerror(code));
	char kept[96] = "";
	if (size)
		snprintf(kept, sizeof kept, "; %lld of %lld bytes are here, the next run goes on from there", size,
		         bytes);
	return il_fail(f->err, INLAY_ERR_IO, "%s: %s%s", url, f->reason[0] ? f->reason : curl_easy_strerror(code),
	               kept);
}

static enum inlay_err ask(struct fetch *f)
{
	f->curl = curl_easy_init();
	if (!f->curl)
		return il_fail_memory(f->err);
	f->rc = INLAY_OK;
	f->begun = false;
	f->asked = f->size;
	CURLcode code = set_options(f);
	if (!code)
		code = curl_easy_perform(f->curl);
	enum inlay_err rc = judge(f, code);
	curl_easy_cleanup(f->curl);
	return rc;
}

static enum inlay_err transfer(struct fetch *f)
{
	if (f->size == f->params->bytes) /* all but the rename was done */
		return INLAY_OK;
	enum inlay_err rc = ask(f);
	if (rc == INLAY_AGAIN) {
		il_log_info("%s: the server does not go on from byte %lld; starting over", f->params->url,
		            (long long)f->asked);
		rc = empty_part(f);
		if (!rc)
			rc = ask(f);
	}
	return rc;
}

/* ---- the end ---- */

static enum inlay_err verify(struct fetch *f)
{
	char found[DIGEST_TEXT];
	if (f->size < f->params->bytes) /* of a length that the server did not tell */
		return il_fail(f->err, INLAY_ERR_IO,
		               "%s: ended after %lld of %lld bytes; the next run goes on from there", f->params->url,
		               (long long)f->size, (long long)f->params->bytes);
	if (sum_is_right(f, found))
		return INLAY_OK;
	f->unfit = true;
	return il_fail(f->err, INLAY_ERR_FORMAT,
	               "%s: wrong content: its SHA-256 is %s, expected %s; nothing of it is kept", f->params->url,
	               found, f->params->sha256);
}

static void sync_folder(const char *path)
{
	char *folder = il_path_folder(path);
	int fd = folder ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	if (fd >= 0 && fsync(fd) < 0 && errno != EINVAL)
		il_log_warn("%s: cannot sync: %s", folder, strerror(errno));
	if (fd >= 0)
		close(fd);
	free(folder);
}

static enum inlay_err commit(struct fetch *f)
{
	const char *path = f->params->path;
	if (fsync(f->fd) < 0)
		return il_fail_errno(f->err, "%s: cannot sync", f->part);
	if (!f->params->overwrite && il_path_exists(path))
		return il_fail(f->err, INLAY_ERR_EXISTS, "%s: appeared while it was being fetched", path);
	if (rename(f->part, path) < 0)
		return il_fail_errno(f->err, "%s: cannot rename to %s", f->part, path);
	sync_folder(path);
	return INLAY_OK;
}

static enum inlay_err fetch_part(struct fetch *f)
{
	enum inlay_err rc = take_up_part(f);
	if (!rc)
		rc = transfer(f);
	if (!rc)
		rc = verify(f);
	if (!rc)
		rc = commit(f);
	if (rc && (f->unfit || !f->size))
		unlink(f->part);
	return rc;
}

static void start_libcurl(void)
{
	curl_global_init(CURL_GLOBAL_DEFAULT);
}

enum inlay_err il_fetch(const struct il_fetch_params *params, bool *fetched, struct inlay_error *err)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct fetch f = { .params = params, .fd = -1, .err = err };
	bool there;
	*fetched = false;
	if (!il_fetch_allows(params->url))
		return il_fail(err, INLAY_ERR_INVALID,
		               "%s: expected https://HOST/... (http is for 127.0.0.1 and localhost alone)",
		               params->url);
	enum inlay_err rc = look_at_target(params, &there, err);
	if (rc || there)
		return rc;
	pthread_once(&once, start_libcurl);
	f.part = malloc(strlen(params->path) + sizeof ".part");
	if (!f.part)
		return il_fail_memory(err);
	sprintf(f.part, "%s.part", params->path);
	rc = open_part(&f);
	if (!rc)
		rc = fetch_part(&f);
	*fetched = !rc;
	if (f.fd >= 0)
		close(f.fd);
	free(f.part);
	return rc;
}
