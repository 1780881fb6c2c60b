/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Outside clients' records expire, since those clients close nothing.
 *
 * Records age by a clock of their own. It starts at the wall clock's time and advances with the
 * monotonic clock, so that no step of the wall clock moves it. At every start and every look for
 * old records the store records the clock's value together with all other clocks (a row of the
 * ledger's meta: the wall clock, the monotonic clock, and the store server's, where there is one).
 * A process that starts continues from there and adds the least time that any of these clocks says
 * has passed. A monotonic clock continues from process to process. After a reboot or on another
 * machine it may show too little time, or a value lower than the recorded one; the latter is
 * ignored.
 *
 * So several instances of one store, each with its own wall clock, age records alike: for an
 * instance to expire what another has just written, its clock and the server's would both have to
 * be wrong in the same way. A row written by an older program lacks the server's clock; the clocks
 * it does have are used.
 *
 *     killed before the transaction is durable    the next start continues from the former row: the
 *                                                 same
 *
 * What this can't detect: without a server, a wall clock set while the machine itself was off; and,
 * when a machine was suspended while others of the same store were not, that its monotonic clock
 * stood still.
 */

#include <inttypes.h>
#include <stdio.h>

#include "base/crash.h"
#include "store/ledger.h"
#include "work/batch.h"
#include "work/command.h"
#include "work/keys.h"

#define CLOCK_NAME "clock"
#define CLOCK_SIZE 104
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
    const struct work_keys *keys = context->keys;
    int64_t monotonic_ms = world_monotonic_ns(context->world) / NS_A_MS;
    int length = snprintf(text, sizeof text, "%" PRId64 " %" PRId64 " %" PRId64,
                          command_clock_ms(context), world_wall_ms(context->world), monotonic_ms);
    if (keys->server_told)
        snprintf(text + length, sizeof text - (size_t)length, " %" PRId64,
                 keys->server_ahead_ms + monotonic_ms);
    enum fh_code code = ledger_meta_put(work, CLOCK_NAME, text, error);
    CRASH_POINT("expiry.recorded");
    return code;
}

/* Asks for the store server's clock, outside of transactions and seldom. If the server can't be
 * asked now, its former answer or the other clocks are enough. */
static void look_at_server(struct work_context *context)
{
    struct work_keys *keys = context->keys;
    struct fh_error unheeded;
    int64_t server_ms;
    if (!context->store->ops->clock ||
        context->store->ops->clock(context->store, &server_ms, &unheeded) != FH_OK)
        return;
    keys->server_told = true;
    keys->server_ahead_ms = server_ms - world_monotonic_ns(context->world) / NS_A_MS;
}

struct clocks {
    int64_t clock_ms, wall_ms, monotonic_ms, server_ms;
};

/* The time that has passed since `before`. `both`: the server's clock was recorded and is known
 * now. */
static int64_t passed_ms(struct work_context *context, const struct clocks *before, bool both)
{
    int64_t monotonic_ms = world_monotonic_ns(context->world) / NS_A_MS;
    int64_t passed = world_wall_ms(context->world) - before->wall_ms;
    int64_t by_server = context->keys->server_ahead_ms + monotonic_ms - before->server_ms;
    int64_t by_monotonic = monotonic_ms - before->monotonic_ms;
    if (both && by_server < passed)
        passed = by_server;
    if (by_monotonic >= 0 && by_monotonic < passed)
        passed = by_monotonic;
    return passed > 0 ? passed : 0;
}

static enum fh_code clock_go_on(struct store_work *work, void *what, struct fh_error *error)
{
    struct work_context *context = what;
    struct work_keys *keys = context->keys;
    char text[CLOCK_SIZE];
    struct clocks at;
    enum fh_code code = ledger_meta_get(work, CLOCK_NAME, text, sizeof text, error);
    if (code != FH_OK)
        return code;
    int known = sscanf(text, "%" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64, &at.clock_ms,
                       &at.wall_ms, &at.monotonic_ms, &at.server_ms);
    if (known >= 3) {
        keys->clock_at_ns = world_monotonic_ns(context->world);
        keys->clock_ms = at.clock_ms + passed_ms(context, &at, known == 4 && keys->server_told);
    }
    return clock_keep(work, context, error);
}

struct expiring {
    struct work_context *context;
    int64_t removed;
};

static enum fh_code remove_slice(struct store_work *work, void *what, struct fh_error *error)
{
    struct expiring *expiring = what;
    int64_t before_ms = command_clock_ms(expiring->context) - COMMAND_CLIENT_KEPT_MS;
    enum fh_code code =
        ledger_commands_expire(work, before_ms, COMMAND_EXPIRED_SLICE, &expiring->removed, error);
    return code == FH_OK ? clock_keep(work, expiring->context, error) : code;
}

static enum fh_code write_durable(struct work_context *context, work_change *change, void *what,
                                  struct fh_error *error)
{
    enum fh_code code = work_write(context, change, what, -1, error);
    CRASH_POINT("expiry.durable");
    return code;
}

enum fh_code command_clock_start(struct work_context *context, struct fh_error *error)
{
    look_at_server(context);
    return write_durable(context, clock_go_on, context, error);
}

enum fh_code command_expire(struct work_context *context, int64_t *ret_removed,
                            struct fh_error *error)
{
    struct expiring expiring = {.context = context};
    enum fh_code code;
    *ret_removed = 0;
    look_at_server(context);
    do {
        expiring.removed = 0;
        code = write_durable(context, remove_slice, &expiring, error);
        if (code == FH_OK)
            *ret_removed += expiring.removed;
    } while (code == FH_OK && expiring.removed == COMMAND_EXPIRED_SLICE);
    return code;
}
