/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIMER_ZONE_H
#define TIMER_ZONE_H

/*
 * Time zones, by their names in the tz database ("Europe/Berlin"): what a place's clocks show at a
 * moment, and when they show something. Read from the files of the package tzdata (RFC 9636) before
 * the process confines itself, then kept unchanged: neither TZ nor the C library's local time has
 * any part in it. Seconds are since 1970; local seconds are what UTC would have to be for its clock
 * to show the same.
 */

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define ZONE_FOLDER "/usr/share/zoneinfo"
#define ZONE_NAME_LENGTH_MAX 64
#define ZONE_FILE_SIZE_MAX ((size_t)256 << 10)

struct zone;

/* The zone of that name; NULL or "UTC": UTC. Read once; kept as long as the process. FH_INVALID: it
 * is no name, there is no such zone, or its file can't be read; says what to do. */
enum fh_code zone_find(const char *name, const struct zone **ret, struct fh_error *error);
/* From a file's bytes. malloc'ed: zone_free. FH_INVALID: they are no zone. */
enum fh_code zone_parse(const unsigned char *data, size_t length, struct zone **ret,
                        struct fh_error *error);
void zone_free(struct zone *zone);

/* Local seconds minus UTC, at a moment. */
int64_t zone_offset(const struct zone *zone, int64_t utc_s);
/* When the local clocks show this: the first time if they show it twice; if they skip it, the
 * moment at which they do. */
int64_t zone_utc(const struct zone *zone, int64_t local_s);

#endif
