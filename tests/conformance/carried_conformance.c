/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What each server of derived stores owes (carrier/server.h): whatever of the pages of two carriers
 * arrives, how often and in which order, what stands is what the ops that came do in their order.
 */

#include "carried_trial.h"

#define KEYS 5
#define POSITIONS 60
#define SENDS 40
#define PAGE_MAX 6
#define MANY 300
#define MANY_WORDS 1500 /* of each: it takes long enough to be killed meanwhile */

static const struct fh_derived_field fields[] = {
    {"name", FH_STRING, FH_TEXT}, {"size", FH_INT, FH_FACET}, {"text", FH_STRING, FH_TEXT}, {0}};
static const struct fh_derived things = {"things", FH_SEARCH, fields};
static const struct fh_derived other_things = {
    .name = "things", .model = FH_SEARCH, .fields = fields, .version = 1};

static enum fh_code look(struct trial *t, char ret[static BED_TEXT_SIZE])
{
    json_t *answer = NULL;
    ret[0] = '\0';
    t->bed->settle(t->server, &things, &t->name);
    enum fh_code code = t->server->ops->search(
        t->server, &things, &t->name, &(struct fh_search){.limit = 1000}, 0, &answer, &t->error);
    if (code == FH_OK)
        t->bed->contents(answer, ret);
    json_decref(answer);
    return code;
}

static void expect_contents(struct trial *t, const char *expected, int line)
{
    char text[BED_TEXT_SIZE];
    expect_code(t, FH_OK, look(t, text), line);
    expect_text(t, expected, text, line);
}

/* ---- Ops ---- */

/* NULL: it is gone. */
static struct carried_op op_of(int64_t position, const char *key, json_t *value)
{
    return (struct carried_op){.position = position, .key = key, .value = value};
}

static json_t *thing(const char *name)
{
    return json_pack("{s:s, s:i, s:s}", "name", name, "size", 3, "text", "");
}

static enum fh_code send_one(struct trial *t, int64_t position, const char *key, json_t *value)
{
    struct carried_op op = op_of(position, key, value);
    struct carried_page page = {{position - 1, position}, &op, 1};
    enum fh_code code = send_page(t, &page);
    json_decref(value);
    return code == FH_OK && op.refused[0] ? FH_INVALID : code;
}

/* ---- Generations ---- */

static void a_generation_is_of_one_declaration(struct trial *t)
{
    EXPECT_CODE(t, FH_OK, make(t));
    EXPECT_CODE(t, FH_OK, send_one(t, 1, "a", thing("apple")));
    EXPECT_CODE(t, FH_OK, make(t)); /* again: nothing is lost by it */
    EXPECT_CODE(t, FH_INVALID, t->server->ops->make(t->server, &other_things, &t->name, &t->error));
    expect_contents(t, "a=apple ", __LINE__);
    EXPECT_CODE(t, FH_OK, count_generations(t) == 1 ? FH_OK : FH_CONFLICT);
    EXPECT_CODE(t, FH_OK, drop(t));
    EXPECT_CODE(t, FH_OK, drop(t));
    EXPECT_CODE(t, FH_OK, count_generations(t) == 0 ? FH_OK : FH_CONFLICT);
}

static void a_request_to_no_generation_makes_none(struct trial *t)
{
    json_t *answer = NULL;
    EXPECT_CODE(t, FH_NOT_FOUND, send_one(t, 1, "a", thing("apple")));
    EXPECT_CODE(t, FH_NOT_FOUND, list_links(t));
    EXPECT_CODE(t, FH_NOT_FOUND,
                t->server->ops->search(t->server, &things, &t->name, &(struct fh_search){0}, 0,
                                       &answer, &t->error));
    EXPECT_CODE(t, FH_OK, count_generations(t) == 0 ? FH_OK : FH_CONFLICT);
}

/* ---- Any order ---- */

struct history {
    char keys[POSITIONS + 1][4];
    json_t *values[POSITIONS + 1]; /* of positions; NULL: gone */
    bool sent[POSITIONS + 1];
    bool linked[POSITIONS + 1][POSITIONS + 1]; /* from, to */
};

static struct history history;

static void begin_history(struct trial *t)
{
    history = (struct history){0};
    for (int i = 1; i <= POSITIONS; i++) {
        char name[8];
        snprintf(history.keys[i], sizeof history.keys[i], "k%d", draw(t, KEYS));
        snprintf(name, sizeof name, "n%d", i);
        history.values[i] = draw(t, 3) ? thing(name) : NULL;
    }
}

static void end_history(void)
{
    for (int i = 1; i <= POSITIONS; i++)
        json_decref(history.values[i]);
}

/* What the ops that came do, once and in their order. */
static void expect_history(struct trial *t)
{
    char expected[BED_TEXT_SIZE] = "";
    for (int key = 0; key < KEYS; key++) {
        char name[4];
        const json_t *value = NULL;
        snprintf(name, sizeof name, "k%d", key);
        for (int i = 1; i <= POSITIONS; i++) {
            if (history.sent[i] && strcmp(history.keys[i], name) == 0)
                value = history.values[i];
        }
        size_t length = strlen(expected);
        if (value)
            snprintf(expected + length, sizeof expected - length, "%s=%s ", name,
                     json_string_at(value, "name"));
    }
    expect_contents(t, expected, __LINE__);
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
    EXPECT_CODE(t, FH_OK, same && at == t->link_count ? FH_OK : FH_CONFLICT);
}

struct sending {
    struct trial *t;
    int cursor, to;
    bool done;
};

static void send_history(void *argument)
{
    struct sending *sending = argument;
    struct carried_op ops[PAGE_MAX];
    struct carried_page page = {{sending->cursor, sending->to}, ops, 0};
    for (int i = sending->cursor + 1; i <= sending->to; i++)
        ops[page.count++] = op_of(i, history.keys[i], history.values[i]);
    EXPECT_CODE(sending->t, FH_OK, send_page(sending->t, &page));
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

static void pages_of_two_carriers_do_what_their_ops_do_in_order(struct trial *t)
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
    end_history();
}

static void what_is_gone_stays_gone_when_a_page_is_late(struct trial *t)
{
    EXPECT_CODE(t, FH_OK, make(t));
    EXPECT_CODE(t, FH_OK, send_one(t, 1, "a", thing("apple")));
    EXPECT_CODE(t, FH_OK, send_one(t, 2, "a", NULL));
    EXPECT_CODE(t, FH_OK, send_one(t, 4, "b", NULL)); /* of what never was there */
    EXPECT_CODE(t, FH_OK, send_one(t, 3, "b", thing("bread")));
    EXPECT_CODE(t, FH_OK, send_one(t, 1, "a", thing("apple")));
    expect_contents(t, "", __LINE__);
    EXPECT_CODE(t, FH_OK, send_one(t, 5, "a", thing("avocado")));
    expect_contents(t, "a=avocado ", __LINE__);
}

/* A server need not have it gone at once, but when it is asked for again. */
static void what_was_replaced_or_removed_leaves_the_server_s_files(struct trial *t)
{
    int64_t left = 0, before = 0;
    EXPECT_CODE(t, FH_OK, make(t));
    for (int i = 1; i <= 20; i++)
        EXPECT_CODE(t, FH_OK, send_one(t, i, i % 2 ? "a" : "b", thing("Zebedee")));
    EXPECT_CODE(t, FH_OK, send_one(t, 21, "a", NULL));
    EXPECT_CODE(t, FH_OK, send_one(t, 22, "b", thing("bread")));
    expect_contents(t, "b=bread ", __LINE__);
    if (t->bed->left)
        before = t->bed->left(t->server, &things, &t->name);
    for (int i = 0; i < 90 && !t->wrong[0]; i++) {
        EXPECT_CODE(t, FH_OK,
                    t->server->ops->trim(t->server, &things, &t->name, INT64_MIN, &t->error));
        t->bed->settle(t->server, &things, &t->name);
        left = t->bed->left ? t->bed->left(t->server, &things, &t->name) : 0;
        if (!left)
            break;
        fiber_sleep_until(t->harness.world, world_in_ms(t->harness.world, 1000));
    }
    print_message("%s: %lld left before, %lld after\n", t->bed->name, (long long)before,
                  (long long)left);
    EXPECT_CODE(t, FH_OK, left == 0 ? FH_OK : FH_CONFLICT);
    expect_contents(t, "b=bread ", __LINE__);
    EXPECT_CODE(t, FH_OK, send_one(t, 20, "b", thing("late")));
    EXPECT_CODE(t, FH_OK, send_one(t, 1, "a", thing("late"))); /* its tombstone is still there */
    expect_contents(t, "b=bread ", __LINE__);
}

static void a_refused_op_keeps_nothing_else_away(struct trial *t)
{
    json_t *bad = t->bed->bad(), *bread = thing("bread"), *cheese = thing("cheese");
    struct carried_op ops[] = {op_of(1, "a", bread), op_of(2, "b", bad), op_of(3, "c", cheese)};
    struct carried_page page = {{0, 3}, ops, 3};
    EXPECT_CODE(t, FH_OK, make(t));
    EXPECT_CODE(t, FH_OK, send_page(t, &page));
    EXPECT_CODE(t, FH_OK, ops[0].refused[0] || ops[2].refused[0] ? FH_CONFLICT : FH_OK);
    EXPECT_CODE(t, FH_OK, ops[1].refused[0] ? FH_OK : FH_CONFLICT);
    EXPECT_CODE(t, FH_OK, strstr(ops[1].refused, "secret") ? FH_CONFLICT : FH_OK);
    expect_contents(t, "a=bread c=cheese ", __LINE__);
    EXPECT_CODE(t, FH_OK, list_links(t));
    EXPECT_CODE(t, FH_OK, t->link_count == 1 && t->links[0].to == 3 ? FH_OK : FH_CONFLICT);
    EXPECT_CODE(t, FH_OK, send_one(t, 4, "b", thing("butter")));
    expect_contents(t, "a=bread b=butter c=cheese ", __LINE__);
    json_decref(bad);
    json_decref(bread);
    json_decref(cheese);
}

/* ---- Killed ---- */

static void make_many(struct carried_op ops[static MANY], char keys[static MANY][8])
{
    char text[MANY_WORDS * 8 + 1];
    for (int i = 0; i < MANY; i++) {
        json_t *value = thing("x");
        for (int j = 0; j < MANY_WORDS; j++)
            snprintf(text + j * 8, 9, "w%06d ", (i * MANY_WORDS + j * 7919) % 1000000);
        json_object_set_new(value, "text", json_string(text));
        snprintf(keys[i], sizeof keys[i], "m%04d", i);
        ops[i] = op_of(10 + i, keys[i], value);
    }
}

/* How many of the page are there: its first ones, or none. */
static int count_many(struct trial *t, const char *text)
{
    int count = 0;
    char expected[16];
    for (; *text && count < MANY; count++, text += strlen(expected)) {
        snprintf(expected, sizeof expected, "m%04d=x ", count);
        EXPECT_CODE(t, FH_OK, strncmp(text, expected, strlen(expected)) == 0 ? FH_OK : FH_CONFLICT);
        if (t->wrong[0])
            break;
    }
    return count;
}

static enum fh_code look_until_it_is_back(struct trial *t, char text[static BED_TEXT_SIZE])
{
    enum fh_code code;
    do
        code = look(t, text);
    while (code == FH_UNAVAILABLE || code == FH_OUTCOME_UNKNOWN);
    return code;
}

static void of_a_page_that_was_cut_there_is_a_beginning_without_its_link(struct trial *t)
{
    static struct carried_op ops[MANY];
    static char keys[MANY][8], text[BED_TEXT_SIZE];
    struct carried_page page = {{9, 9 + MANY}, ops, MANY};
    make_many(ops, keys);
    EXPECT_CODE(t, FH_OK, make(t));
    EXPECT_CODE(t, FH_OK, send_one(t, 1, "a", thing("apple")));
    EXPECT_CODE(t, FH_OK, send_one(t, 2, "a", NULL));
    enum fh_code code = t->bed->die_within(t->server, &things, &t->name, &page, &t->error);
    EXPECT_CODE(t, FH_OK, look_until_it_is_back(t, text));
    int there = count_many(t, text);
    EXPECT_CODE(t, FH_OK, list_links(t));
    bool linked = t->link_count == 3;
    EXPECT_CODE(t, FH_OK, linked ? FH_OK : t->link_count == 2 ? FH_OK : FH_CONFLICT);
    EXPECT_CODE(t, FH_OK, (code == FH_OK || linked) && there < MANY ? FH_CONFLICT : FH_OK);
    EXPECT_CODE(t, FH_OK, code == FH_OK && !linked ? FH_CONFLICT : FH_OK);
    print_message("%s: killed with %d of %d done, %s a link, %s\n", t->bed->name, there, MANY,
                  linked ? "with" : "without", code == FH_OK ? "answered" : "not answered");
    EXPECT_CODE(t, FH_OK, send_page(t, &page));
    EXPECT_CODE(t, FH_OK, send_one(t, 1, "a", thing("apple"))); /* what it knew of versions */
    EXPECT_CODE(t, FH_OK, look(t, text));
    EXPECT_CODE(t, FH_OK, count_many(t, text) == MANY ? FH_OK : FH_CONFLICT);
    EXPECT_CODE(t, FH_OK, list_links(t));
    EXPECT_CODE(t, FH_OK, t->link_count == 3 ? FH_OK : FH_CONFLICT);
    for (int i = 0; i < MANY; i++)
        json_decref((json_t *)(uintptr_t)ops[i].value);
}

int main(void)
{
#define CASE(name)                                                                                 \
    {                                                                                              \
#name, 1u << FH_SEARCH, name                                                               \
    }
    static const struct trial_case cases[] = {
        CASE(a_generation_is_of_one_declaration),
        CASE(a_request_to_no_generation_makes_none),
        CASE(pages_of_two_carriers_do_what_their_ops_do_in_order),
        CASE(what_is_gone_stays_gone_when_a_page_is_late),
        CASE(what_was_replaced_or_removed_leaves_the_server_s_files),
        CASE(a_refused_op_keeps_nothing_else_away),
        CASE(of_a_page_that_was_cut_there_is_a_beginning_without_its_link),
    };
    static const struct fh_derived *const declared[] = {&things};
    return run_trial_cases(cases, sizeof cases / sizeof *cases, declared, 1);
}
