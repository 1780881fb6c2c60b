/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A key may be used when every process that runs accepts it; one that starts later reads it from
 * its configuration, which was written before. A former key may be forgotten when no request is
 * under way that was signed with it, which each process says of its own. One that never says so (it
 * was taken over, or hangs) does not keep the former keys for ever: after the life of a token none
 * that was made with them would be accepted anyhow.
 */

#include "system/supervise/rotation_decide.h"

#include "call/identity.h"

static bool all_know(int64_t number, const struct rotation_process *processes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (processes[i].runs && processes[i].known != number)
            return false;
    }
    return true;
}

static bool all_settled(int64_t number, const struct rotation_process *processes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (processes[i].runs && processes[i].settled != number)
            return false;
    }
    return true;
}

enum rotation_move rotation_decide(enum keys_phase phase, int64_t number,
                                   const struct rotation_process *processes, size_t count,
                                   int64_t waited_ms)
{
    bool late = waited_ms >= ROTATION_LEARN_MS_MAX;
    bool expired = waited_ms >= IDENTITY_LIFE_MS + IDENTITY_SKEW_MS;
    switch (phase) {
    case KEYS_LEARNING:
        return all_know(number, processes, count) ? ROTATION_PROMOTE
               : late                             ? ROTATION_TAKE_BACK
                                                  : ROTATION_WAIT;
    case KEYS_SIGNING:
        return all_settled(number, processes, count) || expired ? ROTATION_FORGET : ROTATION_WAIT;
    case KEYS_AT_REST:
        return all_know(number, processes, count) || late ? ROTATION_END : ROTATION_WAIT;
    }
    return ROTATION_WAIT;
}
