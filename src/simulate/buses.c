/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A run with a bus: every service has a relay to the broker in memory (broker.h), and takes others'
 * events from there. Its faults are drawn as the others are: rates of what becomes of messages, and
 * now and then the broker is away for a while, or has forgotten everything.
 */

#include "base/json.h"
#include "simulate/broker.h"
#include "simulate/run_parts.h"

#define BUS_PARTITIONS_LOG_MAX 4 /* 16 */
#define AWAY_NS_MAX (6000 * SIMULATE_MS)
#define BUS_FAULT_NS_MAX (4000 * SIMULATE_MS)
#define WIPED 200000 /* in a million: instead of being away */

static json_t *bus_options(const struct run *run)
{
    return json_pack("{s:s, s:i}", "driver", SIMULATE_BROKER, "partitions", run->bus_partitions);
}

void run_bus_draw(struct run *run)
{
    if (!run->system->bus)
        return;
    simulate_broker_begin();
    run->bus_partitions = 1 << simulate_below(&run->simulate, BUS_PARTITIONS_LOG_MAX + 1);
}

void run_bus_configure(const struct run *run, const fh_service *service, json_t *config)
{
    if (!run->bus_partitions)
        return;
    json_t *buses = json_object();
    for (size_t i = 0; i < sizeof service->subscribes / sizeof *service->subscribes; i++) {
        if (service->subscribes[i].service)
            json_object_set_new(buses, service->subscribes[i].service, bus_options(run));
    }
    json_object_set_new(config, "bus", bus_options(run));
    json_object_set_new(config, "buses", buses);
}

static void plan_bus_fault(struct run *run);

static void on_bus_fault(struct simulate_event *event)
{
    struct run *run = event->owner;
    struct simulate *simulate = &run->simulate;
    if (simulate_chance(simulate, WIPED)) {
        simulate_say(simulate, NULL, "the broker has forgotten everything");
        simulate_broker_wipe();
    } else {
        int64_t until_ns = simulate->now_ns + simulate_between(simulate, SIMULATE_MS, AWAY_NS_MAX);
        simulate_say(simulate, NULL, "the broker is away for %lld ms",
                     (long long)((until_ns - simulate->now_ns) / SIMULATE_MS));
        simulate_broker_faults()->away_until_ns = until_ns;
    }
    plan_bus_fault(run);
}

static void plan_bus_fault(struct run *run)
{
    struct simulate *simulate = &run->simulate;
    run->bus_fault =
        (struct simulate_event){.fire = on_bus_fault, .owner = run, .place = run->bus_fault.place};
    simulate_plan(simulate, &run->bus_fault,
                  simulate->now_ns + simulate_between(simulate, SIMULATE_MS, BUS_FAULT_NS_MAX));
}

/* A rate that half of the runs have. */
static unsigned draw_rate(struct simulate *simulate, unsigned highest)
{
    return simulate_chance(simulate, 500000) ? (unsigned)simulate_below(simulate, highest) : 0;
}

void run_bus_faults_begin(struct run *run)
{
    struct simulate *simulate = &run->simulate;
    if (!run->bus_partitions)
        return;
    struct simulate_broker_faults *faults = simulate_broker_faults();
    faults->lost = draw_rate(simulate, 300000);
    faults->doubled = draw_rate(simulate, 300000);
    faults->late = draw_rate(simulate, 200000);
    faults->overtaken = draw_rate(simulate, 300000);
    faults->refused = draw_rate(simulate, 300000);
    faults->unanswered = draw_rate(simulate, 100000);
    simulate_say(simulate, NULL,
                 "the bus: of a million messages %u lost, %u doubled, %u late, %u overtaken; of "
                 "batches %u refused, %u unanswered",
                 faults->lost, faults->doubled, faults->late, faults->overtaken, faults->refused,
                 faults->unanswered);
    if (simulate_chance(simulate, 500000))
        plan_bus_fault(run);
}

void run_bus_faults_end(struct run *run)
{
    if (!run->bus_partitions)
        return;
    simulate_cancel(&run->simulate, &run->bus_fault);
    *simulate_broker_faults() = (struct simulate_broker_faults){0};
}
