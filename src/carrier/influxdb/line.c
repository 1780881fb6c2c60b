/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is kept, a point each. The server knows points by their measurement, tags and time in
 * nanoseconds, and of two of these the one that was written last stands. So what must not replace
 * each other differs in one of them:
 *
 *     an op           STORE-INCARNATION-NUMBER,TAGS,fh_era=ERA VALUES,fh_p=POSITIONi AT
 *                     AT is at_ms, and below the millisecond the last six digits of the position,
 *                     of which the others are ERA: so no op is in the place of another, whatever
 *                     both are about, and one that comes again in its own. Which of those of the
 *                     same tags and millisecond stands is found out when it is read: that of the
 *                     highest position
 *     a link's part   STORE-INCARNATION-NUMBER-links,fh_era=ERA fh_from=Ai,fh_to=Bi,fh_parts=Ni AT
 *                     in the day of the ops that it is of; below the day AT is the last digits of
 *                     `to`, of which the others are ERA, and how far `from` is before it
 *
 * The server writes the points of a request that are in one of its shards (whole days) as one entry
 * of a log, and those of several shards side by side. So a part is there if, and only if, the
 * page's ops of its day are, and a link is there once all of its parts are.
 */

#include <stdio.h>

#include "base/json.h"
#include "carrier/influxdb/internal.h"

int64_t influxdb_version_ns(int64_t at_ms, int64_t position, int64_t *ret_era)
{
    FH_ASSERT(at_ms >= INFLUXDB_AT_MS_MIN && at_ms < INFLUXDB_AT_MS_MAX && position >= 0);
    *ret_era = position / INFLUXDB_MS;
    return at_ms * INFLUXDB_MS + position % INFLUXDB_MS;
}

int64_t influxdb_link_ns(const struct carried_link *link, int64_t day_ms, int64_t *ret_era)
{
    int64_t span = link->to - link->from;
    FH_ASSERT(span >= 1 && span <= CARRIED_SPAN_MAX && link->from >= 0);
    _Static_assert(INFLUXDB_LINK_ERA * CARRIED_SPAN_MAX < INFLUXDB_DAY_MS * INFLUXDB_MS,
                   "an era's links have places in a day");
    *ret_era = link->to / INFLUXDB_LINK_ERA;
    return day_ms * INFLUXDB_MS + link->to % INFLUXDB_LINK_ERA * CARRIED_SPAN_MAX + span - 1;
}

static void add_line_name(struct text *body, const char *before, const char *name)
{
    text_add(body, before);
    influxdb_add_key(body, name, strlen(name));
    text_add(body, "=");
}

static void add_line_tags(struct text *body, const struct fh_derived *declared, const json_t *value)
{
    for (const struct fh_derived_field *field = declared->fields; field->name; field++) {
        char name[INFLUXDB_FIELD_SIZE], word[INFLUXDB_WORD_SIZE];
        struct sql_value tag;
        if (!series_is_tag(field))
            continue;
        influxdb_field_name(field, name);
        series_tag_value(field, json_object_get(value, field->name), &tag);
        influxdb_write_word(&tag, field->type, word);
        add_line_name(body, ",", name);
        influxdb_add_key(body, word, strlen(word));
    }
}

static void add_line_values(struct text *body, const struct fh_derived *declared,
                            const json_t *value)
{
    for (const struct fh_derived_field *field = declared->fields; field->name; field++) {
        char name[INFLUXDB_FIELD_SIZE];
        if (series_is_tag(field))
            continue;
        struct sql_value number = series_measured_value(field, json_object_get(value, field->name));
        if (number.kind == SQL_NULL)
            continue;
        influxdb_field_name(field, name);
        add_line_name(body, "", name);
        if (number.kind == SQL_REAL)
            json_write_real(body, number.real);
        else
            text_integer(body, number.integer);
        text_add(body, number.kind == SQL_REAL ? "," : "i,");
    }
}

void influxdb_write_op(struct text *body, const char *measurement,
                       const struct fh_derived *declared, const struct carried_op *op)
{
    int64_t era, at_ns = influxdb_version_ns(op->at_ms, op->position, &era);
    influxdb_add_key(body, measurement, strlen(measurement));
    add_line_tags(body, declared, op->value);
    text_add(body, ",fh_era=");
    text_integer(body, era);
    text_add(body, " ");
    add_line_values(body, declared, op->value);
    text_add(body, "fh_p=");
    text_integer(body, op->position);
    text_add(body, "i ");
    text_integer(body, at_ns);
    text_add(body, "\n");
}

void influxdb_write_part(struct text *body, const char *measurement,
                         const struct carried_link *link, int64_t day_ms, int parts)
{
    int64_t era, at_ns = influxdb_link_ns(link, day_ms, &era);
    influxdb_add_key(body, measurement, strlen(measurement));
    text_printf(body, ",fh_era=%lld fh_from=%lldi,fh_to=%lldi,fh_parts=%di %lld\n", (long long)era,
                (long long)link->from, (long long)link->to, parts, (long long)at_ns);
}
