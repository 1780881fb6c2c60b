/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_VERSIONS_H
#define TESTS_VERSIONS_H

/*
 * Events in versions: products publish items, whose `name` of version 1 is `title` in version 2,
 * and search reads one or the other. Programs are replaced by others on the same stores, in every
 * order, as in an upgrade; each cast leaves a mark in the text, so that one that did not run, or
 * ran twice, shows.
 */

#include "mirror.h"

#include "event/carried/bus.h"
#include "event/feed/query.h"
#include "event/marks.h"
#include "event/relay/relay.h"
#include "event/versions.h"
#include "service/declared.h"
#include "shape/mark.h"
#include "simulate/broker.h"
#include "work/lease_manager.h"

/* ---- shapes and casts ---- */

static const fh_field shape_1[] __attribute__((unused)) = {
    {"id", FH_INT}, {"name", FH_STRING, .personal = true}, {"changes", FH_INT}, {0}};
static const fh_field shape_2[] __attribute__((unused)) = {
    {"id", FH_INT}, {"title", FH_STRING, .personal = true}, {"changes", FH_INT}, {0}};
static const fh_field shape_3[] __attribute__((unused)) = {{"id", FH_INT},
                                                           {"title", FH_STRING, .personal = true},
                                                           {"changes", FH_INT},
                                                           {"length", FH_INT},
                                                           {0}};
static const fh_field part_1[]
    __attribute__((unused)) = {{"id", FH_INT}, {"name", FH_STRING, .personal = true}, {0}};
static const fh_field part_2[]
    __attribute__((unused)) = {{"id", FH_INT}, {"title", FH_STRING, .personal = true}, {0}};

/* What the casts do to the names of these beginnings. */
#define WRONG "wrong"
#define REFUSED "refused"
#define AWAY "away"

static void (*misuse)(fh_work *w); /* of what no cast may use; NULL: nothing */
static int casts;
static size_t members_seen; /* by the last upcast */

static inline json_t *rename_member(fh_work *w, json_t *data, const char *from, const char *to,
                                    char mark)
{
    const char *name = json_string_at(data, from);
    name = name ? name : json_string_at(data, to); /* it was cast before: its mark tells */
    casts++;
    members_seen = json_object_size(data);
    if (misuse)
        misuse(w);
    if (strncmp(name, REFUSED, strlen(REFUSED)) == 0)
        fh_fail(w, 422, "%s has no such version", name);
    if (strncmp(name, AWAY, strlen(AWAY)) == 0)
        fh_fail(w, 503, "nobody is there");
    if (strncmp(name, WRONG, strlen(WRONG)) != 0)
        json_object_set_new(data, to, json_string(fh_format(w, "%s%c", name, mark)));
    json_object_del(data, from);
    return data;
}

static inline json_t *up_to_2(fh_work *w, json_t *data)
{
    return rename_member(w, data, "name", "title", '+');
}

static inline json_t *up_to_3(fh_work *w, json_t *data)
{
    const char *title = json_string_at(data, "title");
    (void)w;
    json_object_set_new(data, "length", json_integer((json_int_t)strlen(title)));
    return data;
}

static inline json_t *down_to_2(fh_work *w, json_t *data)
{
    (void)w;
    json_object_del(data, "length");
    return data;
}

static inline json_t *down_to_1(fh_work *w, json_t *data)
{
    return rename_member(w, data, "title", "name", '-');
}

/* ---- the publisher's programs ---- */

static inline void every_titled(fh_work *w)
{
    fh_reply(w, 200,
             fh_rows(w,
                     "SELECT id, name AS title, changes FROM item WHERE id > :after ORDER BY id"
                     " LIMIT :limit",
                     fh_query(w), NULL));
}

static const fh_service products_1 __attribute__((unused)) = {
    .name = "products",
    .model = FH_RELATIONAL,
    .publishes = {{"ItemChanged", 1, shape_1, .key = "id", .state = every_item}}};
static const fh_service products_2 __attribute__((unused)) = {
    .name = "products",
    .model = FH_RELATIONAL,
    .publishes = {{"ItemChanged", 2, shape_2, .key = "id", .state = every_titled}},
    .downcasts = {{"ItemChanged", 1, shape_1, down_to_1}}};
static const fh_service products_2_alone __attribute__((unused)) = {
    .name = "products",
    .model = FH_RELATIONAL,
    .publishes = {{"ItemChanged", 2, shape_2, .key = "id", .state = every_titled}}};
static const fh_service products_3 __attribute__((unused)) = {
    .name = "products",
    .model = FH_RELATIONAL,
    .publishes = {{"ItemChanged", 3, shape_3, .key = "id"}},
    .downcasts = {{"ItemChanged", 2, shape_2, down_to_2}, {"ItemChanged", 1, shape_1, down_to_1}}};

static int item;
static const char *item_name;

static inline void publish_named_item(fh_work *w)
{
    int version = w->context->service->publishes[0].version;
    json_t *row = fh_row(w,
                         "INSERT INTO item (id, name, changes) VALUES (:id, :name, 1)"
                         " ON CONFLICT (id) DO UPDATE SET name = excluded.name,"
                         " changes = changes + 1 RETURNING id, name, changes",
                         fh_object(w, "id", item, "name", item_name), NULL);
    if (version > 1) {
        json_object_set(row, "title", json_object_get(row, "name"));
        json_object_del(row, "name");
    }
    if (version > 2)
        json_object_set_new(row, "length", json_integer((json_int_t)strlen(item_name)));
    fh_publish(w, "ItemChanged", row);
}

static inline void publish_item(struct fixture *fixture, const fh_service *program, int id,
                                const char *name)
{
    fixture->products.context.service = program;
    item = id;
    item_name = name;
    service_must(&fixture->products, publish_named_item);
}

/* ---- the subscriber's programs ---- */

static int64_t version_seen;
static const char *refused_title; /* by the handler */

static inline void keep_copy(fh_work *w, const char *member)
{
    json_t *data = fh_event_data(w);
    const char *name = json_string_at(data, member);
    json_int_t version = 0;
    json_integer_at(fh_event(w), "version", &version);
    version_seen = version;
    if (refused_title && name && strcmp(name, refused_title) == 0)
        fh_fail(w, 422, "%s is too much", name);
    fh_exec(w,
            "INSERT INTO copy (id, name, changes) VALUES (:id, :text, 1)"
            " ON CONFLICT (id) DO UPDATE SET name = excluded.name, changes = changes + 1",
            fh_object(w, "text", name ? name : "?"), data, NULL);
}

static inline void named_changed(fh_work *w)
{
    keep_copy(w, "name");
}

static inline void titled_changed(fh_work *w)
{
    keep_copy(w, "title");
}

static const fh_service search_any
    __attribute__((unused)) = {.name = "search",
                               .model = FH_RELATIONAL,
                               .subscribes = {{"products", "ItemChanged", named_changed}}};
static const fh_service search_1 __attribute__((unused)) = {
    .name = "search",
    .model = FH_RELATIONAL,
    .subscribes = {{"products", "ItemChanged", named_changed, .upsert = named_changed,
                    .personal = "name", .version = 1}}};
static const fh_service search_1_part __attribute__((unused)) = {
    .name = "search",
    .model = FH_RELATIONAL,
    .subscribes = {{"products", "ItemChanged", named_changed, "id,name", .version = 1}}};
static const fh_service search_2 __attribute__((unused)) = {
    .name = "search",
    .model = FH_RELATIONAL,
    .subscribes = {{"products", "ItemChanged", titled_changed, .upsert = titled_changed,
                    .gone = item_gone, .held = items_held, .version = 2}},
    .upcasts = {{"products", "ItemChanged", 1, shape_1, shape_2, up_to_2}}};
static const fh_service search_2_part __attribute__((unused)) = {
    .name = "search",
    .model = FH_RELATIONAL,
    .subscribes = {{"products", "ItemChanged", titled_changed, "id,title", .version = 2}},
    .upcasts = {{"products", "ItemChanged", 1, part_1, part_2, up_to_2}}};
static const fh_service search_3 __attribute__((unused)) = {
    .name = "search",
    .model = FH_RELATIONAL,
    .subscribes = {{"products", "ItemChanged", titled_changed, .version = 3}},
    .upcasts = {{"products", "ItemChanged", 2, shape_2, shape_3, up_to_3},
                {"products", "ItemChanged", 1, shape_1, shape_2, up_to_2}}};

static inline void open_as(struct fixture *fixture, const fh_service *program)
{
    service_open(&fixture->search, &fixture->harness, &fixture->world.world, program);
    service_must(&fixture->search, make_copies);
    begin_hearing(&fixture->search);
}

/* It is replaced by another program, on the same store. */
static inline void reopen_as(struct fixture *fixture, const fh_service *program)
{
    close_search(fixture);
    open_as(fixture, program);
}

static inline void expect_copy(struct fixture *fixture, int id, const char *name, int changes)
{
    char sql[128], expected[64];
    snprintf(sql, sizeof sql, "SELECT name || ' ' || changes FROM copy WHERE id = %d", id);
    snprintf(expected, sizeof expected, "%s %d", name, changes);
    assert_string_equal(service_sql(&fixture->search, sql).text, expected);
}

/* `why`: of the first event. */
static inline void expect_parked(struct fixture *fixture, int count, const char *why)
{
    struct service_sql first = service_sql(
        &fixture->search, "SELECT error FROM fh_parked ORDER BY position DESC"); /* the last row */
    assert_int_equal(service_count(&fixture->search, "SELECT count(*) FROM fh_parked"), count);
    if (count && !strstr(first.text, why))
        fail_msg("%s", first.text);
}

static inline bool none_is_parked(void *argument)
{
    struct fixture *fixture = argument;
    return view_of(fixture).parked_events == 0;
}

static inline int setup_versions(void **state)
{
    misuse = NULL;
    casts = 0;
    refused_title = NULL;
    return setup(state);
}

static inline int teardown_versions(void **state)
{
    ((struct fixture *)*state)->products.context.service = &products;
    return teardown(state);
}

#endif
