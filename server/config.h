/* What a server is told: a YAML file, the environment (INLAY_SERVE_...), the command line, each over the one before.
 *
 * The file's keys are the members below in their groups (docs/serve.md); those of the services that inlay serve takes
 * the place of are understood, too: server.port, gpus, capacity, output, models_root, background_root, models.
 */
#ifndef SERVER_CONFIG_H
#define SERVER_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "inlay/error.h"

enum server_role { SERVER_ALL, SERVER_INFERENCE, SERVER_COMPOSITING };

struct server_config {
	enum server_role role;
	char **inference; /* URLs of inference servers: grpc://HOST:PORT or HOST:PORT, grpcs:// with TLS */
	unsigned n_inference;
	char *http, *grpc;    /* HOST:PORT to listen on, 127.0.0.1:8000 and :8001 by default; "off": not */
	char *avatars;        /* folder; always needed */
	char *state;          /* folder of jobs and uploads; default $XDG_STATE_HOME/inlay */
	int64_t memory_bytes; /* budget of loaded avatars; default half of the machine's */
	unsigned max_models;  /* loaded at a time, 0: no limit */
	bool lfu;             /* else LRU */
	char *token_file, *tls_cert, *tls_key, *tls_client_ca; /* NULL: none */
	char *inference_ca; /* who signed the certificates of grpcs:// inference servers; NULL: whom the system trusts
	                     */
	bool shared_memory; /* clients may name shared memory */
	int jpeg_quality;   /* of frames, 0: the avatar's */
	unsigned workers, threads, batch; /* of the scheduler; 0: chosen */
	struct server_limits {
		int64_t message_bytes;   /* of a gRPC message or HTTP body but uploads: 100 MB */
		int64_t upload_bytes;    /* 512 MB */
		double audio_s;          /* of one video or stream: 3600 */
		unsigned jobs;           /* queued and running: 1000 */
		unsigned renders;        /* at a time: 2 a processor, at least 4 */
		unsigned connections;    /* 1024 */
		unsigned waiting_frames; /* of the scheduler: 4096 */
		unsigned drain_s;        /* after SIGTERM: 30 */
		unsigned keep_h;         /* finished jobs are kept: 168 */
	} limits;
};

/* Sets defaults. */
enum inlay_err server_config_init(struct server_config *config, struct inlay_error *err);
/* Over what is there. An unknown key, a wrong type or a value out of range is INLAY_ERR_FORMAT with file and line. */
enum inlay_err server_config_read(struct server_config *config, const char *path, struct inlay_error *err);
/* INLAY_SERVE_HTTP, _GRPC, _ROLE, _INFERENCE (comma-separated), _AVATARS, _STATE, _MEMORY_MB, _TOKEN_FILE, ... */
enum inlay_err server_config_environment(struct server_config *config, struct inlay_error *err);
/* One `key` of the file ("http", "limits.jobs") from text, as the command line gives it. */
enum inlay_err server_config_set(struct server_config *config, const char *key, const char *value,
                                 struct inlay_error *err);
/* Values against each other: roles need URLs, TLS needs both files, TLS or a token for addresses that are not this
 * machine's (a warning), folders that are there. */
enum inlay_err server_config_check(const struct server_config *config, struct inlay_error *err);
/* The one word that a file holds, in fresh memory; of token_file, NULL where there is no such file. */
enum inlay_err server_token_read(const char *path, char **token, struct inlay_error *err);
enum inlay_err server_config_token(const struct server_config *config, char **token, struct inlay_error *err);
/* True where keys differ that a running server does not take over (serve_reload): their names, with commas between
 * them. */
bool server_config_needs_restart(const struct server_config *running, const struct server_config *config, char *names,
                                 size_t size);
void server_config_clear(struct server_config *config); /* accepts {0} */

#endif
