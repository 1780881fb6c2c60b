/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Units of work that have met a conflict send their COMMITs in rounds: those with a foreign key's
 * look at the end meet none then, one that waits in vain goes on, and others don't wait at all.
 */

#include "postgresql_members.h"

#define ORDER "INSERT INTO orders (id) VALUES (?1) RETURNING id"
#define LINE "INSERT INTO lines (order_id) VALUES (?1)"
#define FOREVER_MS 3600000
#define ROUNDS 6

/* A handler's: the first one names the unit of work's kind. */
static bool run(struct conformance *c, struct store_work *work, const char *sql, int id, bool waits)
{
    struct sql_value value = sql_integer(id);
    int64_t seen;
    work->statement = ++work->statements;
    enum fh_code code = sql_run(work, sql, &value, 1, waits ? see : NULL, &seen, NULL, &c->error);
    work->statement = 0;
    return code == FH_OK;
}

static struct postgresql_turns *turns_of(struct conformance *c)
{
    return &((struct postgresql_store *)c->store)->turns;
}

/* How many are under way in each of the two rounds. */
static void set_rounds(struct conformance *c, int under_way)
{
    turns_of(c)->under_way[0] = turns_of(c)->under_way[1] = under_way;
}

static bool rounds_are(struct conformance *c, int under_way)
{
    const struct postgresql_turns *turns = turns_of(c);
    return turns->under_way[0] == under_way && turns->under_way[1] == under_way &&
           turns->waiters == 0;
}

static struct postgresql_statement *kind_of(struct conformance *c)
{
    static struct postgresql_statement none;
    struct postgresql_statement *kind;
    struct postgresql_store *store = (struct postgresql_store *)c->store;
    return postgresql_statement_get(store, ORDER, &kind, &c->error) == FH_OK ? kind : &none;
}

static bool tables(struct conformance *c)
{
    turns_of(c)->wait_ms = FOREVER_MS;
    return conformance_does(c, "CREATE TABLE orders (id INTEGER PRIMARY KEY)", NULL) == FH_OK &&
           conformance_does(c, "CREATE TABLE lines (order_id INTEGER REFERENCES orders)", NULL) ==
               FH_OK;
}

/* Each has looked at its row before the next one writes beside it: the last one's commit dooms the
 * second, which was between the others. */
static bool conflict(struct conformance *c)
{
    struct store_work *works[3] = {0};
    int64_t seen;
    bool good = true;
    for (int i = 0; i < 3 && good; i++) {
        works[i] = conformance_begin(c, STORE_WRITE);
        good = works[i] &&
               sql_run(works[i], "SELECT 1", NULL, 0, see, &seen, NULL, &c->error) == FH_OK;
    }
    for (int i = 0; i < 3 && good; i++)
        good = run(c, works[i], ORDER, 1 + i, true) &&
               run(c, works[i], LINE " RETURNING order_id", 1 + i, true);
    return good && conformance_commit(c, works[2]) == FH_OK &&
           conformance_commit(c, works[1]) == FH_CONFLICT && c->error.retryable &&
           conformance_commit(c, works[0]) == FH_OK;
}

static enum fh_code place(struct conformance *c, int id)
{
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    bool good = work && run(c, work, ORDER, id, true) && run(c, work, LINE, id, false);
    return good ? conformance_commit(c, work) : FH_UNSUPPORTED;
}

static void a_conflict_is_learnt(struct conformance *c)
{
    EXPECT(tables(c) && place(c, 10) == FH_OK);
    EXPECT(kind_of(c)->turns == 0);
    EXPECT(conflict(c));
    int turns = kind_of(c)->turns;
    EXPECT(turns > 0 && place(c, 11) == FH_OK);
    EXPECT(kind_of(c)->turns == turns - 1 && rounds_are(c, 0));
}

/* Rounds would only have the row locked for longer. */
static void a_row_that_another_has_changed_is_none(struct conformance *c)
{
    struct store_work *works[2];
    EXPECT(tables(c) && place(c, 10) == FH_OK);
    for (int i = 0; i < 2; i++) {
        works[i] = conformance_begin(c, STORE_WRITE);
        EXPECT(works[i] && run(c, works[i], ORDER, 20 + i, true));
    }
    const char *sql = "UPDATE lines SET order_id = ?1 RETURNING order_id";
    EXPECT(run(c, works[0], sql, 20, true) && conformance_commit(c, works[0]) == FH_OK);
    EXPECT(!run(c, works[1], sql, 21, true) && strcmp(c->error.native, "40001") == 0);
    conformance_rollback(c, works[1]);
    EXPECT(kind_of(c)->turns == 0);
}

struct client {
    struct conformance *c;
    int number, conflicts;
};

static void place_all(void *argument)
{
    struct client *client = argument;
    for (int i = 0; i < ROUNDS; i++) {
        if (place(client->c, 100 * client->number + i) == FH_OK)
            continue;
        client->conflicts++;
        print_message("met: %s %s\n", client->c->error.native, client->c->error.message);
    }
}

static void those_in_rounds_meet_no_conflict(struct conformance *c)
{
    struct client clients[COUNT];
    int conflicts = 0;
    EXPECT(tables(c) && conflict(c));
    for (int i = 0; i < COUNT; i++) {
        clients[i] = (struct client){c, i + 1, 0};
        conformance_start(c, place_all, &clients[i]);
    }
    conformance_join(c);
    for (int i = 0; i < COUNT; i++)
        conflicts += clients[i].conflicts;
    EXPECT(conflicts == 0 && rounds_are(c, 0));
    EXPECT(count_of(c, "SELECT count(*) FROM lines") == COUNT * ROUNDS + 2);
}

/* The one that it waits for may want what it has locked. */
static void one_that_waits_in_vain_goes_on(struct conformance *c)
{
    EXPECT(tables(c) && conflict(c));
    turns_of(c)->wait_ms = 1;
    set_rounds(c, 1);
    EXPECT(place(c, 10) == FH_OK && rounds_are(c, 1));
    set_rounds(c, 0);
}

static void others_do_not_wait(struct conformance *c)
{
    EXPECT(tables(c) && conflict(c));
    set_rounds(c, 1);
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    EXPECT(work && run(c, work, "INSERT INTO orders (id) VALUES (?1)", 10, false));
    EXPECT(conformance_commit(c, work) == FH_OK && rounds_are(c, 1));
    set_rounds(c, 0);
}

static void a_slow_kind_does_without_for_a_while(struct conformance *c)
{
    EXPECT(tables(c) && conflict(c));
    turns_of(c)->wait_ms = -1;
    EXPECT(place(c, 10) == FH_OK);
    int apart = kind_of(c)->turns_apart;
    turns_of(c)->wait_ms = FOREVER_MS;
    set_rounds(c, 1);
    for (int i = 0; i < apart; i++)
        EXPECT(place(c, 11 + i) == FH_OK);
    set_rounds(c, 0);
    EXPECT(apart > 0 && kind_of(c)->turns_apart == 0);
    turns_of(c)->wait_ms = -1;
    EXPECT(place(c, 1000) == FH_OK && kind_of(c)->turns_apart == 2 * apart);
}

static void a_commit_that_fails_ends_its_turn(struct conformance *c)
{
    EXPECT(tables(c) && conflict(c));
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    EXPECT(work && run(c, work, ORDER, 10, true) && run(c, work, LINE, 11, false));
    EXPECT(conformance_commit(c, work) == FH_CONFLICT && rounds_are(c, 0));
    EXPECT(place(c, 10) == FH_OK);
}

int main(void)
{
    static const struct conformance_row rows[] = {
        CASE(a_conflict_is_learnt),
        CASE(a_row_that_another_has_changed_is_none),
        CASE(those_in_rounds_meet_no_conflict),
        CASE(one_that_waits_in_vain_goes_on),
        CASE(others_do_not_wait),
        CASE(a_slow_kind_does_without_for_a_while),
        CASE(a_commit_that_fails_ends_its_turn),
    };
    return conformance_main_of("postgresql", FH_RELATIONAL, rows, sizeof rows / sizeof *rows);
}
