/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_METRICS_H
#define GATEWAY_METRICS_H

/* What the gateway counts, as Prometheus' text: requests and durations by service and status class.
 */

#include <stdint.h>

#include "base/map.h"
#include "base/text.h"

struct metrics {
    struct map services; /* struct metrics_service by name; "gateway": composed and refused ones */
};

void metrics_init(struct metrics *metrics);
void metrics_release(struct metrics *metrics);
void metrics_request(struct metrics *metrics, const char *service, int status, int64_t duration_ns);
/* `upstreams`: struct upstream by name. */
void metrics_text(const struct metrics *metrics, const struct map *upstreams, unsigned in_flight,
                  struct text *text);

#endif
