/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two carriers, a service and a server in memory, in orders drawn from a seed: pages overlap, are
 * cut, late or not answered, carriers die, generations are made anew, the server is emptied or
 * restored, the outbox is trimmed as far as nobody needs it. Whatever is answered is what the
 * service had at one time, never earlier than what was answered before; and once it is quiet all of
 * it is found. So with items, with points, which are corrected, and with facts. FREEHOLD_SEED
 * repeats one seed. Where the owner loses its last commits (37), its carriers go on living, and
 * both know what they have sent, or die, and begin again before more is committed. At the end, bugs
 * on purpose, each of which this must find.
 */

#include "../support/carrying.h"

#define STEPS 60
#define SEEDS 24
#define KEYS 4
#define PAST_MAX 512
#define PAST_TEXT_SIZE 1536

struct chance {
    uint64_t state;
    char past[PAST_MAX][PAST_TEXT_SIZE]; /* what the service had, after each of its units of work */
    int past_count, answered;            /* the newest that was answered */
    bool unnoticed;                      /* the server has lost something since the last walk */
    struct carried_name unnoticed_in;
    bool quiet;
    int unnoticed_by; /* carriers that have taken no turn since the owner lost commits: bits */
    int set_backs;
    bool set_back;  /* the owner may lose its last commits */
    int kept_count; /* of `past`: what it has, if it does; 0: all */
    char wrong[512];
};

static struct chance chance;

static int draw(int below)
{
    chance.state = chance.state * 6364136223846793005u + 1442695040888963407u;
    return (int)((chance.state >> 33) % (uint64_t)below);
}

/* ---- What the service has ---- */

static void note_past(void)
{
    char text[CARRYING_TEXT_SIZE];
    carrying_expected_here(text);
    FH_ASSERT(chance.past_count < PAST_MAX);
    FH_ASSERT(strlen(text) < PAST_TEXT_SIZE);
    memcpy(chance.past[chance.past_count++], text, strlen(text) + 1);
}

static void change_item(void)
{
    static const char *const keys[KEYS] = {"a", "b", "c", "d"};
    static int number;
    char name[16];
    if (carrying.derived != CARRYING_ITEMS) { /* of points KEYS, with other values each time */
        carrying_fact_here(draw(2) ? "d1" : "d2", 1000 + draw(KEYS / 2), 2 * ++number);
        note_past();
        return;
    }
    snprintf(name, sizeof name, "n%d", ++number);
    carrying_put_here(keys[draw(KEYS)], draw(3) ? name : NULL);
    note_past();
}

/* ---- What is answered ---- */

static struct carried_record *record_now(void)
{
    static struct carrying_ledger ledger;
    ledger = (struct carrying_ledger){0};
    carrying_ledger_entry(&ledger);
    return &ledger.record;
}

/* The first time of this text that it can be of: nothing says that it is of a later one. */
static void judge_answer(const struct carrying_answer *answer)
{
    for (int i = chance.answered; i < chance.past_count; i++) {
        if (strcmp(chance.past[i], answer->text) == 0) {
            chance.answered = i;
            return;
        }
    }
    if (!chance.wrong[0])
        snprintf(chance.wrong, sizeof chance.wrong,
                 "\"%.150s\" is answered, of no time since \"%.150s\"", answer->text,
                 chance.past[chance.answered]);
}

/* What a server has lost can't be seen before a carrier has walked. */
static void ask_something(void)
{
    struct carrying_answer answer = {0};
    if (chance.unnoticed &&
        carried_name_compare(&record_now()->serving.name, &chance.unnoticed_in) == 0)
        return;
    chance.unnoticed = false;
    carrying_ask_here(&answer);
    if (answer.code == FH_OK && !chance.unnoticed_by)
        judge_answer(&answer);
}

/* ---- The owner's last commits ---- */

static void run_sql(const char *const *statements)
{
    struct store_work *work;
    struct fh_error error;
    FH_ASSERT(store_begin(carrying.fixture->context.store, STORE_WRITE_EXCLUSIVE, &work, &error) ==
              FH_OK);
    for (; *statements; statements++)
        FH_ASSERT(sql_run(work, *statements, NULL, 0, NULL, NULL, NULL, &error) == FH_OK);
    FH_ASSERT(store_commit(work, &error) == FH_OK);
}

#define TABLES(X) X(item) X(fh_meta) X(fh_counter) X(fh_outbox) X(fh_last_of_key)

/* A replica has all that there is. Not where a loss was not noticed yet: once it took over, and
 * those had died who have noticed since, nobody would know of it. */
static void replicate(void)
{
    if (chance.unnoticed_by)
        return;
#define REPLICATED(name)                                                                           \
    "DROP TABLE IF EXISTS kept_" #name, "CREATE TABLE kept_" #name " AS SELECT * FROM " #name,
    static const char *const statements[] = {TABLES(REPLICATED) NULL};
    run_sql(statements);
    chance.kept_count = chance.past_count;
}

/* It takes over. What is answered may be of what was lost, until somebody has noticed. */
static void take_replica(void)
{
#define TAKEN(name) "DELETE FROM " #name, "INSERT INTO " #name " SELECT * FROM kept_" #name,
    static const char *const statements[] = {TABLES(TAKEN) NULL};
    if (!chance.kept_count)
        return;
    run_sql(statements);
    chance.unnoticed_by = 3;
    chance.set_backs++;
    chance.past_count = chance.kept_count;
    chance.answered = chance.kept_count = 0; /* another one has to be made */
}

/* ---- What happens ---- */

static void take_turn(int number)
{
    struct carrying_turn turn = {.carrier = number};
    bool unnoticed = chance.unnoticed_by & 1 << number;
    int set_backs = chance.set_backs;
    carrying_turn_entry(&turn);
    if (unnoticed && turn.code == FH_OK && set_backs == chance.set_backs)
        chance.unnoticed_by &= ~(1 << number);
}

/* Within a request of one carrier: the other one, the service, or a late request. */
static void do_something_meanwhile(struct memory_server *server, bool done)
{
    static bool within;
    (void)done;
    if (within || draw(3))
        return;
    within = true;
    enum memory_fault fault = server->fault;
    server->fault = MEMORY_WELL;
    int what = draw(chance.set_back ? 5 : 4);
    if (what == 0)
        change_item();
    else if (what == 4)
        take_replica();
    else if (what == 1)
        memory_deliver(server);
    else
        take_turn(1);
    server->fault = fault;
    within = false;
}

static void trim_what_nobody_needs(void)
{
    struct carrying_ledger ledger = {0};
    carrying_ledger_entry(&ledger);
    int64_t trim = ledger.needed < ledger.position ? ledger.needed : 0;
    ledger = (struct carrying_ledger){.trim = trim};
    carrying_ledger_entry(&ledger);
}

static void lose_something(void)
{
    if (draw(2))
        memory_empty(carrying.server);
    else
        memory_restore(carrying.server);
    chance.unnoticed = true;
    chance.unnoticed_in = record_now()->serving.name;
}

/* What those that died have sent came, or never will; and one begins before more is committed. Who
 * has not noticed that commits were lost before does not die: nobody would. */
static void take_replica_as_all_die(void)
{
    void (*between)(struct memory_server * server, bool done) = carrying.server->between;
    if (!chance.kept_count || chance.unnoticed_by)
        return;
    take_replica();
    carrying.server->between = NULL;
    carrying.server->fault = MEMORY_WELL;
    while (memory_deliver(carrying.server))
        ;
    for (int i = 0; i < 2; i++) {
        carrying_restart(i);
        take_turn(i);
    }
    carrying.server->between = between;
}

static void do_something(void)
{
    struct fh_error error;
    int what = draw(chance.quiet ? 17 : 20);
    if (what < 6)
        change_item();
    else if (what < 12)
        take_turn(0);
    else if (what == 12)
        take_turn(1);
    else if (what == 13)
        carrying.server->fault = (enum memory_fault)draw(MEMORY_LATER + 1);
    else if (what == 14)
        memory_deliver(carrying.server);
    else if (chance.set_back && what == 15)
        replicate();
    else if (chance.set_back && what == 16)
        draw(2) ? take_replica() : take_replica_as_all_die();
    else if (what == 15)
        trim_what_nobody_needs();
    else if (what == 16)
        carrying_restart(draw(2));
    else if (what == 17)
        carrier_make_anew(&carrying.carriers[draw(2)], &error);
    else if (what == 18)
        memory_back_up(carrying.server);
    else
        lose_something();
}

static void become_quiet(void)
{
    struct carrying_turn turn = {.more = true};
    struct carrying_answer answer = {0};
    carrying.server->between = NULL;
    carrying.server->fault = MEMORY_WELL;
    if (!chance.set_back)
        carrying_restart(0);
    else
        take_turn(1);
    for (int i = 0; i < 500 && turn.more; i++)
        carrying_turn_entry(&turn);
    while (memory_deliver(carrying.server))
        ;
    carrying_ask_here(&answer);
    if (!chance.wrong[0] && (turn.code != FH_OK || turn.more || answer.code != FH_OK))
        snprintf(chance.wrong, sizeof chance.wrong, "It does not come to an end: %.150s %.150s",
                 turn.error.message, answer.error.message);
    if (!chance.wrong[0] && strcmp(answer.text, chance.past[chance.past_count - 1]) != 0)
        snprintf(chance.wrong, sizeof chance.wrong,
                 "\"%.150s\" is found in the end, not \"%.150s\"", answer.text,
                 chance.past[chance.past_count - 1]);
}

static void play(void *argument)
{
    (void)argument;
    note_past();
    for (int i = 0; i < STEPS && !chance.wrong[0]; i++) {
        do_something();
        ask_something();
    }
    become_quiet();
}

/* Of every second seed each unit of work is a page of its own, so that there are pages ahead, and a
 * walk is made of several turns. */
static void play_seed(uint64_t seed, bool quiet, bool set_back)
{
    static struct carried_server_ops small;
    small = memory_ops;
    small.page_ops = 1;
    small.look_links = 1 + (int)(seed / 2 % 3);
    carrying.server->base.ops = seed % 2 ? &small : &memory_ops;
    chance = (struct chance){.state = seed * 7919 + 1, .quiet = quiet, .set_back = set_back};
    carrying.server->between = do_something_meanwhile;
    harness_run(&carrying.fixture->harness, play, NULL);
}

/* ---- Tests ---- */

static void play_again(void **state, int derived, uint64_t seed, bool quiet, bool set_back)
{
    carrying_tear_down(state);
    carrying_set_up(state);
    carrying_begin(derived);
    play_seed(seed, quiet, set_back);
}

static void play_all_seeds(void **state, int derived, bool set_back)
{
    const char *given = getenv("FREEHOLD_SEED");
    uint64_t first = given ? strtoull(given, NULL, 10) : 1;
    for (uint64_t seed = first; seed < first + (given ? 1 : SEEDS); seed++) {
        play_again(state, derived, seed, set_back, set_back);
        if (chance.wrong[0])
            fail_msg("FREEHOLD_SEED=%llu: %s", (unsigned long long)seed, chance.wrong);
    }
}

static void what_is_answered_is_of_one_time_whatever_happens(void **state)
{
    play_all_seeds(state, CARRYING_ITEMS, false);
}

static void points_are_of_one_time_whatever_happens(void **state)
{
    play_all_seeds(state, CARRYING_MEASURED, false);
}

static void facts_are_of_one_time_whatever_happens(void **state)
{
    play_all_seeds(state, CARRYING_SOLD, false);
}

static void what_is_answered_is_of_commits_that_are_there(void **state)
{
    play_all_seeds(state, CARRYING_ITEMS, true);
}

static bool finds(void **state, int derived, void (*break_it)(struct memory_server *server))
{
    for (uint64_t seed = 1; seed <= 100; seed++) {
        carrying_tear_down(state);
        carrying_set_up(state);
        carrying_begin(derived);
        break_it(carrying.server);
        play_seed(seed, true, false);
        if (chance.wrong[0])
            return true;
    }
    return false;
}

static void let_it_overwrite(struct memory_server *server)
{
    server->overwrites = true;
}

static void let_it_forget_tombstones(struct memory_server *server)
{
    server->forgets_tombstones = true;
}

static void let_it_append(struct memory_server *server)
{
    server->appends = true;
}

static void a_server_that_overwrites_is_found_out(void **state)
{
    assert_true(finds(state, CARRYING_ITEMS, let_it_overwrite));
    assert_true(finds(state, CARRYING_MEASURED, let_it_overwrite));
}

static void a_server_that_forgets_tombstones_is_found_out(void **state)
{
    assert_true(finds(state, CARRYING_ITEMS, let_it_forget_tombstones));
}

static void a_server_that_appends_facts_is_found_out(void **state)
{
    assert_true(finds(state, CARRYING_SOLD, let_it_append));
}

int main(void)
{
#define CHANCE_TEST(name) cmocka_unit_test_setup_teardown(name, carrying_set_up, carrying_tear_down)
    static const struct CMUnitTest tests[] = {
        CHANCE_TEST(what_is_answered_is_of_one_time_whatever_happens),
        CHANCE_TEST(points_are_of_one_time_whatever_happens),
        CHANCE_TEST(facts_are_of_one_time_whatever_happens),
        CHANCE_TEST(what_is_answered_is_of_commits_that_are_there),
        CHANCE_TEST(a_server_that_overwrites_is_found_out),
        CHANCE_TEST(a_server_that_forgets_tombstones_is_found_out),
        CHANCE_TEST(a_server_that_appends_facts_is_found_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
