/* SPDX-License-Identifier: Apache-2.0 */
/* Counters that only grow, per service; a scrape reads them on the loop, between requests. */

#include "gateway/metrics.h"

#include <stdlib.h>

#include "base/error.h"
#include "gateway/upstream.h"

#define CLASSES 5 /* 1xx .. 5xx */

static const struct {
    int64_t below_ns;
    const char *seconds;
} buckets[] = {{1000000, "0.001"},  {2500000, "0.0025"}, {5000000, "0.005"},  {10000000, "0.01"},
               {25000000, "0.025"}, {50000000, "0.05"},  {100000000, "0.1"},  {250000000, "0.25"},
               {500000000, "0.5"},  {1000000000, "1"},   {2500000000, "2.5"}, {5000000000, "5"},
               {10000000000, "10"}};
#define BUCKETS (sizeof buckets / sizeof *buckets)

struct service_metrics {
    uint64_t requests[CLASSES];
    uint64_t durations[BUCKETS + 1]; /* per bucket, not cumulative */
    int64_t duration_ns;
};

void gateway_metrics_init(struct gateway_metrics *metrics)
{
    map_init(&metrics->services);
}

void gateway_metrics_release(struct gateway_metrics *metrics)
{
    struct map_entry *entry = NULL;
    const char *name;
    void *service;
    while (map_next(&metrics->services, &entry, &name, &service))
        free(service);
    map_release(&metrics->services);
}

void gateway_metrics_request(struct gateway_metrics *metrics, const char *service, int status,
                             int64_t duration_ns)
{
    struct service_metrics *counted = map_get(&metrics->services, service);
    if (!counted) {
        counted = calloc(1, sizeof *counted);
        FH_ASSERT(counted != NULL);
        map_put(&metrics->services, service, counted);
    }
    int group = status / 100 - 1;
    if (group >= 0 && group < CLASSES)
        counted->requests[group]++;
    size_t bucket = 0;
    while (bucket < BUCKETS && duration_ns > buckets[bucket].below_ns)
        bucket++;
    counted->durations[bucket]++;
    counted->duration_ns += duration_ns;
}

static void requests_text(const struct gateway_metrics *metrics, struct text *text)
{
    struct map_entry *entry = NULL;
    const char *name;
    void *value;
    text_add(text,
             "# HELP freehold_gateway_requests_total Requests answered, by service and status.\n"
             "# TYPE freehold_gateway_requests_total counter\n");
    while (map_next(&metrics->services, &entry, &name, &value)) {
        const struct service_metrics *service = value;
        for (int group = 0; group < CLASSES; group++)
            if (service->requests[group])
                text_printf(
                    text, "freehold_gateway_requests_total{service=\"%s\",status=\"%dxx\"} %llu\n",
                    name, group + 1, (unsigned long long)service->requests[group]);
    }
}

static void durations_text(const struct gateway_metrics *metrics, struct text *text)
{
    struct map_entry *entry = NULL;
    const char *name;
    void *value;
    text_add(text, "# HELP freehold_gateway_request_duration_seconds From request to answer.\n"
                   "# TYPE freehold_gateway_request_duration_seconds histogram\n");
    while (map_next(&metrics->services, &entry, &name, &value)) {
        const struct service_metrics *service = value;
        uint64_t sum = 0;
        for (size_t i = 0; i <= BUCKETS; i++) {
            sum += service->durations[i];
            text_printf(
                text,
                "freehold_gateway_request_duration_seconds_bucket{service=\"%s\",le=\"%s\"} "
                "%llu\n",
                name, i < BUCKETS ? buckets[i].seconds : "+Inf", (unsigned long long)sum);
        }
        text_printf(text,
                    "freehold_gateway_request_duration_seconds_sum{service=\"%s\"} %.6f\n"
                    "freehold_gateway_request_duration_seconds_count{service=\"%s\"} %llu\n",
                    name, (double)service->duration_ns / 1e9, name, (unsigned long long)sum);
    }
}

static void upstream_text(const struct map *upstreams, const char *metric, const char *kind,
                          const char *help, uint64_t (*read)(const struct upstream *),
                          struct text *text)
{
    struct map_entry *entry = NULL;
    const char *name;
    void *upstream;
    text_printf(text, "# HELP %s %s\n# TYPE %s %s\n", metric, help, metric, kind);
    while (map_next(upstreams, &entry, &name, &upstream))
        text_printf(text, "%s{service=\"%s\"} %llu\n", metric, name,
                    (unsigned long long)read(upstream));
}

static uint64_t read_in_flight(const struct upstream *upstream)
{
    return (uint64_t)upstream->line.in_flight;
}

static uint64_t read_waiting(const struct upstream *upstream)
{
    return (uint64_t)upstream->line.overload.turns.waiting;
}

static uint64_t read_upstream_calls(const struct upstream *upstream)
{
    return upstream->calls;
}

static uint64_t read_upstream_retries(const struct upstream *upstream)
{
    return upstream->retries;
}

static uint64_t read_failed(const struct upstream *upstream)
{
    return upstream->failed + upstream->refused;
}

static uint64_t read_upstream_breaker(const struct upstream *upstream)
{
    return (uint64_t)upstream->breaker.state;
}

static uint64_t read_opened(const struct upstream *upstream)
{
    return upstream->breaker.opened;
}

static uint64_t read_upstream_refused(const struct upstream *upstream)
{
    return upstream->breaker.refused;
}

static uint64_t read_upstream_unaffordable(const struct upstream *upstream)
{
    return upstream->breaker.unaffordable;
}

void gateway_metrics_text(const struct gateway_metrics *metrics, const struct map *upstreams,
                          unsigned in_flight, struct text *text)
{
    requests_text(metrics, text);
    durations_text(metrics, text);
    text_printf(text,
                "# HELP freehold_gateway_requests_in_flight Requests taken, not yet answered.\n"
                "# TYPE freehold_gateway_requests_in_flight gauge\n"
                "freehold_gateway_requests_in_flight %u\n",
                in_flight);
    text_printf(text,
                "# HELP freehold_gateway_requests_shed_total Requests refused because more came "
                "than could be done; in no other metric.\n"
                "# TYPE freehold_gateway_requests_shed_total counter\n"
                "freehold_gateway_requests_shed_total %llu\n",
                (unsigned long long)metrics->shed);
    upstream_text(upstreams, "freehold_gateway_calls_in_flight", "gauge",
                  "Calls to a service under way.", read_in_flight, text);
    upstream_text(upstreams, "freehold_gateway_calls_waiting", "gauge",
                  "Calls that wait for their turn.", read_waiting, text);
    upstream_text(upstreams, "freehold_gateway_calls_total", "counter", "Calls sent to a service.",
                  read_upstream_calls, text);
    upstream_text(upstreams, "freehold_gateway_retries_total", "counter",
                  "Calls sent again after a connection failed.", read_upstream_retries, text);
    upstream_text(upstreams, "freehold_gateway_call_failures_total", "counter",
                  "Calls that got no answer.", read_failed, text);
    upstream_text(upstreams, "freehold_gateway_breaker", "gauge",
                  "0: calls pass; 1: one probe is under way; 2: calls are refused at once.",
                  read_upstream_breaker, text);
    upstream_text(upstreams, "freehold_gateway_breaker_opened_total", "counter",
                  "Times that a service was found not to answer.", read_opened, text);
    upstream_text(upstreams, "freehold_gateway_breaker_refused_total", "counter",
                  "Calls refused at once because of that.", read_upstream_refused, text);
    upstream_text(upstreams, "freehold_gateway_retries_refused_total", "counter",
                  "Retries that were beyond the budget.", read_upstream_unaffordable, text);
}
