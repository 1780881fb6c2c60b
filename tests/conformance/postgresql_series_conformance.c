/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Series on PostgreSQL: whatever is asked of points there is answered as it is of the same points
 * in the service's own store, in whatever order, however often and over whatever broken links they
 * came. And what is of this server alone: partitions, transactions, SQLSTATEs.
 */

#include "../support/fixture.h"
#include "engine_postgresql.h"
#include "link.h"

#include "base/id.h"
#include "base/json.h"
#include "carrier/postgresql/internal.h"
#include "engine/postgresql/internal.h"

#define POINTS 900
#define QUESTIONS 200
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

static int draw(int below)
{
    trial.state = trial.state * 6364136223846793005u + 1442695040888963407u;
    return (int)((trial.state >> 33) % (uint64_t)below);
}

static const struct fh_derived *declared(void)
{
    return &service.derives[0];
}

#define EXPECT_THAT(condition)                                                                     \
    do {                                                                                           \
        if (!(condition) && !trial.wrong[0])                                                       \
            snprintf(trial.wrong, sizeof trial.wrong, "line %d: %s", __LINE__, #condition);        \
    } while (0)

/* ---- The server, and the superuser ---- */

static json_t *options_over(int port)
{
    json_t *options = json_loads(getenv("FREEHOLD_TEST_POSTGRESQL"), 0, NULL);
    FH_ASSERT(options != NULL);
    json_object_set_new(options, "database", json_string("postgres"));
    if (port)
        json_object_set_new(options, "port", json_integer(port));
    return options;
}

static int server_port_of_tests(void)
{
    json_t *options = options_over(0);
    int port = (int)json_integer_value(json_object_get(options, "port"));
    json_decref(options);
    return port;
}

static char owner[64];

static struct carried_server *open_over(int port)
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

static void take_number(void *context, PGresult *result)
{
    if (postgresql_pq.PQntuples(result))
        ((struct number_found *)context)->number =
            strtoll(postgresql_pq.PQgetvalue(result, 0, 0), NULL, 10);
}

/* As the superuser; $ in `sql` is the schema in quotation marks. */
static int64_t administer(const char *sql)
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

static enum fh_code make_generation(struct carried_server *server)
{
    struct fh_error error = {0};
    enum fh_code code = server->ops->make(server, declared(), &trial.name, &error);
    if (code != FH_OK)
        fprintf(stderr, "make: %s\n", error.message);
    return code;
}

static json_t *keep_value(json_t *value)
{
    json_array_append_new(trial.values, value);
    return value;
}

static json_t *make_point(const char *device, int site, double celsius)
{
    return keep_value(json_pack("{s:s, s:i, s:b, s:f, s:i}", "device", device, "site", site, "on",
                                1, "celsius", celsius, "battery", 7));
}

static struct carried_op make_op(int64_t position, int64_t at_ms, json_t *value)
{
    return (struct carried_op){.position = position, .key = "k", .at_ms = at_ms, .value = value};
}

static struct fh_error said;

static enum fh_code send_ops(struct carried_server *server, int64_t from, int64_t to,
                             struct carried_op *ops, int count)
{
    struct carried_page page = {{from, to}, ops, count};
    said = (struct fh_error){0};
    return server->ops->send(server, declared(), &trial.name, &page, &said);
}

static json_t *ask_series(const struct fh_series *series, int64_t oldest_ms, int64_t deadline_ns)
{
    json_t *answer = NULL;
    said = (struct fh_error){0};
    trial.server->ops->series(trial.server, declared(), &trial.name, series, oldest_ms, deadline_ns,
                              &answer, &said);
    return answer;
}

/* The last value of "celsius"; -1: there is none. */
static double last_celsius(void)
{
    static const char *const values[] = {"celsius", NULL};
    json_t *answer = ask_series(&(struct fh_series){.values = values}, INT64_MIN, 0);
    const json_t *curve = json_array_get(json_object_get(answer, "curves"), 0);
    const json_t *point = json_array_get(json_object_get(curve, "points"), 0);
    double ret = point ? json_number_value(json_array_get(point, 1)) : -1;
    json_decref(answer);
    return ret;
}

/* ---- Both answer alike ---- */

static const char *const devices[] = {"d1", "d\"2", "d\\3", "ü,{4}", "NULL", "", "d1 ", "日本"};
#define DEVICES ((int)(sizeof devices / sizeof *devices))

static int64_t draw_time(void)
{
    if (draw(40) == 0)
        return (draw(2) ? 1 : -1) * (int64_t)draw(1000000) * 8640000000;
    return BEGAN_MS + (int64_t)draw(60) * 86400000 / 4 + draw(5) * 1000 + draw(3);
}

static json_t *draw_point(void)
{
    json_t *battery = draw(6) ? json_integer(draw(1000) - 500) : json_null();
    if (draw(30) == 0) {
        json_decref(battery);
        battery = json_string("9223372036854775807");
    }
    return keep_value(json_pack("{s:s, s:i, s:b, s:o, s:o}", "device", devices[draw(DEVICES)],
                                "site", draw(3) - 1, "on", draw(2), "celsius",
                                draw(8) ? json_real(draw(800) / 8.0 - 40) : json_null(), "battery",
                                battery));
}

static void put_own(const struct carried_op *ops)
{
    struct store *store = trial.fixture->context.store;
    struct store_work *work;
    struct fh_error error;
    int64_t number = 0, id;
    FH_ASSERT(store_begin(store, STORE_WRITE, &work, &error) == FH_OK);
    for (int i = 0; i < POINTS; i++)
        FH_ASSERT(derived_engine(store)->measure(work, declared(), &number, ops[i].at_ms,
                                                 ops[i].value, &id, &error) == FH_OK);
    FH_ASSERT(store_commit(work, &error) == FH_OK);
}

/* Pages that begin and end anywhere, in any order; the last ones are all of it. */
static void carry_drawn(struct carried_op *ops)
{
    for (int i = 0; i < 25; i++) {
        int from = draw(POINTS), count = 1 + draw(POINTS - from < 120 ? POINTS - from : 120);
        EXPECT_THAT(send_ops(trial.server, from, from + count, &ops[from], count) == FH_OK);
    }
    for (int from = 0, count; from < POINTS; from += count) {
        count = POINTS - from < 100 ? POINTS - from : 100;
        EXPECT_THAT(send_ops(trial.server, from, from + count, &ops[from], count) == FH_OK);
    }
    for (int i = 0; i < POINTS; i++)
        EXPECT_THAT(!ops[i].refused[0]);
}

static void fill_both(void)
{
    static struct carried_op ops[POINTS];
    for (int i = 0; i < POINTS; i++)
        ops[i] = make_op(i + 1, draw_time(), draw_point());
    put_own(ops);
    EXPECT_THAT(make_generation(trial.server) == FH_OK);
    carry_drawn(ops);
}

static enum fh_code ask_own(const struct fh_series *series, int64_t oldest_ms, json_t **ret,
                            struct fh_error *error)
{
    struct store *store = trial.fixture->context.store;
    struct store_work *work;
    FH_ASSERT(store_begin(store, STORE_READ, &work, error) == FH_OK);
    enum fh_code code =
        derived_engine(store)->series(work, declared(), series, oldest_ms, ret, error);
    store_rollback(work);
    return code;
}

static void compare_question(const struct fh_series *series, int64_t oldest_ms)
{
    struct fh_error error = {0}, served_error = {0};
    json_t *own = NULL, *served = NULL;
    enum fh_code code = ask_own(series, oldest_ms, &own, &error);
    enum fh_code served_code = trial.server->ops->series(
        trial.server, declared(), &trial.name, series, oldest_ms, 0, &served, &served_error);
    bool alike = code == served_code && strcmp(error.message, served_error.message) == 0 &&
                 strcmp(error.field, served_error.field) == 0 &&
                 (code != FH_OK || json_equal(own, served));
    trial.compared++;
    trial.refused += code != FH_OK;
    trial.curves += (int)json_array_size(json_object_get(own, "curves"));
    if (!alike && !trial.wrong[0]) {
        char *one = json_text(own ? own : json_null()),
             *other = json_text(served ? served : json_null());
        snprintf(trial.wrong, sizeof trial.wrong,
                 "question %d, every %lld ms: %d %s %.700s here, %d %s %.700s there",
                 trial.compared, (long long)series->every_ms, (int)code, error.message, one,
                 (int)served_code, served_error.message, other);
        json_text_free(one);
        json_text_free(other);
    }
    json_decref(own);
    json_decref(served);
}

static void draw_values(const char *values[5], bool intervals)
{
    static const char *const functions[] = {"mean celsius",  "sum battery",   "min celsius",
                                            "max battery",   "first celsius", "last celsius",
                                            "p50 celsius",   "p95 battery",   "p99 celsius",
                                            "count celsius", "count",         "sum celsius"};
    int count = 1 + draw(4);
    for (int i = 0; i < count; i++)
        values[i] = intervals ? functions[draw(12)] : draw(2) ? "celsius" : "battery";
    values[count] = NULL;
}

static void compare_drawn(void)
{
    static const char *const tags[] = {"device", "site", "on"};
    const char *values[5], *by[4];
    int by_count = 0;
    bool intervals = draw(3) > 0;
    struct fh_series series = {.by = by, .tags = json_object()};
    for (int i = 0; i < 3; i++) {
        if (draw(3) == 0)
            by[by_count++] = tags[i];
    }
    by[by_count] = NULL;
    if (draw(3) == 0)
        json_object_set_new(series.tags, "device", json_string(devices[draw(DEVICES)]));
    if (draw(5) == 0)
        json_object_set_new(series.tags, "site", json_integer(draw(5) - 2));
    if (draw(5) == 0)
        json_object_set_new(series.tags, "on", json_boolean(draw(2)));
    if (intervals || draw(2)) {
        series.from_ms = BEGAN_MS + (int64_t)(draw(20) - 4) * 86400000 + draw(3);
        series.to_ms = series.from_ms + (int64_t)draw(16) * 86400000 + draw(2);
    }
    if (intervals) {
        series.every_ms = (int64_t[]){3600000, 86400000, WEEK_MS, 50000000}[draw(4)];
        series.fill = (enum fh_fill[]){FH_GAPS, FH_PREVIOUS, FH_LINEAR}[draw(3)];
    } else {
        series.limit = draw(30);
    }
    draw_values(values, intervals);
    series.values = !intervals && draw(3) == 0 ? NULL : values;
    compare_question(&series, draw(4) ? INT64_MIN : BEGAN_MS + (int64_t)draw(15) * 86400000);
    json_decref(series.tags);
}

static void compare_what_is_refused(void)
{
    json_t *tags = json_pack("{s:s}", "site", "a text"), *none = json_pack("{s:i}", "no", 1);
    const char *const mean[] = {"mean celsius", NULL}, *const wrong[] = {"mean device", NULL};
    compare_question(&(struct fh_series){.values = mean, .from_ms = 5, .to_ms = 5, .every_ms = 1},
                     INT64_MIN);
    compare_question(&(struct fh_series){.values = mean, .to_ms = 1000000, .every_ms = 1},
                     INT64_MIN);
    compare_question(&(struct fh_series){.values = wrong, .to_ms = 1000, .every_ms = 100},
                     INT64_MIN);
    compare_question(&(struct fh_series){.tags = tags}, INT64_MIN);
    compare_question(&(struct fh_series){.tags = none}, INT64_MIN);
    compare_question(&(struct fh_series){.limit = 1001}, INT64_MIN);
    json_decref(tags);
    json_decref(none);
}

static void what_is_asked_is_answered_as_by_the_services_own_store(void)
{
    fill_both();
    for (int i = 0; i < QUESTIONS && !trial.wrong[0]; i++)
        compare_drawn();
    compare_what_is_refused();
    EXPECT_THAT(trial.compared > QUESTIONS && trial.refused > 5 && trial.curves > QUESTIONS);
}

/* ---- Ops ---- */

static void versions_compare(void)
{
    json_t *old = make_point("d1", 1, 1), *new = make_point("d1", 1, 2),
           *newer = make_point("d1", 1, 3);
    struct carried_op first = make_op(5, BEGAN_MS, new), late = make_op(4, BEGAN_MS, old);
    struct carried_op both[2] = {make_op(6, BEGAN_MS, old), make_op(7, BEGAN_MS, newer)};
    EXPECT_THAT(send_ops(trial.server, 0, 5, &first, 1) == FH_NOT_FOUND);
    EXPECT_THAT(make_generation(trial.server) == FH_OK && make_generation(trial.server) == FH_OK);
    EXPECT_THAT(send_ops(trial.server, 4, 5, &first, 1) == FH_OK);
    EXPECT_THAT(send_ops(trial.server, 3, 4, &late, 1) == FH_OK && last_celsius() == 2);
    EXPECT_THAT(send_ops(trial.server, 5, 7, both, 2) == FH_OK && last_celsius() == 3);
    EXPECT_THAT(send_ops(trial.server, 4, 5, &first, 1) == FH_OK && last_celsius() == 3);
    EXPECT_THAT(send_ops(trial.server, 7, 9, NULL, 0) == FH_OK);
    EXPECT_THAT(administer("SELECT count(*) FROM $.link") == 4);
}

static int links_found;
static struct carried_link links_last;

static void note_link(void *context, const struct carried_link *link)
{
    (void)context;
    links_found++;
    links_last = *link;
}

static void links_come_in_the_order_of_their_ends(void)
{
    struct carried_link after = {0, 0};
    int count = 0, all = 0;
    EXPECT_THAT(make_generation(trial.server) == FH_OK);
    for (int i = 9; i > 0; i--)
        EXPECT_THAT(send_ops(trial.server, i > 4 ? i - 2 : 0, i, NULL, 0) == FH_OK);
    do {
        EXPECT_THAT(trial.server->ops->links(trial.server, declared(), &trial.name, &after, 4,
                                             note_link, NULL, &count, &said) == FH_OK);
        EXPECT_THAT(links_last.to > after.to);
        after = links_last;
        all += count;
    } while (count == 4 && !trial.wrong[0]);
    EXPECT_THAT(all == 9 && links_found == 9 && after.to == 9 && after.from == 7);
}

/* What is no point as declared, and what the server will not have: a column that is narrower. */
static void refused_ops_are_alone(void)
{
    struct carried_op ops[40];
    json_t *bad = keep_value(json_pack("{s:s}", "device", "secret")), *values[40];
    EXPECT_THAT(make_generation(trial.server) == FH_OK);
    administer("ALTER TABLE $.point ALTER COLUMN v4 TYPE smallint");
    for (int i = 0; i < 40; i++) {
        char device[16];
        snprintf(device, sizeof device, "d%d", i % 7);
        values[i] = make_point(device, i % 3, 21.5);
        ops[i] = make_op(i + 1, BEGAN_MS + i, values[i]);
    }
    json_object_set_new(values[13], "battery", json_integer(4242424242));
    json_object_set_new(values[31], "battery", json_integer(4242424243));
    struct carried_op worse = make_op(41, BEGAN_MS, bad);
    EXPECT_THAT(send_ops(trial.server, 0, 40, ops, 40) == FH_OK);
    for (int i = 0; i < 40; i++)
        EXPECT_THAT(!ops[i].refused[0] == (i != 13 && i != 31));
    EXPECT_THAT(strcmp(ops[13].refused, "PostgreSQL does not take it: 22003") == 0);
    EXPECT_THAT(administer("SELECT count(*) FROM $.point") == 38);
    EXPECT_THAT(administer("SELECT count(*) FROM $.link") == 1);
    EXPECT_THAT(send_ops(trial.server, 40, 41, &worse, 1) == FH_OK && worse.refused[0]);
    EXPECT_THAT(!strstr(worse.refused, "secret"));
}

/* ---- Generations ---- */

static int names_found;
static bool own_name_found;

static void note_name(void *context, const struct carried_name *name)
{
    (void)context;
    names_found++;
    own_name_found |= carried_name_compare(name, &trial.name) == 0;
}

static void generations_are_named_after_their_owner(void)
{
    struct carried_name second = trial.name;
    struct fh_error error;
    const struct carried_server_ops *ops = trial.server->ops;
    static const struct fh_derived_field others[] = {
        {"device", FH_STRING, FH_TAG}, {"celsius", FH_INT}, {0}};
    const struct fh_derived other = {.name = "measured", .model = FH_SERIES, .fields = others};
    second.number = 2;
    EXPECT_THAT(make_generation(trial.server) == FH_OK);
    EXPECT_THAT(ops->make(trial.server, &other, &trial.name, &error) == FH_INVALID);
    EXPECT_THAT(ops->make(trial.server, declared(), &second, &error) == FH_OK);
    EXPECT_THAT(ops->generations(trial.server, declared(), note_name, NULL, &error) == FH_OK);
    EXPECT_THAT(names_found == 2 && own_name_found);
    EXPECT_THAT(strlen(trial.schema) <= 63 && strncmp(trial.schema, "freehold-", 9) == 0);
    EXPECT_THAT(ops->drop(trial.server, declared(), &trial.name, &error) == FH_OK);
    EXPECT_THAT(ops->drop(trial.server, declared(), &trial.name, &error) == FH_OK);
    names_found = 0;
    EXPECT_THAT(ops->generations(trial.server, declared(), note_name, NULL, &error) == FH_OK);
    EXPECT_THAT(names_found == 1);
    json_t *answer = ask_series(&(struct fh_series){0}, INT64_MIN, 0);
    EXPECT_THAT(!answer && said.code == FH_NOT_FOUND);
    EXPECT_THAT(ops->trim(trial.server, declared(), &trial.name, 0, &error) == FH_NOT_FOUND);
    EXPECT_THAT(ops->links(trial.server, declared(), &trial.name, &(struct carried_link){0}, 1,
                           note_link, NULL, &(int){0}, &error) == FH_NOT_FOUND);
    EXPECT_THAT(ops->drop(trial.server, declared(), &second, &error) == FH_OK);
}

/* ---- Partitions ---- */

static void partitions_are_made_as_points_come_and_dropped_with_them(void)
{
    enum { WEEKS = 30 };
    struct carried_op ops[WEEKS + 2];
    struct fh_error error;
    EXPECT_THAT(make_generation(trial.server) == FH_OK);
    for (int i = 0; i < WEEKS; i++) {
        char device[16];
        snprintf(device, sizeof device, "d%d", i);
        ops[i] = make_op(i + 1, BEGAN_MS + i * WEEK_MS, make_point(device, 1, i));
    }
    ops[WEEKS] = make_op(WEEKS + 1, SERIES_AT_MS_MAX, make_point("far", 1, 50));
    ops[WEEKS + 1] = make_op(WEEKS + 2, -SERIES_AT_MS_MAX, make_point("early", 1, 51));
    EXPECT_THAT(send_ops(trial.server, 0, WEEKS + 2, ops, WEEKS + 2) == FH_OK);
    EXPECT_THAT(administer("SELECT count(*) FROM pg_inherits WHERE inhparent ="
                           " '$.point'::regclass") == WEEKS + 2);
    EXPECT_THAT(trial.server->ops->trim(trial.server, declared(), &trial.name,
                                        BEGAN_MS + 20 * WEEK_MS, &error) == FH_OK);
    /* The early one, and those that end by then: not the one that time is in. */
    EXPECT_THAT(administer("SELECT count(*) FROM pg_inherits WHERE inhparent ="
                           " '$.point'::regclass") == WEEKS + 2 - 21);
    EXPECT_THAT(administer("SELECT count(*) FROM $.curve") <= WEEKS + 2);
    for (int i = 0; i < 60; i++) /* a slice of curves each time, from anywhere on */
        EXPECT_THAT(trial.server->ops->trim(trial.server, declared(), &trial.name, 0, &error) ==
                    FH_OK);
    EXPECT_THAT(administer("SELECT count(*) FROM $.curve") == WEEKS + 2 - 21);
    EXPECT_THAT(last_celsius() == 50);
    /* What was removed may come late, and is as if it were not there. */
    EXPECT_THAT(send_ops(trial.server, 0, WEEKS + 2, ops, WEEKS + 2) == FH_OK);
    json_t *answer = ask_series(&(struct fh_series){.by = (const char *const[]){"device", NULL}},
                                BEGAN_MS + 20 * WEEK_MS, 0);
    EXPECT_THAT(json_array_size(json_object_get(answer, "curves")) == WEEKS - 20 + 1);
    json_decref(answer);
}

/* A client may choose the times of points. */
static void partitions_stay_few_whatever_times_there_are(void)
{
    enum { OPS = 1500 };
    static struct carried_op ops[OPS];
    EXPECT_THAT(make_generation(trial.server) == FH_OK);
    json_t *value = make_point("d1", 1, 1);
    for (int i = 0; i < OPS; i++)
        ops[i] = make_op(i + 1, ((int64_t)draw(1 << 30) - (1 << 29)) * 8000000 * 2, value);
    EXPECT_THAT(send_ops(trial.server, 0, OPS, ops, OPS) == FH_OK);
    int64_t partitions = administer("SELECT count(*) FROM pg_inherits WHERE inhparent ="
                                    " '$.point'::regclass");
    EXPECT_THAT(partitions > 50 && partitions < 600);
    EXPECT_THAT(administer("SELECT count(*) FROM $.point") > OPS - 10);
    EXPECT_THAT(trial.server->ops->drop(trial.server, declared(), &trial.name, &said) == FH_OK);
}

/* ---- Broken links ---- */

static int64_t points_there(void)
{
    return administer("SELECT count(*) FROM $.point");
}

static void a_page_is_there_whole_or_not_at_all(void)
{
    static const enum link_cut cuts[] = {LINK_CUT_BEFORE, LINK_CUT_AFTER, LINK_CUT_IN, LINK_HELD};
    static const char *const markers[] = {"; COMMIT", "fh_position", "SAVEPOINT"};
    struct link link;
    json_t *value = make_point("d1", 1, 1);
    EXPECT_THAT(make_generation(trial.server) == FH_OK);
    EXPECT_THAT(link_open(&link, trial.world, server_port_of_tests(), "nothing"));
    struct carried_server *server = open_over(link.port);
    for (int i = 0; i < 12 && !trial.wrong[0]; i++) {
        struct carried_op ops[2] = {make_op(2 * i + 1, BEGAN_MS + 2 * i, value),
                                    make_op(2 * i + 2, BEGAN_MS + 2 * i + 1, value)};
        bool commits = i / 4 == 0;
        int64_t before = points_there();
        link.marker = markers[i / 4];
        link.next = cuts[i % 4];
        enum fh_code code = send_ops(server, 2 * i, 2 * i + 2, ops, 2);
        EXPECT_THAT(code == (commits ? FH_OUTCOME_UNKNOWN : FH_UNAVAILABLE));
        if (cuts[i % 4] == LINK_HELD)
            link_release(&link);
        int64_t after = points_there(), links = administer("SELECT count(*) FROM $.link");
        EXPECT_THAT(after == before || after == before + 2);
        EXPECT_THAT(after == 2 * links);
        /* A backend that does not know that its client is gone holds the generation a while. */
        int64_t until_ns = world_in_ms(trial.world, 20000);
        do
            code = send_ops(server, 2 * i, 2 * i + 2, ops, 2);
        while (code == FH_UNAVAILABLE && world_monotonic_ns(trial.world) < until_ns);
        EXPECT_THAT(code == FH_OK);
        EXPECT_THAT(points_there() == 2 * (i + 1) && send_ops(server, 0, 2, ops, 0) == FH_OK);
        EXPECT_THAT(administer("SELECT count(*) FROM $.link WHERE begins > 0 OR ends = 2") ==
                    i + 1);
    }
    curves_close(server);
    link_close(&link);
}

static void ended_backends_are_replaced(void)
{
    json_t *value = make_point("d1", 1, 1);
    struct carried_op op = make_op(1, BEGAN_MS, value);
    EXPECT_THAT(make_generation(trial.server) == FH_OK);
    EXPECT_THAT(send_ops(trial.server, 0, 1, &op, 1) == FH_OK && last_celsius() == 1);
    EXPECT_THAT(administer("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE"
                           " application_name = 'freehold derived'") >= 2);
    EXPECT_THAT(send_ops(trial.server, 0, 1, &op, 1) == FH_OK && last_celsius() == 1);
}

struct holding {
    struct postgresql_connection *connection;
};

/* All of the points, until it is let go. */
static struct holding hold_points(void)
{
    char sql[160];
    struct holding holding = {postgresql_administrator(trial.world, &said)};
    snprintf(sql, sizeof sql, "BEGIN; LOCK TABLE \"%s\".point IN ACCESS EXCLUSIVE MODE",
             trial.schema);
    FH_ASSERT(holding.connection &&
              postgresql_simple(holding.connection, "SET idle_in_transaction_session_timeout=0", -1,
                                NULL, NULL, &said) == FH_OK &&
              postgresql_simple(holding.connection, sql, -1, NULL, NULL, &said) == FH_OK);
    return holding;
}

static void a_question_past_its_deadline_ends(void)
{
    json_t *value = make_point("d1", 1, 1);
    struct carried_op op = make_op(1, BEGAN_MS, value);
    EXPECT_THAT(make_generation(trial.server) == FH_OK);
    EXPECT_THAT(send_ops(trial.server, 0, 1, &op, 1) == FH_OK);
    struct holding holding = hold_points();
    int64_t began_ns = world_monotonic_ns(trial.world);
    json_t *answer = ask_series(&(struct fh_series){0}, INT64_MIN, world_in_ms(trial.world, 300));
    EXPECT_THAT(!answer && said.code == FH_UNAVAILABLE);
    EXPECT_THAT(world_monotonic_ns(trial.world) - began_ns < INT64_C(3000000000));
    EXPECT_THAT(send_ops(trial.server, 0, 1, &op, 1) == FH_UNAVAILABLE);
    postgresql_administrator_free(holding.connection);
    EXPECT_THAT(last_celsius() == 1 && send_ops(trial.server, 0, 1, &op, 1) == FH_OK);
}

static void silence_soon(void *argument)
{
    struct carried_server *server = argument;
    fiber_sleep_until(trial.world, world_in_ms(trial.world, 150));
    curves_silence(server);
}

static void silence_ends_what_is_under_way(void)
{
    EXPECT_THAT(make_generation(trial.server) == FH_OK);
    struct holding holding = hold_points();
    struct carried_server *server = open_over(0);
    FH_ASSERT(fiber_start(trial.world->fibers, silence_soon, server));
    int64_t began_ns = world_monotonic_ns(trial.world);
    json_t *answer = NULL;
    enum fh_code code = server->ops->series(server, declared(), &trial.name, &(struct fh_series){0},
                                            INT64_MIN, 0, &answer, &said);
    EXPECT_THAT(code == FH_UNAVAILABLE && !answer);
    EXPECT_THAT(world_monotonic_ns(trial.world) - began_ns < INT64_C(3000000000));
    EXPECT_THAT(server->ops->series(server, declared(), &trial.name, &(struct fh_series){0},
                                    INT64_MIN, 0, &answer, &said) == FH_UNAVAILABLE);
    EXPECT_THAT(send_ops(server, 0, 1, NULL, 0) == FH_UNAVAILABLE);
    curves_close(server);
    postgresql_administrator_free(holding.connection);
}

static void a_server_that_is_away_is_unavailable(void)
{
    struct link link;
    EXPECT_THAT(link_open(&link, trial.world, server_port_of_tests(), "nothing"));
    link.refuses = true;
    struct carried_server *server = open_over(link.port);
    EXPECT_THAT(send_ops(server, 0, 1, NULL, 0) == FH_UNAVAILABLE);
    EXPECT_THAT(make_generation(trial.server) == FH_OK);
    link.refuses = false;
    EXPECT_THAT(send_ops(server, 0, 1, NULL, 0) == FH_OK);
    curves_close(server);
    link_close(&link);
}

/* ---- Two at a time ---- */

struct carrier_of_two {
    struct carried_server *server;
    int step, done;
};

static void carry_beside(void *argument)
{
    struct carrier_of_two *carrier = argument;
    for (int i = 0; i < 20; i++) {
        struct carried_op ops[50];
        struct carried_page page = {{i * 10, i * 10 + 50}, ops, 50};
        struct fh_error error;
        for (int j = 0; j < 50; j++) {
            int position = i * 10 + (carrier->step > 0 ? j : 49 - j) + 1;
            char device[16];
            snprintf(device, sizeof device, "d%d", position % 23);
            ops[j] = make_op(position, BEGAN_MS + (position % 70) * WEEK_MS / 9,
                             make_point(device, 1, position));
        }
        if (carrier->server->ops->send(carrier->server, declared(), &trial.name, &page, &error) ==
            FH_OK)
            carrier->done++;
        else
            fprintf(stderr, "%s\n", error.message);
    }
}

static void start_carrying_beside(void *argument)
{
    carry_beside(argument);
    ((struct carrier_of_two *)argument)->step = 0;
}

static void two_carriers_at_a_time_do_no_harm(void)
{
    struct carrier_of_two one = {trial.server, 1, 0}, other = {open_over(0), -1, 0};
    EXPECT_THAT(make_generation(trial.server) == FH_OK);
    FH_ASSERT(fiber_start(trial.world->fibers, start_carrying_beside, &other));
    carry_beside(&one);
    while (other.step)
        fiber_sleep_until(trial.world, world_in_ms(trial.world, 5));
    EXPECT_THAT(one.done == 20 && other.done == 20);
    EXPECT_THAT(administer("SELECT count(*) FROM $.point WHERE v3 <> fh_position") == 0);
    EXPECT_THAT(administer("SELECT count(*) FROM $.point") > 200);
    curves_close(other.server);
}

/* ---- Options ---- */

static void options_are_looked_at(void)
{
    static const char *const wrong[] = {
        "{}",
        "{\"database\": \"d\"}",
        "{\"database\": \"d\", \"user\": 7}",
        "{\"database\": \"d\", \"user\": \"u\", \"port\": 0}",
        "{\"database\": \"d\", \"user\": \"u\", \"password\": [\"secret\"]}",
        "{\"database\": \"d\", \"user\": \"u\", \"tls\": {\"mode\": \"some\"}}",
        NULL};
    json_t *good = json_pack("{s:s, s:s}", "database", "d", "user", "u");
    for (const char *const *text = wrong; *text; text++) {
        json_t *options = json_loads(*text, 0, NULL);
        EXPECT_THAT(curves_check(options, &said) == FH_INVALID && said.message[0]);
        EXPECT_THAT(!strstr(said.message, "secret"));
        json_decref(options);
    }
    EXPECT_THAT(curves_check(NULL, &said) == FH_INVALID);
    EXPECT_THAT(curves_check(good, &said) == FH_OK);
    json_decref(good);
}

/* ---- Each on a store and a generation of its own ---- */

static void run_body(void *argument)
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

static void run_trial(void **state, void (*body)(void))
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
    links_found = names_found = 0;
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

#define TRIALS(X)                                                                                  \
    X(versions_compare)                                                                            \
    X(what_is_asked_is_answered_as_by_the_services_own_store)                                      \
    X(links_come_in_the_order_of_their_ends)                                                       \
    X(refused_ops_are_alone)                                                                       \
    X(generations_are_named_after_their_owner)                                                     \
    X(partitions_are_made_as_points_come_and_dropped_with_them)                                    \
    X(partitions_stay_few_whatever_times_there_are)                                                \
    X(a_page_is_there_whole_or_not_at_all)                                                         \
    X(ended_backends_are_replaced)                                                                 \
    X(a_question_past_its_deadline_ends)                                                           \
    X(silence_ends_what_is_under_way)                                                              \
    X(a_server_that_is_away_is_unavailable)                                                        \
    X(two_carriers_at_a_time_do_no_harm)                                                           \
    X(options_are_looked_at)

#define TRIAL_TEST(name)                                                                           \
    static void test_##name(void **state)                                                          \
    {                                                                                              \
        run_trial(state, name);                                                                    \
    }
TRIALS(TRIAL_TEST)

int main(void)
{
#define TRIAL_ROW(name) {#name, test_##name, NULL, NULL, NULL},
    static const struct CMUnitTest tests[] = {TRIALS(TRIAL_ROW)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
