/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_METRICS_H
#define GATEWAY_METRICS_H

/* The gateway's counters as Prometheus text: requests and durations by service and status class. */

#include <stdint.h>

#include "base/map.h"
#include "base/text.h"
#include "work/request_log.h"
#include "work/work.h"

struct gateway_metrics {
    struct map services; /* struct service_metrics by name; "gateway": composed and refused ones */
    uint64_t shed;       /* requests, since it was not their clients' turn */
    struct request_log request_log;
    struct fault_lines fault_lines; /* in the log, about its own answers of 500 and more */
};

void gateway_metrics_init(struct gateway_metrics *metrics);
void gateway_metrics_release(struct gateway_metrics *metrics);
void gateway_metrics_request(struct gateway_metrics *metrics, const char *service, int status,
                             int64_t duration_ns);
/* `upstreams`: struct upstream by name. */
void gateway_metrics_text(const struct gateway_metrics *metrics, const struct map *upstreams,
                          unsigned in_flight, struct text *text);

#endif
