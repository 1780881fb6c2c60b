/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WORK_METERS_H
#define WORK_METERS_H

/*
 * What handlers count and measure (fh_count, fh_observe), for /metrics. A unit of work notes it on
 * its run's arena; it is added when the unit of work has ended for good, committed or refused. So
 * what was rolled back and run again counts once, and what failed counts nothing.
 *
 * Memory is bounded: metrics are declared, and of one's label values METER_SERIES_MAX are kept
 * apart; all others are one series, whose labels have the value METER_OTHERS.
 */

#include "base/text.h"
#include "work/work.h"

#define METERS_MAX 32
#define METER_SERIES_MAX 100
#define METER_LABELS_MAX 4
#define METER_NAME_LENGTH_MAX 48
#define METER_LABEL_LENGTH_MAX 64
#define METER_BUCKETS_MAX 12
#define METER_OTHERS "(others)"

struct meters;
/* FH_INVALID: a metric is declared wrongly; says which and why. */
enum fh_code meters_new(const fh_service *service, struct meters **ret, struct fh_error *error);
void meters_free(struct meters *meters);
/* Adds what this unit of work has noted, once. */
void meters_add_noted(fh_work *w);
/* In Prometheus' text format. */
void meters_write(const struct meters *meters, struct text *text);

#endif
