/* SPDX-License-Identifier: Apache-2.0 */
/* In place of the model where libpq's headers, and so the engine, are missing: it says so. */

#include "simulate/postgresql/server.h"

#ifndef FREEHOLD_POSTGRESQL

struct model_server *model_server_new(struct simulate *simulate,
                                      void (*failed)(void *context, const char *why), void *context)
{
    (void)simulate;
    failed(context, "This build has no PostgreSQL engine, which its simulation needs.");
    return NULL;
}

json_t *model_server_config(const char *database)
{
    (void)database;
    return json_object();
}

void model_server_faults_begin(struct model_server *server, int64_t until_ns, int64_t pause_ns)
{
    (void)server, (void)until_ns, (void)pause_ns;
}

void model_server_faults_end(struct model_server *server)
{
    (void)server;
}

void model_server_fates(struct model_server *server, const char *fates)
{
    (void)server, (void)fates;
}

int64_t model_server_fates_end(struct model_server *server)
{
    (void)server;
    return 0;
}

bool model_server_late(const struct model_server *server)
{
    (void)server;
    return false;
}

int model_server_disorder(struct model_server *server, const char *database)
{
    (void)server, (void)database;
    return 0;
}

void model_server_died(struct model_server *server, const struct simulate_node *node, bool power)
{
    (void)server, (void)node, (void)power;
}

json_t *model_server_rows(struct model_server *server, const char *database, const char *sql,
                          const char **ret_why)
{
    (void)server, (void)database, (void)sql;
    *ret_why = "there is no server";
    return NULL;
}

#else

typedef int model_is_there; /* a translation unit is not empty */

#endif
