/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The turn begins what waits, as many as a round holds: how many that is follows from how long the
 * last ones kept the loop.
 */

#include "service/admission.h"

#define BATCH_FIRST 16u
#define BATCH_MAX 1024u

const char *admission_lane_name(enum admission_lane lane)
{
    static const char *const names[] = {
        [ADMISSION_STEPS] = "steps", [ADMISSION_CLIENTS] = "clients"};
    return names[lane];
}

static bool has_place(const struct admission *admission, enum admission_lane lane)
{
    return admission->lanes[lane].under_way < ADMISSION_PLACES;
}

static bool can_begin(const struct admission *admission, enum admission_lane lane)
{
    return admission->lanes[lane].overload.turns.waiting && has_place(admission, lane);
}

/* False: nothing that waits has a place. */
static bool go_on(struct admission *admission)
{
    bool any = can_begin(admission, ADMISSION_STEPS) || can_begin(admission, ADMISSION_CLIENTS);
    if (any)
        world_turn(admission->world, &admission->turn);
    return any;
}

/* ---- Beginning ---- */

static void begin_admitted(struct admission *admission, struct admission_request *request)
{
    request->placed = true;
    admission->lanes[request->lane].under_way++;
    request->begin(request);
}

/* Returns how many were begun. */
static unsigned begin_waiting(struct admission *admission, enum admission_lane lane, unsigned most,
                              int64_t now_ns)
{
    struct overload *overload = &admission->lanes[lane].overload;
    unsigned begun = 0;
    while (begun < most && can_begin(admission, lane)) {
        bool is_late;
        struct admission_request *request =
            (struct admission_request *)turns_take(&overload->turns, now_ns, &is_late);
        if (is_late)
            request->shed(request);
        else
            begin_admitted(admission, request);
        begun += !is_late;
    }
    overload_look(overload);
    return begun;
}

static void adjust_batch(struct admission *admission, int64_t now_ns)
{
    int64_t took_ns = now_ns - admission->batched_ns;
    if (!admission->batched)
        return;
    if (took_ns > ADMISSION_ROUND_NS)
        admission->batch = (unsigned)(admission->batched * ADMISSION_ROUND_NS / took_ns);
    else if (admission->batched >= admission->batch && took_ns < ADMISSION_ROUND_NS / 2)
        admission->batch *= 2;
    if (admission->batch < 1)
        admission->batch = 1;
    if (admission->batch > BATCH_MAX)
        admission->batch = BATCH_MAX;
}

static void admission_turn(struct world_turn *turn)
{
    struct admission *admission = turn->owner;
    int64_t now_ns = world_monotonic_ns(admission->world);
    adjust_batch(admission, now_ns);
    unsigned batch = admission->batch;
    unsigned steps = can_begin(admission, ADMISSION_CLIENTS) ? (batch + 1) / 2 : batch;
    unsigned begun = begin_waiting(admission, ADMISSION_STEPS, steps, now_ns);
    unsigned rest = begun < batch ? batch - begun : 1;
    begun += begin_waiting(admission, ADMISSION_CLIENTS, rest, now_ns);
    admission->batched = go_on(admission) ? begun : 0;
    admission->batched_ns = now_ns;
}

/* ---- Where no place comes free ---- */

static void shed_waiter(struct turns_waiter *waiter)
{
    struct admission_request *request = (struct admission_request *)waiter;
    request->shed(request);
}

static void admission_look_later(struct admission *admission)
{
    if (admission->looks)
        return;
    admission->looks = true;
    world_timer_start(admission->world, &admission->look,
                      world_in_ms(admission->world, ADMISSION_LOOK_MS));
}

static void look_at_waiting(struct world_timer *timer)
{
    struct admission *admission = timer->owner;
    int64_t now_ns = world_monotonic_ns(admission->world);
    admission->looks = false;
    for (int lane = 0; lane < ADMISSION_LANES; lane++)
        turns_shed_late(&admission->lanes[lane].overload.turns, now_ns, shed_waiter);
    if (admission_presses(admission))
        admission_look_later(admission);
}

/* ---- For whoever has the requests ---- */

void admission_init(struct admission *admission, struct world *world)
{
    *admission = (struct admission){.world = world, .batch = BATCH_FIRST};
    admission->turn = (struct world_turn){.run = admission_turn, .owner = admission};
    admission->look = (struct world_timer){.fire = look_at_waiting, .owner = admission};
    for (int lane = 0; lane < ADMISSION_LANES; lane++)
        overload_init(&admission->lanes[lane].overload, world,
                      admission_lane_name((enum admission_lane)lane));
}

void admission_release(struct admission *admission)
{
    world_timer_stop(admission->world, &admission->look);
    for (int lane = 0; lane < ADMISSION_LANES; lane++)
        overload_release(&admission->lanes[lane].overload);
}

bool admission_presses(const struct admission *admission)
{
    return admission->lanes[ADMISSION_CLIENTS].overload.turns.waiting ||
           admission->lanes[ADMISSION_STEPS].overload.turns.waiting;
}

bool admission_shed(struct admission *admission, enum admission_lane lane, const char *caller,
                    int64_t until_ns, int64_t now_ns)
{
    return lane != ADMISSION_OWN &&
           turns_shed(&admission->lanes[lane].overload.turns, caller, until_ns, now_ns);
}

/* Whether the loop has begun what it had found at one time so recently that it may go on with it.
 */
static bool is_soon(struct admission *admission, int64_t now_ns)
{
    if (admission->round != admission->world->rounds) {
        admission->round = admission->world->rounds;
        admission->began_ns = now_ns;
    }
    return !admission->round || now_ns - admission->began_ns < ADMISSION_ROUND_NS;
}

bool admission_enter(struct admission *admission, struct admission_request *request,
                     const char *caller, int64_t now_ns)
{
    enum admission_lane lane = request->lane;
    if (lane == ADMISSION_OWN) {
        request->begin(request);
        return true;
    }
    struct turns *turns = &admission->lanes[lane].overload.turns;
    if (!turns->waiting && has_place(admission, lane) && is_soon(admission, now_ns)) {
        begin_admitted(admission, request);
        return true;
    }
    if (!caller)
        return false;
    turns_add(turns, caller, &request->waiter, now_ns);
    admission_look_later(admission);
    go_on(admission);
    return true;
}

void admission_leave(struct admission *admission, struct admission_request *request)
{
    if (!request->placed)
        return;
    request->placed = false;
    admission->lanes[request->lane].under_way--;
    go_on(admission);
}
