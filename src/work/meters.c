/* SPDX-License-Identifier: Apache-2.0 */
/* Declared metrics, and their series by the text of their labels as it is exported. */

#include "work/meters.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/map.h"
#include "base/real.h"
#include "work/redact.h"

/* The public name is a macro that ends the list of objects with NULL. */
#undef fh_count
#undef fh_observe

#define OBJECTS_MAX 16
#define LABELS_SIZE (METER_LABELS_MAX * (METER_NAME_LENGTH_MAX + 2 * METER_LABEL_LENGTH_MAX + 8))
#define NAME_BYTES "abcdefghijklmnopqrstuvwxyz0123456789_"

struct series {
    uint64_t count; /* of a counter: its value */
    uint64_t by_bucket[METER_BUCKETS_MAX];
    double sum;
};

struct meter {
    const struct fh_metric *declared;
    int bucket_count; /* 0: a counter */
    int label_count;
    char labels[METER_LABELS_MAX][METER_NAME_LENGTH_MAX + 1];
    struct map series;
};

struct meters {
    int count;
    struct meter each[METERS_MAX];
};

struct work_noted {
    struct meter *meter;
    const char *labels; /* reason="stock",kind="new"; or "" */
    uint64_t delta;
    double value;
    struct work_noted *next;
};

/* ---- what is declared ---- */

static bool meter_name_fits(const char *name, size_t length)
{
    return length > 0 && length <= METER_NAME_LENGTH_MAX && name[0] >= 'a' && name[0] <= 'z' &&
           strspn(name, NAME_BYTES) >= length;
}

/* "le" is a bucket's own. */
static bool label_fits(const struct meter *meter, const char *name, size_t length)
{
    if (!meter_name_fits(name, length) || meter->label_count == METER_LABELS_MAX ||
        (length == 2 && memcmp(name, "le", length) == 0))
        return false;
    for (int i = 0; i < meter->label_count; i++) {
        if (strlen(meter->labels[i]) == length && memcmp(meter->labels[i], name, length) == 0)
            return false;
    }
    return true;
}

static enum fh_code read_labels(struct meter *meter, struct fh_error *error)
{
    const char *at = meter->declared->labels;
    while (at && *at) {
        size_t length = strcspn(at, ",");
        if (!label_fits(meter, at, length))
            return error_set(
                error, FH_INVALID,
                "The metric %s has the labels \"%.80s\": expected at most %d different names of "
                "lower-case letters, digits and _, with commas between them, and not \"le\".",
                meter->declared->name, meter->declared->labels, METER_LABELS_MAX);
        memcpy(meter->labels[meter->label_count++], at, length);
        at += length + (at[length] == ',');
    }
    return FH_OK;
}

static enum fh_code read_buckets(struct meter *meter, struct fh_error *error)
{
    const double *buckets = meter->declared->buckets;
    while (meter->bucket_count < METER_BUCKETS_MAX && buckets[meter->bucket_count] != 0) {
        int at = meter->bucket_count++;
        if (!isfinite(buckets[at]) || (at > 0 && buckets[at] <= buckets[at - 1]))
            return error_set(error, FH_INVALID,
                             "The buckets of the metric %s must be finite and rise: number %d "
                             "does not.",
                             meter->declared->name, at + 1);
    }
    return FH_OK;
}

static struct meter *meter_find(struct meters *meters, const char *name)
{
    for (int i = 0; i < meters->count; i++) {
        if (strcmp(meters->each[i].declared->name, name) == 0)
            return &meters->each[i];
    }
    return NULL;
}

/* Freehold's own begin so, and a counter gets this ending when it is exported. */
static bool meter_name_is_ours(const char *name)
{
    size_t length = strlen(name), ending = strlen("_total");
    return strncmp(name, "freehold_", strlen("freehold_")) == 0 ||
           (length >= ending && strcmp(name + length - ending, "_total") == 0);
}

static enum fh_code add_meter(struct meters *meters, const struct fh_metric *declared,
                              struct fh_error *error)
{
    if (!meter_name_fits(declared->name, strlen(declared->name)) ||
        meter_name_is_ours(declared->name))
        return error_set(error, FH_INVALID,
                         "The metric \"%.60s\" needs another name: lower-case letters, digits and "
                         "_, at most %d, a letter first, not beginning with \"freehold_\" nor "
                         "ending with \"_total\", which counters get.",
                         declared->name, METER_NAME_LENGTH_MAX);
    if (meter_find(meters, declared->name))
        return error_set(error, FH_INVALID, "The metric %s is declared twice.", declared->name);
    struct meter *meter = &meters->each[meters->count++];
    meter->declared = declared;
    map_init(&meter->series);
    enum fh_code code = read_labels(meter, error);
    return code == FH_OK ? read_buckets(meter, error) : code;
}

enum fh_code meters_new(const fh_service *service, struct meters **ret, struct fh_error *error)
{
    enum fh_code code = FH_OK;
    struct meters *meters = calloc(1, sizeof *meters);
    FH_ASSERT(meters != NULL);
    for (int i = 0; i < METERS_MAX && service->metrics[i].name && code == FH_OK; i++)
        code = add_meter(meters, &service->metrics[i], error);
    *ret = code == FH_OK ? meters : NULL;
    if (code != FH_OK)
        meters_free(meters);
    return code;
}

void meters_free(struct meters *meters)
{
    for (int i = 0; meters && i < meters->count; i++) {
        struct map_entry *entry = NULL;
        const char *labels;
        void *series;
        while (map_next(&meters->each[i].series, &entry, &labels, &series))
            free(series);
        map_release(&meters->each[i].series);
    }
    free(meters);
}

/* ---- what a unit of work notes ---- */

/* Appends reason="stock", escaped as the format asks; marked values are not kept. */
static void add_label(fh_work *w, char labels[static LABELS_SIZE], const char *name,
                      const json_t *value)
{
    char shown[METER_LABEL_LENGTH_MAX + 1];
    if (json_is_integer(value))
        snprintf(shown, sizeof shown, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    else if (json_is_string(value) || json_is_boolean(value))
        snprintf(shown, sizeof shown, "%s",
                 json_is_string(value) ? json_string_value(value)
                 : json_is_true(value) ? "true"
                                       : "false");
    else
        work_fault(w,
                   "The label %s of a metric must be in the objects that are given, as a text, "
                   "an integer or a boolean.",
                   name);
    work_redact(w, SHAPE_MARKED, shown, sizeof shown);
    text_mend_end(shown); /* who reads /metrics refuses all of it for half a character */
    size_t used = strlen(labels);
    used += (size_t)snprintf(labels + used, LABELS_SIZE - used, "%s%s=\"", used ? "," : "", name);
    for (const char *at = shown; *at; at++) {
        if (*at == '"' || *at == '\\')
            labels[used++] = '\\';
        labels[used++] = *at == '\n' ? ' ' : *at;
    }
    memcpy(labels + used, "\"", 2);
}

static const char *labels_of_args(fh_work *w, const struct meter *meter, va_list args)
{
    json_t *objects[OBJECTS_MAX], *object;
    int count = 0;
    char labels[LABELS_SIZE] = "";
    while ((object = va_arg(args, json_t *))) {
        if (count == OBJECTS_MAX || !json_is_object(object))
            work_fault(w, "A metric's labels are looked up in at most %d JSON objects.",
                       OBJECTS_MAX);
        objects[count++] = object;
    }
    for (int i = 0; i < meter->label_count; i++) {
        const json_t *value = NULL;
        for (int o = 0; o < count && !value; o++)
            value = json_object_get(objects[o], meter->labels[i]);
        add_label(w, labels, meter->labels[i], value);
    }
    return work_printf(w, "%s", labels);
}

static struct work_noted *note_new(fh_work *w, const char *name, bool counts)
{
    struct meters *meters = w->context->meters;
    struct meter *meter = meters ? meter_find(meters, name) : NULL;
    if (!meter)
        work_fault(w, "%s counts or observes %s, which is not among its declared `metrics`.",
                   w->context->service->name, name);
    if (counts != (meter->bucket_count == 0))
        work_fault(w, "The metric %s %s: use %s.", name, counts ? "has buckets" : "has no buckets",
                   counts ? "fh_observe" : "fh_count");
    struct work_noted *noted = work_alloc(w, sizeof *noted);
    *noted = (struct work_noted){.meter = meter, .next = w->noted};
    return noted;
}

static void note_keep(fh_work *w, struct work_noted *noted)
{
    if (work_reaches_out(w))
        w->noted = noted;
}

void fh_count(fh_work *w, const char *name, int64_t delta, ...)
{
    work_is_no_cast(w, "fh_count");
    struct work_noted *noted = note_new(w, name, true);
    if (delta < 0)
        work_fault(w, "The counter %s can't go down.", name);
    va_list args;
    va_start(args, delta);
    noted->labels = labels_of_args(w, noted->meter, args);
    va_end(args);
    noted->delta = (uint64_t)delta;
    note_keep(w, noted);
}

void fh_observe(fh_work *w, const char *name, double value, ...)
{
    struct work_noted *noted = note_new(w, name, false);
    if (!isfinite(value))
        work_fault(w, "What the metric %s observes must be finite.", name);
    va_list args;
    va_start(args, value);
    noted->labels = labels_of_args(w, noted->meter, args);
    va_end(args);
    noted->value = value;
    note_keep(w, noted);
}

/* ---- adding ---- */

static struct series *series_of(struct meter *meter, const char *labels)
{
    struct series *series = map_get(&meter->series, labels);
    char others[LABELS_SIZE] = "";
    if (series)
        return series;
    if (meter->series.count >= METER_SERIES_MAX) {
        for (int i = 0; i < meter->label_count; i++)
            snprintf(others + strlen(others), sizeof others - strlen(others), "%s%s=\"%s\"",
                     i ? "," : "", meter->labels[i], METER_OTHERS);
        labels = others;
        series = map_get(&meter->series, labels);
    }
    if (!series) {
        series = calloc(1, sizeof *series);
        FH_ASSERT(series != NULL);
        map_put(&meter->series, labels, series);
    }
    return series;
}

static void add_noted(const struct work_noted *noted)
{
    const struct meter *meter = noted->meter;
    struct series *series = series_of(noted->meter, noted->labels);
    if (meter->bucket_count == 0) {
        series->count += noted->delta;
        return;
    }
    series->count++;
    series->sum += noted->value;
    for (int i = 0; i < meter->bucket_count; i++) {
        if (noted->value <= meter->declared->buckets[i]) {
            series->by_bucket[i]++;
            break;
        }
    }
}

void meters_add_noted(fh_work *w)
{
    for (const struct work_noted *noted = w->noted; noted; noted = noted->next)
        add_noted(noted);
    w->noted = NULL;
}

/* ---- /metrics ---- */

static void write_histogram(struct text *text, const struct meter *meter, const char *labels,
                            const struct series *series)
{
    const char *name = meter->declared->name, *comma = *labels ? "," : "";
    const char *open = *labels ? "{" : "", *close = *labels ? "}" : "";
    char bound[REAL_DIGITS_SIZE];
    uint64_t below = 0;
    for (int i = 0; i < meter->bucket_count; i++) {
        below += series->by_bucket[i];
        real_digits(meter->declared->buckets[i], bound);
        text_printf(text, "%s_bucket{%s%sle=\"%s\"} %" PRIu64 "\n", name, labels, comma, bound,
                    below);
    }
    text_printf(text,
                "%s_bucket{%s%sle=\"+Inf\"} %" PRIu64 "\n%s_sum%s%s%s %.17g\n"
                "%s_count%s%s%s %" PRIu64 "\n",
                name, labels, comma, series->count, name, open, labels, close, series->sum, name,
                open, labels, close, series->count);
}

void meters_write(const struct meters *meters, struct text *text)
{
    for (int i = 0; meters && i < meters->count; i++) {
        const struct meter *meter = &meters->each[i];
        const char *name = meter->declared->name, *help = meter->declared->help, *labels;
        struct map_entry *entry = NULL;
        void *series;
        bool counts = meter->bucket_count == 0;
        text_printf(text, "# HELP %s%s %.*s\n# TYPE %s%s %s\n", name, counts ? "_total" : "",
                    help ? (int)strcspn(help, "\n") : 0, help ? help : "", name,
                    counts ? "_total" : "", counts ? "counter" : "histogram");
        while (map_next(&meter->series, &entry, &labels, &series)) {
            if (counts)
                text_printf(text, "%s_total%s%s%s %" PRIu64 "\n", name, *labels ? "{" : "", labels,
                            *labels ? "}" : "", ((const struct series *)series)->count);
            else
                write_histogram(text, meter, labels, series);
        }
    }
}
