/* What the files of server/config share. */
#ifndef SERVER_CONFIG_IMPL_H
#define SERVER_CONFIG_IMPL_H

#include <stddef.h>

#include "server/config.h"

enum config_key_kind { CONFIG_UNKNOWN, CONFIG_VALUE, CONFIG_LIST, CONFIG_MEANINGLESS };

/* "limits.jobs" */
enum config_key_kind config_key_kind(const char *name);
/* True for what stands before a dot of a key. */
bool config_is_group(const char *name);
/* HOST:PORT, [ADDRESS]:PORT; the host's length is without the colon. False for anything else. */
bool config_split_address(const char *address, size_t *host_length, int *port);

/* YAML text of at most 1 MB; name: for messages. */
enum inlay_err config_parse(struct server_config *config, const char *name, const void *data, size_t size,
                            struct inlay_error *err);

#endif
