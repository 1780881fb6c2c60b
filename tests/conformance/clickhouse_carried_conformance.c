/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What ClickHouse owes as a server of facts (carrier/server.h): whatever of the pages of two
 * carriers arrives, how often and in which order, each fact that came counts once; a page is there
 * with its link or not at all, whenever the server dies; what it has lost shows; and what is too
 * old goes.
 */

#include "../support/carried_ops.h"
#include "carried_bed.h"

#include <dirent.h>
#include <unistd.h>

#include "base/id.h"
#include "carrier/clickhouse/internal.h"

#define POSITIONS 80
#define SENDS 60
#define SPAN_MAX 6
#define MANY 20000
#define KILLS 8
#define WHOLE 500 /* facts in a page */
#define WHOLE_PAGES 150
#define EXPECT(condition) expect_true(t, condition, __LINE__)

static const struct fh_derived_field fields[] = {
    {"kind", FH_STRING, FH_TAG}, {"site", FH_INT, FH_TAG}, {"paid", FH_BOOL, FH_TAG},
    {"cents", FH_INT},           {"kg", FH_NUMBER},        {0}};
static const struct fh_derived sold = {"sold", FH_COLUMNS, fields};
static const struct fh_derived sold_otherwise = {
    .name = "sold", .model = FH_COLUMNS, .fields = fields, .version = 1};

struct trial {
    struct harness harness;
    struct carried_server *server;
    struct carried_name name;
    struct carried_link links[POSITIONS * 4];
    int link_count, others;
    uint64_t state;
    struct fh_error error;
    char wrong[512];
    void (*run)(struct trial *t);
};

static struct trial trial;

static bool expect_true(struct trial *t, bool holds, int line)
{
    if (!holds && !t->wrong[0])
        snprintf(t->wrong, sizeof t->wrong, "line %d; the last error: %s", line, t->error.message);
    return holds;
}

static int draw(struct trial *t, int below)
{
    t->state = t->state * 6364136223846793005u + 1442695040888963407u;
    return (int)((t->state >> 33) % (uint64_t)below);
}

/* ---- What is asked of the server ---- */

static enum fh_code make(struct trial *t, const struct fh_derived *declared)
{
    return t->server->ops->make(t->server, declared, &t->name, &t->error);
}

static enum fh_code send_page(struct trial *t, struct carried_page *page)
{
    return t->server->ops->send(t->server, &sold, &t->name, page, &t->error);
}

static void note_link(void *context, const struct carried_link *link)
{
    struct trial *t = context;
    FH_ASSERT(t->link_count < (int)(sizeof t->links / sizeof *t->links));
    t->links[t->link_count++] = *link;
}

/* All, by pages of three. */
static enum fh_code list_links(struct trial *t)
{
    struct carried_link after = {0, 0};
    int count = 3;
    enum fh_code code = FH_OK;
    t->link_count = 0;
    while (code == FH_OK && count == 3) {
        code = t->server->ops->links(t->server, &sold, &t->name, &after, 3, note_link, t, &count,
                                     &t->error);
        if (t->link_count)
            after = t->links[t->link_count - 1];
    }
    return code;
}

/* Until it answers: it may be starting. */
static enum fh_code list_links_at_last(struct trial *t)
{
    enum fh_code code;
    do
        code = list_links(t);
    while (code == FH_UNAVAILABLE || code == FH_OUTCOME_UNKNOWN);
    return code;
}

static void count_generation(void *context, const struct carried_name *name)
{
    struct trial *t = context;
    if (carried_name_compare(name, &t->name) == 0)
        t->link_count++;
    else
        t->others++;
}

static int count_generations(struct trial *t)
{
    t->link_count = t->others = 0;
    EXPECT(t->server->ops->generations(t->server, &sold, count_generation, t, &t->error) == FH_OK);
    return t->link_count + 100 * t->others;
}

/* How many facts, their cents, and how many kinds. */
static enum fh_code look(struct trial *t, json_int_t ret[static 3])
{
    json_t *answer = NULL;
    const struct fh_columns columns = {
        .values = (const char *const[]){"count", "sum cents", "uniq kind", NULL}};
    enum fh_code code = t->server->ops->columns(t->server, &sold, &t->name, &columns, INT64_MIN, 0,
                                                &answer, &t->error);
    const json_t *row = json_array_get(json_object_get(answer, "rows"), 0);
    for (size_t i = 0; i < 3; i++)
        ret[i] = json_integer_value(json_array_get(row, i));
    json_decref(answer);
    return code;
}

/* ---- Facts ---- */

static json_t *fact(const char *kind, json_int_t cents)
{
    return json_pack("{s:s, s:i, s:b, s:I, s:n}", "kind", kind, "site", 1, "paid", 1, "cents",
                     cents, "kg");
}

struct facts {
    struct carried_op *ops;
    char (*keys)[CARRIED_KEY_SIZE];
    int count;
};

/* Of positions from the one on; each has its position as its cents. */
static struct facts facts_of(int64_t from, int count)
{
    struct facts facts = {calloc((size_t)count + 1, sizeof *facts.ops),
                          calloc((size_t)count + 1, sizeof *facts.keys), count};
    FH_ASSERT(facts.ops && facts.keys);
    for (int i = 0; i < count; i++) {
        int64_t position = from + i;
        char kind[24];
        snprintf(kind, sizeof kind, "k%lld", (long long)position % 7);
        snprintf(facts.keys[i], sizeof facts.keys[i], "%lld@%lld", (long long)position,
                 (long long)position % 5 - 2);
        facts.ops[i] = (struct carried_op){.position = position,
                                           .key = facts.keys[i],
                                           .at_ms = position % 5 - 2,
                                           .value = fact(kind, position)};
    }
    carried_ops_fill(&sold, facts.ops, count);
    return facts;
}

static void free_facts(struct facts *facts)
{
    for (int i = 0; i < facts->count; i++)
        json_decref((json_t *)(uintptr_t)facts->ops[i].value);
    free(facts->ops);
    free(facts->keys);
}

static enum fh_code send_span(struct trial *t, int64_t from, int64_t to)
{
    struct facts facts = facts_of(from + 1, (int)(to - from));
    struct carried_page page = {{from, to}, facts.ops, facts.count};
    enum fh_code code = send_page(t, &page);
    for (int i = 0; i < facts.count; i++)
        EXPECT(!facts.ops[i].refused[0]);
    free_facts(&facts);
    return code;
}

static enum fh_code send_one(struct trial *t, int64_t position, const char *key, json_int_t cents)
{
    json_t *value = fact("a", cents);
    struct carried_op op = {.position = position, .key = key, .at_ms = 7, .value = value};
    carried_ops_fill(&sold, &op, 1);
    struct carried_page page = {{position - 1, position}, &op, 1};
    enum fh_code code = send_page(t, &page);
    json_decref(value);
    return code;
}

/* ---- Generations ---- */

static void a_generation_is_of_one_declaration(struct trial *t)
{
    json_int_t found[3];
    EXPECT(make(t, &sold) == FH_OK && send_span(t, 0, 3) == FH_OK);
    EXPECT(make(t, &sold) == FH_OK); /* again: nothing is lost by it */
    EXPECT(make(t, &sold_otherwise) == FH_INVALID);
    EXPECT(look(t, found) == FH_OK && found[0] == 3 && found[1] == 6);
    EXPECT(count_generations(t) == 1);
    EXPECT(t->server->ops->drop(t->server, &sold, &t->name, &t->error) == FH_OK);
    EXPECT(t->server->ops->drop(t->server, &sold, &t->name, &t->error) == FH_OK);
    EXPECT(count_generations(t) == 0);
}

static void a_request_to_no_generation_makes_none(struct trial *t)
{
    json_int_t found[3];
    EXPECT(count_generations(t) == 0); /* there is no database, either */
    EXPECT(send_span(t, 0, 1) == FH_NOT_FOUND);
    EXPECT(list_links(t) == FH_NOT_FOUND && look(t, found) == FH_NOT_FOUND);
    EXPECT(t->server->ops->drop(t->server, &sold, &t->name, &t->error) == FH_OK);
    EXPECT(make(t, &sold) == FH_OK);
    EXPECT(t->server->ops->drop(t->server, &sold, &t->name, &t->error) == FH_OK);
    EXPECT(send_span(t, 0, 1) == FH_NOT_FOUND); /* late */
    EXPECT(list_links(t) == FH_NOT_FOUND && look(t, found) == FH_NOT_FOUND);
    EXPECT(count_generations(t) == 0);
}

static void others_tables_are_no_generations(struct trial *t)
{
    static const struct {
        const char *before, *after;
    } tables[] = {{"sold", ""},     {"solder-", "-1"}, {"sold-", "-01"},
                  {"sold-", "-1x"}, {"sold-", ""},     {"sold-", "-2"}};
    struct clickhouse *server = clickhouse_of(t->server);
    EXPECT(make(t, &sold) == FH_OK);
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        struct text sql;
        char table[128];
        text_init(&sql, CLICKHOUSE_SMALL);
        snprintf(table, sizeof table, "%s%s%s", tables[i].before, i ? t->name.incarnation : "",
                 tables[i].after);
        text_add(&sql, "CREATE TABLE ");
        clickhouse_write_table(&sql, server, table);
        /* Of the last the name alone is as one's own. */
        text_printf(&sql, " (%s Int64) ENGINE = Memory", i < 5 ? "fh_declared" : "a");
        struct clickhouse_call call = {.body = sql.data, .body_length = sql.length};
        EXPECT(clickhouse_ask(server, &call, &t->error) == FH_OK);
        clickhouse_call_release(&call);
        text_release(&sql);
    }
    EXPECT(count_generations(t) == 1);
}

static void another_password_is_refused_and_not_told(struct trial *t)
{
    char why[160];
    json_t *options = bed_clickhouse_options(why);
    struct carried_server *own = t->server;
    json_object_set_new(options, "password", json_string("another secret"));
    EXPECT(make(t, &sold) == FH_OK);
    EXPECT(clickhouse_open(t->harness.world, options, clickhouse_of(own)->owner, &t->server,
                           &t->error) == FH_OK);
    EXPECT(list_links(t) == FH_UNSUPPORTED && send_span(t, 0, 1) == FH_UNSUPPORTED);
    EXPECT(strstr(t->error.message, "refuses its user (error 193)"));
    EXPECT(!strstr(t->error.message, "secret"));
    clickhouse_close(t->server);
    t->server = own;
    EXPECT(list_links(t) == FH_OK && t->link_count == 0);
    json_decref(options);
}

/* ---- Any order ---- */

static bool sent[POSITIONS + 1], linked[POSITIONS + 1][POSITIONS + 1];

struct sending {
    struct trial *t;
    int cursor, to;
    bool done;
};

static void send_pages(void *argument)
{
    struct sending *sending = argument;
    struct trial *t = sending->t;
    EXPECT(send_span(t, sending->cursor, sending->to) == FH_OK);
    for (int i = sending->cursor + 1; i <= sending->to; i++)
        sent[i] = true;
    linked[sending->cursor][sending->to] = true;
    sending->done = true;
}

/* The next page of each, at the same time; one in three is as if it had not been answered. */
static void send_of_two(struct trial *t, int cursors[2])
{
    struct sending sendings[2];
    for (int i = 0; i < 2; i++) {
        int to = cursors[i] + 1 + draw(t, SPAN_MAX);
        sendings[i] = (struct sending){t, cursors[i], to < POSITIONS ? to : POSITIONS,
                                       cursors[i] == POSITIONS || draw(t, 3) == 0};
        if (!sendings[i].done)
            FH_ASSERT(fiber_start(t->harness.world->fibers, send_pages, &sendings[i]));
    }
    for (int i = 0; i < 2; i++) {
        bool sends = !sendings[i].done;
        while (!sendings[i].done)
            fiber_sleep_until(t->harness.world, world_in_ms(t->harness.world, 1));
        if (sends && draw(t, 3))
            cursors[i] = sendings[i].to;
    }
}

static void expect_sent(struct trial *t)
{
    json_int_t found[3], count = 0, cents = 0, kinds = 0;
    bool seen[7] = {0};
    for (int i = 1; i <= POSITIONS; i++) {
        if (!sent[i])
            continue;
        count++;
        cents += i;
        kinds += !seen[i % 7];
        seen[i % 7] = true;
    }
    EXPECT(look(t, found) == FH_OK);
    EXPECT(found[0] == count && found[1] == cents && found[2] == kinds);
}

static void expect_links(struct trial *t)
{
    int at = 0;
    bool same = true;
    EXPECT(list_links(t) == FH_OK);
    for (int to = 1; to <= POSITIONS; to++) {
        for (int from = 0; from < to; from++) {
            if (!linked[from][to])
                continue;
            same = same && at < t->link_count && t->links[at].from == from && t->links[at].to == to;
            at++;
        }
    }
    EXPECT(same && at == t->link_count);
}

static void each_fact_that_came_counts_once(struct trial *t)
{
    const char *seed = getenv("FREEHOLD_SEED");
    int cursors[2] = {0, 0};
    memset(sent, 0, sizeof sent);
    memset(linked, 0, sizeof linked);
    t->state = (seed ? strtoull(seed, NULL, 10) : 1) * 7919 + 1;
    EXPECT(make(t, &sold) == FH_OK);
    for (int i = 0; i < SENDS && !t->wrong[0]; i++) {
        send_of_two(t, cursors);
        if (i % 4 == 0)
            expect_sent(t);
        if (draw(t, 8) == 0) /* another carrier takes over, from where the owner's store has it */
            cursors[draw(t, 2)] = draw(t, cursors[0] + 1);
    }
    while (cursors[0] < POSITIONS && !t->wrong[0])
        send_of_two(t, cursors);
    expect_sent(t);
    expect_links(t);
}

/* A question is divided into ranges of time, and each page has facts in all of them. */
static void send_whole_pages(void *argument)
{
    struct sending *sending = argument;
    struct trial *t = sending->t;
    for (int i = 0; i < WHOLE_PAGES && !t->wrong[0]; i++)
        EXPECT(send_span(t, i * WHOLE, (i + 1) * WHOLE) == FH_OK);
    sending->done = true;
}

static void a_question_is_about_whole_pages(struct trial *t)
{
    struct sending sending = {.t = t};
    json_int_t found[3] = {0};
    clickhouse_of(t->server)->divided_facts = 1;
    EXPECT(make(t, &sold) == FH_OK);
    FH_ASSERT(fiber_start(t->harness.world->fibers, send_whole_pages, &sending));
    while (!sending.done) {
        EXPECT(look(t, found) == FH_OK && found[0] % WHOLE == 0);
        EXPECT(found[1] == found[0] * (found[0] + 1) / 2);
    }
    EXPECT(look(t, found) == FH_OK && found[0] == WHOLE * WHOLE_PAGES);
}

static void the_higher_version_stands_in_whatever_order(struct trial *t)
{
    json_int_t found[3];
    EXPECT(make(t, &sold) == FH_OK);
    EXPECT(send_one(t, 2, "1@7", 200) == FH_OK && send_one(t, 1, "1@7", 100) == FH_OK);
    EXPECT(look(t, found) == FH_OK && found[0] == 1 && found[1] == 200);
    EXPECT(send_one(t, 3, "1@7", 300) == FH_OK && send_one(t, 2, "1@7", 200) == FH_OK);
    EXPECT(look(t, found) == FH_OK && found[0] == 1 && found[1] == 300);
}

static void a_page_without_facts_leaves_its_link(struct trial *t)
{
    json_int_t found[3];
    struct carried_page page = {{0, 4096}, NULL, 0};
    EXPECT(make(t, &sold) == FH_OK && send_page(t, &page) == FH_OK && list_links(t) == FH_OK);
    EXPECT(t->link_count == 1 && t->links[0].from == 0 && t->links[0].to == 4096);
    EXPECT(look(t, found) == FH_OK && found[0] == 0);
}

/* ---- The server dies, or was emptied ---- */

static void a_page_is_there_with_its_link_or_not_at_all(struct trial *t)
{
    json_int_t found[3];
    EXPECT(make(t, &sold) == FH_OK && send_span(t, 0, 10) == FH_OK);
    for (int i = 0; i < KILLS && !t->wrong[0]; i++) {
        int64_t from = 10 + (int64_t)i * MANY;
        struct facts facts = facts_of(from + 1, MANY);
        struct carried_page page = {{from, from + MANY}, facts.ops, MANY};
        int links = t->link_count;
        enum fh_code code =
            bed_clickhouse_die_after(t->server, &sold, &t->name, &page, i * 12, &t->error);
        EXPECT(code == FH_OK || code == FH_UNAVAILABLE || code == FH_OUTCOME_UNKNOWN);
        EXPECT(list_links_at_last(t) == FH_OK);
        bool there = t->links[t->link_count - 1].to == from + MANY;
        EXPECT(t->link_count >= links && (code != FH_OK || there));
        EXPECT(look(t, found) == FH_OK && found[0] == (there ? from + MANY : from));
        if (!there) /* the same again does no harm */
            EXPECT(send_page(t, &page) == FH_OK);
        EXPECT(send_page(t, &page) == FH_OK);
        EXPECT(look(t, found) == FH_OK && found[0] == from + MANY);
        EXPECT(list_links(t) == FH_OK && t->link_count == i + 2);
        free_facts(&facts);
    }
}

/* A body that ends early, between two facts or within one. */
static void of_a_page_that_was_cut_there_is_no_link(struct trial *t)
{
    struct clickhouse *server = clickhouse_of(t->server);
    struct facts facts = facts_of(1, 3);
    struct text body, sql, path;
    char table[CLICKHOUSE_TABLE_SIZE];
    json_int_t found[3];
    EXPECT(make(t, &sold) == FH_OK);
    text_init(&body, CLICKHOUSE_SMALL);
    text_init(&sql, CLICKHOUSE_SMALL);
    text_init(&path, CLICKHOUSE_SMALL);
    clickhouse_table(&sold, &t->name, table);
    clickhouse_write_insert(&sql, server, table, &sold, false);
    text_add(&path, "/?query=");
    clickhouse_write_encoded(&path, sql.data);
    for (int i = 0; i < 3; i++)
        clickhouse_write_fact(&body, &sold, &facts.ops[i], "");
    size_t whole = body.length;
    clickhouse_write_link(&body, &sold, &(struct carried_link){0, 3}, "");
    for (size_t length = 0; length < body.length && !t->wrong[0]; length++) {
        struct clickhouse_call call = {.path = path.data, .body = body.data, .body_length = length};
        enum fh_code code = clickhouse_ask(server, &call, &t->error);
        clickhouse_call_release(&call);
        EXPECT(code == FH_OK || code == FH_UNSUPPORTED);
        EXPECT(length != whole || code == FH_OK);
        EXPECT(list_links(t) == FH_OK && t->link_count == 0);
    }
    EXPECT(look(t, found) == FH_OK && found[0] == 3 && found[1] == 6);
    text_release(&body);
    text_release(&sql);
    text_release(&path);
    free_facts(&facts);
}

static void what_was_emptied_shows(struct trial *t)
{
    json_int_t found[3];
    EXPECT(make(t, &sold) == FH_OK && send_span(t, 0, 3) == FH_OK);
    carried_bed_clickhouse.wipe(t->server, &sold);
    EXPECT(send_span(t, 3, 4) == FH_NOT_FOUND);
    EXPECT(list_links(t) == FH_NOT_FOUND && look(t, found) == FH_NOT_FOUND);
    EXPECT(count_generations(t) == 0);
    EXPECT(make(t, &sold) == FH_OK && send_span(t, 3, 4) == FH_OK && list_links(t) == FH_OK);
    EXPECT(t->link_count == 1 && t->links[0].from == 3); /* no chain leads to the beginning */
}

/* The folder of the part that the last page is; what is in it goes. */
static void remove_last_part(struct trial *t)
{
    struct clickhouse *server = clickhouse_of(t->server);
    struct text sql;
    json_t *rows;
    struct dirent *entry;
    char path[512];
    text_init(&sql, CLICKHOUSE_SMALL);
    text_add(&sql, "SELECT path FROM system.parts WHERE database = ");
    clickhouse_write_literal(&sql, server->owner, strlen(server->owner));
    text_add(&sql, " AND active ORDER BY min_block_number DESC LIMIT 1 FORMAT JSONCompact");
    EXPECT(clickhouse_ask_rows(server, &sql, 0, &rows, &t->error) == FH_OK);
    const char *part = json_string_value(json_array_get(json_array_get(rows, 0), 0));
    DIR *folder = part ? opendir(part) : NULL;
    EXPECT(folder != NULL);
    while (folder && (entry = readdir(folder))) {
        snprintf(path, sizeof path, "%s/%s", part, entry->d_name);
        unlink(path);
    }
    if (folder)
        closedir(folder);
    json_decref(rows);
    text_release(&sql);
}

/* As after a power cut, when what was not synced is gone. */
static void a_part_that_is_gone_has_no_link(struct trial *t)
{
    json_int_t found[3];
    struct carried_page page = {{6, 7}, NULL, 0};
    EXPECT(make(t, &sold) == FH_OK && send_span(t, 0, 3) == FH_OK && send_span(t, 3, 6) == FH_OK);
    remove_last_part(t);
    bed_clickhouse_die_after(t->server, &sold, &t->name, &page, 0, &t->error);
    EXPECT(list_links_at_last(t) == FH_OK);
    EXPECT(look(t, found) == FH_OK && found[0] == 3 && found[1] == 6);
    for (int i = 0; i < t->link_count; i++)
        EXPECT(t->links[i].to != 6);
}

/* ---- What is too old ---- */

static enum fh_code trim(struct trial *t, int64_t oldest_ms)
{
    return t->server->ops->trim(t->server, &sold, &t->name, oldest_ms, &t->error);
}

/* Once there are that many facts: a mutation ends when it ends. */
static void await_facts(struct trial *t, json_int_t count)
{
    json_int_t found[3] = {0};
    for (int i = 0; i < 2000 && found[0] != count && !t->wrong[0]; i++) {
        fiber_sleep_until(t->harness.world, world_in_ms(t->harness.world, 10));
        EXPECT(look(t, found) == FH_OK);
    }
    EXPECT(found[0] == count);
}

/* Of each five facts one is of each time from -2 to 2. */
static void what_is_too_old_is_removed_where_it_is_much(struct trial *t)
{
    json_int_t found[3];
    EXPECT(trim(t, 0) == FH_NOT_FOUND);
    EXPECT(make(t, &sold) == FH_OK && trim(t, 0) == FH_OK);
    EXPECT(send_span(t, 0, 50) == FH_OK && send_span(t, 50, 100) == FH_OK);
    EXPECT(trim(t, -2) == FH_OK && look(t, found) == FH_OK && found[0] == 100);
    EXPECT(trim(t, 0) == FH_OK);
    await_facts(t, 60);
    EXPECT(list_links(t) == FH_OK && t->link_count == 2);
    EXPECT(send_span(t, 100, 105) == FH_OK && trim(t, 0) == FH_OK); /* two of 67 rows */
    EXPECT(look(t, found) == FH_OK && found[0] == 65);
    EXPECT(send_span(t, 105, 115) == FH_OK && trim(t, 0) == FH_OK); /* six of 78 */
    await_facts(t, 69);
    EXPECT(send_span(t, 0, 50) == FH_OK); /* late: questions leave them out */
    EXPECT(list_links(t) == FH_OK && t->link_count == 4);
}

/* ---- Running it ---- */

static void run_trial(void *argument)
{
    struct trial *t = argument;
    t->run(t);
    carried_bed_clickhouse.wipe(t->server, &sold);
}

static void run_case(void **state, void (*run)(struct trial *t))
{
    char why[160];
    unsigned char random[10];
    (void)state;
    trial = (struct trial){.run = run};
    harness_init(&trial.harness);
    trial.server = carried_bed_clickhouse.open(&trial.harness, why);
    bool missing = !trial.server;
    if (!missing) {
        world_random(trial.harness.world, random, sizeof random);
        id_format(trial.name.incarnation, world_wall_ms(trial.harness.world), random);
        trial.name.number = 7;
        harness_run(&trial.harness, run_trial, &trial);
        carried_bed_clickhouse.close(trial.server);
    }
    harness_release(&trial.harness);
    if (missing)
        SKIP_BECAUSE("no clickhouse: %s", why);
    if (trial.wrong[0])
        fail_msg("%s", trial.wrong);
}

#define CASES(CASE)                                                                                \
    CASE(a_generation_is_of_one_declaration)                                                       \
    CASE(a_request_to_no_generation_makes_none)                                                    \
    CASE(others_tables_are_no_generations)                                                         \
    CASE(another_password_is_refused_and_not_told)                                                 \
    CASE(each_fact_that_came_counts_once)                                                          \
    CASE(a_question_is_about_whole_pages)                                                          \
    CASE(the_higher_version_stands_in_whatever_order)                                              \
    CASE(a_page_without_facts_leaves_its_link)                                                     \
    CASE(a_page_is_there_with_its_link_or_not_at_all)                                              \
    CASE(of_a_page_that_was_cut_there_is_no_link)                                                  \
    CASE(what_was_emptied_shows)                                                                   \
    CASE(a_part_that_is_gone_has_no_link)                                                          \
    CASE(what_is_too_old_is_removed_where_it_is_much)

#define CASE_FUNCTION(name)                                                                        \
    static void clickhouse_##name(void **state)                                                    \
    {                                                                                              \
        run_case(state, name);                                                                     \
    }
CASES(CASE_FUNCTION)

int main(void)
{
#define CASE_TEST(name) {"clickhouse: " #name, clickhouse_##name, NULL, NULL, NULL},
    static const struct CMUnitTest tests[] = {CASES(CASE_TEST)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
