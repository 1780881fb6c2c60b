/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_POSTGRESQL_SERIES_H
#define TESTS_POSTGRESQL_SERIES_H

/* What tests of series on PostgreSQL share: each has a store, a link to the server and the name of
 * a generation of its own. Header only. */

#include "../support/carried_ops.h"
#include "../support/fixture.h"
#include "engine_postgresql.h"

#include "base/id.h"
#include "base/json.h"
#include "carrier/postgresql/internal.h"
#include "engine/postgresql/internal.h"

#define WEEK_MS INT64_C(604800000)
#define BEGAN_MS INT64_C(1700000000000)

static const struct fh_derived_field fields[] = {
    {"device", FH_STRING, FH_TAG}, {"site", FH_INT, FH_TAG}, {"on", FH_BOOL, FH_TAG},
    {"celsius", FH_NUMBER},        {"battery", FH_INT},      {0}};
static fh_service service = {
    .name = "climate",
    .model = FH_RELATIONAL,
    .derives = {{.name = "measured", .model = FH_SERIES, .fields = fields}}};

struct trial {
    struct fixture *fixture;
    struct world *world;
    struct carried_server *server;
    json_t *values; /* of ops, as long as the trial */
    struct carried_name name;
    char schema[CURVES_SCHEMA_SIZE];
    void (*body)(void);
    uint64_t state;
    int compared, refused, curves;
    char wrong[2048];
};

static struct trial trial;

static inline int draw(int below)
{
    trial.state = trial.state * 6364136223846793005u + 1442695040888963407u;
    return (int)((trial.state >> 33) % (uint64_t)below);
}

static inline const struct fh_derived *declared(void)
{
    return &service.derives[0];
}

#define EXPECT_THAT(condition)                                                                     \
    do {                                                                                           \
        if (!(condition) && !trial.wrong[0])                                                       \
            snprintf(trial.wrong, sizeof trial.wrong, "line %d: %s", __LINE__, #condition);        \
    } while (0)

/* ---- The server, and the superuser ---- */

static inline json_t *options_over(int port)
{
    json_t *options = json_loads(getenv("FREEHOLD_TEST_POSTGRESQL"), 0, NULL);
    FH_ASSERT(options != NULL);
    json_object_set_new(options, "database", json_string("postgres"));
    if (port)
        json_object_set_new(options, "port", json_integer(port));
    return options;
}

static inline int server_port_of_tests(void)
{
    json_t *options = options_over(0);
    int port = (int)json_integer_value(json_object_get(options, "port"));
    json_decref(options);
    return port;
}

static char owner[64];

static inline struct carried_server *open_over(int port)
{
    struct carried_server *server;
    struct fh_error error;
    json_t *options = options_over(port);
    if (curves_open(trial.world, options, owner, &server, &error) != FH_OK)
        fprintf(stderr, "%s\n", error.message);
    FH_ASSERT(server != NULL);
    json_decref(options);
    return server;
}

struct number_found {
    int64_t number;
};

static inline void take_number(void *context, PGresult *result)
{
    if (postgresql_pq.PQntuples(result))
        ((struct number_found *)context)->number =
            strtoll(postgresql_pq.PQgetvalue(result, 0, 0), NULL, 10);
}

/* As the superuser; $ in `sql` is the schema in quotation marks. */
static inline int64_t administer(const char *sql)
{
    struct text text;
    struct fh_error error;
    struct number_found found = {-1};
    text_init(&text, TEXT_SMALL_MAX);
    for (; *sql; sql++) {
        if (*sql == '$')
            text_printf(&text, "\"%s\"", trial.schema);
        else
            text_append(&text, sql, 1);
    }
    struct postgresql_connection *connection = postgresql_administrator(trial.world, &error);
    FH_ASSERT(connection != NULL);
    if (postgresql_simple(connection, text.data, -1, take_number, &found, &error) != FH_OK)
        fprintf(stderr, "%s: %s\n", text.data, error.message);
    postgresql_administrator_free(connection);
    text_release(&text);
    return found.number;
}

static inline enum fh_code make_generation(struct carried_server *server)
{
    struct fh_error error = {0};
    enum fh_code code = server->ops->make(server, declared(), &trial.name, &error);
    if (code != FH_OK)
        fprintf(stderr, "make: %s\n", error.message);
    return code;
}

static inline json_t *keep_value(json_t *value)
{
    json_array_append_new(trial.values, value);
    return value;
}

static inline json_t *make_point(const char *device, int site, double celsius)
{
    return keep_value(json_pack("{s:s, s:i, s:b, s:f, s:i}", "device", device, "site", site, "on",
                                1, "celsius", celsius, "battery", 7));
}

static inline struct carried_op make_op(int64_t position, int64_t at_ms, json_t *value)
{
    struct carried_op op = {.position = position, .key = "k", .at_ms = at_ms, .value = value};
    carried_ops_fill(declared(), &op, 1);
    return op;
}

static struct fh_error said;

static inline enum fh_code send_ops(struct carried_server *server, int64_t from, int64_t to,
                                    struct carried_op *ops, int count)
{
    struct carried_page page = {{from, to}, ops, count};
    said = (struct fh_error){0};
    return server->ops->send(server, declared(), &trial.name, &page, &said);
}

static inline json_t *ask_series(const struct fh_series *series, int64_t oldest_ms,
                                 int64_t deadline_ns)
{
    json_t *answer = NULL;
    said = (struct fh_error){0};
    trial.server->ops->series(trial.server, declared(), &trial.name, series, oldest_ms, NULL,
                              deadline_ns, &answer, &said);
    return answer;
}

/* The last value of "celsius"; -1: there is none. */
static inline double last_celsius(void)
{
    static const char *const values[] = {"celsius", NULL};
    json_t *answer = ask_series(&(struct fh_series){.values = values}, INT64_MIN, 0);
    const json_t *curve = json_array_get(json_object_get(answer, "curves"), 0);
    const json_t *point = json_array_get(json_object_get(curve, "points"), 0);
    double ret = point ? json_number_value(json_array_get(point, 1)) : -1;
    json_decref(answer);
    return ret;
}

static int links_found;
static struct carried_link links_last;

static inline void note_link(void *context, const struct carried_link *link)
{
    (void)context;
    links_found++;
    links_last = *link;
}

/* ---- Each on a store and a generation of its own ---- */

static inline void run_body(void *argument)
{
    (void)argument;
    trial.server = open_over(0);
    curves_schema(curves_of(trial.server), declared(), &trial.name, trial.schema);
    trial.values = json_array();
    trial.body();
    json_decref(trial.values);
    trial.server->ops->drop(trial.server, declared(), &trial.name, &said);
    curves_close(trial.server);
}

static inline void run_trial(void **state, void (*body)(void))
{
    unsigned char random[10];
    const char *seed = getenv("FREEHOLD_SEED");
    uint64_t number;
    if (!getenv("FREEHOLD_TEST_POSTGRESQL"))
        SKIP_BECAUSE("no postgresql: FREEHOLD_TEST_POSTGRESQL names no server");
    fixture_set_up(state, &service, "CREATE TABLE thing (id TEXT)");
    trial = (struct trial){.fixture = *state, .body = body};
    trial.world = trial.fixture->harness.world;
    trial.state = seed ? strtoull(seed, NULL, 10) : 1;
    links_found = 0;
    world_random(trial.world, random, sizeof random);
    world_random(trial.world, &number, sizeof number);
    id_format(trial.name.incarnation, world_wall_ms(trial.world), random);
    trial.name.number = 1;
    snprintf(owner, sizeof owner, "tests.s-%016llx", (unsigned long long)number);
    harness_run(&trial.fixture->harness, run_body, NULL);
    fixture_tear_down(state);
    if (trial.wrong[0])
        fail_msg("%s", trial.wrong);
}

#define TRIAL_TEST(name)                                                                           \
    static void test_##name(void **state)                                                          \
    {                                                                                              \
        run_trial(state, name);                                                                    \
    }
#define TRIAL_ROW(name) {#name, test_##name, NULL, NULL, NULL},

#endif
