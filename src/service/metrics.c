/* SPDX-License-Identifier: Apache-2.0 */
/* /metrics in Prometheus' text format, version 0.0.4. */

#include <inttypes.h>

#include "base/json.h"
#include "base/text.h"
#include "call/get.h"
#include "event/manager.h"
#include "event/relay/relay.h"
#include "event/source/bus.h"
#include "saga/run.h"
#include "service/audience.h"
#include "service/carriers.h"
#include "service/clocks.h"
#include "service/runtime.h"
#include "store/replica.h"
#include "timer/timer.h"
#include "work/meters.h"
#include "work/retention.h"

#define METRICS_SIZE_MAX ((size_t)4 << 20)

static const double buckets[RUNTIME_BUCKETS] = {0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10};

void metrics_count(struct runtime_route *route, int status, double seconds)
{
    int leading = status / 100;
    if (leading >= 1 && leading <= 5)
        route->by_class[leading]++;
    for (int i = 0; i < RUNTIME_BUCKETS; i++) {
        if (seconds <= buckets[i]) {
            route->by_duration[i]++;
            break;
        }
    }
    route->seconds += seconds;
}

static void write_requests(struct text *text, const struct runtime *runtime)
{
    text_add(text, "# HELP freehold_requests_total Requests answered, by route and class of "
                   "status.\n# TYPE freehold_requests_total counter\n");
    for (int i = 0; i < runtime->route_count; i++) {
        const struct runtime_route *route = &runtime->routes[i];
        for (int leading = 1; leading <= 5; leading++) {
            if (route->by_class[leading])
                text_printf(text,
                            "freehold_requests_total{method=\"%s\",route=\"%s\",status=\"%dxx\"} "
                            "%" PRIu64 "\n",
                            route->route->method, route->route->path, leading,
                            route->by_class[leading]);
        }
    }
}

static void write_durations(struct text *text, const struct runtime *runtime)
{
    text_add(text, "# HELP freehold_request_seconds From a request's arrival to its answer.\n"
                   "# TYPE freehold_request_seconds histogram\n");
    for (int i = 0; i < runtime->route_count; i++) {
        const struct runtime_route *route = &runtime->routes[i];
        uint64_t count = 0, below = 0;
        for (int leading = 1; leading <= 5; leading++)
            count += route->by_class[leading];
        if (!count)
            continue;
        for (int b = 0; b < RUNTIME_BUCKETS; b++) {
            below += route->by_duration[b];
            text_printf(text,
                        "freehold_request_seconds_bucket{method=\"%s\",route=\"%s\",le=\"%g\"} "
                        "%" PRIu64 "\n",
                        route->route->method, route->route->path, buckets[b], below);
        }
        text_printf(text,
                    "freehold_request_seconds_bucket{method=\"%s\",route=\"%s\",le=\"+Inf\"} "
                    "%" PRIu64 "\nfreehold_request_seconds_sum{method=\"%s\",route=\"%s\"} %.6f\n"
                    "freehold_request_seconds_count{method=\"%s\",route=\"%s\"} %" PRIu64 "\n",
                    route->route->method, route->route->path, count, route->route->method,
                    route->route->path, route->seconds, route->route->method, route->route->path,
                    count);
    }
}

static void write_metric(struct text *text, const char *name, const char *kind, const char *help,
                         uint64_t value)
{
    text_printf(text, "# HELP %s %s\n# TYPE %s %s\n%s %" PRIu64 "\n", name, help, name, kind, name,
                value);
}

static void write_works(struct text *text, const struct runtime *runtime)
{
    const struct work_counters *works = &runtime->context.counters;
    write_metric(text, "freehold_works_committed_total", "counter",
                 "Units of work that are durable.", works->committed);
    write_metric(text, "freehold_works_refused_total", "counter", "Refusals recorded.",
                 works->refused);
    write_metric(text, "freehold_works_failed_total", "counter", "Units of work that failed.",
                 works->failed);
    write_metric(text, "freehold_works_rerun_total", "counter",
                 "Units of work run again after a conflict or a broken commit group.",
                 works->reruns);
    struct store_replicas_view replicas = {0};
    if (runtime->context.store)
        store_replicas_view(runtime->context.store, &replicas);
    if (replicas.count == 0)
        return;
    write_metric(text, "freehold_replica_reads_total", "counter",
                 "Reads that went to a replica of the store.", replicas.reads);
    write_metric(text, "freehold_replicas_fresh", "gauge", "Replicas that may be read now.",
                 (uint64_t)replicas.fresh);
    write_metric(text, "freehold_primary_gone", "gauge",
                 "1: the store's own server does not answer.", replicas.primary_gone);
}

/* The process and what it stands on. */
static void write_health(struct text *text, const struct runtime *runtime)
{
    const struct trouble *troubles = runtime->context.troubles;
    text_printf(text,
                "# HELP freehold_start_time_seconds When the process began, since 1970.\n"
                "# TYPE freehold_start_time_seconds gauge\nfreehold_start_time_seconds %.3f\n",
                (double)runtime->began_ms / 1000);
    text_printf(text,
                "# HELP freehold_store_failing 1: the store does not serve, lately.\n"
                "# TYPE freehold_store_failing gauge\n"
                "freehold_store_failing{kind=\"reads\"} %d\n"
                "freehold_store_failing{kind=\"writes\"} %d\n",
                troubles[TROUBLE_READS].failures > 0, troubles[TROUBLE_WRITES].failures > 0);
    if (!runtime->clocks)
        return;
    json_t *clocks = clocks_show(runtime->clocks);
    write_metric(text, "freehold_clocks_apart", "gauge", "Clocks that differ from this process's.",
                 json_array_size(json_object_get(clocks, "apart")));
    json_decref(clocks);
}

/* Of the instance that trims: what others looked at once is no more so. */
static void write_outbox(struct text *text, const struct runtime *runtime)
{
    const struct event_manager *manager = runtime->context.events;
    const struct event_trimmed *trimmed = &manager->trimmed;
    bool ours = runtime->expiry.state == LEASE_OURS;
    write_metric(text, "freehold_subscribers_expired", "gauge",
                 "Subscribers, or partitions of them, that lag behind the events that are kept.",
                 ours ? (uint64_t)trimmed->expired : 0);
    if (!ours || !trimmed->subscribers)
        return;
    write_metric(text, "freehold_outside_kept_seconds", "gauge",
                 "For how long events are held in the outbox for readers outside.",
                 (uint64_t)trimmed->outside_kept_ms / 1000);
    write_metric(text, "freehold_outside_cut_total", "counter",
                 "Events removed before that, since there were too many.",
                 (uint64_t)trimmed->outside_cut);
    int64_t last = manager->position > trimmed->last ? manager->position : trimmed->last;
    write_metric(text, "freehold_outbox_events", "gauge", "Events in the outbox.",
                 last > trimmed->position ? (uint64_t)(last - trimmed->position) : 0);
    write_metric(text, "freehold_outbox_events_max", "gauge",
                 "With more than these the slowest subscriber expires.",
                 (uint64_t)retention_of(runtime->config).events_max);
}

/* For a subscription that this instance applies; the others report theirs. */
static void write_source(struct text *text, const char *name, const json_t *subscription)
{
    const char *partition = json_string_at(subscription, "share");
    text_printf(text, "%s{source=\"%s\"", name, json_string_at(subscription, "source"));
    if (partition && strcmp(partition, "0/1") != 0)
        text_printf(text, ",share=\"%s\"", partition);
    text_add(text, "} ");
}

static void write_parked(struct text *text, const json_t *own, const char *name, const char *help,
                         const char *field)
{
    size_t i;
    json_t *subscription;
    text_printf(text, "# HELP %s %s\n# TYPE %s gauge\n", name, help, name);
    json_array_foreach (own, i, subscription) {
        write_source(text, name, subscription);
        text_printf(
            text, "%" JSON_INTEGER_FORMAT "\n",
            json_integer_value(json_object_get(json_object_get(subscription, "parked"), field)));
    }
}

/* For subscriptions that compare what they hold with their publisher's state. */
static void write_sync(struct text *text, const json_t *own)
{
    static const struct {
        const char *name, *help, *member;
    } metrics[] = {
        {"freehold_sync_checked_total", "Keys compared with their publishers.", "checked"},
        {"freehold_sync_differed_total", "Keys that differed, and were mended.", "differed"},
        {"freehold_sync_unmended_total", "Keys that differ still.", "unmended"},
    };
    size_t i;
    json_t *subscription;
    for (size_t m = 0; m < sizeof metrics / sizeof *metrics; m++) {
        bool any = false;
        json_array_foreach (own, i, subscription) {
            const json_t *sync = json_object_get(subscription, "sync");
            if (!sync)
                continue;
            if (!any)
                text_printf(text, "# HELP %s %s\n# TYPE %s counter\n", metrics[m].name,
                            metrics[m].help, metrics[m].name);
            any = true;
            write_source(text, metrics[m].name, subscription);
            text_printf(text, "%" JSON_INTEGER_FORMAT "\n",
                        json_integer_value(json_object_get(sync, metrics[m].member)));
        }
    }
}

/* For a service with a bus; the instance that has the relay. */
static void write_relay(struct text *text, const struct event_manager *manager)
{
    struct relay_view view;
    relay_view(manager, &view);
    if (view.ours) {
        write_metric(text, "freehold_relay_connected", "gauge", "1: events go out to the bus.",
                     view.connected);
        write_metric(text, "freehold_relay_depth", "gauge", "Events not relayed to the bus.",
                     (uint64_t)view.depth);
        text_printf(text,
                    "# HELP freehold_relay_age_seconds Age of the oldest event not relayed.\n"
                    "# TYPE freehold_relay_age_seconds gauge\nfreehold_relay_age_seconds %.3f\n",
                    (double)view.age_ms / 1000);
        write_metric(text, "freehold_relay_outside_kept_seconds", "gauge",
                     "For how long the bus holds events for readers outside.",
                     (uint64_t)view.outside_kept_s);
        write_metric(text, "freehold_relay_outside_overflows", "gauge",
                     "1: more is relayed within that time than the bus has room for.",
                     view.outside_overflows);
        write_metric(text, "freehold_relay_published_total", "counter",
                     "Events that the bus has acknowledged.", view.published);
        write_metric(text, "freehold_relay_failures_total", "counter",
                     "Attempts to relay that failed.", view.failures);
    }
    if (!manager->carriers)
        return;
    write_metric(text, "freehold_events_carried_total", "counter",
                 "Events of others that came by a bus.", manager->counters.carried);
    write_metric(text, "freehold_events_fed_total", "counter",
                 "Events of publishers with a bus that came from their feeds.",
                 manager->counters.fed);
}

/* Messages of sources outside; the instance that reads them. */
static void write_sources(struct text *text, const struct event_manager *manager)
{
    static const struct {
        const char *name, *help, *member;
    } metrics[] = {
        {"freehold_source_messages_total", "Messages read from sources outside.", "taken"},
        {"freehold_source_unreadable_total", "Of these, messages that became no event: parked.",
         "unreadable"},
        {"freehold_source_lost_total", "Messages removed by the broker before they were read.",
         "lost"},
    };
    json_t *sources = sources_state(manager), *source;
    size_t i;
    for (size_t m = 0; m < sizeof metrics / sizeof *metrics && json_array_size(sources); m++) {
        text_printf(text, "# HELP %s %s\n# TYPE %s counter\n", metrics[m].name, metrics[m].help,
                    metrics[m].name);
        json_array_foreach (sources, i, source)
            text_printf(text, "%s{source=\"%s\"} %" JSON_INTEGER_FORMAT "\n", metrics[m].name,
                        json_string_at(source, "source"),
                        json_integer_value(json_object_get(source, metrics[m].member)));
    }
    json_decref(sources);
}

static void write_event_metrics(struct text *text, const struct runtime *runtime)
{
    const struct event_manager *manager = runtime->context.events;
    write_metric(text, "freehold_events_published_total", "counter", "Events committed here.",
                 manager->counters.published);
    write_metric(text, "freehold_events_applied_total", "counter", "Events of others applied.",
                 manager->counters.applied);
    write_metric(text, "freehold_events_parked_total", "counter",
                 "Parked events of other services, those after a failed one included.",
                 manager->counters.parked);
    write_metric(text, "freehold_events_retried_total", "counter",
                 "Parked events applied after all.", manager->counters.retried);
    write_metric(text, "freehold_events_trimmed_total", "counter",
                 "Events removed from the outbox because nobody needs them.",
                 (uint64_t)manager->trimmed.removed);
    write_outbox(text, runtime);
    json_t *own = event_manager_own(manager), *subscription;
    size_t i;
    text_add(text, "# HELP freehold_subscription_lag_seconds Age of the oldest event not applied."
                   "\n# TYPE freehold_subscription_lag_seconds gauge\n");
    json_array_foreach (own, i, subscription) {
        json_int_t lag_ms = 0;
        json_integer_at(subscription, "lag_ms", &lag_ms);
        write_source(text, "freehold_subscription_lag_seconds", subscription);
        text_printf(text, "%.3f\n", (double)lag_ms / 1000);
    }
    text_add(text, "# HELP freehold_subscription_depth Events known and not applied.\n"
                   "# TYPE freehold_subscription_depth gauge\n");
    json_array_foreach (own, i, subscription) {
        json_int_t depth = 0;
        json_integer_at(subscription, "depth", &depth);
        write_source(text, "freehold_subscription_depth", subscription);
        text_printf(text, "%" JSON_INTEGER_FORMAT "\n", depth);
    }
    write_relay(text, manager);
    write_sources(text, manager);
    write_parked(text, own, "freehold_parked_keys", "Keys whose events are parked.", "keys");
    write_parked(text, own, "freehold_parked_events", "Events parked.", "events");
    write_sync(text, own);
    json_decref(own);
}

static uint64_t read_call_count(const struct call_target *target)
{
    return target->counters.calls;
}

static uint64_t read_call_retries(const struct call_target *target)
{
    return target->counters.retries;
}

static uint64_t read_failures(const struct call_target *target)
{
    return target->counters.failures;
}

static uint64_t read_call_breaker(const struct call_target *target)
{
    return (uint64_t)target->breaker.state;
}

static uint64_t read_call_refused(const struct call_target *target)
{
    return target->breaker.refused;
}

static uint64_t read_call_unaffordable(const struct call_target *target)
{
    return target->breaker.unaffordable;
}

static void write_calls(struct text *text, const struct runtime *runtime)
{
    static const struct {
        const char *name, *kind, *help;
        uint64_t (*read)(const struct call_target *target);
    } all[] = {
        {"freehold_calls_total", "counter", "Calls to a service.", read_call_count},
        {"freehold_call_retries_total", "counter", "Calls tried again.", read_call_retries},
        {"freehold_call_failures_total", "counter", "Calls that failed after all.", read_failures},
        {"freehold_call_breaker", "gauge",
         "0: calls pass; 1: one probe is under way; 2: calls are refused at once.",
         read_call_breaker},
        {"freehold_call_breaker_refused_total", "counter", "Calls refused at once.",
         read_call_refused},
        {"freehold_call_retries_refused_total", "counter", "Retries that were beyond the budget.",
         read_call_unaffordable}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct map_entry *entry = NULL;
        const char *service;
        void *target;
        text_printf(text, "# HELP %s %s\n# TYPE %s %s\n", all[i].name, all[i].help, all[i].name,
                    all[i].kind);
        while (map_next(&runtime->context.calls->targets, &entry, &service, &target))
            text_printf(text, "%s{service=\"%s\"} %" PRIu64 "\n", all[i].name, service,
                        all[i].read(target));
    }
}

static void write_sagas(struct text *text, const struct runtime *runtime)
{
    struct ledger_counts counts;
    saga_counts_read(runtime->context.sagas, &counts);
    const struct {
        const char *status;
        int64_t count;
    } rows[] = {{"running", counts.running}, {"compensating", counts.compensating},
                {"ended", counts.ended},     {"undone", counts.undone},
                {"parked", counts.parked},   {"abandoned", counts.abandoned}};
    text_add(text, "# HELP freehold_sagas Sagas in the store, by where they stand.\n"
                   "# TYPE freehold_sagas gauge\n");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        text_printf(text, "freehold_sagas{status=\"%s\"} %" PRId64 "\n", rows[i].status,
                    rows[i].count);
}

static void write_timers(struct text *text, const struct runtime *runtime)
{
    struct timer_counters counters = timer_counters(runtime->context.timers);
    json_t *state = timers_state(runtime->context.timers);
    if (!state)
        return;
    write_metric(text, "freehold_timers_pending", "gauge",
                 "Timers set and not fired, counted up to 10000.",
                 (uint64_t)json_integer_value(json_object_get(state, "pending")));
    write_metric(text, "freehold_timers_parked", "gauge", "Timers that failed and wait.",
                 (uint64_t)json_integer_value(json_object_get(state, "parked")));
    text_printf(text,
                "# HELP freehold_timer_lateness_seconds How late the oldest timer is.\n"
                "# TYPE freehold_timer_lateness_seconds gauge\n"
                "freehold_timer_lateness_seconds %.3f\n",
                (double)json_integer_value(json_object_get(state, "late_ms")) / 1000);
    json_decref(state);
    write_metric(text, "freehold_timers_fired_total", "counter", "Timers and schedules run.",
                 counters.fired);
    write_metric(text, "freehold_timer_failures_total", "counter", "Failed attempts at that.",
                 counters.failures);
    write_metric(text, "freehold_schedule_runs_missed_total", "counter",
                 "Runs of schedules left out because the service was down.", counters.missed);
}

static void write_lanes(struct text *text, const struct runtime *runtime, const char *name,
                        const char *kind, const char *help, double (*read)(const struct turns *))
{
    text_printf(text, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind);
    for (int lane = 0; lane < ADMISSION_LANES; lane++)
        text_printf(text, "%s{lane=\"%s\"} %.15g\n", name,
                    admission_lane_name((enum admission_lane)lane),
                    read(&runtime->admission.lanes[lane].overload.turns));
}

static double lane_shed(const struct turns *turns)
{
    return (double)turns->shed;
}

static double lane_waiting(const struct turns *turns)
{
    return turns->waiting;
}

static double lane_waited(const struct turns *turns)
{
    return (double)turns->taken;
}

static double lane_waited_s(const struct turns *turns)
{
    return (double)turns->waited_ns / 1e9;
}

static void write_admission(struct text *text, const struct runtime *runtime)
{
    write_lanes(text, runtime, "freehold_requests_shed_total", "counter",
                "Requests shed, since others of their caller had waited long.", lane_shed);
    write_lanes(text, runtime, "freehold_requests_waiting", "gauge",
                "Requests that wait for their turn.", lane_waiting);
    write_lanes(text, runtime, "freehold_requests_waited_total", "counter",
                "Requests that had to wait before they began.", lane_waited);
    write_lanes(text, runtime, "freehold_requests_waited_seconds_total", "counter",
                "How long these waited, in all.", lane_waited_s);
}

char *metrics_text(struct runtime *runtime)
{
    struct text text;
    unsigned requests = runtime->exchanges, connections = 0;
    text_init(&text, METRICS_SIZE_MAX);
    write_requests(&text, runtime);
    write_durations(&text, runtime);
    write_admission(&text, runtime);
    write_health(&text, runtime);
    write_works(&text, runtime);
    write_event_metrics(&text, runtime);
    write_calls(&text, runtime);
    write_sagas(&text, runtime);
    write_timers(&text, runtime);
    carriers_write_metrics(&text, runtime);
    meters_write(runtime->context.meters, &text);
    if (runtime->server)
        http_server_load(runtime->server, &requests, &connections);
    write_metric(&text, "freehold_callers_refused_total", "counter",
                 "Requests without a good token, or for a route not granted.",
                 audience_refused(runtime->audience));
    write_metric(&text, "freehold_requests_in_flight", "gauge", "Requests being answered.",
                 requests);
    write_metric(&text, "freehold_requests_undecided", "gauge",
                 "Requests answered 503 whose commit is not decided.", runtime->requests.answered);
    write_metric(&text, "freehold_connections", "gauge", "Connections open.", connections);
    write_metric(&text, "freehold_fibers", "gauge", "Fibers alive.",
                 fibers_alive(runtime->world->fibers));
    return text_take(&text);
}
