/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A zone's file (RFC 9636) has the moments at which its offset changed, and a rule in POSIX' form
 * ("CET-1CEST,M3.5.0,M10.5.0/3") for all time after the last of them. The file comes from a package
 * that root has installed; still, nothing in it is believed unchecked.
 */

#include "timer/zone.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "timer/zone_rule.h"

#define HEADER_SIZE 44
#define TRANSITIONS_MAX 10000
#define TYPES_MAX 256
#define OFFSET_S_MAX (26 * 3600)
#define DAY_S INT64_C(86400)

struct zone {
    char name[ZONE_NAME_LENGTH_MAX + 1];
    size_t count;  /* of transitions */
    int64_t *at;   /* ascending */
    int32_t *to;   /* the offset from then on */
    int32_t first; /* before the first of them */
    bool has_rule;
    struct zone_rule rule;
    struct zone *next; /* of those read */
};

static struct zone utc_zone = {.name = "UTC"};
static struct zone *zones_read = &utc_zone;

/* ---- Reading ---- */

struct zone_header {
    size_t utc, standard, leaps, transitions, types, letters;
};

static uint32_t read_zone_number(const unsigned char *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static int64_t read_moment(const unsigned char *at)
{
    return (int64_t)((uint64_t)read_zone_number(at) << 32 | read_zone_number(at + 4));
}

static bool read_zone_header(const unsigned char *data, size_t length, struct zone_header *ret)
{
    if (length < HEADER_SIZE || memcmp(data, "TZif", 4) != 0 || data[4] < '2')
        return false;
    *ret = (struct zone_header){read_zone_number(data + 20), read_zone_number(data + 24),
                                read_zone_number(data + 28), read_zone_number(data + 32),
                                read_zone_number(data + 36), read_zone_number(data + 40)};
    return ret->utc <= TYPES_MAX && ret->standard <= TYPES_MAX && ret->leaps <= TYPES_MAX &&
           ret->transitions <= TRANSITIONS_MAX && ret->types >= 1 && ret->types <= TYPES_MAX &&
           ret->letters <= TYPES_MAX;
}

static size_t block_size(const struct zone_header *header, size_t moment_size)
{
    return header->transitions * (moment_size + 1) + header->types * 6 + header->letters +
           header->leaps * (moment_size + 4) + header->standard + header->utc;
}

static bool read_offset(const unsigned char *types, size_t index, size_t count, int32_t *ret)
{
    if (index >= count)
        return false;
    *ret = (int32_t)read_zone_number(types + index * 6);
    return *ret >= -OFFSET_S_MAX && *ret <= OFFSET_S_MAX;
}

static bool read_transitions(const unsigned char *data, const struct zone_header *header,
                             struct zone *zone)
{
    const unsigned char *indexes = data + header->transitions * 8;
    const unsigned char *types = indexes + header->transitions;
    zone->at = calloc(header->transitions + 1, sizeof *zone->at);
    zone->to = calloc(header->transitions + 1, sizeof *zone->to);
    FH_ASSERT(zone->at && zone->to);
    zone->count = header->transitions;
    for (size_t i = 0; i < zone->count; i++) {
        zone->at[i] = read_moment(data + i * 8);
        if (!read_offset(types, indexes[i], header->types, &zone->to[i]) ||
            (i > 0 && zone->at[i] <= zone->at[i - 1]))
            return false;
    }
    return read_offset(types, 0, header->types, &zone->first);
}

/* The rule stands between two line feeds, after everything else; it may be empty. */
static bool read_rule(const unsigned char *data, size_t length, struct zone *zone)
{
    char text[128];
    const unsigned char *end = length > 1 ? memchr(data + 1, '\n', length - 1) : NULL;
    if (!end || data[0] != '\n' || (size_t)(end - data) > sizeof text)
        return false;
    size_t size = (size_t)(end - data) - 1;
    memcpy(text, data + 1, size);
    text[size] = '\0';
    zone->has_rule = size > 0;
    return !zone->has_rule || zone_rule_parse(text, &zone->rule);
}

static bool read_zone(const unsigned char *data, size_t length, struct zone *zone)
{
    struct zone_header header;
    if (!read_zone_header(data, length, &header))
        return false;
    size_t older = HEADER_SIZE + block_size(&header, 4); /* with moments of 32 bits */
    if (older > length || !read_zone_header(data + older, length - older, &header) || header.leaps)
        return false;
    size_t at = older + HEADER_SIZE, size = block_size(&header, 8);
    return at <= length && size <= length - at && read_transitions(data + at, &header, zone) &&
           read_rule(data + at + size, length - at - size, zone);
}

enum fh_code zone_parse(const unsigned char *data, size_t length, struct zone **ret,
                        struct fh_error *error)
{
    struct zone *zone = calloc(1, sizeof *zone);
    FH_ASSERT(zone != NULL);
    if (read_zone(data, length, zone)) {
        *ret = zone;
        return FH_OK;
    }
    zone_free(zone);
    return error_set(error, FH_INVALID, "It is no file of a time zone, or a damaged one.");
}

void zone_free(struct zone *zone)
{
    if (!zone)
        return;
    free(zone->at);
    free(zone->to);
    free(zone);
}

/* ---- Finding ---- */

static bool is_zone_name(const char *name)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                  "_+-/";
    size_t length = strlen(name);
    return length > 0 && length <= ZONE_NAME_LENGTH_MAX && strspn(name, letters) == length &&
           name[0] != '/' && name[length - 1] != '/' && !strstr(name, "//");
}

static enum fh_code read_zone_file(const char *name, struct zone **ret, struct fh_error *error)
{
    char path[sizeof ZONE_FOLDER + ZONE_NAME_LENGTH_MAX + 1];
    snprintf(path, sizeof path, ZONE_FOLDER "/%s", name);
    FILE *file = fopen(path, "rbe");
    if (!file)
        return error_set(error, FH_INVALID,
                         "There is no time zone %s: %s can't be opened (%s). Zones have names like "
                         "Europe/Berlin, and come with the package tzdata.",
                         name, path, strerror(errno));
    unsigned char *data = malloc(ZONE_FILE_SIZE_MAX);
    FH_ASSERT(data != NULL);
    size_t length = fread(data, 1, ZONE_FILE_SIZE_MAX, file);
    bool failed = ferror(file);
    fclose(file);
    enum fh_code code = failed ? error_set(error, FH_INVALID, "It can't be read.")
                               : zone_parse(data, length, ret, error);
    free(data);
    if (code != FH_OK) {
        struct fh_error why = *error;
        return error_set(error, FH_INVALID, "The time zone %s can't be used: %s: %.100s", name,
                         path, why.message);
    }
    return FH_OK;
}

enum fh_code zone_find(const char *name, const struct zone **ret, struct fh_error *error)
{
    struct zone *zone = zones_read;
    while (zone && name && strcmp(zone->name, name) != 0)
        zone = zone->next;
    if (!name)
        zone = &utc_zone;
    *ret = zone;
    if (zone)
        return FH_OK;
    if (!is_zone_name(name))
        return error_set(error, FH_INVALID,
                         "\"%.64s\" is no name of a time zone, such as Europe/Berlin or UTC.",
                         name);
    enum fh_code code = read_zone_file(name, &zone, error);
    if (code != FH_OK)
        return code;
    snprintf(zone->name, sizeof zone->name, "%s", name);
    zone->next = zones_read;
    zones_read = zone;
    *ret = zone;
    return FH_OK;
}

/* ---- Looking up ---- */

int64_t zone_offset(const struct zone *zone, int64_t utc_s)
{
    if (zone->count == 0 || utc_s < zone->at[0])
        return zone->count == 0 && zone->has_rule ? zone_rule_offset(&zone->rule, utc_s)
                                                  : zone->first;
    size_t low = 0, high = zone->count; /* the last transition that is not after it */
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (zone->at[middle] <= utc_s)
            low = middle;
        else
            high = middle;
    }
    if (low == zone->count - 1 && zone->has_rule)
        return zone_rule_offset(&zone->rule, utc_s);
    return zone->to[low];
}

/* The moment at which the offset stops being what it is at `low`; it is another at `high`. */
static int64_t find_transition(const struct zone *zone, int64_t low, int64_t high)
{
    int64_t before = zone_offset(zone, low);
    while (high - low > 1) {
        int64_t middle = low + (high - low) / 2;
        if (zone_offset(zone, middle) == before)
            low = middle;
        else
            high = middle;
    }
    return high;
}

int64_t zone_utc(const struct zone *zone, int64_t local_s)
{
    int64_t before = zone_offset(zone, local_s - DAY_S), after = zone_offset(zone, local_s + DAY_S);
    int64_t first = local_s - (before > after ? before : after);
    int64_t second = local_s - (before > after ? after : before);
    if (zone_offset(zone, first) == local_s - first)
        return first;
    if (zone_offset(zone, second) == local_s - second)
        return second;
    return find_transition(zone, local_s - DAY_S, local_s + DAY_S);
}
