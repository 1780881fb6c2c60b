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
 *                     Where the server alone has them, with fh_life=LIFE, which comes before the
 *                     position.
 *                     Where a value is null, fh_has=Mi says by bits which are not: fields of one
 *                     point are found one after the other while it is written, and so whoever reads
 *                     it meanwhile knows that it is not whole
 *     a link's part   STORE-INCARNATION-NUMBER-links,fh_era=ERA fh_from=Ai,fh_to=Bi,fh_parts=Ni AT
 *                     in the day of the ops that it is of; below the day AT is the last digits of
 *                     `to`, of which the others are ERA, and how far `from` is before it.
 *                     Where the server alone has the points, with the ids of both events, and as a
 *                     tag the life of who sends it, or a milestone's name: in one life a
 *                     position is of one event, unless commits were lost
 *                     (docs/operate/replicas.md)
 *
 * The server writes the points of a request that are in one of its shards (whole days) as one entry
 * of a log, and those of several shards side by side. So a part is there if, and only if, the
 * page's ops of its day are, and a link is there once all of its parts are.
 */

#include <string.h>

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

/* ---- What is the same in each line ---- */

static void end_line_piece(struct influxdb_form *form, struct json_piece *piece)
{
    piece->length = form->text.length - form->used;
    form->used = form->text.length;
}

void influxdb_form_init(struct influxdb_form *form, const char *measurement,
                        const struct fh_derived *declared)
{
    *form = (struct influxdb_form){.declared = declared};
    text_init(&form->text, TEXT_SMALL_MAX);
    influxdb_add_key(&form->text, measurement, strlen(measurement));
    end_line_piece(form, &form->measurement);
    for (int i = 0; declared->fields[i].name; i++) {
        char name[INFLUXDB_FIELD_SIZE];
        influxdb_field_name(&declared->fields[i], name);
        if (series_is_tag(&declared->fields[i]))
            text_add(&form->text, ",");
        influxdb_add_key(&form->text, name, strlen(name));
        text_add(&form->text, "=");
        end_line_piece(form, &form->names[i]);
    }
    FH_ASSERT(!form->text.overflow);
    const char *at = form->measurement.at = form->text.data;
    at += form->measurement.length;
    for (int i = 0; declared->fields[i].name; i++) {
        form->names[i].at = at;
        at += form->names[i].length;
    }
}

void influxdb_form_release(struct influxdb_form *form)
{
    text_release(&form->text);
}

/* ---- A line ---- */

static void add_line_tag(struct text *body, const struct carried_value *tag)
{
    struct sql_value value = {.kind = SQL_TEXT, .text = tag->text, .length = tag->length};
    char word[INFLUXDB_WORD_SIZE];
    if (tag->kind != CARRIED_TEXT) { /* digits, "true" or "false" */
        text_append(body, tag->text, tag->length);
        return;
    }
    influxdb_write_word(&value, FH_STRING, word);
    text_add(body, word);
}

static void add_line_tags(struct text *body, const struct influxdb_form *form,
                          const struct carried_value *values)
{
    const struct fh_derived_field *fields = form->declared->fields;
    for (int i = 0; fields[i].name; i++) {
        if (!series_is_tag(&fields[i]))
            continue;
        text_append(body, form->names[i].at, form->names[i].length);
        add_line_tag(body, &values[i]);
    }
}

static void add_line_values(struct text *body, const struct influxdb_form *form,
                            const struct carried_value *values)
{
    const struct fh_derived_field *fields = form->declared->fields;
    int64_t has = 0;
    bool lacks = false;
    for (int i = 0; fields[i].name; i++) {
        if (series_is_tag(&fields[i]))
            continue;
        if (values[i].kind == CARRIED_NULL) {
            lacks = true;
            continue;
        }
        has |= INT64_C(1) << i;
        text_append(body, form->names[i].at, form->names[i].length);
        text_append(body, values[i].text, values[i].length);
        text_add(body, fields[i].type == FH_NUMBER ? "," : "i,");
    }
    if (lacks)
        text_printf(body, "fh_has=%lldi,", (long long)has);
}

/* It was written by an owner, which gives it the form of an id. */
static void add_line_life(struct text *body, const char *life)
{
    if (!*life)
        return;
    text_add(body, ",fh_life=");
    influxdb_add_key(body, life, strlen(life));
}

void influxdb_write_op(struct text *body, const struct influxdb_form *form,
                       const struct carried_op *op)
{
    int64_t era, at_ns = influxdb_version_ns(op->at_ms, op->position, &era);
    text_append(body, form->measurement.at, form->measurement.length);
    add_line_tags(body, form, op->values);
    text_add(body, ",fh_era=");
    text_integer(body, era);
    add_line_life(body, op->life ? op->life : "");
    text_add(body, " ");
    add_line_values(body, form, op->values);
    text_add(body, "fh_p=");
    text_integer(body, op->position);
    text_add(body, "i ");
    text_integer(body, at_ns);
    text_add(body, "\n");
}

void influxdb_write_part(struct text *body, const char *measurement,
                         const struct carried_link *link, const char *life, int64_t day_ms,
                         int parts)
{
    int64_t era, at_ns = influxdb_link_ns(link, day_ms, &era);
    influxdb_add_key(body, measurement, strlen(measurement));
    text_printf(body, ",fh_era=%lld", (long long)era);
    add_line_life(body, life);
    text_printf(body, " fh_from=%lldi,fh_to=%lldi,fh_parts=%di", (long long)link->from,
                (long long)link->to, parts);
    if (*life)
        text_printf(body, ",fh_from_id=\"%s\",fh_to_id=\"%s\"", link->from_id, link->to_id);
    text_printf(body, " %lld\n", (long long)at_ns);
}
