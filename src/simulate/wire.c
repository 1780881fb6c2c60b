/* SPDX-License-Identifier: Apache-2.0 */
/* Each run draws how often each fate is met; half of them are never. Troubles come together. */

#include "simulate/wire.h"

#define SLOW_FACTOR 1000
#define SLOW_NS_MAX (4000 * SIMULATE_MS)
#define RATE_MAX 50000 /* of a million messages */
#define BAD_FACTOR 30
#define BAD_MAX 150000
#define BAD_NS (400 * SIMULATE_MS)

int64_t wire_slowed(struct simulate_wire *wire, int64_t ns)
{
    struct simulate *simulate = wire->simulate;
    bool slow =
        simulate->now_ns < wire->slow_until_ns || simulate_chance(simulate, wire->faults.slow);
    return slow ? ns * (int64_t)(1 + simulate_below(simulate, SLOW_FACTOR)) : ns;
}

void wire_slow_down(struct simulate_wire *wire)
{
    wire->slow_until_ns = wire->simulate->now_ns + simulate_between(wire->simulate, 1, SLOW_NS_MAX);
}

int64_t wire_down_ns(struct simulate_wire *wire)
{
    bool long_one = simulate_chance(wire->simulate, 300000);
    return simulate_between(wire->simulate, SIMULATE_MS,
                            long_one ? WIRE_DOWN_NS_MAX : WIRE_DOWN_NS_MAX / 20);
}

/* Troubles come together: what recovers from one then meets the next. */
static bool fault_happens(struct simulate_wire *wire, unsigned in_a_million)
{
    struct simulate *simulate = wire->simulate;
    if (simulate->now_ns < wire->bad_until_ns && in_a_million)
        in_a_million = in_a_million * BAD_FACTOR < BAD_MAX ? in_a_million * BAD_FACTOR : BAD_MAX;
    if (!simulate_chance(simulate, in_a_million))
        return false;
    if (simulate->now_ns >= wire->bad_until_ns && simulate_chance(simulate, 500000))
        wire->bad_until_ns = simulate->now_ns + simulate_between(simulate, SIMULATE_MS, BAD_NS);
    return true;
}

static enum simulate_fate fate_by_number(struct simulate_wire *wire)
{
    long long number;
    int fate, length;
    wire->messages++;
    for (const char *at = wire->fates; sscanf(at, "%lld:%d%n", &number, &fate, &length) == 2;) {
        if (number == wire->messages && fate > 0 && fate < FATES) {
            simulate_say(wire->simulate, NULL, "server: message %lld meets fate %d", number, fate);
            return (enum simulate_fate)fate;
        }
        at += length;
        at += *at == ',';
    }
    return FATE_ARRIVES;
}

void wire_fates(struct simulate_wire *wire, const char *fates)
{
    wire->fates = fates;
    wire->messages = 0;
}

int64_t wire_fates_end(struct simulate_wire *wire)
{
    wire->fates = NULL;
    return wire->messages;
}

enum simulate_fate wire_fate(struct simulate_wire *wire, bool towards, bool *ret_torn)
{
    *ret_torn = false;
    if (wire->fates)
        return fate_by_number(wire);
    if (fault_happens(wire, wire->faults.cut_before))
        return FATE_CUT_BEFORE;
    if (fault_happens(wire, wire->faults.cut_after))
        return FATE_CUT_AFTER;
    if (fault_happens(wire, wire->faults.swallowed))
        return FATE_SWALLOWED;
    if (fault_happens(wire, wire->faults.held))
        return FATE_HELD;
    *ret_torn = towards && fault_happens(wire, wire->faults.torn);
    return *ret_torn ? FATE_CUT_AFTER : FATE_ARRIVES;
}

static unsigned draw_wire_rate(struct simulate *simulate)
{
    return simulate_chance(simulate, 500000) ? 0 : (unsigned)simulate_below(simulate, RATE_MAX);
}

void wire_faults_draw(struct simulate_wire *wire)
{
    struct simulate *simulate = wire->simulate;
    wire->faults.cut_before = draw_wire_rate(simulate);
    wire->faults.cut_after = draw_wire_rate(simulate);
    wire->faults.swallowed = draw_wire_rate(simulate) / 8;
    wire->faults.held = draw_wire_rate(simulate) / 2;
    wire->faults.torn = draw_wire_rate(simulate);
    wire->faults.slow = draw_wire_rate(simulate);
    simulate_say(simulate, NULL,
                 "server: of a million messages %u cut before, %u after, %u swallowed, %u held, %u "
                 "torn, %u slow",
                 wire->faults.cut_before, wire->faults.cut_after, wire->faults.swallowed,
                 wire->faults.held, wire->faults.torn, wire->faults.slow);
}

void wire_faults_end(struct simulate_wire *wire)
{
    wire->faults.cut_before = wire->faults.cut_after = wire->faults.swallowed = 0;
    wire->faults.held = wire->faults.torn = wire->faults.slow = 0;
    wire->slow_until_ns = wire->refuses_until_ns = wire->bad_until_ns = 0;
}
