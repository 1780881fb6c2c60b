/* SPDX-License-Identifier: Apache-2.0 */
/* The simulated disk, alone and under the embedded engine: whatever was acknowledged is there after
 * a death at any step, and one seed is one run. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "engine/engines.h"
#include "engine/sqlite/internal.h"
#include "simulate/disk_files.h"
#include "simulate/image.h"
#include "store/relational/sql.h"
#include "store/store.h"

/* What a crash leaves lying is no leak of the tests; the sanitizer must see this answer. */
__attribute__((visibility("default"))) const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "detect_leaks=0";
}

/* ---- one file ---- */

static void what_was_synced_stays(void **state)
{
    struct simulate simulate;
    char byte;
    (void)state;
    for (uint64_t seed = 1; seed <= 50; seed++) {
        simulate_init(&simulate, seed);
        struct image *image = image_new();
        image_write(image, "ab", 2, 0);
        image_sync(image, SIZE_MAX);
        image_write(image, "c", 1, 1);
        image_power_fails(image, &simulate);
        assert_int_equal(image_read(image, &byte, 1, 0), 1);
        assert_int_equal(byte, 'a');
        image_free(image);
        simulate_release(&simulate);
    }
}

static void what_was_not_synced_may_be_gone_torn_or_there(void **state)
{
    struct simulate simulate;
    static unsigned char page[4096], seen[4096];
    int gone = 0, torn = 0, there = 0;
    (void)state;
    memset(page, 7, sizeof page);
    for (uint64_t seed = 1; seed <= 200; seed++) {
        simulate_init(&simulate, seed);
        struct image *image = image_new();
        image_write(image, page, sizeof page, 0);
        image_power_fails(image, &simulate);
        size_t size = image_read(image, seen, sizeof seen, 0);
        gone += size == 0;
        torn += size > 0 && size < sizeof page;
        there += size == sizeof page;
        assert_memory_equal(seen, page, size);
        image_free(image);
        simulate_release(&simulate);
    }
    assert_true(gone > 0 && torn > 0 && there > 0);
}

static void a_failed_sync_leaves_what_looks_clean(void **state)
{
    struct simulate simulate;
    char byte;
    (void)state;
    simulate_init(&simulate, 1);
    struct image *image = image_new();
    image_write(image, "a", 1, 0);
    image_lose(image);
    image_sync(image, SIZE_MAX);
    assert_int_equal(image_read(image, &byte, 1, 0), 1);
    image_power_fails(image, &simulate);
    assert_int_equal(image_read(image, &byte, 1, 0), 0);
    image_free(image);
    simulate_release(&simulate);
}

static void what_was_copied_is_put_back_as_it_was(void **state)
{
    struct simulate simulate;
    char text[2];
    (void)state;
    simulate_init(&simulate, 1);
    struct simulate_node *node = simulate_node_new(&simulate, "store");
    struct simulate_disk *disk = simulate_disk_new(node);
    image_write(disk_make(disk, "/store/a"), "ab", 2, 0);
    struct simulate_copy *copy = simulate_disk_copy(disk);
    image_write(disk_find(disk, "/store/a"), "c", 1, 0);
    disk_make(disk, "/store/b");
    simulate_disk_put_back(disk, copy);
    simulate_disk_crashed(disk, SIMULATE_POWER);
    assert_null(disk_find(disk, "/store/b"));
    assert_int_equal(image_read(disk_find(disk, "/store/a"), text, 2, 0), 2);
    assert_memory_equal(text, "ab", 2);
    simulate_copy_free(copy);
    simulate_disk_free(disk);
    simulate_node_free(node);
    simulate_release(&simulate);
}

/* ---- a store on it ---- */

#define NOTES 12
#define SYNCS 60 /* more than in an undisturbed run */
/* In stores with short logs, so that these are copied while there are more groups. */
#define NOTES_NS_BETWEEN 500000
#define LOG_FRAMES 6
#define STRIDE (log_frames ? 4 : 1)

struct fixture {
    struct simulate simulate;
    struct simulate_node *node;
    struct store *store;
    bool opened;
    int acknowledged[NOTES], next;
    int64_t found[NOTES * 2];
    int found_count, died;
    unsigned logs, copies; /* how often the log began anew, and was copied beside the groups */
    const char *why;
};

static void on_died(struct simulate_node *node, const char *why)
{
    struct fixture *fixture = node->owner;
    fixture->died++;
    fixture->why = why;
    fixture->store = NULL;
}

static int log_frames; /* of the stores; 0: as many as ever */

static int with_short_logs(void **state)
{
    (void)state;
    log_frames = LOG_FRAMES;
    return 0;
}

static int with_usual_logs(void **state)
{
    (void)state;
    log_frames = 0;
    return 0;
}

static void begin(struct fixture *fixture, uint64_t seed)
{
    memset(fixture, 0, sizeof *fixture);
    json_memory_init();
    sqlite3_test_control(SQLITE_TESTCTRL_PRNG_SEED, 1, NULL);
    simulate_init(&fixture->simulate, seed);
    fixture->simulate.log_frames = log_frames;
    fixture->node = simulate_node_new(&fixture->simulate, "books");
    fixture->node->owner = fixture;
    fixture->node->died = on_died;
    simulate_disk_new(fixture->node);
    simulate_node_begin(fixture->node);
}

static void end(struct fixture *fixture)
{
    if (!fixture->node->alive) /* the dead process' connections are still SQLite's */
        simulate_disk_crashed(fixture->node->disk, SIMULATE_KILLED);
    simulate_disk_free(fixture->node->disk);
    simulate_node_free(fixture->node);
    simulate_release(&fixture->simulate);
}

static void run(struct fixture *fixture)
{
    simulate_run(&fixture->simulate, NULL, NULL, SIMULATE_NEVER, 100000);
}

static void open_store(void *argument)
{
    struct fixture *fixture = argument;
    struct store_options options = {.service = "books", .folder = "/books", .model = FH_RELATIONAL};
    struct store_work *work;
    struct fh_error error;
    fixture->opened = false;
    if (engine_embedded()->store->open(&options, &fixture->node->world, &fixture->store, &error) !=
        FH_OK)
        return;
    if (store_begin(fixture->store, STORE_WRITE_EXCLUSIVE, &work, &error) != FH_OK)
        return;
    if (sql_run(work, "CREATE TABLE IF NOT EXISTS note (number INTEGER PRIMARY KEY, text TEXT)",
                NULL, 0, NULL, NULL, NULL, &error) != FH_OK)
        store_rollback(work);
    else
        fixture->opened = store_commit(work, &error) == FH_OK;
}

static void write_note(void *argument)
{
    struct fixture *fixture = argument;
    int number = fixture->next++;
    struct store_work *work;
    struct sql_value value = sql_integer(number);
    struct fh_error error;
    if (log_frames)
        fiber_sleep_until(&fixture->node->world,
                          fixture->simulate.now_ns + number * NOTES_NS_BETWEEN);
    if (store_begin(fixture->store, STORE_WRITE, &work, &error) != FH_OK)
        return;
    if (sql_run(work, "INSERT INTO note VALUES (?1, hex(zeroblob(3000)))", &value, 1, NULL, NULL,
                NULL, &error) != FH_OK)
        store_rollback(work);
    else if (store_commit(work, &error) == FH_OK)
        fixture->acknowledged[number] = 1;
}

static bool take_number(void *context, const struct sql_row *row)
{
    struct fixture *fixture = context;
    fixture->found[fixture->found_count++] = row->values[0].integer;
    return fixture->found_count < NOTES * 2;
}

static void read_notes(void *argument)
{
    struct fixture *fixture = argument;
    struct store_work *work;
    struct fh_error error;
    fixture->found_count = 0;
    if (store_begin(fixture->store, STORE_READ, &work, &error) != FH_OK)
        return;
    sql_run(work, "SELECT number FROM note ORDER BY number", NULL, 0, take_number, fixture, NULL,
            &error);
    store_rollback(work);
}

static void do_it(struct fixture *fixture, void (*entry)(void *))
{
    if (fixture->node->alive)
        assert_true(fiber_start(fixture->node->world.fibers, entry, fixture));
}

static void write_all(struct fixture *fixture)
{
    do_it(fixture, open_store);
    run(fixture);
    if (fixture->opened)
        for (int i = 0; i < NOTES; i++)
            do_it(fixture, write_note);
    run(fixture);
    if (fixture->node->alive && fixture->store) {
        const struct sqlite_store *store = (const struct sqlite_store *)fixture->store;
        fixture->logs = store->checkpoint.log;
        fixture->copies = store->checkpoint.copies;
    }
}

static bool was_found(const struct fixture *fixture, int number)
{
    for (int i = 0; i < fixture->found_count; i++) {
        if (fixture->found[i] == number)
            return true;
    }
    return false;
}

/* Starts again, without faults, and checks. */
static void look(struct fixture *fixture)
{
    fixture->node->crash_after = 0;
    *simulate_disk_faults(fixture->node->disk) = (struct simulate_disk_faults){0};
    if (fixture->node->alive)
        simulate_node_crash(fixture->node, SIMULATE_POWER, "killed");
    simulate_node_begin(fixture->node);
    do_it(fixture, open_store);
    run(fixture);
    assert_true(fixture->opened);
    do_it(fixture, read_notes);
    run(fixture);
    for (int i = 0; i < NOTES; i++) {
        if (fixture->acknowledged[i])
            assert_true(was_found(fixture, i));
    }
}

/* How many steps an undisturbed run takes. */
static int64_t steps_of_a_life(void)
{
    struct fixture fixture;
    begin(&fixture, 1);
    fixture.node->crash_after = INT64_MAX;
    write_all(&fixture);
    int64_t steps = INT64_MAX - fixture.node->crash_after;
    assert_true(!log_frames || (fixture.logs && fixture.copies));
    look(&fixture);
    assert_int_equal(fixture.found_count, NOTES);
    end(&fixture);
    return steps;
}

static void nothing_acknowledged_is_lost_whenever_it_dies(void **state)
{
    (void)state;
    int64_t steps = steps_of_a_life();
    assert_true(steps > 30);
    for (int64_t at = 1; at <= steps; at += STRIDE) {
        for (int how = 0; how < 2; how++) {
            struct fixture fixture;
            begin(&fixture, 1);
            fixture.node->crash_after = at;
            fixture.node->crash_how = how ? SIMULATE_POWER : SIMULATE_KILLED;
            write_all(&fixture);
            assert_int_equal(fixture.died, 1);
            look(&fixture);
            end(&fixture);
        }
    }
}

/* Schedule 4. */
static void what_a_killed_process_left_unsynced_is_kept_once_it_was_shown(void **state)
{
    (void)state;
    int64_t steps = steps_of_a_life();
    for (int64_t at = 1; at <= steps; at++) {
        struct fixture fixture;
        begin(&fixture, (uint64_t)at);
        fixture.node->crash_after = at;
        fixture.node->crash_how = SIMULATE_KILLED;
        write_all(&fixture);
        look(&fixture);
        for (int i = 0; i < fixture.found_count; i++)
            fixture.acknowledged[fixture.found[i]] = 1; /* someone has read it */
        look(&fixture);
        end(&fixture);
    }
}

static void an_operation_that_fails_loses_nothing_acknowledged(void **state)
{
    (void)state;
    for (int64_t at = 1; at <= 120; at += STRIDE) {
        for (int kind = 0; kind < 4; kind++) {
            struct fixture fixture;
            begin(&fixture, (uint64_t)at);
            struct simulate_disk_faults *faults = simulate_disk_faults(fixture.node->disk);
            if (kind == 0)
                faults->read_in = at;
            else if (kind == 1)
                faults->write_in = at;
            else if (kind == 2)
                faults->sync_in = at % 12 + 1;
            else
                faults->size_max = (size_t)at * 3000;
            write_all(&fixture);
            if (kind == 2 && fixture.opened && fixture.died)
                assert_non_null(strstr(fixture.why, "fsync failed"));
            look(&fixture);
            end(&fixture);
        }
    }
}

static void no_sync_can_fail_unseen_while_the_log_is_copied(void **state)
{
    (void)state;
    for (int64_t at = 1; at <= SYNCS; at++) {
        struct fixture fixture;
        begin(&fixture, 1);
        simulate_disk_faults(fixture.node->disk)->sync_in = at;
        write_all(&fixture);
        assert_true(fixture.died || !fixture.opened ||
                    simulate_disk_faults(fixture.node->disk)->sync_in);
        look(&fixture);
        end(&fixture);
    }
}

static void a_second_process_is_refused_the_store(void **state)
{
    struct fixture fixture;
    (void)state;
    begin(&fixture, 1);
    write_all(&fixture);
    struct store *first = fixture.store;
    do_it(&fixture, open_store);
    run(&fixture);
    assert_false(fixture.opened);
    fixture.store = first;
    end(&fixture);
}

static uint64_t digest_of(uint64_t seed)
{
    struct fixture fixture;
    begin(&fixture, seed);
    fixture.simulate.faults.sync_slow = 200000;
    fixture.node->crash_after = 40 + (int64_t)seed;
    fixture.node->crash_how = SIMULATE_POWER;
    write_all(&fixture);
    look(&fixture);
    simulate_say(&fixture.simulate, NULL, "%d notes at %lld", fixture.found_count,
                 (long long)fixture.simulate.now_ns);
    uint64_t digest = fixture.simulate.digest;
    end(&fixture);
    return digest;
}

static void a_seed_is_one_run(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++)
        assert_int_equal(digest_of(seed), digest_of(seed));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_synced_stays),
        cmocka_unit_test(what_was_not_synced_may_be_gone_torn_or_there),
        cmocka_unit_test(a_failed_sync_leaves_what_looks_clean),
        cmocka_unit_test(what_was_copied_is_put_back_as_it_was),
        cmocka_unit_test(nothing_acknowledged_is_lost_whenever_it_dies),
        cmocka_unit_test(what_a_killed_process_left_unsynced_is_kept_once_it_was_shown),
        cmocka_unit_test(an_operation_that_fails_loses_nothing_acknowledged),
        cmocka_unit_test_setup_teardown(nothing_acknowledged_is_lost_whenever_it_dies,
                                        with_short_logs, with_usual_logs),
        cmocka_unit_test_setup_teardown(an_operation_that_fails_loses_nothing_acknowledged,
                                        with_short_logs, with_usual_logs),
        cmocka_unit_test_setup_teardown(no_sync_can_fail_unseen_while_the_log_is_copied,
                                        with_short_logs, with_usual_logs),
        cmocka_unit_test(a_second_process_is_refused_the_store),
        cmocka_unit_test(a_seed_is_one_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
