/* SPDX-License-Identifier: Apache-2.0 */
/* What is told of derived stores on servers: in the service's state and in its metrics. All of it
 * is as of the last turn, but for what has been committed since. */

#include <inttypes.h>

#include "base/json.h"
#include "event/manager.h"
#include "service/carriers.h"

struct derived_view {
    const char *name, *server, *state;
    const struct carried_generation *generation; /* that serves, or will: NULL: none yet */
    bool serves;
    int64_t depth, age_ms;
};

static struct derived_view view_of(const struct carrying_fiber *fiber)
{
    const struct carrier_look *look = &fiber->carrier.look;
    const struct runtime *runtime = fiber->carriers->runtime;
    struct derived_view view = {
        .name = fiber->carrier.declared->name,
        .server = fiber->driver->title,
        .serves = carrier_may_be_asked(&fiber->carrier, look, &look->record.serving)};
    bool elsewhere = fiber->lease.state == LEASE_AWAY && fiber->carrier.alike;
    int64_t position = elsewhere ? look->position : runtime->context.events->position;
    if (view.serves)
        view.generation = &look->record.serving;
    else if (look->record.filling.name.number)
        view.generation = &look->record.filling;
    int64_t cursor = view.generation ? view.generation->cursor : 0;
    view.depth = view.generation && position > cursor ? position - cursor : 0;
    if (fiber->level_ns && (view.depth || !view.serves)) /* it has begun */
        view.age_ms = (world_monotonic_ns(runtime->world) - fiber->level_ns) / 1000000;
    view.state = fiber->carrier.alike && !runtime->alike.noted ? "waiting"
                 : fiber->stopped                              ? "stopped"
                 : fiber->failures                             ? "delayed"
                 : look->record.filling.name.number            ? "making anew"
                 : elsewhere                                   ? "carried by another instance"
                 : view.serves                                 ? "carrying"
                                                               : "beginning";
    return view;
}

/* ---- What operators ask for ---- */

struct carrying_fiber *carriers_find(const struct work_context *context, const char *name)
{
    struct carriers *carriers = carriers_of(context);
    for (int i = 0; carriers && i < carriers->count; i++) {
        if (strcmp(carriers->fibers[i].carrier.declared->name, name) == 0)
            return &carriers->fibers[i];
    }
    return NULL;
}

struct carrying_fiber *carriers_ask_for(struct runtime *runtime, const char *name,
                                        struct fh_error *error)
{
    struct carrying_fiber *fiber = carriers_find(&runtime->context, name);
    if (!fiber)
        error_set(error, FH_NOT_FOUND, "%s has no derived store of the name '%.64s' on a server.",
                  runtime->service->name, name);
    return fiber;
}

enum fh_code carriers_make_anew(struct runtime *runtime, const char *name, json_t **ret,
                                struct fh_error *error)
{
    struct carrying_fiber *fiber = carriers_ask_for(runtime, name, error);
    if (!fiber)
        return error->code;
    enum fh_code code = carrier_make_anew(&fiber->carrier, error);
    if (code != FH_OK)
        return code;
    *ret = json_pack("{s:s}", "name", name);
    carriers_hurry(fiber->carriers);
    return FH_OK;
}

/* ---- The service's state ---- */

static json_t *show_refused(const struct carried_generation *generation)
{
    json_t *list = json_array();
    for (int i = 0; generation && i < generation->parked_count; i++) {
        const struct carried_parked *parked = &generation->parked[i];
        json_array_append_new(list,
                              json_pack("{s:o, s:I, s:o}", "key", json_string_lossy(parked->key),
                                        "position", (json_int_t)parked->position, "reason",
                                        json_string_lossy(parked->reason)));
    }
    return list;
}

/* Of facts that its server alone has: where the outbox is held, what was given up, and what lost
 * lives of the owner have left there. */
static json_t *show_kept(const struct carrying_fiber *fiber)
{
    const struct carrier_look *look = &fiber->carrier.look;
    const struct carried_generation *serving = &look->record.serving;
    json_t *losses = json_array(), *formers = json_array();
    for (int i = 0; i < serving->kept.loss_count; i++) {
        const struct carried_loss *loss = &serving->kept.losses[i];
        json_array_append_new(losses,
                              json_pack("{s:I, s:I, s:I}", "after", (json_int_t)loss->after, "to",
                                        (json_int_t)loss->to, "at_ms", (json_int_t)loss->at_ms));
    }
    for (int i = 0; i < serving->kept.former_count; i++) {
        const struct carried_former *former = &serving->kept.formers[i];
        json_array_append_new(
            formers, json_pack("{s:s, s:I, s:I}", "incarnation", former->incarnation, "position",
                               (json_int_t)former->position, "facts", (json_int_t)former->facts));
    }
    json_t *kept = json_pack("{s:I, s:o, s:o}", "settled", (json_int_t)fiber->settled, "losses",
                             losses, "formers", formers);
    if (serving->lost)
        json_object_set_new(kept, "lost",
                            json_pack("{s:I, s:I}", "after", (json_int_t)serving->kept.whole, "to",
                                      (json_int_t)look->trimmed));
    return kept;
}

json_t *carriers_state(const struct runtime *runtime)
{
    const struct carriers *carriers = carriers_of(&runtime->context);
    json_t *list = carriers ? json_array() : NULL;
    for (int i = 0; carriers && i < carriers->count; i++) {
        const struct carrying_fiber *fiber = &carriers->fibers[i];
        const struct derived_view view = view_of(fiber);
        json_t *one = json_pack("{s:s, s:s, s:s, s:b, s:I, s:I, s:o}", "name", view.name, "server",
                                view.server, "state", view.state, "serves", view.serves, "depth",
                                (json_int_t)view.depth, "age_ms", (json_int_t)view.age_ms,
                                "refused", show_refused(view.generation));
        if (fiber->carrier.kept)
            json_object_set_new(one, "kept", show_kept(fiber));
        if (fiber->carrier.alike && !runtime->alike.noted)
            json_object_set_new(one, "reason",
                                json_string("Some running instances may declare it "
                                            "differently."));
        else if (*fiber->why)
            json_object_set_new(one, "reason", json_string_lossy(fiber->why));
        json_array_append_new(list, one);
    }
    return list;
}

/* ---- Metrics ---- */

enum derived_metric {
    DERIVED_SERVING,
    DERIVED_DEPTH,
    DERIVED_AGE,
    DERIVED_REFUSED,
    DERIVED_OPS,
    DERIVED_BEGUN,
    DERIVED_LOST,
    DERIVED_FACTS_LOST,
    DERIVED_FAILURES,
    DERIVED_METRICS
};

static void write_derived_value(struct text *text, const struct carrying_fiber *fiber,
                                enum derived_metric metric)
{
    const struct derived_view view = view_of(fiber);
    const struct carrier_counters *counters = &fiber->carrier.counters;
    const uint64_t values[DERIVED_METRICS] = {
        [DERIVED_SERVING] = view.serves,
        [DERIVED_DEPTH] = (uint64_t)view.depth,
        [DERIVED_REFUSED] = view.generation ? (uint64_t)view.generation->parked_count : 0,
        [DERIVED_OPS] = counters->ops,
        [DERIVED_BEGUN] = counters->begun,
        [DERIVED_LOST] = counters->lost,
        [DERIVED_FACTS_LOST] =
            fiber->carrier.look.record.serving.name.kept && fiber->carrier.look.record.serving.lost,
        [DERIVED_FAILURES] = fiber->failed,
    };
    if (metric == DERIVED_AGE)
        text_printf(text, "%.3f\n", (double)view.age_ms / 1000);
    else
        text_printf(text, "%" PRIu64 "\n", values[metric]);
}

void carriers_write_metrics(struct text *text, const struct runtime *runtime)
{
    static const struct {
        const char *name, *kind, *help;
    } metrics[DERIVED_METRICS] = {
        [DERIVED_SERVING] = {"freehold_derived_serving", "gauge",
                             "1: the derived store on a server can be asked."},
        [DERIVED_DEPTH] = {"freehold_derived_depth", "gauge", "Events not carried to it."},
        [DERIVED_AGE] = {"freehold_derived_age_seconds", "gauge",
                         "For how long it has not been level with the service's store."},
        [DERIVED_REFUSED] = {"freehold_derived_refused_keys", "gauge",
                             "Keys whose values its server refuses."},
        [DERIVED_OPS] = {"freehold_derived_carried_total", "counter", "Values carried to it."},
        [DERIVED_BEGUN] = {"freehold_derived_anew_total", "counter", "Times it was made anew."},
        [DERIVED_LOST] = {"freehold_derived_lost_total", "counter",
                          "Times that its server had lost something of it, or had some that the "
                          "service's store had lost."},
        [DERIVED_FACTS_LOST] = {"freehold_derived_facts_lost", "gauge",
                                "1: its server has lost facts that nobody else has."},
        [DERIVED_FAILURES] = {"freehold_derived_failures_total", "counter",
                              "Attempts to carry that failed."},
    };
    const struct carriers *carriers = carriers_of(&runtime->context);
    for (int m = 0; carriers && m < DERIVED_METRICS; m++) {
        text_printf(text, "# HELP %s %s\n# TYPE %s %s\n", metrics[m].name, metrics[m].help,
                    metrics[m].name, metrics[m].kind);
        for (int i = 0; i < carriers->count; i++) {
            text_printf(text, "%s{derived=\"%s\"} ", metrics[m].name,
                        carriers->fibers[i].carrier.declared->name);
            write_derived_value(text, &carriers->fibers[i], (enum derived_metric)m);
        }
    }
}
