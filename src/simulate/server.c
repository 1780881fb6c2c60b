/* SPDX-License-Identifier: Apache-2.0 */
/* Which servers there are models of. One whose headers were missing says so. */

#include "simulate/server.h"

#include <string.h>

typedef struct simulate_server *make_server(struct simulate *simulate,
                                            simulate_server_failed *failed, void *context);

static const struct {
    const char *engine;
    make_server *make; /* NULL: not in this build */
    const char *lacks;
} models[] = {
    {"postgresql",
#ifdef FREEHOLD_POSTGRESQL
     simulate_postgresql_new,
#else
     NULL,
#endif
     "This build has no PostgreSQL engine, which its simulation needs."},
    {"redis",
#if defined FREEHOLD_REDIS && __has_include(<lua5.1/lualib.h>)
     simulate_redis_new,
#else
     NULL,
#endif
     "This build has no Redis engine, or no headers of Lua 5.1, which its simulation needs."},
};

#define MODELS (sizeof models / sizeof models[0])

bool simulate_server_is_modelled(const char *engine)
{
    for (size_t i = 0; i < MODELS; i++) {
        if (strcmp(models[i].engine, engine) == 0)
            return true;
    }
    return false;
}

struct simulate_server *simulate_server_new(const char *engine, struct simulate *simulate,
                                            simulate_server_failed *failed, void *context)
{
    struct simulate_server *server = NULL;
    for (size_t i = 0; i < MODELS && !server; i++) {
        if (strcmp(models[i].engine, engine) != 0)
            continue;
        if (!models[i].make)
            failed(context, models[i].lacks);
        else if ((server = models[i].make(simulate, failed, context)) != NULL)
            server->engine = models[i].engine;
    }
    return server;
}
