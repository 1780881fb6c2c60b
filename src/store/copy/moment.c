/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An event without a position would get one in the old store, and perhaps a different one in the
 * new store. So the copied moment must be one at which all events have theirs. On a server other
 * processes may publish without a pause: then such a moment is made, by a gate.
 *
 * The gate is a lock on the server that every unit of work takes, shared or for its own keys,
 * before it draws its events' places, and keeps until it ends (LEDGER_GATE). The copy's gate is a
 * transaction that takes all of it: those that publish end first, further ones wait, and in between
 * nothing is left without a position once the sequencer was called. The snapshot is taken, and the
 * gate opened again, which takes milliseconds.
 *
 * - Fair: the server queues whoever asks for the lock, so the copy gets it however many publish,
 * and they get it after the copy.
 * - Bounded: it waits for LEDGER_GATE_WAIT_S, and then lets everybody pass for a while.
 * - Fenced: what the gate protects is counted in the snapshot itself. A gate that the server has
 * ended meanwhile only means another attempt.
 *
 *   killed at any point   the server ends the transaction with its connection, and others go on;
 *                         a process that hangs loses it after the time that the server lets any
 *                         transaction be idle
 *
 * Where the gate can't be had, as a unit of work does not end, moments are tried without it.
 */

#include "store/copy/moment.h"

#include "base/crash.h"
#include "store/ledger.h"
#include "store/relational/ledger.h"
#include "store/relational/ledger_sql.h"

#define GATES_MAX 3
#define GATED_MAX 20    /* calls of the sequencer in one gate: a backlog of 200,000 events */
#define UNGATED_MAX 100 /* moments tried after each gate */
#define UNGATED_WAIT_MS 5

struct moment {
    const struct copy_options *options;
    struct store_work *reading, *gate;
};

/* ---- One moment ---- */

/* Begins to read one moment of the source, which the first statement fixes. */
static enum fh_code see_moment(struct moment *moment, int64_t *ret_left, struct fh_error *error)
{
    struct store *from = moment->options->from;
    *ret_left = 0;
    enum fh_code code = store_sequence(from, NULL, 0, error);
    if (code == FH_OK)
        code = store_begin(from, STORE_READ, &moment->reading, error);
    if (code != FH_OK)
        return code;
    code = sql_patient(moment->reading, error);
    if (code == FH_OK && from->ops->sequence)
        code =
            ledger_integer(moment->reading, "SELECT count(*) FROM fh_outbox WHERE position IS NULL",
                           NULL, 0, ret_left, error);
    if (code == FH_OK && *ret_left == 0)
        return FH_OK;
    store_rollback(moment->reading);
    moment->reading = NULL;
    return code;
}

/* FH_OK without moment->reading: none was found. */
static enum fh_code try_moments(struct moment *moment, int count, int wait_ms,
                                struct fh_error *error)
{
    struct world *world = moment->options->from->world;
    enum fh_code code = FH_OK;
    for (int i = 0; i < count && code == FH_OK; i++) {
        int64_t left;
        code = see_moment(moment, &left, error);
        if (code != FH_OK || moment->reading)
            return code;
        code = copy_stopped(moment->options, error);
        if (wait_ms && code == FH_OK)
            fiber_sleep_until(world, world_in_ms(world, wait_ms));
    }
    return code;
}

/* ---- The gate ---- */

static void gate_close(struct moment *moment)
{
    if (moment->gate)
        moment->options->from->ops->rollback(moment->gate);
    moment->gate = NULL;
}

/* Not by store_begin: this process's own units of work may be held (store_hold). */
static enum fh_code gate_open(struct moment *moment, struct fh_error *error)
{
    struct store *from = moment->options->from;
    int64_t rows;
    enum store_mode mode = store_mode_of(from->engine, STORE_WRITE_GUARDED);
    enum fh_code code = from->ops->begin(from, mode, &moment->gate, error);
    if (code != FH_OK) {
        moment->gate = NULL;
        return code;
    }
    const char *bound = ledger_sql(moment->gate, LEDGER_GATE_BOUND);
    if (bound)
        code = ledger_do(moment->gate, bound, NULL, 0, NULL, error);
    if (code == FH_OK)
        code = ledger_integer(moment->gate, ledger_sql(moment->gate, LEDGER_GATE), NULL, 0, &rows,
                              error); /* and so awaits it */
    if (code != FH_OK)
        gate_close(moment);
    return code;
}

static enum fh_code try_gated(struct moment *moment, struct fh_error *error)
{
    struct store *from = moment->options->from;
    if (!from->ops->sequence || !sql_dialect_of(from)->ledger[LEDGER_GATE])
        return FH_OK;
    if (gate_open(moment, error) != FH_OK)
        return FH_OK; /* whatever it was: a moment without it is tried */
    CRASH_POINT("copy.gated");
    enum fh_code code = try_moments(moment, GATED_MAX, 0, error);
    CRASH_POINT("copy.seen");
    gate_close(moment);
    return code;
}

enum fh_code copy_moment_begin(const struct copy_options *options, struct store_work **ret,
                               struct fh_error *error)
{
    struct moment moment = {.options = options};
    enum fh_code code = FH_OK;
    for (int i = 0; i < GATES_MAX && code == FH_OK && !moment.reading; i++) {
        code = try_gated(&moment, error);
        if (code == FH_OK && !moment.reading)
            code = try_moments(&moment, UNGATED_MAX, UNGATED_WAIT_MS, error);
    }
    *ret = moment.reading;
    if (code != FH_OK || moment.reading)
        return code;
    return error_set(error, FH_UNAVAILABLE,
                     "There was no moment at which all events had their positions: the service's "
                     "other instances publish without a pause.");
}
