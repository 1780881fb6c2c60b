/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What became of a COMMIT whose link died, found out over links that die too, beside processes
 * whose clocks are off, programs of before, and after a pause that was longer than anybody waits.
 */

#include "engine_mariadb.h"

#include "link.h"
#include "store/relational/mariadb.h"

#define PROBLEM_MS 60000 /* what ends later than that has failed */
#define TABLE "CREATE TABLE written (id BIGINT PRIMARY KEY AUTO_INCREMENT, n INTEGER)"
#define SESSION "SET NAMES"
#define ASK "LOCK IN SHARE MODE"

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

/* Another process's store on the case's database, as `change` differs from its own. */
static enum fh_code open_other(struct conformance *c, json_t *change, struct store **ret)
{
    json_t *server = mariadb_test_server(&c->harness);
    json_object_update_new(server, change);
    struct store_options options = {
        .service = "conformance", .server = server, .model = FH_RELATIONAL};
    enum fh_code code = store_mariadb.open(&options, c->harness.world, ret, &c->error);
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
    json_t *server = mariadb_test_server(&c->harness);
    json_int_t port = json_integer_value(json_object_get(server, "port"));
    json_decref(server);
    linked->c = c;
    return link_open(&linked->link, c->harness.world, (int)port, "COMMIT") &&
           open_other(c, json_pack("{s:s, s:i}", "host", "127.0.0.1", "port", linked->link.port),
                      &linked->store) == FH_OK;
}

static void linked_close(struct linked *linked)
{
    store_close(linked->store);
    link_close(&linked->link);
}

static enum fh_code write_row(struct store *store, int n, struct fh_error *error)
{
    struct store_work *work;
    struct sql_value values[] = {sql_integer(n)};
    int64_t changes;
    enum fh_code code = store_begin(store, STORE_WRITE, &work, error);
    if (code != FH_OK)
        return code;
    code = sql_run(work, "INSERT INTO written (n) VALUES (?1)", values, 1, NULL, NULL, &changes,
                   error);
    if (code == FH_OK)
        return store_commit(work, error);
    store_rollback(work);
    return code;
}

/* A row whose COMMIT meets the first of the plans, and its settling the others. */
static enum fh_code write_over(struct linked *linked, enum link_cut how,
                               const struct link_plan *then)
{
    linked->link.marker = "COMMIT";
    linked->link.then = then;
    linked->link.next = how;
    linked->link.released = linked->link.delivered = false;
    return write_row(linked->store, ++linked->n, &linked->error);
}

static void write_on(void *argument)
{
    struct linked *linked = argument;
    linked->code = write_row(linked->store, ++linked->n, &linked->error);
    linked->ended = true;
}

/* The row is there so often. */
static bool is_there(struct conformance *c, int n, int times)
{
    char sql[80], rows[24];
    snprintf(sql, sizeof sql, "SELECT count(*) AS n FROM written WHERE n = %d", n);
    snprintf(rows, sizeof rows, "[{'n':%d}]", times);
    return conformance_reads(c, sql, rows);
}

/* ---- Every message of settling --------------------------------------------------------------- */

/* What is said is what is; in the end, too, when all that was held has arrived. */
static void lose_all(struct conformance *c, enum link_cut commit, bool stands)
{
    static const char *const messages[] = {SESSION, ASK};
    static const enum link_cut cuts[] = {LINK_CUT_BEFORE, LINK_CUT_AFTER, LINK_HELD};
    struct linked linked = {0};
    EXPECT(does(c, TABLE));
    EXPECT(linked_open(c, &linked));
    bool right = true;
    for (int i = 0; i < 6 && right; i++) {
        struct link_plan plan[] = {{.marker = messages[i / 3], .how = cuts[i % 3]},
                                   {.marker = ASK, .how = cuts[i % 3]},
                                   {0}};
        enum fh_code code = write_over(&linked, commit, plan);
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

/* ---- As long as it takes --------------------------------------------------------------------- */

static void without_any_link_a_commit_waits_until_there_is_one(struct conformance *c)
{
    struct linked linked = {0};
    EXPECT(does(c, TABLE));
    EXPECT(linked_open(c, &linked));
    EXPECT(write_row(linked.store, 100, &c->error) == FH_OK); /* over a link that is kept */
    linked.link.next = LINK_CUT_BEFORE;
    linked.link.refuses = true;
    conformance_start(c, write_on, &linked);
    int64_t deadline_ns = world_in_ms(c->harness.world, PROBLEM_MS);
    while (linked.link.refused < 12 && in_time(c, deadline_ns)) /* more than 10 s */
        ;
    bool waited = !linked.ended && linked.link.refused >= 12;
    linked.link.refuses = false;
    conformance_join(c);
    enum fh_code again = write_row(linked.store, linked.n, &c->error);
    linked_close(&linked);
    EXPECT(waited && linked.code == FH_CONFLICT && linked.error.retryable && again == FH_OK);
    EXPECT(is_there(c, 1, 1));
}

static void works_go_on_beside_one_that_is_settled(struct conformance *c)
{
    static const struct link_plan late[] = {{.marker = ASK, .how = LINK_CUT_LATE}, {0}};
    struct linked linked = {0};
    EXPECT(does(c, TABLE));
    EXPECT(linked_open(c, &linked));
    linked.link.next = LINK_CUT_IN; /* its backend still has the transaction open */
    linked.link.then = late;
    conformance_start(c, write_on, &linked);
    int64_t deadline_ns = world_in_ms(c->harness.world, PROBLEM_MS);
    while (linked.link.next != LINK_WHOLE && in_time(c, deadline_ns))
        ;
    enum fh_code code = write_row(linked.store, 100, &c->error);
    bool beside = !linked.ended;
    linked.link.released = true;
    fiber_wake_all(&linked.link.changed);
    conformance_join(c);
    enum fh_code after = write_row(linked.store, 101, &c->error);
    linked_close(&linked);
    EXPECT(code == FH_OK && beside && after == FH_OK && linked.code == FH_CONFLICT);
    EXPECT(is_there(c, 100, 1) && is_there(c, 101, 1));
}

/* ---- Who removes marks ----------------------------------------------------------------------- */

static int64_t wall_ms_ahead(struct world *world)
{
    (void)world;
    return INT64_C(4000000000000); /* in 2096 */
}

/* Writes a row whose COMMIT is answered to nobody, and has `meanwhile` done before it is asked
 * whether it stands. */
static enum fh_code settle_behind(struct conformance *c, struct linked *linked,
                                  bool (*meanwhile)(struct linked *linked))
{
    static const struct link_plan late[] = {{.marker = ASK, .how = LINK_CUT_LATE}, {0}};
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
    struct mariadb_store *own = (struct mariadb_store *)other;
    own->marks.seen_ns = INT64_MIN / 2;
    bool done = write_row(other, 1000, &c->error) == FH_OK &&
                store_sequence(other, NULL, 0, &c->error) == FH_OK && own->marks.seen_ns > 0;
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
    EXPECT(does(c, TABLE));
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
    EXPECT(does(c, TABLE));
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
    return does(linked->c, "UPDATE fh_opening SET seen = seen - INTERVAL 25 HOUR") &&
           other_trims(linked);
}

/* Stopped for more than a day, say. */
static void a_process_that_the_store_has_forgotten_does_not_guess(struct conformance *c)
{
    struct linked linked = {0};
    EXPECT(does(c, TABLE));
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
    EXPECT(conformance_reads(c, "SELECT count(*) AS n FROM fh_mark", "[{'n':1}]"));
}

static void a_process_that_was_idle_for_days_is_known_again(struct conformance *c)
{
    struct linked linked = {0};
    EXPECT(does(c, TABLE));
    EXPECT(linked_open(c, &linked));
    struct mariadb_store *own = (struct mariadb_store *)linked.store;
    int64_t before = own->marks.opening;
    bool gone = a_day_goes_by(&linked);
    own->marks.seen_ns = INT64_MIN / 2;
    bool asked = store_sequence(linked.store, NULL, 0, &c->error) == FH_OK;
    bool other = own->marks.opening != before;
    enum fh_code code = write_over(&linked, LINK_CUT_AFTER, NULL);
    linked_close(&linked);
    EXPECT(gone && asked && other && code == FH_OK);
}

static void a_mark_goes_with_the_next_work_of_its_link(struct conformance *c)
{
    struct store *store = NULL;
    EXPECT(does(c, TABLE));
    EXPECT(open_other(c, json_object(), &store) == FH_OK);
    char sql[120];
    snprintf(sql, sizeof sql, "SELECT count(*) AS n FROM fh_mark WHERE opening = %lld",
             (long long)((struct mariadb_store *)store)->marks.opening);
    bool good = true;
    for (int i = 0; i < 5 && good; i++)
        good = write_row(store, i, &c->error) == FH_OK && conformance_reads(c, sql, "[{'n':1}]");
    store_close(store);
    EXPECT(good);
}

static void a_store_of_the_program_before_is_opened_and_stays_one_of_it(struct conformance *c)
{
    struct store *store = NULL;
    json_t *server = mariadb_test_server(&c->harness);
    char sql[200];
    const char *database = json_string_at(server, "database");
    snprintf(sql, sizeof sql, "DROP TABLE %s.fh_mark, %s.fh_opening", database, database);
    json_decref(server);
    EXPECT(mariadb_test_administer(&c->harness, sql, NULL, NULL, &c->error) == FH_OK);
    EXPECT(open_other(c, json_object(), &store) == FH_OK);
    enum fh_code code = does(c, TABLE) ? write_row(store, 1, &c->error) : FH_UNSUPPORTED;
    store_close(store);
    EXPECT(code == FH_OK);
    EXPECT(
        conformance_reads(c, "SELECT value FROM fh_meta WHERE name = 'format'", "[{'value':'3'}]"));
}

int main(void)
{
    static const struct conformance_row rows[] = {
        CASE(a_commit_that_never_came_is_not_done_whatever_becomes_of_its_settling),
        CASE(a_commit_that_stands_is_done_whatever_becomes_of_its_settling),
        CASE(a_commit_that_comes_late_is_not_done_whatever_becomes_of_its_settling),
        CASE(a_commit_that_was_cut_in_two_is_not_done_whatever_becomes_of_its_settling),
        CASE(without_any_link_a_commit_waits_until_there_is_one),
        CASE(works_go_on_beside_one_that_is_settled),
        CASE(a_process_whose_clock_is_ahead_removes_no_fresh_marks),
        CASE(a_program_of_before_removes_no_marks_of_todays),
        CASE(a_process_that_the_store_has_forgotten_does_not_guess),
        CASE(a_process_that_was_idle_for_days_is_known_again),
        CASE(a_mark_goes_with_the_next_work_of_its_link),
        CASE(a_store_of_the_program_before_is_opened_and_stays_one_of_it),
    };
    return conformance_main_of("mariadb", FH_RELATIONAL, rows, sizeof rows / sizeof *rows);
}
