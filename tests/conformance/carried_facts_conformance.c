/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What each server of points or facts owes (carrier/server.h): whatever of the pages of two
 * carriers arrives, how often and in which order, each point and fact that came counts once, as its
 * highest version says; and what is asked of them is answered as a service's own store does
 * (tests/support/tallied.h). FREEHOLD_SEED repeats one order.
 */

#include "carried_trial.h"

#include "../support/carried_ops.h"
#include "../support/tallied.h"

#define POSITIONS 60
#define SENDS 40
#define PAGE_MAX 6
#define EVENT_MAX 3 /* ops of one position */
#define KEYS 24
#define MANY 2000
#define NAMES(...) ((const char *const[]){__VA_ARGS__, NULL})

static const struct fh_derived_field fields[] = {{"device", FH_STRING, FH_TAG},
                                                 {"site", FH_INT, FH_TAG},
                                                 {"paid", FH_BOOL, FH_TAG},
                                                 {"c", FH_NUMBER},
                                                 {"n", FH_INT},
                                                 {0}};
static const struct fh_derived measured = {"measured", FH_SERIES, fields};
static const struct fh_derived sold = {"sold", FH_COLUMNS, fields};

static bool is_series(const struct trial *t)
{
    return t->declared->model == FH_SERIES;
}

/* ---- Points and facts ---- */

/* Which are there, as of one time: each key has one. */
struct written {
    char key[CARRIED_KEY_SIZE];
    int64_t position, at_ms;
    json_t *value;
};

/* Tags are of the curve, or of the fact: neither is ever of others. */
static json_t *value_of(int id, int number)
{
    static const char *const devices[] = {
        "d1",    "", "a\"b", "a,b=c d", "back\\slash", "line\nbreak", "\xc3\xbc\xe2\x82\xac",
        "'); --"};
    return json_pack("{s:s, s:I, s:b, s:o, s:o}", "device", devices[id % 8], "site",
                     id % 3 == 2 ? INT64_C(-9007199254740993) : (json_int_t)(id % 3), "paid",
                     id % 2, "c", number % 5 == 4 ? json_null() : json_real(number * 0.25 - 2), "n",
                     number % 7 == 6 ? json_null() : json_integer(number * 3 - 9));
}

static struct written write_one(int id, int64_t at_ms, int64_t position, int number)
{
    struct written written = {.position = position, .at_ms = at_ms, .value = value_of(id, number)};
    snprintf(written.key, sizeof written.key, "%d@%lld", id, (long long)at_ms);
    return written;
}

static struct carried_op op_of(const struct written *written)
{
    return (struct carried_op){.position = written->position,
                               .key = written->key,
                               .at_ms = written->at_ms,
                               .value = written->value};
}

static enum fh_code send_written(struct trial *t, struct carried_link link,
                                 const struct written *written, int count)
{
    struct carried_op *ops = calloc((size_t)count + 1, sizeof *ops);
    FH_ASSERT(ops != NULL);
    for (int i = 0; i < count; i++)
        ops[i] = op_of(&written[i]);
    carried_ops_fill(t->declared, ops, count);
    struct carried_page page = {link, ops, count};
    enum fh_code code = send_page(t, &page);
    for (int i = 0; i < count; i++)
        EXPECT(t, !ops[i].refused[0]);
    free(ops);
    return code;
}

static enum fh_code send_one(struct trial *t, const struct written *written)
{
    return send_written(t, (struct carried_link){written->position - 1, written->position}, written,
                        1);
}

static void release_written(struct written *written, int count)
{
    for (int i = 0; i < count; i++)
        json_decref(written[i].value);
}

/* ---- What is asked ---- */

static enum fh_code ask(struct trial *t, const void *question, int64_t oldest_ms, json_t **ret)
{
    *ret = NULL;
    t->bed->settle(t->server, t->declared, &t->name);
    return is_series(t) ? t->server->ops->series(t->server, t->declared, &t->name, question,
                                                 oldest_ms, NULL, 0, ret, &t->error)
                        : t->server->ops->columns(t->server, t->declared, &t->name, question,
                                                  oldest_ms, 0, ret, &t->error);
}

/* Those that are there: of each key the highest position. */
static int stands(const struct written *written, int count, struct tallied_fact *ret)
{
    int found = 0;
    for (int i = 0; i < count; i++) {
        bool last = written[i].value != NULL;
        for (int j = 0; j < count && last; j++)
            last = !written[j].value || strcmp(written[i].key, written[j].key) != 0 ||
                   written[j].position < written[i].position ||
                   (written[j].position == written[i].position && j <= i);
        if (last)
            ret[found++] =
                (struct tallied_fact){.at_ms = written[i].at_ms, .value = written[i].value};
    }
    return found;
}

static void expect_answer(struct trial *t, const void *question, int64_t oldest_ms,
                          const struct written *written, int count, int line)
{
    struct tallied_fact *facts = calloc((size_t)count + 1, sizeof *facts);
    json_t *answer = NULL, *expected = NULL;
    struct fh_error error;
    FH_ASSERT(facts != NULL);
    int found = stands(written, count, facts);
    FH_ASSERT(tallied(t->declared, facts, found, question, oldest_ms, &expected, &error) == FH_OK);
    expect_code(t, FH_OK, ask(t, question, oldest_ms, &answer), line);
    if (!tallied_same(expected, answer)) {
        char *a = answer ? json_text(answer) : NULL, *b = json_text(expected);
        expect_text(t, b, a ? a : "", line);
        json_text_free(a);
        json_text_free(b);
    }
    json_decref(answer);
    json_decref(expected);
    free(facts);
}

/* All points; or what all facts come to. */
static const void *everything(const struct trial *t)
{
    static const char *const tags[] = {"device", "site", "paid", NULL};
    static const char *const values[] = {"count", "count c", "sum c", "sum n",
                                         "min n", "max c",   NULL};
    static const struct fh_series series = {.by = tags, .limit = 1000};
    static const struct fh_columns columns = {.by = tags, .values = values};
    return is_series(t) ? (const void *)&series : (const void *)&columns;
}

static void expect_written(struct trial *t, const struct written *written, int count, int line)
{
    expect_answer(t, everything(t), INT64_MIN, written, count, line);
}

/* ---- Generations ---- */

static void a_generation_is_of_one_declaration(struct trial *t)
{
    struct written one = write_one(1, 1000, 1, 3);
    struct fh_derived other = *t->declared;
    other.version = 1;
    EXPECT_CODE(t, FH_OK, make(t));
    EXPECT_CODE(t, FH_OK, send_one(t, &one));
    EXPECT_CODE(t, FH_OK, make(t)); /* again: nothing is lost by it */
    EXPECT_CODE(t, FH_INVALID, t->server->ops->make(t->server, &other, &t->name, &t->error));
    expect_written(t, &one, 1, __LINE__);
    EXPECT(t, count_generations(t) == 1);
    EXPECT_CODE(t, FH_OK, drop(t));
    EXPECT_CODE(t, FH_OK, drop(t));
    EXPECT(t, count_generations(t) == 0);
    release_written(&one, 1);
}

static void a_request_to_no_generation_makes_none(struct trial *t)
{
    struct written one = write_one(1, 1000, 1, 3);
    json_t *answer;
    EXPECT_CODE(t, FH_NOT_FOUND, send_one(t, &one));
    EXPECT_CODE(t, FH_NOT_FOUND, list_links(t));
    EXPECT_CODE(t, FH_NOT_FOUND, ask(t, everything(t), INT64_MIN, &answer));
    if (t->server->ops->trim)
        EXPECT_CODE(t, FH_NOT_FOUND,
                    t->server->ops->trim(t->server, t->declared, &t->name, 0, &t->error));
    EXPECT(t, count_generations(t) == 0);
    release_written(&one, 1);
}

static void an_empty_generation_has_an_answer(struct trial *t)
{
    EXPECT_CODE(t, FH_OK, make(t));
    expect_written(t, NULL, 0, __LINE__);
    EXPECT_CODE(t, FH_OK, list_links(t));
    EXPECT(t, t->link_count == 0);
    EXPECT_CODE(t, FH_OK, send_written(t, (struct carried_link){0, 5}, NULL, 0));
    EXPECT_CODE(t, FH_OK, list_links(t));
    EXPECT(t, t->link_count == 1 && t->links[0].from == 0 && t->links[0].to == 5);
    expect_written(t, NULL, 0, __LINE__);
}

/* ---- Any order ---- */

struct history {
    struct written ops[POSITIONS * EVENT_MAX]; /* in the order of their positions */
    int begins[POSITIONS + 2];                 /* of a position */
    bool sent[POSITIONS + 1];
    bool linked[POSITIONS + 1][POSITIONS + 1]; /* from, to */
};

static struct history history;

/* A point comes again with other values; a fact, which is also a row, with the same. */
static void begin_history(struct trial *t)
{
    int count = 0;
    history = (struct history){0};
    for (int i = 1; i <= POSITIONS; i++) {
        int first = draw(t, KEYS);
        history.begins[i] = count;
        for (int j = draw(t, EVENT_MAX + 1); j > 0; j--) {
            int key = (first + j) % KEYS;
            history.ops[count++] =
                write_one(key / 4, 1000 + key % 4 * 700, i, is_series(t) ? draw(t, 30) : key);
        }
    }
    history.begins[POSITIONS + 1] = count;
}

static void expect_history(struct trial *t)
{
    static struct written there[POSITIONS * EVENT_MAX];
    int count = 0;
    for (int i = 1; i <= POSITIONS; i++) {
        for (int j = history.begins[i]; j < history.begins[i + 1] && history.sent[i]; j++)
            there[count++] = history.ops[j];
    }
    expect_written(t, there, count, __LINE__);
}

static void expect_links(struct trial *t)
{
    int at = 0;
    bool same = true;
    EXPECT_CODE(t, FH_OK, list_links(t));
    for (int to = 1; to <= POSITIONS; to++) {
        for (int from = 0; from < to; from++) {
            if (!history.linked[from][to])
                continue;
            same = same && at < t->link_count && t->links[at].from == from && t->links[at].to == to;
            at++;
        }
    }
    EXPECT(t, same && at == t->link_count);
}

struct sending {
    struct trial *t;
    int cursor, to;
    bool done;
};

static void send_history(void *argument)
{
    struct sending *sending = argument;
    int first = history.begins[sending->cursor + 1];
    EXPECT_CODE(sending->t, FH_OK,
                send_written(sending->t, (struct carried_link){sending->cursor, sending->to},
                             &history.ops[first], history.begins[sending->to + 1] - first));
    for (int i = sending->cursor + 1; i <= sending->to; i++)
        history.sent[i] = true;
    history.linked[sending->cursor][sending->to] = true;
    sending->done = true;
}

/* The next page of each, at the same time; one in three is as if it had not been answered. */
static void send_of_two(struct trial *t, int cursors[2])
{
    struct sending sendings[2];
    for (int i = 0; i < 2; i++) {
        int to = cursors[i] + 1 + draw(t, PAGE_MAX);
        sendings[i] = (struct sending){t, cursors[i], to < POSITIONS ? to : POSITIONS,
                                       cursors[i] == POSITIONS || draw(t, 3) == 0};
        if (!sendings[i].done)
            FH_ASSERT(fiber_start(t->harness.world->fibers, send_history, &sendings[i]));
    }
    for (int i = 0; i < 2; i++) {
        bool sends = !sendings[i].done;
        while (!sendings[i].done)
            fiber_sleep_until(t->harness.world, world_in_ms(t->harness.world, 1));
        if (sends && draw(t, 3))
            cursors[i] = sendings[i].to;
    }
}

static void of_pages_of_two_carriers_each_counts_once(struct trial *t)
{
    int cursors[2] = {0, 0};
    begin_history(t);
    EXPECT_CODE(t, FH_OK, make(t));
    for (int i = 0; i < SENDS && !t->wrong[0]; i++) {
        send_of_two(t, cursors);
        if (i % 4 == 0)
            expect_history(t);
        if (draw(t, 8) == 0) /* another carrier takes over, from where the owner's store has it */
            cursors[draw(t, 2)] = draw(t, cursors[0] + 1);
    }
    while (cursors[0] < POSITIONS && !t->wrong[0])
        send_of_two(t, cursors);
    expect_history(t);
    expect_links(t);
    release_written(history.ops, history.begins[POSITIONS + 1]);
}

/* A point; of facts it is the same one, and an older row of it. */
static void what_is_late_takes_nothing_back(struct trial *t)
{
    struct written all[] = {write_one(1, 1000, 1, 1), write_one(1, 1000, 3, is_series(t) ? 2 : 1),
                            write_one(1, 1000, 2, is_series(t) ? 4 : 1), write_one(1, 2000, 4, 5)};
    EXPECT_CODE(t, FH_OK, make(t));
    EXPECT_CODE(t, FH_OK, send_one(t, &all[0]));
    EXPECT_CODE(t, FH_OK, send_one(t, &all[1]));
    expect_written(t, all, 2, __LINE__);
    EXPECT_CODE(t, FH_OK, send_one(t, &all[2]));
    EXPECT_CODE(t, FH_OK, send_one(t, &all[0]));
    expect_written(t, all, 3, __LINE__);
    EXPECT_CODE(t, FH_OK, send_one(t, &all[3]));
    expect_written(t, all, 4, __LINE__);
    release_written(all, 4);
}

/* One page, in which both versions of a point are. */
static void of_one_page_the_highest_position_counts(struct trial *t)
{
    struct written all[] = {write_one(1, 1000, 1, 1), write_one(2, 1000, 1, 2),
                            write_one(1, 1000, 2, is_series(t) ? 3 : 1),
                            write_one(1, 1000, 4, is_series(t) ? 5 : 1),
                            write_one(1, 1000, 3, is_series(t) ? 7 : 1)}; /* a row, later */
    EXPECT_CODE(t, FH_OK, make(t));
    EXPECT_CODE(t, FH_OK, send_written(t, (struct carried_link){0, 4}, all, 5));
    expect_written(t, all, 5, __LINE__);
    release_written(all, 5);
}

/* ---- Many ---- */

static struct written *write_many(int64_t position)
{
    struct written *many = calloc(MANY, sizeof *many);
    FH_ASSERT(many != NULL);
    for (int i = 0; i < MANY; i++)
        many[i] = write_one(i % 8, 1000 + i * 5, position, i % 1000);
    return many;
}

/* How many there are; -1: it can't be said. */
static int64_t count_written(struct trial *t)
{
    json_t *answer = NULL;
    const struct fh_series series = {
        .every_ms = 1000000, .to_ms = 1000000, .values = NAMES("count")};
    const struct fh_columns columns = {.values = NAMES("count")};
    enum fh_code code;
    do
        code = ask(t, is_series(t) ? (const void *)&series : (const void *)&columns, INT64_MIN,
                   &answer);
    while (code == FH_UNAVAILABLE || code == FH_OUTCOME_UNKNOWN);
    EXPECT_CODE(t, FH_OK, code);
    const json_t *curve = json_array_get(json_object_get(answer, "curves"), 0);
    const json_t *row = is_series(t) ? json_array_get(json_object_get(curve, "points"), 0)
                                     : json_array_get(json_object_get(answer, "rows"), 0);
    int64_t count = json_integer_value(json_array_get(row, is_series(t)));
    json_decref(answer);
    return count;
}

/* As rows of a new generation are: one event, of one position. */
static void one_position_may_have_thousands(struct trial *t)
{
    struct written *many = write_many(7);
    EXPECT_CODE(t, FH_OK, make(t));
    EXPECT_CODE(t, FH_OK, send_written(t, (struct carried_link){6, 7}, many, MANY));
    EXPECT(t, count_written(t) == MANY);
    EXPECT_CODE(t, FH_OK, send_written(t, (struct carried_link){0, 7}, many, MANY));
    EXPECT(t, count_written(t) == MANY);
    release_written(many, MANY);
    free(many);
}

static void of_a_page_that_was_cut_there_is_a_beginning_without_its_link(struct trial *t)
{
    struct written *many = write_many(9);
    static struct carried_op ops[MANY];
    struct carried_page page = {{2, 9}, ops, MANY};
    struct written one = write_one(1, -5000, 1, 1);
    for (int i = 0; i < MANY; i++)
        ops[i] = op_of(&many[i]);
    carried_ops_fill(t->declared, ops, MANY);
    EXPECT_CODE(t, FH_OK, make(t));
    EXPECT_CODE(t, FH_OK, send_written(t, (struct carried_link){0, 2}, &one, 1));
    enum fh_code code = t->bed->die_within(t->server, t->declared, &t->name, &page, &t->error);
    int64_t there = count_written(t); /* the other one is of another interval */
    EXPECT_CODE(t, FH_OK, list_links(t));
    bool linked = t->link_count == 2;
    EXPECT(t, linked || t->link_count == 1);
    EXPECT(t, there == MANY + !is_series(t) || (code != FH_OK && !linked));
    EXPECT(t, linked || code != FH_OK);
    print_message("%s: killed with %lld of %d done, %s a link, %s\n", t->bed->name,
                  (long long)there, MANY, linked ? "with" : "without",
                  code == FH_OK ? "answered" : "not answered");
    EXPECT_CODE(t, FH_OK, send_page(t, &page));
    EXPECT(t, count_written(t) == MANY + !is_series(t));
    EXPECT_CODE(t, FH_OK, list_links(t));
    EXPECT(t, t->link_count == 2);
    release_written(many, MANY);
    release_written(&one, 1);
    free(many);
}

/* ---- What is asked of them ---- */

static int write_all_kinds(struct written ret[static KEYS])
{
    for (int i = 0; i < KEYS; i++)
        ret[i] = write_one(i % 9, (i - 4) * INT64_C(450) + i / 9, i + 1, i);
    return KEYS;
}

/* Of all there is, and of what is not too old. */
static void expect_asked(struct trial *t, const void *question, const struct written *written,
                         int count, int number)
{
    expect_answer(t, question, INT64_MIN, written, count, 10000 + number);
    expect_answer(t, question, 1000, written, count, 20000 + number);
}

static void expect_series_questions(struct trial *t, const struct written *written, int count)
{
    json_t *tags = json_pack("{s:s}", "device", "a,b=c d");
    const struct fh_series series[] = {
        {0},
        {.by = NAMES("device"), .limit = 3},
        {.by = NAMES("site", "paid"), .values = NAMES("n"), .limit = 2},
        {.tags = tags, .limit = 100},
        {.from_ms = -1000,
         .to_ms = 4000,
         .every_ms = 700,
         .values = NAMES("count", "mean c", "sum n", "min c", "max n", "count c")},
        {.from_ms = -1000,
         .to_ms = 4000,
         .every_ms = 500,
         .by = NAMES("site"),
         .values = NAMES("first c", "last c", "first n", "last n")},
        {.from_ms = -2000,
         .to_ms = 9000,
         .every_ms = 3000,
         .by = NAMES("paid"),
         .values = NAMES("p50 n", "p95 c", "p99 n")},
        {.from_ms = -2000,
         .to_ms = 9000,
         .every_ms = 500,
         .values = NAMES("mean c", "sum n"),
         .fill = FH_PREVIOUS},
        {.from_ms = -2000,
         .to_ms = 9000,
         .every_ms = 500,
         .values = NAMES("mean c", "max n"),
         .fill = FH_LINEAR,
         .tags = tags},
        {.from_ms = 100000, .to_ms = 200000, .every_ms = 50000, .values = NAMES("count")},
    };
    for (size_t i = 0; i < sizeof series / sizeof *series && !t->wrong[0]; i++)
        expect_asked(t, &series[i], written, count, (int)i);
    json_decref(tags);
}

static void expect_columns_questions(struct trial *t, const struct written *written, int count)
{
    json_t *site = json_pack("{s:[i, i]}", "site", 0, 1);
    json_t *having = json_pack("{s:{s:i}}", "count", "min", 2);
    const struct fh_columns columns[] = {
        {.values = NAMES("count")},
        {.by = NAMES("device"), .values = NAMES("sum n", "mean c", "min n", "max c", "count n")},
        {.by = NAMES("site", "paid"), .values = NAMES("uniq device", "uniq n", "count")},
        {.by = NAMES("device"), .values = NAMES("count", "sum c"), .filter = site},
        {.by = NAMES("device"), .values = NAMES("count"), .having = having},
        {.by = NAMES("device"),
         .values = NAMES("sum n"),
         .sort = "sum n",
         .descending = true,
         .limit = 3},
        {.from_ms = -1000,
         .to_ms = 4000,
         .every_ms = 700,
         .by = NAMES("paid"),
         .values = NAMES("count", "sum n", "max c")},
        {.from_ms = -1000,
         .to_ms = 4000,
         .every_ms = 900,
         .values = NAMES("mean c"),
         .sort = "at_ms",
         .descending = true},
        {.from_ms = 100000, .to_ms = 200000, .by = NAMES("device"), .values = NAMES("sum n")},
    };
    for (size_t i = 0; i < sizeof columns / sizeof *columns && !t->wrong[0]; i++)
        expect_asked(t, &columns[i], written, count, (int)i);
    json_decref(site);
    json_decref(having);
}

static void what_is_asked_is_answered_as_the_services_own_store_does(struct trial *t)
{
    struct written all[KEYS];
    int count = write_all_kinds(all);
    EXPECT_CODE(t, FH_OK, make(t));
    EXPECT_CODE(t, FH_OK, send_written(t, (struct carried_link){0, count}, all, count));
    if (is_series(t))
        expect_series_questions(t, all, count);
    else
        expect_columns_questions(t, all, count);
    release_written(all, count);
}

static void what_is_trimmed_is_too_old_and_no_link(struct trial *t)
{
    struct written all[KEYS];
    int count = write_all_kinds(all);
    EXPECT_CODE(t, FH_OK, make(t));
    EXPECT_CODE(t, FH_OK, send_written(t, (struct carried_link){0, count}, all, count));
    if (t->server->ops->trim)
        EXPECT_CODE(t, FH_OK,
                    t->server->ops->trim(t->server, t->declared, &t->name, 1000, &t->error));
    expect_answer(t, everything(t), 1000, all, count, __LINE__);
    EXPECT_CODE(t, FH_OK, list_links(t));
    EXPECT(t, t->link_count == 1);
    EXPECT_CODE(t, FH_OK, send_written(t, (struct carried_link){0, count}, all, count));
    expect_answer(t, everything(t), 1000, all, count, __LINE__); /* late: it is still too old */
    release_written(all, count);
}

int main(void)
{
#define CASE(name)                                                                                 \
    {                                                                                              \
#name, 1u << FH_SERIES | 1u << FH_COLUMNS, name                                            \
    }
    static const struct trial_case cases[] = {
        CASE(a_generation_is_of_one_declaration),
        CASE(a_request_to_no_generation_makes_none),
        CASE(an_empty_generation_has_an_answer),
        CASE(of_pages_of_two_carriers_each_counts_once),
        CASE(what_is_late_takes_nothing_back),
        CASE(of_one_page_the_highest_position_counts),
        CASE(one_position_may_have_thousands),
        CASE(of_a_page_that_was_cut_there_is_a_beginning_without_its_link),
        CASE(what_is_asked_is_answered_as_the_services_own_store_does),
        CASE(what_is_trimmed_is_too_old_and_no_link),
    };
    static const struct fh_derived *const declared[] = {&measured, &sold};
    return run_trial_cases(cases, sizeof cases / sizeof *cases, declared, 2);
}
