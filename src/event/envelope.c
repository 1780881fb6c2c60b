/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes envelopes directly as text; the stored data is spliced in unchanged. The goal is 100,000
 * events a second, and building, printing and freeing a JSON tree for each event would cost more
 * than all the rest together.
 */

#include "event/envelope.h"

#include <stdio.h>
#include <string.h>

#define DAY_MS ((int64_t)86400000)
#define TRACEPARENT_LENGTH_MAX 63            /* ours have 55 characters */
#define TIME_MS_MAX INT64_C(253402300799999) /* the end of the year 9999 */

/* Converts days since 1970 to a Gregorian date and back. Years are counted from March, so that the
 * leap day is a year's last; 400 years have 146,097 days. */
static void date_of(int64_t days, int *year, int *month, int *day)
{
    int64_t shifted = days + 719468; /* since 0000-03-01 */
    int64_t era = shifted / 146097;
    int64_t in_era = shifted % 146097;
    int64_t year_of_era = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
    int64_t in_year = in_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t from_march = (5 * in_year + 2) / 153;
    *day = (int)(in_year - (153 * from_march + 2) / 5 + 1);
    *month = (int)(from_march < 10 ? from_march + 3 : from_march - 9);
    *year = (int)(year_of_era + era * 400 + (*month <= 2));
}

static int64_t days_of(int year, int month, int day)
{
    int64_t shifted = year - (month <= 2);
    int64_t era = shifted / 400;
    int64_t year_of_era = shifted % 400;
    int64_t in_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + in_year -
           719468;
}

static char *put_digits(char *at, int value, int width)
{
    for (int i = width - 1; i >= 0; i--, value /= 10)
        at[i] = (char)('0' + value % 10);
    return at + width;
}

void envelope_time(char out[static ENVELOPE_TIME_SIZE], int64_t wall_ms)
{
    int year, month, day;
    wall_ms = wall_ms < 0 ? 0 : wall_ms > TIME_MS_MAX ? TIME_MS_MAX : wall_ms;
    int in_day = (int)(wall_ms % DAY_MS);
    date_of(wall_ms / DAY_MS, &year, &month, &day);
    memcpy(out, "0000-00-00T00:00:00.000Z", ENVELOPE_TIME_SIZE);
    put_digits(out, year, 4);
    put_digits(out + 5, month, 2);
    put_digits(out + 8, day, 2);
    put_digits(out + 11, in_day / 3600000, 2);
    put_digits(out + 14, in_day / 60000 % 60, 2);
    put_digits(out + 17, in_day / 1000 % 60, 2);
    put_digits(out + 20, in_day % 1000, 3);
}

bool envelope_time_parse(const char *text, int64_t *ret_wall_ms)
{
    static const char form[] = "0000-00-00T00:00:00.000Z";
    int parts[7] = {0}, part = 0;
    for (size_t i = 0; i < sizeof form; i++) {
        if (form[i] == '0') {
            if (text[i] < '0' || text[i] > '9')
                return false;
            parts[part] = parts[part] * 10 + (text[i] - '0');
        } else {
            if (text[i] != form[i])
                return false;
            part++;
        }
    }
    if (parts[0] < 1970 || parts[1] < 1 || parts[1] > 12 || parts[2] < 1 || parts[2] > 31 ||
        parts[3] > 23 || parts[4] > 59 || parts[5] > 59)
        return false;
    *ret_wall_ms = days_of(parts[0], parts[1], parts[2]) * DAY_MS + parts[3] * 3600000 +
                   parts[4] * 60000 + parts[5] * 1000 + parts[6];
    return true;
}

static void add_envelope_integer(struct text *out, int64_t value)
{
    char digits[24];
    char *at = digits + sizeof digits;
    uint64_t left = value < 0 ? -(uint64_t)value : (uint64_t)value;
    do {
        *--at = (char)('0' + left % 10);
        left /= 10;
    } while (left);
    if (value < 0)
        *--at = '-';
    text_append(out, at, (size_t)(digits + sizeof digits - at));
}

/* CloudEvents' integers end at 2^31 - 1: larger positions travel as strings of digits. */
static void add_envelope_position(struct text *out, int64_t position)
{
    const char *quote = position > INT32_MAX ? "\"" : "";
    text_add(out, quote);
    add_envelope_integer(out, position);
    text_add(out, quote);
}

#define EACH_BYTE(byte) (UINT64_C(0x0101010101010101) * (byte))

/* Of eight bytes none has to be escaped. */
static bool eight_are_plain(const char *at)
{
    uint64_t bytes, escaped;
    memcpy(&bytes, at, sizeof bytes);
    escaped = (bytes - EACH_BYTE(0x20)) | ((bytes ^ EACH_BYTE('"')) - EACH_BYTE(1)) |
              ((bytes ^ EACH_BYTE('\\')) - EACH_BYTE(1));
    return !((escaped | bytes) & EACH_BYTE(0x80));
}

static size_t plain_length(const char *at, size_t length)
{
    size_t plain = 0;
    while (plain + sizeof(uint64_t) <= length && eight_are_plain(at + plain))
        plain += sizeof(uint64_t);
    while (plain < length && (unsigned char)at[plain] >= 0x20 && at[plain] != '"' &&
           at[plain] != '\\')
        plain++;
    return plain;
}

static void add_envelope_string(struct text *out, const char *string, size_t length)
{
    const char *end = string + length;
    text_append(out, "\"", 1);
    for (;;) {
        size_t plain = plain_length(string, (size_t)(end - string));
        text_append(out, string, plain);
        string += plain;
        if (string == end)
            break;
        char escape[8] = {'\\', *string, '\0'};
        if ((unsigned char)*string < 0x20)
            snprintf(escape, sizeof escape, "\\u%04x", (unsigned)*string);
        text_add(out, escape);
        string++;
    }
    text_append(out, "\"", 1);
}

void envelope_string(struct text *out, const char *string)
{
    add_envelope_string(out, string, strlen(string));
}

#define ADD(out, literal) text_append((out), (literal), sizeof(literal) - 1)

/* "TRACEPARENT", "TRACEPARENT ACTOR" or "- ACTOR". */
static void add_trace_and_actor(struct text *out, const char *trace)
{
    size_t length = strcspn(trace, " ");
    size_t kept = length < TRACEPARENT_LENGTH_MAX ? length : TRACEPARENT_LENGTH_MAX;
    if (kept && (kept != 1 || *trace != '-')) {
        ADD(out, ",\"traceparent\":");
        add_envelope_string(out, trace, kept);
    }
    if (trace[length]) {
        ADD(out, ",\"actor\":");
        envelope_string(out, trace + length + 1);
    }
}

/* All attributes, up to data and what announces them. */
static void add_attributes(struct text *out, const char *service, const struct ledger_event *event)
{
    char time[ENVELOPE_TIME_SIZE];
    envelope_time(time, event->time_ms);
    ADD(out, "{\"specversion\":\"1.0\",\"id\":");
    envelope_string(out, event->id);
    ADD(out, ",\"source\":\"/");
    text_add(out, service);
    ADD(out, "\",\"type\":");
    envelope_string(out, event->type);
    ADD(out, ",\"time\":\"");
    text_append(out, time, ENVELOPE_TIME_SIZE - 1);
    ADD(out, "\",\"subject\":");
    envelope_string(out, event->key);
    ADD(out, ",\"position\":");
    add_envelope_position(out, event->position);
    ADD(out, ",\"prev\":");
    add_envelope_position(out, event->previous);
    ADD(out, ",\"version\":");
    add_envelope_integer(out, event->version);
    if (event->trace)
        add_trace_and_actor(out, event->trace);
}

void envelope_write_message(struct text *out, const char *service, const struct ledger_event *event,
                            const struct envelope_message *message)
{
    add_attributes(out, service, event);
    ADD(out, ",\"incarnation\":");
    envelope_string(out, message->incarnation);
    ADD(out, ",\"chain\":");
    envelope_string(out, message->chain);
    ADD(out, ",\"datacontenttype\":\"application/json\"");
    if (message->reference) {
        ADD(out, ",\"dataref\":\"" ENVELOPE_DATAREF "\"}");
        return;
    }
    ADD(out, ",\"data\":");
    text_add(out, event->data);
    ADD(out, "}");
}

static void add_data(struct text *out, const struct ledger_event *event,
                     const struct fields *fields)
{
    char typed[VERSIONS_TYPE_SIZE];
    const char *type = fields ? fields_type(fields, event->type, event->version, typed) : NULL;
    if (type && fields_selects(fields, type))
        fields_write(fields, type, event->data, out);
    else
        text_add(out, event->data);
}

void envelope_write(struct text *out, const char *service, const struct ledger_event *event,
                    const struct fields *fields)
{
    add_attributes(out, service, event);
    ADD(out, ",\"datacontenttype\":\"application/json\",\"data\":");
    add_data(out, event, fields);
    ADD(out, "}");
}

static void add_row_head(struct text *out, const struct ledger_event *row)
{
    ADD(out, "{\"type\":");
    envelope_string(out, row->type);
    ADD(out, ",\"subject\":");
    envelope_string(out, row->key);
    ADD(out, ",\"position\":");
    add_envelope_integer(out, row->position);
    ADD(out, ",\"version\":");
    add_envelope_integer(out, row->version);
}

void envelope_row(struct text *out, const struct ledger_event *row, const struct fields *fields)
{
    add_row_head(out, row);
    ADD(out, ",\"data\":");
    add_data(out, row, fields);
    ADD(out, "}");
}

void envelope_row_digest(struct text *out, const struct ledger_event *row, const char *digest)
{
    add_row_head(out, row);
    ADD(out, ",\"digest\":");
    envelope_string(out, digest);
    ADD(out, "}");
}

unsigned envelope_partition(const char *key, unsigned count)
{
    uint64_t hash = UINT64_C(14695981039346656037);
    for (; *key; key++)
        hash = (hash ^ (unsigned char)*key) * UINT64_C(1099511628211);
    return (unsigned)(hash % count);
}
