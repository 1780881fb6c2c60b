/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_FILE_SHARED_H
#define SYSTEM_FILE_SHARED_H

/* The server on which several gateways count together: gateway.limits.shared. */

#include "system/file/store_address.h"

struct system_shared {
    struct system_address address; /* first; no host: there is none */
    const char *engine;
    const char *database; /* begins its names; NULL: the system's name, and "_limits" */
    struct place place;
};

/* For limits.c; `into` is a struct system_shared. */
yaml_read file_read_shared;

/* As the gateway reads it; a new reference, or NULL: there is none. It holds the password. */
json_t *system_file_shared(const struct system_shared *shared, const char *system);

#endif
