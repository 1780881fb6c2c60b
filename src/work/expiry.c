/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How records of outside clients end: by age, since those clients close nothing.
 *
 * They age by a clock of their own. It begins as the wall clock did and goes on with the monotonic
 * one, so that no step of the wall clock moves it. The store remembers where it stood, beside both
 * other clocks (a row of the ledger's meta: three numbers), as of every start and every look for
 * old records. A process that starts goes on from there by what both say has passed since, the
 * lesser of the two: the monotonic one counts on from process to process, and is behind where it
 * does not (another boot, another machine); where it stands before what is remembered, the wall
 * clock alone is believed.
 *
 *     killed before a work here is durable    the next start counts from the one before: the same
 *
 * What it can't tell: a wall clock that was set while the machine itself was off.
 */

#include <inttypes.h>
#include <stdio.h>

#include "base/crash.h"
#include "store/ledger.h"
#include "work/batch.h"
#include "work/command.h"
#include "work/keys.h"

#define CLOCK_NAME "clock"
#define CLOCK_SIZE 80
#define NS_A_MS 1000000

int64_t command_clock_ms(struct work_context *context)
{
    struct work_keys *keys = context->keys;
    int64_t now_ns = world_monotonic_ns(context->world);
    if (!keys->clock_ms) {
        keys->clock_ms = world_wall_ms(context->world);
        keys->clock_at_ns = now_ns;
    }
    return keys->clock_ms + (now_ns - keys->clock_at_ns) / NS_A_MS;
}

static enum fh_code clock_keep(struct store_work *work, struct work_context *context,
                               struct fh_error *error)
{
    char text[CLOCK_SIZE];
    snprintf(text, sizeof text, "%" PRId64 " %" PRId64 " %" PRId64, command_clock_ms(context),
             world_wall_ms(context->world), world_monotonic_ns(context->world) / NS_A_MS);
    return ledger_meta_put(work, CLOCK_NAME, text, error);
}

static int64_t passed_ms(int64_t by_wall_ms, int64_t by_monotonic_ms)
{
    bool steady = by_monotonic_ms >= 0 && by_monotonic_ms < by_wall_ms;
    int64_t passed = steady ? by_monotonic_ms : by_wall_ms;
    return passed > 0 ? passed : 0;
}

static enum fh_code clock_go_on(struct store_work *work, struct work_context *context,
                                int64_t *unused, struct fh_error *error)
{
    struct work_keys *keys = context->keys;
    char text[CLOCK_SIZE];
    int64_t clock_ms, wall_ms, monotonic_ms, now_ns = world_monotonic_ns(context->world);
    (void)unused;
    enum fh_code code = ledger_meta_get(work, CLOCK_NAME, text, sizeof text, error);
    if (code != FH_OK)
        return code;
    if (sscanf(text, "%" SCNd64 " %" SCNd64 " %" SCNd64, &clock_ms, &wall_ms, &monotonic_ms) == 3) {
        keys->clock_at_ns = now_ns;
        keys->clock_ms = clock_ms + passed_ms(world_wall_ms(context->world) - wall_ms,
                                              now_ns / NS_A_MS - monotonic_ms);
    }
    return clock_keep(work, context, error);
}

static enum fh_code remove_slice(struct store_work *work, struct work_context *context,
                                 int64_t *ret_removed, struct fh_error *error)
{
    int64_t before_ms = command_clock_ms(context) - COMMAND_CLIENT_KEPT_MS;
    enum fh_code code =
        ledger_commands_expire(work, before_ms, COMMAND_EXPIRED_SLICE, ret_removed, error);
    return code == FH_OK ? clock_keep(work, context, error) : code;
}

/* One work, and again while it meets those of other processes. */
static enum fh_code in_a_work(struct work_context *context,
                              enum fh_code (*run)(struct store_work *work,
                                                  struct work_context *context, int64_t *ret,
                                                  struct fh_error *error),
                              int64_t *ret, struct fh_error *error)
{
    struct work_tries tries = {0};
    struct store_work *work;
    enum fh_code code;
    do {
        enum store_mode mode = tries.alone ? STORE_WRITE_ALONE : STORE_WRITE;
        code = store_begin(context->store, mode, &work, error);
        if (code != FH_OK)
            continue;
        code = run(work, context, ret, error);
        CRASH_POINT("expiry.recorded");
        if (code == FH_OK)
            code = store_commit(work, error);
        else
            store_rollback(work);
        CRASH_POINT("expiry.durable");
    } while (code == FH_CONFLICT && error->retryable && work_retry(context, &tries, -1));
    return code;
}

enum fh_code command_clock_start(struct work_context *context, struct fh_error *error)
{
    int64_t unused;
    return in_a_work(context, clock_go_on, &unused, error);
}

enum fh_code command_expire(struct work_context *context, int64_t *ret_removed,
                            struct fh_error *error)
{
    enum fh_code code;
    int64_t removed;
    *ret_removed = 0;
    do {
        removed = 0;
        code = in_a_work(context, remove_slice, &removed, error);
        if (code == FH_OK)
            *ret_removed += removed;
    } while (code == FH_OK && removed == COMMAND_EXPIRED_SLICE);
    return code;
}
