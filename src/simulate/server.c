/* SPDX-License-Identifier: Apache-2.0 */
/* Which servers there are models of. */

#include "simulate/server.h"

#include <stdio.h>
#include <string.h>

static const struct simulate_model *find_model(const char *engine)
{
    const struct simulate_model *model = simulate_models;
    while (model->engine && strcmp(model->engine, engine) != 0)
        model++;
    return model->engine ? model : NULL;
}

bool simulate_server_is_modelled(const char *engine)
{
    return find_model(engine) != NULL;
}

struct simulate_server *simulate_server_new(const char *engine, struct simulate *simulate,
                                            simulate_server_failed *failed, void *context)
{
    const struct simulate_model *model = find_model(engine);
    struct simulate_server *server = NULL;
    char lacks[160];
    if (model && !model->make) {
        snprintf(lacks, sizeof lacks,
                 "This freehold can't simulate %.40s: it was built without the headers that its "
                 "model needs (make deps installs them).",
                 engine);
        failed(context, lacks);
    } else if (model && (server = model->make(simulate, failed, context)) != NULL) {
        server->engine = model->engine;
    }
    return server;
}
