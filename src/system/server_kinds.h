/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_SERVER_KINDS_H
#define SYSTEM_SERVER_KINDS_H

/* For server.c alone: each kind is one file. */

#include "store/server.h"

extern const struct server_kind server_postgresql, server_mariadb, server_mongodb, server_redis;

#endif
