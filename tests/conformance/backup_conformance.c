/* SPDX-License-Identifier: Apache-2.0 */
/* A store backed up while it is used, and restored: on every engine, in the first model that it
 * has. */

#include "conformance.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "carrier/record.h"
#include "service/backup.h"
#include "service/fill.h"
#include "store/ledger.h"

#define NAME "backup"
#define WORKS 30 /* next to the copy */

/* Static in each case: too large for a fiber's stack. */
struct kept {
    fh_service service;
    json_t *config;
    struct backup_facts facts;
    struct store *copy;
};

/* Rows of the service's own, where migrations make their table. */
static bool begin(struct conformance *c, struct kept *kept)
{
    char folder[300], path[400];
    memset(kept, 0, sizeof *kept);
    kept->service.name = "conformance";
    kept->service.model = c->model;
    snprintf(folder, sizeof folder, "%s/migrations", c->harness.folder);
    snprintf(path, sizeof path, "%s/0001_create_boxes.sql", folder);
    mkdir(folder, 0700);
    FILE *file = fopen(path, "we");
    if (!file)
        return false;
    fputs("CREATE TABLE boxes (id BIGINT NOT NULL PRIMARY KEY, name VARCHAR(200),"
          " weight DOUBLE PRECISION);\n",
          file);
    fclose(file);
    kept->config = json_pack("{s:s}", "migrations", folder);
    return service_store_prepare(&kept->service, c->store, folder, &c->error) == FH_OK;
}

static void end(struct conformance *c, struct kept *kept)
{
    struct fh_error error;
    if (kept->copy)
        service_backup_close(kept->copy, c->harness.folder, NAME, &error);
    json_decref(kept->config);
}

/* What one unit of work of a service leaves: a row, an event, the record of a command. */
static enum fh_code work_once(struct conformance *c, int number, struct fh_error *error)
{
    char id[32], sql[128];
    struct store_work *work;
    snprintf(id, sizeof id, "e%d", number);
    snprintf(sql, sizeof sql, "INSERT INTO boxes VALUES (%d, 'Z\xc3\xbcrich', 0.1)", number);
    struct ledger_event event = {
        .id = id, .type = "Filled", .key = "a", .version = 1, .time_ms = 1, .data = "{}"};
    struct ledger_command command = {.caller = "orders",
                                     .key = id,
                                     .birth = "birth",
                                     .number = number,
                                     .attempt = 1,
                                     .created_ms = 1,
                                     .outcome = LEDGER_DONE,
                                     .digest = "d",
                                     .request = "{}",
                                     .answer = "{\"status\":201}"};
    enum fh_code code = store_begin(c->store, STORE_WRITE, &work, error);
    if (code != FH_OK)
        return code;
    if (c->model == FH_RELATIONAL)
        code = relational_run(work, sql, NULL, 0, 0, NULL, NULL, error);
    if (code == FH_OK)
        code = ledger_command_put(work, &command, error);
    if (code == FH_OK)
        code = ledger_outbox_append(work, &event, error);
    if (code == FH_OK)
        return store_commit(work, error);
    store_rollback(work);
    return code;
}

static bool works(struct conformance *c, int number)
{
    struct fh_error error;
    enum fh_code code;
    do
        code = work_once(c, number, &error);
    while (code == FH_CONFLICT && error.retryable);
    return code == FH_OK && store_sequence(c->store, NULL, 0, &error) == FH_OK;
}

static bool back_up(struct conformance *c, struct kept *kept)
{
    struct store_watch watch = {0};
    return service_backup(&kept->service, kept->config, c->store, c->harness.folder, NAME, &watch,
                          &kept->facts, &c->error) == FH_OK &&
           service_backup_open(&kept->service, c->harness.folder, NAME, c->harness.world,
                               &kept->copy, &c->error) == FH_OK;
}

/* ---- what a store holds ---- */

struct held {
    int events, commands;
    int64_t position, trimmed;
    bool dense;
};

static bool see_event(void *context, const struct ledger_event *event)
{
    struct held *held = context;
    held->events++;
    held->dense &= event->position == held->trimmed + held->events;
    return true;
}

/* The commands of the units of work, numbered from 1. */
static bool count_commands(struct conformance *c, struct store_work *work, int *ret)
{
    struct arena arena;
    struct ledger_command command;
    enum fh_code code = FH_OK;
    for (*ret = 0; code == FH_OK; *ret += code == FH_OK) {
        char key[32];
        snprintf(key, sizeof key, "e%d", *ret + 1);
        arena_init(&arena, ARENA_SIZE_MAX);
        code = ledger_command_get(work, &arena, "orders", key, &command, &c->error);
        arena_release(&arena);
    }
    return code == FH_NOT_FOUND;
}

static bool look(struct conformance *c, struct store *store, struct held *ret)
{
    struct store_work *work;
    char id[ID_SIZE];
    *ret = (struct held){.dense = true};
    if (store_begin(store, STORE_READ, &work, &c->error) != FH_OK)
        return false;
    bool read = ledger_position(work, &ret->position, &c->error) == FH_OK &&
                ledger_outbox_trimmed(work, &ret->trimmed, id, &c->error) == FH_OK &&
                ledger_outbox_read(work, ret->trimmed, 1000, see_event, ret, &c->error) == FH_OK &&
                count_commands(c, work, &ret->commands);
    store_rollback(work);
    return read;
}

static int boxes(struct conformance *c, struct store *store)
{
    struct store_work *work;
    json_t *rows = NULL;
    if (store_begin(store, STORE_READ, &work, &c->error) != FH_OK)
        return -1;
    relational_run(work, "SELECT id FROM boxes", NULL, 0, 1000, &rows, NULL, &c->error);
    store_rollback(work);
    int count = (int)json_array_size(rows);
    json_decref(rows);
    return count;
}

/* ---- the cases ---- */

struct beside {
    struct conformance *c;
    int next;
    bool failed;
};

static void work_on(void *argument)
{
    struct beside *beside = argument;
    for (int i = 0; i < WORKS && !beside->failed; i++)
        beside->failed = !works(beside->c, beside->next++);
}

static void a_backup_holds_one_moment_of_a_store_that_is_used(struct conformance *c)
{
    static struct kept kept;
    struct held held = {0};
    struct beside beside = {.c = c, .next = 3};
    bool done = begin(c, &kept) && works(c, 1) && works(c, 2);
    if (done) {
        conformance_start(c, work_on, &beside);
        done = back_up(c, &kept);
        conformance_join(c);
    }
    done = done && !beside.failed && look(c, kept.copy, &held);
    int rows = done && c->model == FH_RELATIONAL ? boxes(c, kept.copy) : held.commands;
    bool same = done && strcmp(kept.facts.incarnation, c->store->incarnation) == 0 &&
                strcmp(kept.copy->incarnation, c->store->incarnation) == 0;
    end(c, &kept);
    EXPECT(done);
    EXPECT(same);
    EXPECT(held.dense && held.events >= 2 && held.position == held.events);
    EXPECT(kept.facts.position == held.position);
    /* Each unit of work left all three, or none. */
    EXPECT(held.commands == held.events && rows == held.events);
    EXPECT(c->model != FH_RELATIONAL || kept.facts.rows == rows);
}

static bool restore(struct conformance *c, struct kept *kept)
{
    static const struct store_mark marks[] = {{LEDGER_RESTORED, "one"}};
    struct store_becoming becoming = {.marks = marks,
                                      .count = 1,
                                      .renew = true,
                                      .restored = true,
                                      .above = c->store->incarnation};
    struct copy_options options = {.from = kept->copy, .to = c->store};
    struct copy_result result;
    return service_store_copy(&kept->service, &options, &result, &c->error) == FH_OK &&
           service_store_become(kept->copy, c->store, &becoming, &c->error) == FH_OK;
}

static void what_came_behind_a_backup_is_gone_with_its_restore(struct conformance *c)
{
    static struct kept kept;
    struct held held = {0}, after = {0};
    char former[ID_SIZE], restored[8] = "";
    int64_t removed, cut = 0;
    bool done = begin(c, &kept) && works(c, 1) && works(c, 2) && works(c, 3);
    struct store_work *work = done ? conformance_begin(c, STORE_WRITE) : NULL;
    done = work && ledger_outbox_trim(work, 1, 10, &removed, &c->error) == FH_OK &&
           conformance_commit(c, work) == FH_OK && back_up(c, &kept);
    snprintf(former, sizeof former, "%s", c->store->incarnation);
    done = done && works(c, 4) && works(c, 5) && restore(c, &kept);
    end(c, &kept);
    EXPECT(done);
    conformance_reopen(c);
    EXPECT(look(c, c->store, &held));
    EXPECT(held.dense && held.trimmed == 1 && held.events == 2 && held.position == 3);
    EXPECT(held.commands == 3);
    EXPECT(c->model != FH_RELATIONAL || boxes(c, c->store) == 3);
    EXPECT(strcmp(c->store->incarnation, former) > 0);
    work = conformance_begin(c, STORE_READ);
    EXPECT(work);
    EXPECT(ledger_ancestor_cut(work, former, &cut, &c->error) == FH_OK && cut == 3);
    EXPECT(ledger_meta_get(work, LEDGER_RESTORED, restored, sizeof restored, &c->error) == FH_OK);
    EXPECT(strcmp(restored, "one") == 0);
    conformance_rollback(c, work);
    EXPECT(works(c, 4)); /* and it continues where it was */
    EXPECT(look(c, c->store, &after));
    EXPECT(after.dense && after.position == 4 && after.commands == 4);
}

static const struct fh_derived_field sold_fields[] = {{"n", FH_INT}, {0}};
static const char *const kept_stores[] = {"sold", "later"};

/* A server alone has facts of these, and is that far. 0: of none. */
static bool knows(struct conformance *c, struct store *store, const char *name, int64_t cursor)
{
    struct store_work *work;
    struct carried_record *record;
    if (store_begin(store, STORE_READ, &work, &c->error) != FH_OK)
        return false;
    bool read = carried_record_get(work, name, &record, &c->error) == FH_OK;
    bool same = read && record->serving.name.kept == (cursor > 0) &&
                (!cursor || record->serving.cursor == cursor);
    free(record);
    store_rollback(work);
    return same;
}

static bool learns(struct conformance *c, const char *name, int64_t cursor)
{
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    struct carried_record *record = calloc(1, sizeof *record);
    if (!work || !record)
        return false;
    record->last = 1;
    record->serving = (struct carried_generation){
        .name = {.number = 1, .kept = true}, .cursor = cursor, .kept.settled = cursor};
    snprintf(record->serving.name.incarnation, ID_SIZE, "%s", c->store->incarnation);
    enum fh_code code = carried_record_write(work, name, record, &c->error);
    free(record);
    return code == FH_OK && conformance_commit(c, work) == FH_OK;
}

/* The outbox is the backup's from then on: what it has to hold, and from where it is carried. */
static void what_is_known_of_kept_facts_comes_back_with_a_restore(struct conformance *c)
{
    static struct kept kept;
    bool done = begin(c, &kept);
    for (int i = 0; i < 2; i++)
        kept.service.derives[i] =
            (struct fh_derived){.name = kept_stores[i], .model = FH_COLUMNS, .fields = sold_fields};
    done = done && works(c, 1) && works(c, 2) && learns(c, "sold", 2) && back_up(c, &kept);
    bool backed_up = done && knows(c, kept.copy, "sold", 2) && knows(c, kept.copy, "later", 0);
    done =
        done && works(c, 3) && learns(c, "sold", 3) && learns(c, "later", 3) && restore(c, &kept);
    bool restored = done && knows(c, c->store, "sold", 2) && knows(c, c->store, "later", 0);
    end(c, &kept);
    EXPECT(done);
    EXPECT(backed_up);
    EXPECT(restored);
}

/* As the server does by itself from time to time. */
static bool count_rows(struct conformance *c)
{
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    bool done = work && relational_run(work, c->engine->analyze, NULL, 0, 0, NULL, NULL,
                                       &c->error) == FH_OK;
    if (done)
        return conformance_commit(c, work) == FH_OK;
    if (work)
        conformance_rollback(c, work);
    return false;
}

static void a_servers_rows_have_a_total(struct conformance *c)
{
    static struct kept kept;
    struct store_watch watch = {0};
    bool done = begin(c, &kept) && works(c, 1) && works(c, 2) && works(c, 3);
    bool server = done && !c->store->ops->copy_file;
    done = done && (!server || c->model != FH_RELATIONAL || count_rows(c)) &&
           service_backup(&kept.service, kept.config, c->store, c->harness.folder, NAME, &watch,
                          &kept.facts, &c->error) == FH_OK;
    end(c, &kept);
    EXPECT(done);
    EXPECT(!server || (watch.total >= 3 && watch.done >= 3));
}

/* Commits a saga's start, and dies before it has got its position. */
static bool starts_saga(struct conformance *c, const char *id)
{
    struct ledger_event event = {.id = id,
                                 .type = "freehold.saga.started",
                                 .key = "",
                                 .version = 1,
                                 .time_ms = 1,
                                 .data = "{}"};
    struct ledger_saga started = {.birth = "birth",
                                  .name = "deal",
                                  .input = "{}",
                                  .state = "{}",
                                  .status = "running",
                                  .epoch = 1};
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    return work && ledger_saga_start(work, &event, &started, NULL, 0, &c->error) == FH_OK &&
           conformance_commit(c, work) == FH_OK;
}

/* 0: it has none; -1: it can't be read. */
static int64_t number_of_saga(struct conformance *c, struct store *store, const char *id)
{
    struct arena arena;
    struct ledger_saga saga = {0};
    struct store_work *work;
    if (store_begin(store, STORE_READ, &work, &c->error) != FH_OK)
        return -1;
    arena_init(&arena, ARENA_SIZE_MAX);
    enum fh_code code = ledger_saga_find(work, &arena, "birth", id, &saga, &c->error);
    store_rollback(work);
    arena_release(&arena);
    return code == FH_OK ? saga.number : code == FH_NOT_FOUND ? 0 : -1;
}

/* A number that only the backup's restore gave could be one that the lost incarnation has used. */
static void a_start_without_a_number_has_it_before_it_is_backed_up(struct conformance *c)
{
    static struct kept kept;
    bool done = begin(c, &kept) && works(c, 1) && starts_saga(c, "s1") && back_up(c, &kept);
    int64_t copied = done ? number_of_saga(c, kept.copy, "s1") : -1;
    done = done && works(c, 2) && starts_saga(c, "s2") && restore(c, &kept);
    end(c, &kept);
    EXPECT(done);
    EXPECT(copied == 2);
    conformance_reopen(c);
    EXPECT(number_of_saga(c, c->store, "s1") == copied);
    EXPECT(number_of_saga(c, c->store, "s2") == 0);
}

/* ---- others that never pause ---- */

#define ADVERSARY_MS_MAX 200 /* for its event; it may be held off */

/* Another instance, which publishes whenever this one begins to read: between the sequencer's call
 * and the snapshot, so that there is always an event without a position. */
static struct adversary {
    struct conformance *c;
    const struct store_ops *honest;
    struct store_ops ops;
    struct store *store; /* its own */
    int began, published;
    bool failed;
    struct fiber_queue committed;
} adversary;

static enum fh_code publish_once(const char *id, struct fh_error *error)
{
    struct store_work *work;
    struct ledger_event event = {
        .id = id, .type = "Filled", .key = id, .version = 1, .time_ms = 1, .data = "{}"};
    enum fh_code code = store_begin(adversary.store, STORE_WRITE, &work, error);
    if (code != FH_OK)
        return code;
    code = ledger_outbox_append(work, &event, error);
    if (code == FH_OK)
        return store_commit(work, error);
    store_rollback(work);
    return code;
}

static void publish_between(void *unused)
{
    (void)unused;
    char id[32];
    struct fh_error error = {0};
    enum fh_code code;
    snprintf(id, sizeof id, "between-%d", ++adversary.began);
    do
        code = publish_once(id, &error);
    while (code == FH_CONFLICT && error.retryable);
    adversary.failed |= code != FH_OK;
    adversary.published++;
    fiber_wake_all(&adversary.committed);
}

static enum fh_code begin_between(struct store *store, enum store_mode mode,
                                  struct store_work **ret, struct fh_error *error)
{
    int before = adversary.published;
    int64_t until_ns = world_in_ms(store->world, ADVERSARY_MS_MAX);
    if (mode == STORE_READ && adversary.began == before) {
        conformance_start(adversary.c, publish_between, NULL);
        while (adversary.published == before &&
               fiber_wait_until(&adversary.committed, store->world, until_ns))
            ;
    }
    return adversary.honest->begin(store, mode, ret, error);
}

static bool sequenced(const struct engine *engine)
{
    return engine->store->sequence && engine->sql;
}

static bool is_whole(struct conformance *c, struct store *store, struct held *ret)
{
    struct store_work *work;
    *ret = (struct held){.dense = true};
    if (store_begin(store, STORE_READ, &work, &c->error) != FH_OK)
        return false;
    bool read = ledger_outbox_read(work, 0, 1000, see_event, ret, &c->error) == FH_OK &&
                ledger_position(work, &ret->position, &c->error) == FH_OK;
    store_rollback(work);
    return read && ret->dense && ret->events > 0 && ret->position == ret->events;
}

static void a_backup_gets_its_moment_though_others_publish_without_a_pause(struct conformance *c)
{
    static struct kept kept;
    struct held held = {0};
    adversary = (struct adversary){.c = c, .honest = c->store->ops, .ops = *c->store->ops};
    EXPECT(c->engine->open(&c->harness, c->model, &adversary.store, &c->error) == FH_OK);
    bool done = begin(c, &kept) && works(c, 1);
    adversary.ops.begin = begin_between;
    c->store->ops = &adversary.ops;
    done = done && back_up(c, &kept);
    c->store->ops = adversary.honest;
    conformance_join(c); /* whoever was held off has published */
    done = done && is_whole(c, kept.copy, &held);
    end(c, &kept);
    c->engine->close(adversary.store);
    EXPECT(done && !adversary.failed && adversary.published == adversary.began);
}

static struct {
    const struct store_ops *honest;
    struct store_ops ops;
    int releases;
} losing;

static enum fh_code lose_first_hold(struct store *store, struct fh_error *error)
{
    enum fh_code code = losing.honest->release(store, error);
    return ++losing.releases > 1 ? code : error_set(error, FH_UNAVAILABLE, "Others have written.");
}

static bool is_held_for_copies(const struct engine *engine)
{
    return engine->store->release != NULL;
}

static void a_backup_whose_hold_was_lost_is_made_again(struct conformance *c)
{
    static struct kept kept;
    struct held held = {0};
    losing.honest = c->store->ops;
    losing.ops = *c->store->ops;
    losing.ops.release = lose_first_hold;
    losing.releases = 0;
    bool done = begin(c, &kept) && works(c, 1);
    c->store->ops = &losing.ops;
    done = done && back_up(c, &kept);
    c->store->ops = losing.honest;
    done = done && is_whole(c, kept.copy, &held);
    end(c, &kept);
    EXPECT(done && losing.releases == 2);
}

static void a_store_that_is_held_takes_no_changes_until_it_is_released(struct conformance *c)
{
    static struct kept kept;
    struct held held;
    struct beside beside = {.c = c, .next = 1};
    bool done = begin(c, &kept) && store_hold(c->store, &c->error) == FH_OK;
    EXPECT(done);
    EXPECT(store_hold(c->store, &c->error) == FH_UNAVAILABLE);
    conformance_start(c, work_on, &beside);
    for (int i = 0; i < 10; i++)
        fiber_yield();
    done = look(c, c->store, &held);
    EXPECT(store_release(c->store, &c->error) == FH_OK);
    conformance_join(c);
    end(c, &kept);
    EXPECT(done && held.commands == 0 && held.position == 0);
    EXPECT(!beside.failed);
    EXPECT(look(c, c->store, &held) && held.commands == WORKS && held.position == WORKS);
}

int main(void)
{
    static const struct conformance_row rows[] = {
        CASE(a_backup_holds_one_moment_of_a_store_that_is_used),
        CASE(what_came_behind_a_backup_is_gone_with_its_restore),
        CASE(what_is_known_of_kept_facts_comes_back_with_a_restore),
        CASE(a_servers_rows_have_a_total),
        CASE(a_start_without_a_number_has_it_before_it_is_backed_up),
        CASE_OF(a_backup_gets_its_moment_though_others_publish_without_a_pause, sequenced),
        CASE_OF(a_backup_whose_hold_was_lost_is_made_again, is_held_for_copies),
        CASE(a_store_that_is_held_takes_no_changes_until_it_is_released),
    };
    return conformance_main_all(rows, sizeof rows / sizeof *rows);
}
