/* SPDX-License-Identifier: Apache-2.0 */
/* MongoDB for the suites, on the servers that speak its protocol: a database of its own for each
 * case. FerretDB keeps what it has on disk; mongo-java-server makes each write atomic. */

#include "engine_mongodb.h"

#include <stdlib.h>

#include "engine/engines.h"
#include "engine/mongodb/internal.h"

static const char ferretdb[] = "FREEHOLD_TEST_MONGODB";
static const char java[] = "FREEHOLD_TEST_MONGOJAVA";

static json_t *server_of(const struct harness *harness, const char *variable)
{
    const char *text = getenv(variable);
    json_t *server = conformance_json(text ? text : "{}");
    const char *name = strrchr(harness->folder, '-') + 1;
    json_object_set_new(server, "database", json_sprintf("freehold_test_%s", name));
    json_object_del(server, "user"); /* neither server knows users */
    return server;
}

json_t *mongodb_server(const struct harness *harness, const struct conformance_engine *engine)
{
    return server_of(harness, strstr(engine->name, "java") ? java : ferretdb);
}

static enum fh_code open_with(struct harness *harness, json_t *server, enum fh_model model,
                              struct store **ret, struct fh_error *error)
{
    struct store_options options = {.service = "conformance", .server = server, .model = model};
    enum fh_code code = engine_named("mongodb")->store->open(&options, harness->world, ret, error);
    json_decref(server);
    return code;
}

static enum fh_code open_on(struct harness *harness, const char *variable, enum fh_model model,
                            struct store **ret, struct fh_error *error)
{
    return open_with(harness, server_of(harness, variable), model, ret, error);
}

enum fh_code mongodb_open_at(struct conformance *c, int port, struct store **ret)
{
    json_t *server = mongodb_server(&c->harness, c->engine);
    json_object_set_new(server, "port", json_integer(port));
    return open_with(&c->harness, server, c->model, ret, &c->error);
}

enum fh_code mongodb_open_shared(struct conformance *c, struct store **ret)
{
    json_t *server = mongodb_server(&c->harness, c->engine);
    struct store_options options = {
        .service = "conformance", .folder = c->harness.folder, .server = server, .model = c->model};
    enum fh_code code =
        engine_named("mongodb")->store->open(&options, c->harness.world, ret, &c->error);
    json_decref(server);
    return code;
}

static enum fh_code open_ferretdb(struct harness *harness, enum fh_model model, struct store **ret,
                                  struct fh_error *error)
{
    return open_on(harness, ferretdb, model, ret, error);
}

static enum fh_code open_java(struct harness *harness, enum fh_model model, struct store **ret,
                              struct fh_error *error)
{
    return open_on(harness, java, model, ret, error);
}

struct dropping {
    struct mongodb_call call; /* first */
    struct harness *harness;
    const char *variable;
};

static enum fh_code drop_run(struct mongodb_call *call, struct fh_error *error)
{
    bson_t command, reply;
    bson_error_t why;
    mongoc.bson_init(&command);
    mongoc.bson_append_int64(&command, "dropDatabase", -1, 1);
    bool done = mongoc.mongoc_client_write_command_with_opts(call->client, call->database, &command,
                                                             NULL, &reply, &why);
    mongoc.bson_destroy(&reply);
    mongoc.bson_destroy(&command);
    return done ? FH_OK : mongodb_failed(&why, error);
}

static void drop_on_fiber(void *argument)
{
    struct dropping *dropping = argument;
    struct mongodb *mongodb = calloc(1, sizeof *mongodb);
    json_t *server = server_of(dropping->harness, dropping->variable);
    struct store_options options = {.server = server};
    struct fh_error error;
    FH_ASSERT(mongodb != NULL);
    mongodb->store.world = dropping->harness->world;
    dropping->call.run = drop_run;
    if (mongodb_load(&error) != FH_OK || mongodb_connect(mongodb, &options, &error) != FH_OK ||
        mongodb_call(mongodb, &dropping->call, &error) != FH_OK)
        fprintf(stderr, "a test's database stays: %s\n", error.message);
    mongodb_disconnect(mongodb);
    free(mongodb);
    json_decref(server);
}

static void drop_ferretdb(struct harness *harness)
{
    struct dropping dropping = {.harness = harness, .variable = ferretdb};
    harness_run(harness, drop_on_fiber, &dropping);
}

static void drop_java(struct harness *harness)
{
    struct dropping dropping = {.harness = harness, .variable = java};
    harness_run(harness, drop_on_fiber, &dropping);
}

static const char *missing_ferretdb(void)
{
    return getenv(ferretdb) ? NULL
                            : "FREEHOLD_TEST_MONGODB names no server (tools/servers run ...)";
}

static const char *missing_java(void)
{
    return getenv(java) ? NULL : "FREEHOLD_TEST_MONGOJAVA names no server (tools/servers run ...)";
}

static const struct conformance_engine on_ferretdb = {
    .name = "mongodb on ferretdb",
    .models = 1u << FH_DOCUMENT,
    .signless_zero = 1u << FH_DOCUMENT,
    .open = open_ferretdb,
    .close = store_close,
    .share = mongodb_open_shared,
    .missing = missing_ferretdb,
    .drop = drop_ferretdb,
    .slow = true,
};

static const struct conformance_engine on_java = {
    .name = "mongodb on mongo-java-server",
    .models = 1u << FH_DOCUMENT,
    .open = open_java,
    .close = store_close,
    .share = mongodb_open_shared,
    .missing = missing_java,
    .drop = drop_java,
};

const struct conformance_engine *const conformance_mongodb[] = {&on_ferretdb, &on_java, NULL};
