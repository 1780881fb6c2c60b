/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIMER_ZONE_RULE_H
#define TIMER_ZONE_RULE_H

/* The rule at the end of a zone's file: when summer time begins and ends in each year to come, in
 * the form of POSIX' TZ with RFC 9636's extension (hours from -167 to 167). */

#include <stdbool.h>
#include <stdint.h>

enum zone_rule_form { ZONE_RULE_JULIAN, ZONE_RULE_DAY, ZONE_RULE_WEEKDAY };

struct zone_change {
    enum zone_rule_form form;
    int month, week, day; /* JULIAN: 1 to 365, without 29 February; DAY: 0 to 365; or a weekday */
    int64_t time_s;       /* local, of that day */
};

struct zone_rule {
    int64_t standard_s, summer_s; /* offsets: local minus UTC */
    bool changes;                 /* it has summer time */
    struct zone_change begins, ends;
};

bool zone_rule_parse(const char *text, struct zone_rule *ret);
int64_t zone_rule_offset(const struct zone_rule *rule, int64_t utc_s);

#endif
