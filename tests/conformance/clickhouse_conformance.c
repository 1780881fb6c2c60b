/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whatever is asked of facts that lie on ClickHouse is answered as it is of the same facts in the
 * service's own store: groups, values, orders, limits, and what is refused. Sums and means of an
 * FH_NUMBER are compared but for their last digits, as they are added in another order. One in
 * three facts is sent twice, and some came before with other values, of a lower version. Each
 * question is asked undivided, and divided. FREEHOLD_SEED draws others.
 */

#include "../support/carried_ops.h"
#include "../support/fixture.h"
#include "carried_bed.h"

#include <math.h>

#include "base/id.h"
#include "carrier/clickhouse/internal.h"
#include "work/carried.h"

#define FACTS 3000
#define PAGES 7
#define QUESTIONS 400
#define DIGITS 1e-12 /* of a sum, in relation to what is added up */

static const struct fh_derived_field fields[] = {{"kind", FH_STRING, FH_TAG},
                                                 {"site", FH_INT, FH_TAG},
                                                 {"paid", FH_BOOL, FH_TAG},
                                                 {"fh_at", FH_STRING, FH_TAG}, /* no own column */
                                                 {"kg", FH_NUMBER},
                                                 {"cents", FH_INT},
                                                 {"huge", FH_INT},
                                                 {0}};
static fh_service service = {.name = "shop",
                             .model = FH_RELATIONAL,
                             .derives = {{.name = "sold", .model = FH_COLUMNS, .fields = fields}}};

static const char *const words[] = {
    "",           "a",      "A",    "ä",    "a'b",       "a\\",          "\\'",
    "\"`",        "日本語", "🙂", "a\nb", "tab\there", "\x01\x1f\x7f", "%s",
    "{x:String}", "z",      "zz",   "NULL", "\\x41",     "/* -- ; */"};
#define WORDS ((int)(sizeof words / sizeof *words))

struct trial {
    struct fixture *fixture;
    struct carried_server *server;
    struct carried_name name;
    uint64_t state;
    int compared, rows, refused;
    int64_t oldest_ms;
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

/* ---- The same facts in both ---- */

static int64_t draw_at_ms(void)
{
    return draw(4) ? (int64_t)draw(20000) - 10000 : (int64_t)draw(9) * 1000 - 4000;
}

static int64_t draw_huge(void)
{
    static const int64_t huge[] = {
        INT64_MAX,           INT64_MIN,          -1,     0, INT64_MIN + 1, INT64_C(1) << 44,
        -(INT64_C(1) << 44), (INT64_C(1) << 22), 4194303};
    return huge[draw(9)] / (draw(3) ? 1 : 2);
}

static json_t *draw_number(void)
{
    double number = (double)(draw(2000001) - 1000000) / (double)(1 + draw(1000));
    if (draw(6) == 0)
        return json_null();
    if (draw(12) == 0)
        return json_real(draw(2) ? 0.0 : -0.0);
    return draw(30) ? json_real(number) : json_integer(draw(5));
}

static json_t *draw_fact(void)
{
    return json_pack("{s:s, s:I, s:b, s:s, s:o, s:o, s:o}", "kind", words[draw(WORDS)], "site",
                     (json_int_t)(draw(40) ? draw(9) - 4 : INT64_MIN), "paid", draw(2), "fh_at",
                     words[draw(4)], "kg", draw_number(), "cents",
                     draw(7) ? json_integer(draw(100000) - 50000) : json_null(), "huge",
                     draw(3) ? json_integer(draw_huge()) : json_null());
}

struct drawn {
    struct carried_op ops[FACTS];
    char keys[FACTS][CARRIED_FACT_KEY_SIZE];
};

static void put_facts(struct drawn *drawn)
{
    struct store *store = trial.fixture->context.store;
    const struct derived_ops *ops = derived_engine(store);
    struct store_work *work;
    struct fh_error error;
    int64_t number = 0;
    FH_ASSERT(store_begin(store, STORE_WRITE, &work, &error) == FH_OK);
    for (int i = 0; i < FACTS; i++) {
        struct derived_fact fact = {.at_ms = draw_at_ms()};
        json_t *value = draw_fact();
        FH_ASSERT(series_fact_check(declared(), fact.at_ms, value, &error) == FH_OK);
        FH_ASSERT(ops->add(work, declared(), &number, fact.at_ms, value, &fact.id, &error) ==
                  FH_OK);
        carried_fact_key(drawn->keys[i], &fact);
        drawn->ops[i] = (struct carried_op){
            .position = i + 1, .key = drawn->keys[i], .at_ms = fact.at_ms, .value = value};
        carried_ops_fill(declared(), &drawn->ops[i], 1);
    }
    FH_ASSERT(store_commit(work, &error) == FH_OK);
}

static void carry(struct carried_op *ops, int64_t from, int64_t to)
{
    struct carried_page page = {{from, to}, ops, (int)(to - from)};
    struct fh_error error;
    FH_ASSERT(trial.server->ops->send(trial.server, declared(), &trial.name, &page, &error) ==
              FH_OK);
}

static void carry_facts(struct drawn *drawn)
{
    struct fh_error error;
    FH_ASSERT(trial.server->ops->make(trial.server, declared(), &trial.name, &error) == FH_OK);
    for (int i = 0; i < 100; i++) { /* as none is: of other values, before */
        struct carried_op before = drawn->ops[draw(FACTS)];
        json_t *other = draw_fact();
        before.position = 0;
        before.value = other;
        carried_ops_fill(declared(), &before, 1);
        struct carried_page page = {{0, 1}, &before, 1};
        if (i % 20 == 0) /* each is a part */
            FH_ASSERT(trial.server->ops->send(trial.server, declared(), &trial.name, &page,
                                              &error) == FH_OK);
        json_decref(other);
    }
    for (int i = 0; i < PAGES; i++) {
        int64_t from = FACTS * i / PAGES, to = FACTS * (i + 1) / PAGES;
        carry(drawn->ops + from, from, to);
        if (i % 3 == 0)
            carry(drawn->ops + from, from, to);
    }
}

static void fill_both(void)
{
    struct drawn *drawn = calloc(1, sizeof *drawn);
    FH_ASSERT(drawn != NULL);
    put_facts(drawn);
    carry_facts(drawn);
    for (int i = 0; i < FACTS; i++)
        json_decref((json_t *)(uintptr_t)drawn->ops[i].value);
    free(drawn);
}

/* ---- The same questions to both ---- */

static enum fh_code ask_own(const struct fh_columns *columns, json_t **ret, struct fh_error *error)
{
    struct store *store = trial.fixture->context.store;
    struct store_work *work;
    FH_ASSERT(store_begin(store, STORE_READ, &work, error) == FH_OK);
    enum fh_code code =
        derived_engine(store)->columns(work, declared(), columns, trial.oldest_ms, ret, error);
    store_rollback(work);
    return code;
}

static enum fh_code ask_server(const struct fh_columns *columns, json_t **ret,
                               struct fh_error *error)
{
    return trial.server->ops->columns(trial.server, declared(), &trial.name, columns,
                                      trial.oldest_ms, 0, ret, error);
}

static void say_wrong(const char *what, const struct fh_columns *columns, const json_t *own,
                      const json_t *served)
{
    char *one = json_text(own ? own : json_null()),
         *other = json_text(served ? served : json_null());
    char *filter = json_text(columns->filter ? columns->filter : json_null());
    char *having = json_text(columns->having ? columns->having : json_null());
    if (!trial.wrong[0])
        snprintf(trial.wrong, sizeof trial.wrong,
                 "%s, from %lld to %lld every %lld, %s having %s by %s: %.700s here, %.700s there",
                 what, (long long)columns->from_ms, (long long)columns->to_ms,
                 (long long)columns->every_ms, filter, having, columns->sort ? columns->sort : "-",
                 one, other);
    json_text_free(one);
    json_text_free(other);
    json_text_free(filter);
    json_text_free(having);
}

static bool is_same_answer_value(const json_t *own, const json_t *served)
{
    if (!json_is_real(own) || !json_is_real(served))
        return json_equal(own, served);
    double one = json_real_value(own), other = json_real_value(served);
    /* What is added up here is below a million times some thousands. */
    return fabs(one - other) <= DIGITS * 1e6 + DIGITS * fabs(one);
}

static bool are_same_rows(const json_t *own, const json_t *served)
{
    size_t i, j;
    const json_t *row, *value;
    if (json_array_size(own) != json_array_size(served))
        return false;
    json_array_foreach (own, i, row) {
        const json_t *other = json_array_get(served, i);
        if (json_array_size(row) != json_array_size(other))
            return false;
        json_array_foreach (row, j, value) {
            if (!is_same_answer_value(value, json_array_get(other, j)))
                return false;
        }
    }
    return true;
}

static void compare_refusals(const struct fh_columns *columns, enum fh_code own,
                             const struct fh_error *own_error, enum fh_code served,
                             const struct fh_error *served_error)
{
    trial.refused++;
    if (own == served && own != FH_OK && strcmp(own_error->message, served_error->message) == 0 &&
        strcmp(own_error->field, served_error->field) == 0)
        return;
    json_t *one = json_sprintf("%s %s", error_code_name(own), own ? own_error->message : "");
    json_t *other =
        json_sprintf("%s %s", error_code_name(served), served ? served_error->message : "");
    say_wrong("refused", columns, one, other);
    json_decref(one);
    json_decref(other);
}

static void compare_question(const struct fh_columns *columns)
{
    json_t *own = NULL, *served = NULL;
    struct fh_error own_error, served_error;
    enum fh_code code = ask_own(columns, &own, &own_error);
    enum fh_code served_code = ask_server(columns, &served, &served_error);
    trial.compared++;
    if (code != FH_OK || served_code != FH_OK) {
        compare_refusals(columns, code, &own_error, served_code, &served_error);
    } else {
        const json_t *rows = json_object_get(own, "rows");
        trial.rows += (int)json_array_size(rows);
        if (!json_equal(json_object_get(own, "columns"), json_object_get(served, "columns")) ||
            !json_equal(json_object_get(own, "more"), json_object_get(served, "more")) ||
            !are_same_rows(rows, json_object_get(served, "rows")))
            say_wrong("answered", columns, own, served);
    }
    json_decref(own);
    json_decref(served);
}

/* ---- Questions ---- */

static json_t *draw_one_or_some(json_t *(*one)(void))
{
    if (draw(2))
        return one();
    json_t *some = json_array();
    for (int count = draw(4); count > 0; count--)
        json_array_append_new(some, one());
    return some;
}

static json_t *draw_word(void)
{
    return json_string(words[draw(WORDS)]);
}

static json_t *draw_site(void)
{
    return draw(9) ? json_integer(draw(9) - 4) : json_integer(INT64_MIN);
}

static json_t *draw_filter(void)
{
    json_t *filter = json_object();
    if (draw(2))
        json_object_set_new(filter, "kind", draw_one_or_some(draw_word));
    if (draw(3) == 0)
        json_object_set_new(filter, "site", draw_one_or_some(draw_site));
    if (draw(3) == 0)
        json_object_set_new(filter, "paid", json_boolean(draw(2)));
    if (draw(5) == 0)
        json_object_set_new(filter, "fh_at", json_string(words[draw(5)]));
    return filter;
}

/* Sums and means of reals decide no order and no bound, as their last digits may differ. */
static const char *const exact[] = {
    "count",     "sum cents",  "mean cents", "min cents", "max cents", "count cents",
    "uniq kind", "uniq cents", "count kg",   "min kg",    "max kg",    "uniq kg",
    "uniq paid", "sum huge",   "mean huge",  "max huge",  "count kind"};
static const char *const rounded[] = {"sum kg", "mean kg"};

static json_t *draw_having(const char *const *values)
{
    json_t *having = json_object();
    for (int i = 0; values[i]; i++) {
        json_t *bounds = json_object();
        if (strstr(values[i], "sum kg") || strstr(values[i], "mean kg") || draw(3))
            json_object_set_new(bounds, "unused", json_null());
        else if (draw(2))
            json_object_set_new(bounds, "min", json_integer(draw(200) - 50));
        else
            json_object_set_new(bounds, "max", json_integer(draw(20000)));
        if (!json_object_get(bounds, "unused"))
            json_object_set(having, values[i], bounds);
        json_decref(bounds);
    }
    return having;
}

static void divide_questions(bool divided)
{
    clickhouse_of(trial.server)->divided_facts = divided ? 1 : CLICKHOUSE_DIVIDED_FACTS;
}

static void compare_drawn(void)
{
    static const char *const tags[] = {"kind", "site", "paid", "fh_at"};
    static const int64_t lengths[] = {0, 0, 0, 7, 1000, 3333, 100000};
    const char *values[8], *by[5];
    int value_count = 1 + draw(4), by_count = 0;
    for (int i = 0; i < value_count; i++)
        values[i] = draw(4) ? exact[draw(17)] : rounded[draw(2)];
    values[value_count] = NULL;
    for (int i = 0; i < 4; i++) {
        if (draw(3) == 0)
            by[by_count++] = tags[i];
    }
    by[by_count] = NULL;
    const char *sort = values[0][strlen(values[0]) - 1] == 'g' && values[0][0] != 'c' ? NULL
                       : draw(2)                                                      ? values[0]
                       : by_count                                                     ? by[0]
                                                                                      : NULL;
    int64_t from_ms = draw(3) ? (int64_t)draw(12000) - 11000 : 0;
    trial.oldest_ms = draw(4) ? INT64_MIN : (int64_t)draw(10000) - 10000;
    struct fh_columns columns = {.by = by_count || draw(2) ? by : NULL,
                                 .values = values,
                                 .filter = draw(2) ? NULL : draw_filter(),
                                 .having = draw(3) ? NULL : draw_having(values),
                                 .from_ms = from_ms,
                                 .to_ms = from_ms ? from_ms + 1 + draw(15000) : 0,
                                 .every_ms = lengths[draw(7)],
                                 .sort = sort,
                                 .descending = draw(2),
                                 .limit = draw(3) ? 10000 : 1 + draw(40)};
    compare_question(&columns);
    divide_questions(true);
    compare_question(&columns);
    divide_questions(false);
    json_decref(columns.filter);
    json_decref(columns.having);
}

#define VALUES(...)                                                                                \
    (const char *const[])                                                                          \
    {                                                                                              \
        __VA_ARGS__, NULL                                                                          \
    }

static void compare_what_is_refused(void)
{
    json_t *filters[] = {json_pack("{s:s}", "site", "x"), json_pack("{s:i}", "kind", 1),
                         json_pack("{s:i}", "kg", 1), json_pack("{s:[n]}", "paid")};
    json_t *having = json_pack("{s:{s:s}}", "count", "min", "many");
    const struct fh_columns refused[] = {{.values = VALUES("count"), .filter = filters[0]},
                                         {.values = VALUES("count"), .filter = filters[1]},
                                         {.values = VALUES("count"), .filter = filters[2]},
                                         {.values = VALUES("count"), .filter = filters[3]},
                                         {.values = VALUES("count"), .having = having},
                                         {.values = VALUES("count"), .limit = 10001},
                                         {.values = VALUES("count"), .limit = -1},
                                         {.values = VALUES("count"), .from_ms = 5, .to_ms = 5},
                                         {.values = VALUES("count"), .every_ms = -1},
                                         {.values = VALUES("sum kind")},
                                         {.values = VALUES("median kg")},
                                         {.values = VALUES("count"), .by = VALUES("kg")},
                                         {.values = VALUES("count"), .sort = "kind"}};
    int before = trial.refused, count = (int)(sizeof refused / sizeof *refused);
    for (int i = 0; i < count; i++)
        compare_question(&refused[i]);
    if (!trial.wrong[0] && trial.refused != before + count)
        snprintf(trial.wrong, sizeof trial.wrong, "Something unfit was answered.");
    for (size_t i = 0; i < sizeof filters / sizeof *filters; i++)
        json_decref(filters[i]);
    json_decref(having);
}

/* ---- At its bounds, on the server alone ---- */

static enum fh_code ask_of(const struct fh_columns *columns, int64_t deadline_ns,
                           struct fh_error *error)
{
    json_t *answer = NULL;
    enum fh_code code = trial.server->ops->columns(trial.server, declared(), &trial.name, columns,
                                                   INT64_MIN, deadline_ns, &answer, error);
    json_decref(answer);
    return code;
}

/* Facts that the server makes itself. */
static void make_many(int64_t first, int64_t count, const char *kg)
{
    struct clickhouse *server = clickhouse_of(trial.server);
    char table[CLICKHOUSE_TABLE_SIZE];
    struct text sql;
    struct fh_error error;
    clickhouse_table(declared(), &trial.name, table);
    text_init(&sql, CLICKHOUSE_SMALL);
    text_add(&sql, "INSERT INTO ");
    clickhouse_write_table(&sql, server, table);
    text_printf(&sql,
                " (fh_kind, fh_at, fh_key, fh_position, site, kg) SELECT 1, number, "
                "toString(number), 1, number, %s FROM system.numbers LIMIT %lld, %lld",
                kg, (long long)first, (long long)count);
    struct clickhouse_call call = {.body = sql.data, .body_length = sql.length};
    FH_ASSERT(clickhouse_ask(server, &call, &error) == FH_OK);
    clickhouse_call_release(&call);
    text_release(&sql);
}

static void expect_refusal(const struct fh_columns *columns, const char *field)
{
    struct fh_error error = {0};
    enum fh_code code = ask_of(columns, 0, &error);
    if (field ? code != FH_INVALID || strcmp(error.field, field) != 0 : code != FH_OK)
        snprintf(trial.wrong, sizeof trial.wrong, "%s %s of \"%s\" instead of \"%s\"",
                 error_code_name(code), error.message, error.field, field ? field : "");
}

static void there_are_as_many_groups_and_values_as_elsewhere(void)
{
    struct fh_error error;
    const struct fh_columns groups = {.values = VALUES("count"), .by = VALUES("site"), .limit = 1};
    const struct fh_columns apart = {.values = VALUES("uniq site", "uniq kg")};
    trial.name.number = 2;
    FH_ASSERT(trial.server->ops->make(trial.server, declared(), &trial.name, &error) == FH_OK);
    make_many(0, COLUMNS_GROUPS_MAX, "number");
    expect_refusal(&groups, NULL);
    make_many(COLUMNS_GROUPS_MAX, 1, "number");
    expect_refusal(&groups, "by");
    make_many(COLUMNS_GROUPS_MAX + 1, COLUMNS_UNIQ_MAX / 2 - COLUMNS_GROUPS_MAX - 1, "number");
    expect_refusal(&apart, NULL);
    make_many(COLUMNS_UNIQ_MAX / 2, 1, "number");
    expect_refusal(&apart, "values");
    const struct fh_columns sum = {.values = VALUES("sum kg")};
    expect_refusal(&sum, NULL);
    make_many(COLUMNS_UNIQ_MAX, 3, "1.5e308");
    expect_refusal(&sum, "values");
}

static void a_question_ends_with_its_deadline(void)
{
    struct fh_error error;
    struct world *world = trial.fixture->harness.world;
    const struct fh_columns slow = {.values = VALUES("uniq site", "uniq kg", "sum huge")};
    if (ask_of(&slow, world_in_ms(world, 2), &error) != FH_UNAVAILABLE ||
        ask_of(&slow, world_in_ms(world, -1), &error) != FH_UNAVAILABLE)
        snprintf(trial.wrong, sizeof trial.wrong, "A question was answered after its deadline.");
}

/* Of each byte alone, and beside another one. */
static void each_byte_comes_back_from_a_literal(void)
{
    struct clickhouse *server = clickhouse_of(trial.server);
    struct fh_error error;
    for (int byte = 0; byte < 256 && !trial.wrong[0]; byte++) {
        const char value[3] = {(char)byte, '0', (char)byte};
        struct text sql;
        text_init(&sql, CLICKHOUSE_SMALL);
        text_add(&sql, "SELECT ");
        clickhouse_write_literal(&sql, value, sizeof value);
        text_add(&sql, " FORMAT RowBinary");
        struct clickhouse_call call = {.body = sql.data, .body_length = sql.length};
        if (clickhouse_ask(server, &call, &error) != FH_OK || call.request.answer_length != 4 ||
            call.request.answer[0] != 3 || memcmp(call.request.answer + 1, value, 3) != 0)
            snprintf(trial.wrong, sizeof trial.wrong, "The byte %d is another one there.", byte);
        clickhouse_call_release(&call);
        text_release(&sql);
    }
}

/* ---- Running it ---- */

static void compare_both(void *argument)
{
    (void)argument;
    const char *seed = getenv("FREEHOLD_SEED");
    trial.state = seed ? strtoull(seed, NULL, 10) : 1;
    fill_both();
    for (int i = 0; i < QUESTIONS && !trial.wrong[0]; i++)
        compare_drawn();
    trial.oldest_ms = INT64_MIN;
    compare_what_is_refused();
    carried_bed_clickhouse.wipe(trial.server, declared());
}

static void try_bounds(void *argument)
{
    (void)argument;
    each_byte_comes_back_from_a_literal();
    if (!trial.wrong[0])
        there_are_as_many_groups_and_values_as_elsewhere();
    if (!trial.wrong[0])
        a_question_ends_with_its_deadline();
    carried_bed_clickhouse.wipe(trial.server, declared());
}

static void run_on_clickhouse(void **state, void (*entry)(void *))
{
    char why[160];
    unsigned char random[10];
    fixture_set_up(state, &service, "CREATE TABLE thing (id TEXT)");
    trial = (struct trial){.fixture = *state};
    trial.server = carried_bed_clickhouse.open(&trial.fixture->harness, why);
    if (trial.server) {
        world_random(trial.fixture->harness.world, random, sizeof random);
        id_format(trial.name.incarnation, world_wall_ms(trial.fixture->harness.world), random);
        trial.name.number = 1;
        harness_run(&trial.fixture->harness, entry, NULL);
        carried_bed_clickhouse.close(trial.server);
    }
    bool missing = !trial.server;
    fixture_tear_down(state);
    if (missing)
        SKIP_BECAUSE("no clickhouse: %s", why);
    if (trial.wrong[0])
        fail_msg("%s", trial.wrong);
}

static void what_is_asked_is_answered_as_by_the_services_own_store(void **state)
{
    volatile long double largest = (long double)INT64_MAX;
    if (largest - 1 == largest)
        SKIP_BECAUSE("a long double holds no integer of 64 bits, as beneath valgrind");
    run_on_clickhouse(state, compare_both);
    assert_true(trial.compared > QUESTIONS && trial.rows > 3 * QUESTIONS);
}

static void bounds_are_those_of_the_services_own_store(void **state)
{
    run_on_clickhouse(state, try_bounds);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_asked_is_answered_as_by_the_services_own_store),
        cmocka_unit_test(bounds_are_those_of_the_services_own_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
