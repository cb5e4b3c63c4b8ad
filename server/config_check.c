/* Values of a configuration against each other and against what is there. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "server/config_impl.h"

static enum inlay_err check_role(const struct server_config *c, struct inlay_error *err)
{
	if (c->role == SERVER_COMPOSITING && !c->n_inference)
		return il_fail(err, INLAY_ERR_INVALID,
		               "role compositing draws no mouths itself: give inference (--inference HOST:PORT)");
	if (c->role != SERVER_COMPOSITING && c->n_inference)
		return il_fail(err, INLAY_ERR_INVALID,
		               "inference: %s: role %s draws mouths itself; expected role compositing", c->inference[0],
		               c->role == SERVER_ALL ? "all" : "inference");
	return INLAY_OK;
}

/* By what lies in it; a folder of avatars may be empty. */
static bool is_avatar(const char *folder)
{
	static const char *const names[] = { "avatar.json", "full_body_video.mp4", "full_body_img" };
	bool is = false;
	for (size_t i = 0; i < sizeof names / sizeof *names && !is; i++) {
		char *path = il_path_join(folder, names[i]);
		is = path && il_path_exists(path);
		free(path);
	}
	return is;
}

static enum inlay_err check_folders(const struct server_config *c, struct inlay_error *err)
{
	if (!c->avatars)
		return il_fail(err, INLAY_ERR_INVALID, "no avatars: give the folder that they lie in (--avatars DIR)");
	if (!il_path_is_folder(c->avatars))
		return il_fail(err, INLAY_ERR_NOT_FOUND, "avatars: %s: there is no such folder", c->avatars);
	if (is_avatar(c->avatars))
		return il_fail(err, INLAY_ERR_INVALID, "avatars: %s is an avatar; give the folder that it lies in",
		               c->avatars);
	if (c->role != SERVER_INFERENCE && (!c->state || !*c->state))
		return il_fail(err, INLAY_ERR_INVALID, "no folder for jobs and uploads: give state (--state DIR)");
	return INLAY_OK;
}

static enum inlay_err check_readable(const char *key, const char *path, struct inlay_error *err)
{
	if (path && access(path, R_OK))
		return il_fail_errno(err, "%s: %s", key, path);
	return INLAY_OK;
}

static enum inlay_err check_secrets(const struct server_config *c, struct inlay_error *err)
{
	if (!c->tls_cert != !c->tls_key)
		return il_fail(err, INLAY_ERR_INVALID, "tls_cert and tls_key belong together: %s is missing",
		               c->tls_cert ? "tls_key" : "tls_cert");
	if (c->tls_client_ca && !c->tls_cert)
		return il_fail(err, INLAY_ERR_INVALID, "tls_client_ca needs tls_cert and tls_key");
	enum inlay_err rc = check_readable("token_file", c->token_file, err);
	rc = rc ? rc : check_readable("tls_cert", c->tls_cert, err);
	rc = rc ? rc : check_readable("tls_key", c->tls_key, err);
	rc = rc ? rc : check_readable("tls_client_ca", c->tls_client_ca, err);
	return rc ? rc : check_readable("inference_ca", c->inference_ca, err);
}

static bool only_this_machine(const char *address)
{
	size_t length;
	int port;
	if (!strcmp(address, "off") || !config_split_address(address, &length, &port))
		return true;
	return !strncmp(address, "127.", 4) || (length == 9 && !strncmp(address, "localhost", 9)) ||
	       (length == 5 && !strncmp(address, "[::1]", 5));
}

/* `certificates`: who comes in here has shown one. HTTP asks nobody for any. */
static void warn_of_open_door(const struct server_config *c, const char *key, const char *address, bool certificates)
{
	if (only_this_machine(address))
		return;
	if (!c->token_file && !certificates)
		il_log_warn("%s: whoever reaches %s may use this server: give token_file, or let HAProxy or a firewall "
		            "stand before it",
		            key, address);
	else if (!c->tls_cert)
		il_log_warn("%s: the token travels to %s in clear text: give tls_cert and tls_key, or let HAProxy "
		            "stand before it",
		            key, address);
}

enum inlay_err server_config_check(const struct server_config *c, struct inlay_error *err)
{
	if (!c->http || !c->grpc || (!strcmp(c->http, "off") && !strcmp(c->grpc, "off")))
		return il_fail(err, INLAY_ERR_INVALID, "http and grpc are both off: nobody could ask for anything");
	enum inlay_err rc = check_role(c, err);
	rc = rc ? rc : check_folders(c, err);
	rc = rc ? rc : check_secrets(c, err);
	if (rc)
		return rc;
	warn_of_open_door(c, "http", c->http, false);
	warn_of_open_door(c, "grpc", c->grpc, c->tls_client_ca != NULL);
	return INLAY_OK;
}
