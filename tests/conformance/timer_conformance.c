/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Timers of the ledger, on every engine: they are read in the order of their due times, taken once,
 * and rolled back with the unit of work that set or took them.
 */

#include "conformance.h"

#include "store/ledger.h"

#define MANY 240
#define LARGE 280 /* 17.5 MiB in all: more than some engines' units of work may read */
#define LARGE_SLOW 20
#define LARGE_SIZE ((size_t)64 << 10)

struct timers_seen {
    char text[2048];
    int count;
};

static bool see_timer(void *context, const struct ledger_timer *timer)
{
    struct timers_seen *seen = context;
    size_t used = strlen(seen->text);
    snprintf(seen->text + used, sizeof seen->text - used, "%lld.%s;", (long long)timer->due_ms,
             timer->name);
    seen->count++;
    return true;
}

static struct ledger_timer timer_named(const char *kind, int64_t due_ms, const char *name)
{
    return (struct ledger_timer){.kind = kind,
                                 .due_ms = due_ms,
                                 .name = name,
                                 .handler = "remind",
                                 .data = "{\"a\":1}",
                                 .error = ""};
}

static void put_timers(struct conformance *c, const struct ledger_timer *timers, int count)
{
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    EXPECT(work);
    for (int i = 0; i < count; i++)
        EXPECT(ledger_timer_put(work, &timers[i], &c->error) == FH_OK);
    EXPECT(conformance_commit(c, work) == FH_OK);
}

static void expect_timers(struct conformance *c, const char *kind, int limit, const char *text)
{
    struct timers_seen seen = {""};
    struct store_work *work = conformance_begin(c, STORE_READ);
    EXPECT(work);
    EXPECT(ledger_timers_read(work, kind, limit, see_timer, &seen, &c->error) == FH_OK);
    conformance_rollback(c, work);
    EXPECT(strcmp(seen.text, text) == 0);
}

static int64_t count_timers(struct conformance *c, const char *kind, int64_t most)
{
    int64_t count = -1;
    struct store_work *work = conformance_begin(c, STORE_READ);
    if (work && ledger_timers_count(work, kind, most, &count, &c->error) != FH_OK)
        count = -1;
    if (work)
        conformance_rollback(c, work);
    return count;
}

static void timers_are_read_in_the_order_of_their_due_times(struct conformance *c)
{
    const struct ledger_timer timers[] = {
        timer_named("at", 10000, "c"), timer_named("at", 9, "d"), timer_named("at", 10000, "b"),
        timer_named("every", 1, "a"),  timer_named("at", 0, "e"), timer_named("parked", 5, "f")};
    put_timers(c, timers, 6);
    expect_timers(c, "at", 100, "0.e;9.d;10000.b;10000.c;");
    expect_timers(c, "at", 2, "0.e;9.d;");
    expect_timers(c, "every", 100, "1.a;");
    expect_timers(c, "parked", 100, "5.f;");
    conformance_reopen(c);
    expect_timers(c, "at", 100, "0.e;9.d;10000.b;10000.c;");
    EXPECT(count_timers(c, "at", 1000) == 4);
    EXPECT(count_timers(c, "at", 3) == 3);
    EXPECT(count_timers(c, "every", 1000) == 1);
}

static void a_timer_comes_back_whole(struct conformance *c)
{
    struct arena arena;
    struct ledger_timer timer = timer_named("parked", 1795441234567, "every/nightly"), found;
    timer.trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    timer.attempts = 5;
    timer.error = "It failed: \xc3\xa9.";
    timer.data = "{\"text\":\"\xc3\xa9\"}";
    const struct ledger_timer plain = timer_named("at", 7, "plain");
    put_timers(c, &timer, 1);
    put_timers(c, &plain, 1);
    struct store_work *work = conformance_begin(c, STORE_READ);
    EXPECT(work);
    arena_init(&arena, ARENA_SIZE_MAX);
    EXPECT(ledger_timer_get(work, &arena, "parked", timer.due_ms, timer.name, &found, &c->error) ==
           FH_OK);
    EXPECT(found.due_ms == timer.due_ms && found.attempts == 5);
    EXPECT(strcmp(found.kind, "parked") == 0 && strcmp(found.name, timer.name) == 0);
    EXPECT(strcmp(found.handler, "remind") == 0 && strcmp(found.data, timer.data) == 0);
    EXPECT(strcmp(found.trace, timer.trace) == 0 && strcmp(found.error, timer.error) == 0);
    EXPECT(ledger_timer_get(work, &arena, "at", 7, "plain", &found, &c->error) == FH_OK);
    EXPECT(found.trace == NULL && found.attempts == 0 && strcmp(found.error, "") == 0);
    EXPECT(ledger_timer_get(work, &arena, "at", 8, "plain", &found, &c->error) == FH_NOT_FOUND);
    arena_release(&arena);
    conformance_rollback(c, work);
}

static void what_is_rolled_back_was_neither_set_nor_taken(struct conformance *c)
{
    const struct ledger_timer first = timer_named("at", 1, "a"), second = timer_named("at", 2, "b");
    int64_t taken = 0;
    put_timers(c, &first, 1);
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    EXPECT(work);
    EXPECT(ledger_timer_put(work, &second, &c->error) == FH_OK);
    EXPECT(ledger_timers_take(work, &first, 1, &taken, &c->error) == FH_OK && taken == 1);
    struct timers_seen seen = {""};
    EXPECT(ledger_timers_read(work, "at", 10, see_timer, &seen, &c->error) == FH_OK);
    EXPECT(strcmp(seen.text, "2.b;") == 0); /* it sees its own changes */
    conformance_rollback(c, work);
    expect_timers(c, "at", 10, "1.a;");
}

static void a_timer_is_taken_once(struct conformance *c)
{
    const struct ledger_timer timer = timer_named("at", 1, "a"), other = timer_named("at", 1, "b");
    int64_t taken = 0;
    put_timers(c, &timer, 1);
    put_timers(c, &other, 1);
    for (int i = 0; i < 2; i++) {
        struct store_work *work = conformance_begin(c, STORE_WRITE);
        EXPECT(work);
        EXPECT(ledger_timers_take(work, &timer, 1, &taken, &c->error) == FH_OK);
        EXPECT(taken == (i == 0));
        EXPECT(conformance_commit(c, work) == FH_OK);
    }
    expect_timers(c, "at", 10, "1.b;");
}

static void take_many_timers(struct conformance *c, int of_one_moment)
{
    static char names[MANY][8];
    static struct ledger_timer timers[MANY];
    int64_t taken = 0;
    for (int i = 0; i < MANY; i++) {
        snprintf(names[i], sizeof names[i], "t%03d", i);
        timers[i] = timer_named("at", i / of_one_moment, names[i]);
    }
    put_timers(c, timers, MANY);
    const struct ledger_timer beside = timer_named("at", 0, "beside");
    put_timers(c, &beside, 1);
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    EXPECT(work);
    EXPECT(ledger_timers_take(work, &timers[100], 1, &taken, &c->error) == FH_OK && taken == 1);
    EXPECT(conformance_commit(c, work) == FH_OK);
    work = conformance_begin(c, STORE_WRITE);
    EXPECT(work);
    EXPECT(ledger_timers_take(work, timers, MANY, &taken, &c->error) == FH_OK);
    EXPECT(taken == MANY - 1);
    EXPECT(ledger_timers_take(work, &beside, 1, &taken, &c->error) == FH_OK && taken == 1);
    EXPECT(conformance_commit(c, work) == FH_OK);
    expect_timers(c, "at", 10, "");
}

static void many_timers_are_taken_together(struct conformance *c)
{
    take_many_timers(c, 7);
    if (c->engine->slow)
        return;
    take_many_timers(c, MANY);
    take_many_timers(c, 1);
}

static bool put_large_timers(struct conformance *c, int count, const char *data)
{
    for (int i = 0; i < count; i++) {
        char name[8];
        snprintf(name, sizeof name, "t%03d", i);
        struct ledger_timer timer = timer_named("at", i, name);
        struct store_work *work = conformance_begin(c, STORE_WRITE);
        timer.data = data;
        if (!work || ledger_timer_put(work, &timer, &c->error) != FH_OK ||
            conformance_commit(c, work) != FH_OK)
            return false;
    }
    return true;
}

static bool add_size(void *context, const struct ledger_timer *timer)
{
    *(size_t *)context += strlen(timer->data);
    return true;
}

static void timers_are_read_and_counted_however_large_they_are_together(struct conformance *c)
{
    int count = c->engine->slow ? LARGE_SLOW : LARGE;
    size_t size = 0;
    int64_t found = 0;
    char *data = calloc(1, LARGE_SIZE + 1);
    EXPECT(data);
    memset(data, ' ', LARGE_SIZE);
    memcpy(data, "{}", 2);
    bool put = put_large_timers(c, count, data);
    free(data);
    EXPECT(put);
    struct store_work *work = conformance_begin(c, STORE_READ_COMMITTED);
    EXPECT(work);
    EXPECT(ledger_timers_read(work, "at", LEDGER_TIMERS_MAX, add_size, &size, &c->error) == FH_OK);
    conformance_rollback(c, work);
    EXPECT(size == (size_t)count * LARGE_SIZE);
    expect_timers(c, "at", 3, "0.t000;1.t001;2.t002;");
    work = conformance_begin(c, STORE_WRITE);
    EXPECT(work);
    EXPECT(ledger_timers_count(work, "at", LEDGER_TIMERS_MAX, &found, &c->error) == FH_OK);
    conformance_rollback(c, work);
    EXPECT(found == count);
}

/* Both have read that it is there; one of them takes it, or neither does. */
struct taker {
    struct conformance *c;
    bool took;
};

static void take_at_once(void *argument)
{
    struct taker *taker = argument;
    struct conformance *c = taker->c;
    const struct ledger_timer timer = timer_named("at", 1, "a");
    struct fh_error error = {0};
    struct store_work *work;
    int64_t taken = 0;
    if (store_begin(c->store, STORE_WRITE, &work, &error) != FH_OK)
        return;
    if (ledger_timers_take(work, &timer, 1, &taken, &error) != FH_OK) {
        store_rollback(work);
        return;
    }
    taker->took = store_commit(work, &error) == FH_OK && taken == 1;
}

static void of_two_that_take_a_timer_at_once_at_most_one_has_it(struct conformance *c)
{
    const struct ledger_timer timer = timer_named("at", 1, "a");
    for (int round = 0; round < 10; round++) {
        struct taker takers[2] = {{c, false}, {c, false}};
        put_timers(c, &timer, 1);
        for (int i = 0; i < 2; i++)
            conformance_start(c, take_at_once, &takers[i]);
        conformance_join(c);
        EXPECT(!(takers[0].took && takers[1].took));
        expect_timers(c, "at", 10, takers[0].took || takers[1].took ? "" : "1.a;");
        take_at_once(&takers[0]);
        expect_timers(c, "at", 10, "");
    }
}

int main(void)
{
    static const struct conformance_row rows[] = {
        CASE(timers_are_read_in_the_order_of_their_due_times),
        CASE(a_timer_comes_back_whole),
        CASE(what_is_rolled_back_was_neither_set_nor_taken),
        CASE(a_timer_is_taken_once),
        CASE(many_timers_are_taken_together),
        CASE(timers_are_read_and_counted_however_large_they_are_together),
        CASE(of_two_that_take_a_timer_at_once_at_most_one_has_it),
    };
    return conformance_main_all(rows, sizeof rows / sizeof *rows);
}
