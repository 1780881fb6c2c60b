/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A link is there once all of its parts are (line.c): as many as each of them says. Parts are in
 * the order of their days, which are not that of the links; but each has the era of its end as a
 * tag, so an era is read at a time, or of its ends as many as there is room for, sorted off the
 * loop, and shown as far as was asked.
 */

#include <stdlib.h>

#include "carrier/influxdb/internal.h"

#define ERAS_MAX ((size_t)1 << 20)
#define PARTS_MAX ((size_t)4 << 20)

struct link_part {
    struct carried_link link;
    char life[ID_SIZE]; /* of who has sent it */
    int64_t parts;
};

struct link_list {
    struct influxdb *server;
    bool kept;
    struct influxdb_state state;
    struct influxdb_call call;
    struct carried_link after;
    int64_t *eras; /* in which a link may be that is behind `after` */
    size_t era_count, era_room;
    struct link_part *parts; /* of some ends of an era */
    size_t count, room;
    bool oversized; /* the answer was larger than any may be */
    enum fh_code code;
    struct fh_error *error;
};

static void *grow_link_list(void *list, size_t count, size_t most, size_t *room, size_t size)
{
    if (count < *room)
        return list;
    size_t wanted = *room ? *room * 2 : 64;
    void *grown = wanted <= most ? realloc(list, wanted * size) : NULL;
    *room = grown ? wanted : *room;
    return grown;
}

static bool no_room_for_links(struct link_list *list)
{
    list->code = error_set(list->error, FH_NO_MEMORY, "There is no memory for a store's links.");
    return false;
}

/* ---- Which eras there are ---- */

static bool take_era(struct link_list *list, const struct influxdb_rows *rows)
{
    struct influxdb_cell digits = rows->cells[1];
    int64_t era;
    digits.kind = INFLUXDB_NUMBER;
    if (rows->column_count != 2 || rows->cells[1].kind != INFLUXDB_TEXT || rows->cells[1].foreign ||
        !influxdb_cell_integer(&digits, &era))
        return false;
    if (era < list->after.to / INFLUXDB_LINK_ERA)
        return true;
    int64_t *eras =
        grow_link_list(list->eras, list->era_count, ERAS_MAX, &list->era_room, sizeof *list->eras);
    if (!eras)
        return no_room_for_links(list);
    list->eras = eras;
    list->eras[list->era_count++] = era;
    return true;
}

static bool take_eras_row(void *context, const struct influxdb_rows *rows)
{
    struct link_list *list = context;
    return rows->statement < 2 ? influxdb_state_row(&list->state, rows) : take_era(list, rows);
}

static int compare_eras(const void *one, const void *other)
{
    int64_t a = *(const int64_t *)one, b = *(const int64_t *)other;
    return (a > b) - (a < b);
}

static void read_list(struct link_list *list, bool (*row)(void *, const struct influxdb_rows *))
{
    struct influxdb_reader reader = {.context = list, .row = row};
    struct fh_error unread;
    enum fh_code code = influxdb_read(list->server, &list->call, &reader, &unread);
    if (code == FH_OK || list->code != FH_OK)
        return;
    *list->error = unread;
    list->code = code;
}

static void read_eras(void *context)
{
    struct link_list *list = context;
    read_list(list, take_eras_row);
    if (list->era_count)
        qsort(list->eras, list->era_count, sizeof *list->eras, compare_eras);
}

/* ---- The links of one ---- */

static bool take_link_part(void *context, const struct influxdb_rows *rows)
{
    struct link_list *list = context;
    struct link_part part = {0};
    if (rows->column_count != (list->kept ? 7 : 4))
        return false;
    for (int i = 1; i < rows->column_count; i++) {
        if (rows->cells[i].kind == INFLUXDB_NULL) /* it is being written */
            return true;
    }
    if (!influxdb_cell_integer(&rows->cells[1], &part.link.from) ||
        !influxdb_cell_integer(&rows->cells[2], &part.link.to) ||
        !influxdb_cell_integer(&rows->cells[3], &part.parts))
        return false;
    if (list->kept && (!influxdb_cell_copy(&rows->cells[4], part.link.from_id, ID_SIZE) ||
                       !influxdb_cell_copy(&rows->cells[5], part.link.to_id, ID_SIZE) ||
                       !influxdb_cell_copy(&rows->cells[6], part.life, ID_SIZE)))
        return false;
    struct link_part *parts =
        grow_link_list(list->parts, list->count, PARTS_MAX, &list->room, sizeof *list->parts);
    if (!parts)
        return no_room_for_links(list);
    list->parts = parts;
    list->parts[list->count++] = part;
    return true;
}

static int compare_links(const struct carried_link *one, const struct carried_link *other)
{
    if (one->to != other->to)
        return one->to < other->to ? -1 : 1;
    if (one->from != other->from)
        return one->from < other->from ? -1 : 1;
    int order = strcmp(one->from_id, other->from_id);
    return order ? order : strcmp(one->to_id, other->to_id);
}

static int compare_link_parts(const void *one, const void *other)
{
    const struct link_part *a = one, *b = other;
    int order = compare_links(&a->link, &b->link);
    if (!order)
        order = strcmp(a->life, b->life); /* each has to be whole by itself */
    return order ? order : (a->parts > b->parts) - (a->parts < b->parts);
}

static void read_parts(void *context)
{
    struct link_list *list = context;
    read_list(list, take_link_part);
    if (list->count)
        qsort(list->parts, list->count, sizeof *list->parts, compare_link_parts);
}

/* One request, and what is read of its answer off the loop. */
static enum fh_code ask_link_list(struct link_list *list, const struct text *statements,
                                  void (*read)(void *context))
{
    list->call = (struct influxdb_call){.body = statements->data,
                                        .body_length = statements->length,
                                        .answer_max = list->server->links_max};
    list->code = influxdb_query(list->server, &list->call, list->error);
    list->oversized = list->call.request.oversized;
    if (list->code == FH_OK)
        world_blocking(list->server->world, read, list);
    influxdb_call_release(&list->call);
    return list->code;
}

/* Of links that end from one position on and before the other. */
static enum fh_code ask_parts(struct link_list *list, const char *measurement, int64_t from,
                              int64_t to)
{
    int64_t era = from / INFLUXDB_LINK_ERA;
    struct text statement;
    list->count = 0;
    text_init(&statement, INFLUXDB_SMALL);
    text_add(&statement, "SELECT \"fh_from\",\"fh_to\",\"fh_parts\"");
    if (list->kept)
        text_add(&statement, ",\"fh_from_id\",\"fh_to_id\",\"fh_life\"");
    text_add(&statement, " FROM ");
    influxdb_add_identifier(&statement, measurement);
    text_printf(&statement, " WHERE \"fh_era\"='%lld' AND \"fh_to\">=%lld AND \"fh_to\"<%lld",
                (long long)era, (long long)from, (long long)to);
    enum fh_code code = ask_link_list(list, &statement, read_parts);
    text_release(&statement);
    return code;
}

/* Of the sorted parts: a link is whole if those that say the same number are so many. */
static void show_whole(struct link_list *list, int limit,
                       void (*visit)(void *context, const struct carried_link *link), void *context,
                       int *ret_count)
{
    size_t same = 0;
    for (size_t i = 0; i < list->count && *ret_count < limit; i++) {
        const struct link_part *part = &list->parts[i];
        same = i && compare_link_parts(part - 1, part) == 0 ? same + 1 : 1;
        if ((int64_t)same != part->parts || compare_links(&part->link, &list->after) <= 0)
            continue;
        list->after = part->link;
        visit(context, &part->link);
        ++*ret_count;
    }
}

static enum fh_code show_era(struct link_list *list, const char *measurement, int64_t era,
                             int limit,
                             void (*visit)(void *context, const struct carried_link *link),
                             void *context, int *ret_count)
{
    int64_t end = (era + 1) * INFLUXDB_LINK_ERA, at = era * INFLUXDB_LINK_ERA;
    at = at < list->after.to ? list->after.to : at;
    int64_t *ends = &list->server->link_ends;
    enum fh_code code = FH_OK;
    while (code == FH_OK && at < end && *ret_count < limit) {
        int64_t to = *ends && at + *ends < end ? at + *ends : end;
        code = ask_parts(list, measurement, at, to);
        if (code == FH_OK) {
            show_whole(list, limit, visit, context, ret_count);
            at = to;
        } else if (list->oversized && to - at > 1) {
            *ends = (to - at) / 2;
            code = FH_OK;
        }
    }
    return code;
}

enum fh_code influxdb_links(struct carried_server *base, const struct fh_derived *declared,
                            const struct carried_name *generation, const struct carried_link *after,
                            int limit,
                            void (*visit)(void *context, const struct carried_link *link),
                            void *context, int *ret_count, struct fh_error *error)
{
    struct link_list list = {
        .server = influxdb_of(base), .kept = generation->kept, .after = *after, .error = error};
    struct text statements;
    char measurement[INFLUXDB_NAME_SIZE], links[INFLUXDB_NAME_SIZE];
    *ret_count = 0;
    influxdb_measurement(declared, generation, "", measurement);
    influxdb_measurement(declared, generation, INFLUXDB_LINKS, links);
    influxdb_state_init(&list.state, declared);
    text_init(&statements, INFLUXDB_SMALL);
    influxdb_add_state(&statements, list.server, measurement);
    text_add(&statements, ";SHOW TAG VALUES FROM ");
    influxdb_add_identifier(&statements, links);
    text_add(&statements, " WITH KEY = \"fh_era\"");
    enum fh_code code = ask_link_list(&list, &statements, read_eras);
    if (code == FH_OK)
        code = influxdb_state_check(list.server, &list.state, error);
    for (size_t i = 0; i < list.era_count && code == FH_OK && *ret_count < limit; i++)
        code = show_era(&list, links, list.eras[i], limit, visit, context, ret_count);
    text_release(&statements);
    free(list.eras);
    free(list.parts);
    return code;
}
