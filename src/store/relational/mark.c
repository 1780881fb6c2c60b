/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Settling on servers. When the link dies during COMMIT, nobody knows whether the unit of work is
 * committed; the server may even commit it later. So each unit of work leaves a mark, a row of
 * fh_mark, in the message with its COMMIT. To find out, settling puts a row into the same place,
 * over another link:
 *
 *     opening  number  never
 *     17       4       NULL         unit of work 4 of opening 17 has committed
 *     17       5       12:00:03     settling was first: it has not, and never will, as its own mark
 *                                   finds the place taken
 *
 * The second one sees what the first has written, and leaves it. That the place is taken proves
 * nothing: the row may be settling's own, whose answer was lost. Settling writes even if the row
 * exists already, so that its answer comes only after that row is durable. It asks until it has an
 * answer, however long the server is away.
 *
 * An opening is a process's session with a store: a random number, in fh_opening before its first
 * mark. Units of work are numbered within it. No process's clock decides what is removed:
 *
 *     a unit of work's mark     by the opening itself, once it is decided; by nobody else while
 *                               the opening is in fh_opening
 *     a row of settling         a month later: longer than any link keeps a message
 *     an opening                by any process, if by the server's clock it was not seen for a day;
 *                               then its marks. An opening is recorded as alive hourly.
 *
 * Settling writes only while its opening exists, and locks the opening's row meanwhile. A process
 * that was paused for longer, or whose server's clock has jumped, finds its opening gone: then a
 * missing mark may have existed, and the process ends itself. Its next start reads everything
 * again, as after a crash. If it has nothing to settle, it just takes a new opening.
 *
 * If the process dies while it settles, nothing was reported to anyone, so either outcome is
 * right, and the row stays.
 *
 * Earlier versions of the programs, which may run alongside, have their marks in fh_work and do not
 * know these tables. Today's programs create and trim fh_work, but put nothing into it.
 */

#include "store/relational/mark.h"

#include <string.h>

#include "base/log.h"

#define PAUSE_MS_MIN 20
#define PAUSE_MS_MAX 1000
#define TOLD_NS (10 * (int64_t)1000000000)
#define FORGOTTEN                                                                                  \
    "the store has forgotten this process, which it has not heard from for more than a day: "      \
    "whether its last transaction was committed can't be found out; start it again"
#define SECOND_NS ((int64_t)1000000000)

int64_t mark_opening_id(struct world *world)
{
    uint64_t random;
    world_random(world, &random, sizeof random);
    return (int64_t)(random >> 1) | 1;
}

void mark_take(struct marks *marks, struct mark *mark)
{
    *mark = (struct mark){.opening = marks->opening};
    if (!mark->opening)
        return;
    mark->number = ++marks->last;
    mark->before = marks->end;
    if (marks->end)
        marks->end->next = mark;
    else
        marks->first = mark;
    marks->end = mark;
}

void mark_leave(struct marks *marks, struct mark *mark)
{
    if (!mark->opening)
        return;
    if (mark->before)
        mark->before->next = mark->next;
    else
        marks->first = mark->next;
    if (mark->next)
        mark->next->before = mark->before;
    else
        marks->end = mark->before;
    mark->opening = 0;
}

int64_t marks_decided(const struct marks *marks)
{
    return marks->first ? marks->first->number : marks->last + 1;
}

bool marks_are_due(const struct marks *marks, struct world *world)
{
    return marks->opening && world_monotonic_ns(world) - marks->seen_ns >= MARK_SEEN_NS;
}

/* ---- Settling ---- */

enum mark_said mark_said(const char *text)
{
    if (!text)
        return MARK_GONE;
    if (strcmp(text, "stands") == 0)
        return MARK_STANDS;
    return strcmp(text, "never") == 0 ? MARK_NEVER : MARK_UNKNOWN;
}

void settling_wait(struct settling *settling, const struct fh_error *why)
{
    struct world *world = settling->world;
    if (!settling->told && world_monotonic_ns(world) - settling->begun_ns > TOLD_NS) {
        settling->told = true;
        log_warning("transaction-undecided",
                    "It is not known yet whether a transaction was committed; the store's server "
                    "is asked until it says so: %s",
                    why->message);
    }
    int most_ms = settling->pause_ms ? settling->pause_ms * 2 : PAUSE_MS_MIN;
    settling->pause_ms = most_ms < PAUSE_MS_MAX ? most_ms : PAUSE_MS_MAX;
    int64_t jitter_ms = (int64_t)world_random_below(world, (uint64_t)settling->pause_ms);
    fiber_sleep_until(world, world_in_ms(world, settling->pause_ms / 2 + jitter_ms));
}

enum fh_code settling_none(struct fh_error *error)
{
    return error_retry(error, FH_UNAVAILABLE, "The connection broke while the store was prepared.");
}

enum fh_code settling_end(const struct settling *settling, enum mark_said said,
                          struct fh_error *error)
{
    if (said == MARK_GONE) {
        world_fatal(settling->world, FORGOTTEN);
        return error_set(error, FH_OUTCOME_UNKNOWN, "%s", FORGOTTEN);
    }
    if (settling->told)
        log_info(
            "transaction-decided", "It took %lld s to find out: the transaction was %s.",
            (long long)((world_monotonic_ns(settling->world) - settling->begun_ns) / SECOND_NS),
            said == MARK_STANDS ? "committed" : "not committed, and never will be");
    if (said == MARK_STANDS)
        return FH_OK;
    return error_retry(error, FH_CONFLICT,
                       "The connection broke before the transaction was committed.");
}
