/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server and its sessions as all others know them: there is one in a run, it can fail, what it
 * does takes its time, and a session goes on after some of that.
 */

#include "simulate/postgresql/model.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/error.h"

#define STEP_NS_MIN ((int64_t)3000)
#define STEP_NS_MAX ((int64_t)60000)
#define SYNC_NS_MIN ((int64_t)30000)
#define SYNC_NS_MAX ((int64_t)1500000)

static struct model_server *the_server;

void model_begin(struct model_server *server)
{
    the_server = server;
}

struct model_server *model_the_server(void)
{
    FH_ASSERT(the_server != NULL);
    return the_server;
}

void model_fail(struct model_server *server, const char *format, ...)
{
    char text[300];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    server->failed(server->context, text);
}

int64_t model_execution_ns(struct model_server *server)
{
    return wire_slowed(&server->wire, simulate_between(server->simulate, STEP_NS_MIN, STEP_NS_MAX));
}

int64_t model_sync_ns(struct model_server *server)
{
    return wire_slowed(&server->wire, simulate_between(server->simulate, SYNC_NS_MIN, SYNC_NS_MAX));
}

void model_session_plan(struct model_session *session, int64_t in_ns)
{
    struct simulate *simulate = session->server->simulate;
    if (session->alive && !session->step.place)
        simulate_plan(simulate, &session->step, simulate->now_ns + in_ns);
}

void model_session_wake(struct model_session *session)
{
    session->waits = false;
    model_session_plan(session, model_execution_ns(session->server));
}

bool model_has_forgotten(const struct model_session *session)
{
    return session->serializable &&
           session->database->version - session->snapshot > MODEL_REMEMBERED;
}
