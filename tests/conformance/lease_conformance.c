/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Leases and their owners' fences, on every engine: which of two that try a statement succeeds.
 */

#include "conformance.h"

#include "store/ledger.h"

struct seen {
    char text[512];
    char birth[64];
    int64_t number;
    int count;
};

static bool see(void *context, const struct ledger_lease *lease)
{
    struct seen *seen = context;
    size_t used = strlen(seen->text);
    snprintf(seen->text + used, sizeof seen->text - used, "%s=%s.%lld.%lld.%s;", lease->name,
             lease->owner, (long long)lease->epoch, (long long)lease->beat, lease->note);
    return true;
}

/* One statement in a unit of work of its own, committed only if it succeeds. */
static enum fh_code take(struct conformance *c, const char *name, int64_t epoch, const char *owner)
{
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    if (!work)
        return FH_UNAVAILABLE;
    enum fh_code code = ledger_lease_take(work, name, epoch, owner, &c->error);
    if (code == FH_OK)
        return conformance_commit(c, work);
    conformance_rollback(c, work);
    return code;
}

static enum fh_code renew(struct conformance *c, const char *name, const char *owner,
                          const char *note)
{
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    if (!work)
        return FH_UNAVAILABLE;
    enum fh_code code = ledger_lease_renew(work, name, owner, note, &c->error);
    if (code == FH_OK)
        return conformance_commit(c, work);
    conformance_rollback(c, work);
    return code;
}

static enum fh_code drop(struct conformance *c, const char *name, const char *owner, int64_t beat)
{
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    if (!work)
        return FH_UNAVAILABLE;
    enum fh_code code = ledger_lease_drop(work, name, owner, beat, &c->error);
    if (code == FH_OK)
        return conformance_commit(c, work);
    conformance_rollback(c, work);
    return code;
}

static void expect_leases(struct conformance *c, const char *text)
{
    struct seen seen = {""};
    struct store_work *work = conformance_begin(c, STORE_READ_COMMITTED);
    EXPECT(work);
    EXPECT(ledger_leases_get(work, see, &seen, &c->error) == FH_OK);
    conformance_rollback(c, work);
    EXPECT(strcmp(seen.text, text) == 0);
}

static void a_lease_goes_to_one_of_two_that_want_it(struct conformance *c)
{
    EXPECT(take(c, "sagas", 0, "0.a") == FH_OK);
    EXPECT(take(c, "sagas", 0, "1.b") == FH_CONFLICT && !c->error.retryable);
    expect_leases(c, "sagas=0.a.1.0.;");
    EXPECT(take(c, "sagas", 1, "1.b") == FH_OK);
    EXPECT(take(c, "sagas", 1, "0.a") == FH_CONFLICT && !c->error.retryable);
    expect_leases(c, "sagas=1.b.2.0.;");
    EXPECT(take(c, "sagas", 2, "") == FH_OK);
    expect_leases(c, "sagas=.3.0.;");
}

static void only_its_owner_renews_a_lease(struct conformance *c)
{
    EXPECT(take(c, LEDGER_INSTANCE "0", 0, "0.a") == FH_OK);
    EXPECT(renew(c, LEDGER_INSTANCE "0", "0.a", NULL) == FH_OK);
    EXPECT(renew(c, LEDGER_INSTANCE "0", "0.a", "{\"n\":1}") == FH_OK);
    EXPECT(renew(c, LEDGER_INSTANCE "0", "0.a", NULL) == FH_OK);
    EXPECT(renew(c, LEDGER_INSTANCE "0", "0.b", NULL) == FH_CONFLICT && !c->error.retryable);
    expect_leases(c, LEDGER_INSTANCE "0=0.a.1.3.{\"n\":1};");
    /* The next session begins with nothing reported. */
    EXPECT(take(c, LEDGER_INSTANCE "0", 1, "0.b") == FH_OK);
    expect_leases(c, LEDGER_INSTANCE "0=0.b.2.0.;");
}

static void an_instance_that_has_renewed_is_not_declared_dead(struct conformance *c)
{
    EXPECT(take(c, LEDGER_INSTANCE "0", 0, "0.a") == FH_OK);
    EXPECT(renew(c, LEDGER_INSTANCE "0", "0.a", NULL) == FH_OK);
    EXPECT(drop(c, LEDGER_INSTANCE "0", "0.a", 0) == FH_CONFLICT && !c->error.retryable);
    EXPECT(drop(c, LEDGER_INSTANCE "0", "0.b", 1) == FH_CONFLICT && !c->error.retryable);
    EXPECT(drop(c, LEDGER_INSTANCE "0", "0.a", 1) == FH_OK);
    EXPECT(renew(c, LEDGER_INSTANCE "0", "0.a", NULL) == FH_CONFLICT && !c->error.retryable);
    EXPECT(take(c, LEDGER_INSTANCE "0", 0, "0.c") == FH_OK);
    EXPECT(drop(c, LEDGER_INSTANCE "0", "0.c", -1) == FH_OK);
    expect_leases(c, "");
}

/* ---- cursors ---- */

static bool see_share(void *context, const char *share)
{
    struct seen *seen = context;
    size_t used = strlen(seen->text);
    snprintf(seen->text + used, sizeof seen->text - used, "%s;", share);
    return true;
}

static enum fh_code take_cursor(struct conformance *c, const char *share, int64_t epoch)
{
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    if (!work)
        return FH_UNAVAILABLE;
    enum fh_code code = ledger_cursor_take(work, "users", share, epoch, &c->error);
    if (code == FH_OK)
        return conformance_commit(c, work);
    conformance_rollback(c, work);
    return code;
}

static enum fh_code move(struct conformance *c, const char *share, int64_t epoch, int64_t from,
                         int64_t to)
{
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    struct ledger_cursor old = {.position = from, .epoch = epoch};
    struct ledger_cursor next = {.incarnation = "i", .event_id = "e", .epoch = epoch};
    if (!work)
        return FH_UNAVAILABLE;
    snprintf(old.incarnation, sizeof old.incarnation, "%s", from ? "i" : "");
    snprintf(old.event_id, sizeof old.event_id, "%s", from ? "e" : "");
    next.position = to;
    enum fh_code code = ledger_cursor_move(work, "users", share, &old, &next, &c->error);
    if (code == FH_OK)
        return conformance_commit(c, work);
    conformance_rollback(c, work);
    return code;
}

static void a_taken_cursor_moves_only_for_its_taker(struct conformance *c)
{
    EXPECT(take_cursor(c, "0/2", 1) == FH_OK && take_cursor(c, "1/2", 1) == FH_OK);
    struct seen seen = {""};
    struct store_work *work = conformance_begin(c, STORE_READ);
    EXPECT(work);
    EXPECT(ledger_cursor_partitions(work, "users", see_share, &seen, &c->error) == FH_OK);
    EXPECT(ledger_cursor_partitions(work, "products", see_share, &seen, &c->error) == FH_OK);
    conformance_rollback(c, work);
    EXPECT(strcmp(seen.text, "0/2;1/2;") == 0);
    /* From the very beginning: an owner that was paused before its first move is refused, too. */
    EXPECT(take_cursor(c, "0/2", 2) == FH_OK);
    EXPECT(move(c, "0/2", 1, 0, 5) == FH_CONFLICT && !c->error.retryable);
    EXPECT(move(c, "0/2", 2, 0, 5) == FH_OK);
    EXPECT(take_cursor(c, "0/2", 3) == FH_OK);
    EXPECT(move(c, "0/2", 2, 5, 6) == FH_CONFLICT && !c->error.retryable);
    EXPECT(move(c, "0/2", 3, 5, 6) == FH_OK);
    EXPECT(move(c, "1/2", 1, 0, 3) == FH_OK);
}

/* ---- sagas ---- */

static bool start_saga(struct conformance *c, const char *life, const char *id, int64_t *ret)
{
    struct ledger_saga saga = {.birth = "birth",
                               .name = "place_order",
                               .input = "{}",
                               .state = "{}",
                               .status = "running",
                               .epoch = 1};
    struct ledger_event event = {
        .id = id, .type = "freehold.saga.started", .key = id, .version = 1, .data = "{}"};
    struct store_placed placed = {.event_id = id};
    snprintf(c->store->instance, sizeof c->store->instance, "%s", life);
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    if (!work || ledger_saga_start(work, &event, &saga, NULL, 0, &c->error) != FH_OK ||
        conformance_commit(c, work) != FH_OK)
        return false;
    *ret = saga.number;
    if (*ret == 0 && store_sequence(c->store, &placed, 1, &c->error) == FH_OK)
        *ret = placed.position;
    return *ret > 0;
}

static bool see_saga(void *context, const struct ledger_saga *saga)
{
    struct seen *seen = context;
    size_t used = strlen(seen->text);
    snprintf(seen->text + used, sizeof seen->text - used, "%lld.%lld;", (long long)saga->number,
             (long long)saga->epoch);
    snprintf(seen->birth, sizeof seen->birth, "%s", saga->birth);
    seen->number = saga->number;
    seen->count++;
    return true;
}

static void expect_one_by_one(struct conformance *c, struct store_work *work, const char *owner,
                              const char *text)
{
    struct seen seen = {""};
    for (int before = -1; seen.count > before;) {
        struct ledger_open open = {owner, seen.birth, seen.number, 1};
        char birth[sizeof seen.birth];
        before = seen.count;
        memcpy(birth, seen.birth, sizeof birth);
        open.birth = birth;
        EXPECT(ledger_sagas_open(work, &open, see_saga, &seen, &c->error) == FH_OK);
    }
    EXPECT(strcmp(seen.text, text) == 0);
}

static void expect_sagas(struct conformance *c, const char *owner, const char *text)
{
    struct seen seen = {""};
    struct store_work *work = conformance_begin(c, STORE_READ);
    EXPECT(work);
    EXPECT(ledger_sagas_open(work, &(struct ledger_open){.owner = owner}, see_saga, &seen,
                             &c->error) == FH_OK);
    expect_one_by_one(c, work, owner, text);
    conformance_rollback(c, work);
    EXPECT(strcmp(seen.text, text) == 0);
}

static void sagas_of_the_dead_are_adopted_and_no_others(struct conformance *c)
{
    int64_t first, second, third, adopted = 0;
    EXPECT(take(c, LEDGER_INSTANCE "0", 0, "0.a") == FH_OK);
    EXPECT(take(c, LEDGER_INSTANCE "1", 0, "1.b") == FH_OK);
    EXPECT(start_saga(c, "0.a", "s1", &first) && first == 1);
    EXPECT(start_saga(c, "9.z", "s2", &second) && second == 2);
    EXPECT(start_saga(c, "1.b", "s3", &third) && third == 3);
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    EXPECT(work);
    EXPECT(ledger_sagas_adopt(work, "1.b", &adopted, &c->error) == FH_OK && adopted == 1);
    EXPECT(conformance_commit(c, work) == FH_OK);
    expect_sagas(c, "0.a", "1.1;");
    expect_sagas(c, "1.b", "2.2;3.1;");
    expect_sagas(c, NULL, "1.1;2.2;3.1;");
    work = conformance_begin(c, STORE_WRITE);
    EXPECT(work);
    EXPECT(ledger_saga_take(work, "birth", 1, "1.b", &c->error) == FH_OK);
    EXPECT(conformance_commit(c, work) == FH_OK);
    expect_sagas(c, "1.b", "1.2;2.2;3.1;");
}

#define LARGE 25 /* 17 MiB in all: more than some engines' units of work */
#define LARGE_SLOW 8
#define LARGE_SIZE ((size_t)700 << 10)

static bool start_large_saga(struct conformance *c, int i, const char *input)
{
    char id[24];
    struct ledger_saga saga = {.birth = "birth",
                               .name = "place_order",
                               .input = input,
                               .state = "{}",
                               .status = "running",
                               .epoch = 1};
    struct ledger_step step = {
        .birth = "birth", .target = "stock", .request = input, .state = "pending", .attempt = 1};
    struct ledger_event event = {
        .id = id, .type = "freehold.saga.started", .key = id, .version = 1, .data = "{}"};
    struct store_placed placed = {.event_id = id};
    snprintf(id, sizeof id, "large-%d", i);
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    if (!work || ledger_saga_start(work, &event, &saga, &step, 1, &c->error) != FH_OK)
        return false;
    return conformance_commit(c, work) == FH_OK &&
           store_sequence(c->store, &placed, 1, &c->error) == FH_OK;
}

static int64_t adopt_all_large(struct conformance *c, int *ret_rounds)
{
    int64_t all = 0, adopted = 1;
    for (*ret_rounds = 0; adopted > 0; ++*ret_rounds) {
        struct store_work *work = conformance_begin(c, STORE_WRITE);
        if (!work || ledger_sagas_adopt(work, "1.b", &adopted, &c->error) != FH_OK ||
            conformance_commit(c, work) != FH_OK)
            return -1;
        all += adopted;
    }
    return all;
}

static bool count_large_step(void *context, const struct ledger_step *step)
{
    *(size_t *)context += strlen(step->request);
    return true;
}

struct large {
    struct conformance *c;
    struct store_work *work;
    int count;
    size_t size;
};

static bool see_large_saga(void *context, const struct ledger_saga *saga)
{
    struct large *large = context;
    large->count++;
    large->size += strlen(saga->input);
    return true;
}

/* Each saga's steps are read in the unit of work that reads the sagas, as in saga/load.c. */
static enum fh_code read_large_steps(struct large *large)
{
    enum fh_code code = FH_OK;
    for (int64_t number = 1; number <= large->count && !code; number++) {
        struct arena arena;
        arena_init(&arena, ARENA_SIZE_MAX);
        code = ledger_steps_get(large->work, &arena, "birth", number, count_large_step,
                                &large->size, &large->c->error);
        arena_release(&arena);
    }
    return code;
}

static void open_sagas_are_adopted_and_read_however_large_they_are_together(struct conformance *c)
{
    struct large large = {.c = c};
    char *input = calloc(1, LARGE_SIZE + 1);
    int rounds, all = c->engine->slow ? LARGE_SLOW : LARGE;
    EXPECT(input && take(c, LEDGER_INSTANCE "1", 0, "1.b") == FH_OK);
    snprintf(c->store->instance, sizeof c->store->instance, "9.z");
    memset(input, ' ', LARGE_SIZE);
    memcpy(input, "{}", 2);
    bool started = true;
    for (int i = 0; i < all && started; i++)
        started = start_large_saga(c, i, input);
    free(input);
    EXPECT(started);
    EXPECT(adopt_all_large(c, &rounds) == all);
    large.work = conformance_begin(c, STORE_READ);
    EXPECT(large.work);
    struct ledger_open open = {.owner = "1.b", .birth = "birth", .number = 0};
    EXPECT(ledger_sagas_open(large.work, &open, see_large_saga, &large, &c->error) == FH_OK);
    EXPECT(large.count == all && read_large_steps(&large) == FH_OK);
    conformance_rollback(c, large.work);
    EXPECT(large.size == 2 * (size_t)all * LARGE_SIZE);
}

/* Each to this state, in one guarded unit of work. */
static enum fh_code advance(struct conformance *c, struct ledger_saga *sagas, int count,
                            const char *state)
{
    struct store_work *work = conformance_begin(c, STORE_WRITE_GUARDED);
    enum fh_code code = work ? FH_OK : FH_UNAVAILABLE;
    for (int i = 0; i < count && code == FH_OK; i++) {
        sagas[i].state = state;
        code = ledger_saga_update(work, &sagas[i], &c->error);
    }
    if (work && code == FH_OK)
        return conformance_commit(c, work);
    if (work)
        conformance_rollback(c, work);
    return code;
}

static bool see_state(void *context, const struct ledger_saga *saga)
{
    struct seen *seen = context;
    size_t used = strlen(seen->text);
    snprintf(seen->text + used, sizeof seen->text - used, "%s;", saga->state);
    return true;
}

static void expect_states(struct conformance *c, const char *text)
{
    struct seen seen = {""};
    struct store_work *work = conformance_begin(c, STORE_READ);
    EXPECT(work);
    EXPECT(ledger_sagas_open(work, &(struct ledger_open){0}, see_state, &seen, &c->error) == FH_OK);
    conformance_rollback(c, work);
    EXPECT(strcmp(seen.text, text) == 0);
}

static void sagas_that_advance_together_all_do_or_none_if_another_owns_one(struct conformance *c)
{
    struct ledger_saga sagas[2];
    for (int i = 0; i < 2; i++) {
        sagas[i] = (struct ledger_saga){.birth = "birth", .status = "running", .epoch = 1};
        EXPECT(start_saga(c, "0.a", i ? "s2" : "s1", &sagas[i].number));
    }
    EXPECT(advance(c, sagas, 2, "1") == FH_OK);
    expect_states(c, "1;1;");
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    EXPECT(work);
    EXPECT(ledger_saga_take(work, "birth", sagas[1].number, "1.b", &c->error) == FH_OK);
    EXPECT(conformance_commit(c, work) == FH_OK);
    EXPECT(advance(c, sagas, 2, "2") == FH_CONFLICT && !c->error.retryable);
    expect_states(c, "1;1;");
    EXPECT(advance(c, sagas, 1, "2") == FH_OK);
    expect_states(c, "2;1;");
}

int main(void)
{
    static const struct conformance_row rows[] = {
        CASE(a_lease_goes_to_one_of_two_that_want_it),
        CASE(only_its_owner_renews_a_lease),
        CASE(an_instance_that_has_renewed_is_not_declared_dead),
        CASE(a_taken_cursor_moves_only_for_its_taker),
        CASE(sagas_of_the_dead_are_adopted_and_no_others),
        CASE(open_sagas_are_adopted_and_read_however_large_they_are_together),
        CASE(sagas_that_advance_together_all_do_or_none_if_another_owns_one),
    };
    return conformance_main_all(rows, sizeof rows / sizeof *rows);
}
