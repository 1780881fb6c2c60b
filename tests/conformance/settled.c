/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What became of a COMMIT whose link died, found out over links that die, too, next to processes
 * whose clocks are off and older programs, and after a pause that was longer than anybody waits.
 */

#include "settled.h"

#include "engine/engines.h"
#include "store/relational/mark.h"

#define PROBLEM_MS 60000 /* whatever takes longer has failed */

static bool in_time(struct conformance *c, int64_t deadline_ns)
{
    if (world_monotonic_ns(c->harness.world) >= deadline_ns)
        return false;
    fiber_sleep_until(c->harness.world, world_in_ms(c->harness.world, 10));
    return true;
}

static bool does(struct conformance *c, const char *sql)
{
    return conformance_does(c, sql, NULL) == FH_OK;
}

/* Another process's store on the case's own, with the differences in `change` (consumed). */
static enum fh_code open_other(struct conformance *c, json_t *change, struct store **ret)
{
    json_t *server = settled.server(c);
    json_object_update_new(server, change);
    struct store_options options = {
        .service = "conformance", .server = server, .model = FH_RELATIONAL, .instance = "1"};
    enum fh_code code =
        engine_named(settled.name)->store->open(&options, c->harness.world, ret, &c->error);
    json_decref(server);
    return code;
}

struct linked {
    struct conformance *c;
    struct link link;
    struct store *store;
    int n; /* rows that were tried */
    enum fh_code code;
    struct fh_error error;
    bool ended;
};

static bool linked_open(struct conformance *c, struct linked *linked)
{
    linked->c = c;
    return does(c, settled.table) &&
           link_open(&linked->link, c->harness.world, settled.port(c), "COMMIT") &&
           link_used(&linked->link,
                     open_other(c, settled.over(linked->link.port), &linked->store) == FH_OK);
}

static void linked_close(struct linked *linked)
{
    store_close(linked->store);
    link_close(&linked->link);
}

static enum fh_code write_begin(struct store *store, enum store_mode mode, int n,
                                struct store_work **ret, struct fh_error *error)
{
    struct sql_value values[] = {sql_integer(n)};
    int64_t changes;
    enum fh_code code = store_begin(store, mode, ret, error);
    if (code != FH_OK)
        return code;
    code = sql_run(*ret, "INSERT INTO written (n) VALUES (?1)", values, 1, NULL, NULL, &changes,
                   error);
    if (code != FH_OK)
        store_rollback(*ret);
    return code;
}

enum fh_code settled_write(struct store *store, int n, struct fh_error *error)
{
    struct store_work *work;
    enum fh_code code = write_begin(store, STORE_WRITE, n, &work, error);
    return code == FH_OK ? store_commit(work, error) : code;
}

/* A row to whose COMMIT the first of the plans applies, and to its settling the others. */
static enum fh_code write_over(struct linked *linked, enum store_mode mode, enum link_cut how,
                               const struct link_plan *then)
{
    struct store_work *work;
    enum fh_code code = write_begin(linked->store, mode, ++linked->n, &work, &linked->error);
    linked->link.marker = "COMMIT";
    linked->link.then = then;
    linked->link.next = how;
    linked->link.released = linked->link.delivered = false;
    return code == FH_OK ? store_commit(work, &linked->error) : code;
}

static void write_on(void *argument)
{
    struct linked *linked = argument;
    linked->code = settled_write(linked->store, ++linked->n, &linked->error);
    linked->ended = true;
}

/* How often the row is there. */
static bool is_there(struct conformance *c, int n, int times)
{
    char sql[80], rows[24];
    snprintf(sql, sizeof sql, "SELECT count(*) AS n FROM written WHERE n = %d", n);
    snprintf(rows, sizeof rows, "[{'n':%d}]", times);
    return conformance_reads(c, sql, rows);
}

/* ---- Every message of settling ---- */

/* What was reported is true; in the end, too, when everything held has arrived. */
static void lose_all(struct conformance *c, enum link_cut commit, bool stands)
{
    static const enum link_cut cuts[] = {LINK_CUT_BEFORE, LINK_CUT_AFTER, LINK_HELD};
    struct linked linked = {0};
    EXPECT(linked_open(c, &linked));
    bool right = true;
    for (int i = 0; settled.messages[i / 3] && right; i++) {
        struct link_plan plan[] = {{.marker = settled.messages[i / 3], .how = cuts[i % 3]},
                                   {.marker = settled.ask, .how = cuts[i % 3]},
                                   {0}};
        enum fh_code code = write_over(&linked, STORE_WRITE, commit, plan);
        right = code == (stands ? FH_OK : FH_CONFLICT) &&
                (stands || (linked.error.code == FH_CONFLICT && linked.error.retryable));
        if (right && (commit == LINK_HELD || cuts[i % 3] == LINK_HELD))
            link_release(&linked.link);
        right = right && linked.link.next == LINK_WHOLE && is_there(c, linked.n, stands);
        c->error = linked.error;
    }
    linked_close(&linked);
    EXPECT(right);
}

static void
a_commit_that_never_came_is_not_done_whatever_becomes_of_its_settling(struct conformance *c)
{
    lose_all(c, LINK_CUT_BEFORE, false);
}

static void a_commit_that_stands_is_done_whatever_becomes_of_its_settling(struct conformance *c)
{
    lose_all(c, LINK_CUT_AFTER, true);
}

/* Schedule 23 */
static void
a_commit_that_comes_late_is_not_done_whatever_becomes_of_its_settling(struct conformance *c)
{
    lose_all(c, LINK_HELD, false);
}

static void
a_commit_that_was_cut_in_two_is_not_done_whatever_becomes_of_its_settling(struct conformance *c)
{
    lose_all(c, LINK_CUT_IN, false);
}

/* ---- As long as it takes ---- */

static void without_any_link_a_commit_waits_until_there_is_one(struct conformance *c)
{
    struct linked linked = {0};
    EXPECT(linked_open(c, &linked));
    EXPECT(settled_write(linked.store, 100, &c->error) == FH_OK); /* over a link that is kept */
    linked.link.next = LINK_CUT_BEFORE;
    linked.link.refuses = true;
    conformance_start(c, write_on, &linked);
    int64_t deadline_ns = world_in_ms(c->harness.world, PROBLEM_MS);
    while (linked.link.refused < 12 && in_time(c, deadline_ns)) /* more than 10 s */
        ;
    bool waited = !linked.ended && linked.link.refused >= 12;
    linked.link.refuses = false;
    conformance_join(c);
    enum fh_code again = settled_write(linked.store, linked.n, &c->error);
    linked_close(&linked);
    EXPECT(waited && linked.code == FH_CONFLICT && linked.error.retryable && again == FH_OK);
    EXPECT(is_there(c, 1, 1));
}

static void a_commit_that_nothing_comes_back_of_is_settled(struct conformance *c)
{
    struct linked linked = {0};
    EXPECT(linked_open(c, &linked));
    EXPECT(settled_write(linked.store, 100, &c->error) == FH_OK); /* over a link that is kept */
    if (settled.hurry)
        settled.hurry(linked.store);
    enum fh_code code = write_over(&linked, STORE_WRITE, LINK_SILENT, NULL);
    linked_close(&linked);
    c->error = linked.error;
    EXPECT(code == FH_OK);
    EXPECT(is_there(c, 1, 1));
}

/* Whoever migrates continues from what it finds. */
static void a_migrations_commit_is_settled_too(struct conformance *c)
{
    static const enum link_cut cuts[] = {LINK_CUT_BEFORE, LINK_CUT_AFTER, LINK_HELD};
    struct linked linked = {0};
    EXPECT(linked_open(c, &linked));
    bool right = true;
    for (int i = 0; i < 3 && right; i++) {
        bool stands = cuts[i] == LINK_CUT_AFTER;
        enum fh_code code = write_over(&linked, STORE_MIGRATE, cuts[i], NULL);
        right = stands ? code == FH_OK : code == FH_CONFLICT && linked.error.retryable;
        if (right && cuts[i] == LINK_HELD)
            link_release(&linked.link);
        right = right && is_there(c, linked.n, stands);
        c->error = linked.error;
    }
    linked_close(&linked);
    EXPECT(right);
}

static void units_of_work_go_on_while_another_is_settled(struct conformance *c)
{
    const struct link_plan late[] = {{.marker = settled.ask, .how = LINK_CUT_LATE}, {0}};
    struct linked linked = {0};
    EXPECT(linked_open(c, &linked));
    linked.link.next = LINK_CUT_IN; /* its backend still has the transaction open */
    linked.link.then = late;
    conformance_start(c, write_on, &linked);
    int64_t deadline_ns = world_in_ms(c->harness.world, PROBLEM_MS);
    while (linked.link.next != LINK_WHOLE && in_time(c, deadline_ns))
        ;
    enum fh_code code = settled_write(linked.store, 100, &c->error);
    bool beside = !linked.ended;
    linked.link.released = true;
    fiber_wake_all(&linked.link.changed);
    conformance_join(c);
    enum fh_code after = settled_write(linked.store, 101, &c->error);
    linked_close(&linked);
    EXPECT(code == FH_OK && beside && after == FH_OK && linked.code == FH_CONFLICT);
    EXPECT(is_there(c, 100, 1) && is_there(c, 101, 1));
}

/* ---- Removing marks ---- */

static int64_t wall_ms_ahead(struct world *world)
{
    (void)world;
    return INT64_C(4000000000000); /* in 2096 */
}

/* Writes a row whose COMMIT gets no answer, and has `meanwhile` done before its outcome is
 * queried. */
static enum fh_code settle_behind(struct conformance *c, struct linked *linked,
                                  bool (*meanwhile)(struct linked *linked))
{
    const struct link_plan late[] = {{.marker = settled.ask, .how = LINK_CUT_LATE}, {0}};
    linked->link.marker = "COMMIT";
    linked->link.next = LINK_CUT_AFTER;
    linked->link.then = late;
    conformance_start(c, write_on, linked);
    int64_t deadline_ns = world_in_ms(c->harness.world, PROBLEM_MS);
    while (linked->link.next != LINK_WHOLE && in_time(c, deadline_ns))
        ;
    bool done = linked->link.next == LINK_WHOLE && meanwhile(linked);
    linked->link.released = true;
    fiber_wake_all(&linked->link.changed);
    conformance_join(c);
    return done ? linked->code : FH_UNSUPPORTED;
}

/* Another process of this service begins, writes, and removes what it may. */
static bool other_trims(struct linked *linked)
{
    struct conformance *c = linked->c;
    struct store *other = NULL;
    if (open_other(c, json_object(), &other) != FH_OK)
        return false;
    settled.overdue(other);
    bool done = settled_write(other, 1000, &c->error) == FH_OK &&
                store_sequence(other, NULL, 0, &c->error) == FH_OK &&
                settled.marks(other)->seen_ns > 0;
    store_close(other);
    return done;
}

static bool other_trims_with_a_clock_ahead(struct linked *linked)
{
    struct world *world = linked->c->harness.world;
    const struct world_ops *real = world->ops;
    struct world_ops ops = *real;
    ops.wall_ms = wall_ms_ahead;
    world->ops = &ops;
    bool done = other_trims(linked);
    world->ops = real;
    return done;
}

static void a_process_whose_clock_is_ahead_removes_no_fresh_marks(struct conformance *c)
{
    struct linked linked = {0};
    EXPECT(linked_open(c, &linked));
    enum fh_code code = settle_behind(c, &linked, other_trims_with_a_clock_ahead);
    linked_close(&linked);
    c->error = linked.error;
    EXPECT(code == FH_OK);
    EXPECT(is_there(c, 1, 1));
}

static bool former_program_trims(struct linked *linked)
{
    return does(linked->c, "INSERT INTO fh_work (id, created_ms) VALUES ('x', 1)") &&
           does(linked->c, "DELETE FROM fh_work WHERE created_ms < 4000000000000");
}

static void a_program_of_before_removes_no_marks_of_todays(struct conformance *c)
{
    struct linked linked = {0};
    EXPECT(linked_open(c, &linked));
    enum fh_code code = settle_behind(c, &linked, former_program_trims);
    linked_close(&linked);
    EXPECT(code == FH_OK);
}

static const char *fatal_said;

static void fatal_noted(struct world *world, const char *why)
{
    (void)world;
    fatal_said = why;
}

static bool a_day_goes_by(struct linked *linked)
{
    return does(linked->c, settled.day_later) && other_trims(linked);
}

/* Stopped for more than a day, say. */
static void a_process_that_the_store_has_forgotten_does_not_guess(struct conformance *c)
{
    struct linked linked = {0};
    EXPECT(linked_open(c, &linked));
    const struct world_ops *real = c->harness.world->ops;
    struct world_ops ops = *real;
    ops.fatal = fatal_noted;
    c->harness.world->ops = &ops;
    fatal_said = NULL;
    enum fh_code code = settle_behind(c, &linked, a_day_goes_by);
    c->harness.world->ops = real;
    linked_close(&linked);
    EXPECT(code == FH_OUTCOME_UNKNOWN && fatal_said && strstr(fatal_said, "forgotten"));
    EXPECT(conformance_reads(c, "SELECT count(*) AS n FROM fh_mark", settled.left));
}

static void a_process_that_was_idle_for_days_is_known_again(struct conformance *c)
{
    struct linked linked = {0};
    EXPECT(linked_open(c, &linked));
    const struct marks *marks = settled.marks(linked.store);
    int64_t before = marks->opening;
    bool gone = a_day_goes_by(&linked);
    settled.overdue(linked.store);
    bool asked = store_sequence(linked.store, NULL, 0, &c->error) == FH_OK;
    bool other = marks->opening != before;
    enum fh_code code = write_over(&linked, STORE_WRITE, LINK_CUT_AFTER, NULL);
    linked_close(&linked);
    EXPECT(gone && asked && other && code == FH_OK);
}

/* How many openings of the store are unseen, once it has checked so long after the last time. */
static bool says_that_it_lives(struct conformance *c, struct store *store, int64_t behind_ns,
                               const char *unseen)
{
    char sql[160];
    struct marks *marks = settled.marks(store);
    marks->seen_ns = world_monotonic_ns(c->harness.world) - behind_ns;
    snprintf(sql, sizeof sql, "SELECT count(*) AS n FROM fh_opening WHERE opening = %lld AND %s",
             (long long)marks->opening, settled.unseen);
    return store_sequence(store, NULL, 0, &c->error) == FH_OK && conformance_reads(c, sql, unseen);
}

static void a_process_says_hourly_that_it_lives(struct conformance *c)
{
    const int64_t minute_ns = 60 * INT64_C(1000000000);
    struct store *store = NULL;
    EXPECT(open_other(c, json_object(), &store) == FH_OK);
    bool good = does(c, settled.day_later) &&
                says_that_it_lives(c, store, 59 * minute_ns, "[{'n':1}]") &&
                says_that_it_lives(c, store, 60 * minute_ns, "[{'n':0}]");
    store_close(store);
    EXPECT(good);
}

static void a_store_of_the_program_before_is_opened_and_stays_one_of_it(struct conformance *c)
{
    struct store *store = NULL;
    char rows[40];
    EXPECT(settled.drop_marks(c) == FH_OK);
    EXPECT(open_other(c, json_object(), &store) == FH_OK);
    enum fh_code code =
        does(c, settled.table) ? settled_write(store, 1, &c->error) : FH_UNSUPPORTED;
    store_close(store);
    EXPECT(code == FH_OK);
    snprintf(rows, sizeof rows, "[{'value':'%s'}]", settled.format);
    EXPECT(conformance_reads(c, "SELECT value FROM fh_meta WHERE name = 'format'", rows));
}

int settled_main(const struct conformance_row *own, size_t count)
{
    struct conformance_row rows[32] = {
        CASE(a_commit_that_never_came_is_not_done_whatever_becomes_of_its_settling),
        CASE(a_commit_that_stands_is_done_whatever_becomes_of_its_settling),
        CASE(a_commit_that_comes_late_is_not_done_whatever_becomes_of_its_settling),
        CASE(a_commit_that_was_cut_in_two_is_not_done_whatever_becomes_of_its_settling),
        CASE(without_any_link_a_commit_waits_until_there_is_one),
        CASE(a_commit_that_nothing_comes_back_of_is_settled),
        CASE(a_migrations_commit_is_settled_too),
        CASE(units_of_work_go_on_while_another_is_settled),
        CASE(a_process_whose_clock_is_ahead_removes_no_fresh_marks),
        CASE(a_program_of_before_removes_no_marks_of_todays),
        CASE(a_process_that_the_store_has_forgotten_does_not_guess),
        CASE(a_process_that_was_idle_for_days_is_known_again),
        CASE(a_process_says_hourly_that_it_lives),
        CASE(a_store_of_the_program_before_is_opened_and_stays_one_of_it),
    };
    size_t shared = 0;
    while (rows[shared].name)
        shared++;
    FH_ASSERT(shared + count < sizeof rows / sizeof rows[0]);
    memcpy(rows + shared, own, count * sizeof *own);
    return conformance_main_of(settled.name, FH_RELATIONAL, rows, shared + count);
}
