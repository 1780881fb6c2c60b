/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_FILE_STORE_ADDRESS_H
#define SYSTEM_FILE_STORE_ADDRESS_H

/* Where a database server is, as the system file says it everywhere. */

#include <jansson.h>

#include "system/file/yaml.h"

/* Where a server is, and the user that connects to it. */
struct system_address {
    const char *host; /* a host name, an address, or the folder of a Unix socket */
    int port;         /* 0: the engine's default */
    const char *user, *password;
    json_t *tls; /* {"mode": "off" | "verify", "ca", "certificate", "key"}; NULL: not given */
};

/* The readers of its keys, in servers.c; `into` begins with a struct system_address. */
yaml_read file_read_host, file_read_port, file_read_user, file_read_password, file_read_tls;

#endif
