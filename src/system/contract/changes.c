/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Routes. One is the same route if its method is, and its path but for the names in it: requests
 * don't know these.
 *
 * Rules: "gone", "new", "audience", "auth", "undo", "type" (of a body or an answer), "body",
 * "status", "answer", "location", "view", "path"; and those of shapes.
 */

#include "system/contract/changes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "shape/accept.h"
#include "system/contract/change.h"
#include "system/contract/events.h"

#define NAME_SIZE 2200

/* ---- Paths ---- */

/* How much of two paths is the same; names in them are not of the path. */
enum likeness { OTHER, SAME_BUT_TYPES, SAME_BUT_NAMES, SAME };

static enum likeness likeness_of(const char *a, const char *b)
{
    enum likeness likeness = strcmp(a, b) == 0 ? SAME : SAME_BUT_NAMES;
    while (*a && *a == *b) {
        size_t left = strcspn(a, "}"), right = strcspn(b, "}");
        if (*a != '{') {
            a++;
            b++;
            continue;
        }
        if (!memchr(a, ':', left) != !memchr(b, ':', right))
            likeness = SAME_BUT_TYPES;
        a += left;
        b += right;
    }
    return *a || *b ? OTHER : likeness;
}

/* A name in a path that took any text takes integers only. */
static bool is_narrower_path(const char *old, const char *now)
{
    while ((old = strchr(old, '{')) && (now = strchr(now, '{'))) {
        size_t was = strcspn(old, "}"), is = strcspn(now, "}");
        if (memchr(now, ':', is) && !memchr(old, ':', was))
            return true;
        old += was;
        now += is;
    }
    return false;
}

/* The one that is most like it. */
static const json_t *find_route_like(const json_t *description, const json_t *like, bool any_method)
{
    size_t i;
    json_t *route;
    const json_t *best = NULL;
    enum likeness least = SAME_BUT_TYPES;
    json_array_foreach (json_object_get(description, "routes"), i, route) {
        bool same = strcmp(json_string_at(route, "method"), json_string_at(like, "method")) == 0;
        enum likeness likeness =
            likeness_of(json_string_at(route, "path"), json_string_at(like, "path"));
        if ((same || any_method) && likeness >= least) {
            best = route;
            least = likeness + 1;
        }
    }
    return best;
}

/* ---- Who may use it ---- */

static int audience_width(const json_t *route)
{
    const char *audience = json_string_at(route, "audience");
    return !audience || strcmp(audience, "public") == 0 ? 2 : strcmp(audience, "services") == 0;
}

static const char *auth_of(const json_t *route)
{
    const char *auth = json_string_at(route, "auth");
    return auth && strcmp(auth, "anyone") != 0 ? auth : "";
}

static bool has_auth_word(const char *words, const char *word, size_t length)
{
    for (words += strspn(words, " "); *words; words += strspn(words, " ")) {
        size_t one = strcspn(words, " ");
        if (one == length && strncmp(words, word, length) == 0)
            return true;
        words += one;
    }
    return false;
}

/* Something is demanded that was not. A scope or a role demands a user, too. */
static bool demands_more(const char *old, const char *now)
{
    for (now += strspn(now, " "); *now; now += strspn(now, " ")) {
        size_t length = strcspn(now, " ");
        bool user = length == 4 && strncmp(now, "user", length) == 0;
        if (user ? !*old : !has_auth_word(old, now, length))
            return true;
        now += length;
    }
    return false;
}

static void compare_access(struct changes *changes, const json_t *old, const json_t *now)
{
    const char *was = auth_of(old), *is = auth_of(now);
    int width = audience_width(old);
    if (audience_width(now) != width)
        changes_add(changes, audience_width(now) < width, "audience", "was for %s, is now for %s",
                    json_string_at(old, "audience"), json_string_at(now, "audience"));
    else if (width == 2 && demands_more(was, is))
        changes_add(changes, true, "auth", "demands %s now, and %s before", is,
                    *was ? was : "nobody logged in");
    else if (width == 2 && demands_more(is, was))
        changes_add(changes, false, "auth", "demands %s now, and %s before",
                    *is ? is : "nobody logged in", was);
    if (json_is_true(json_object_get(old, "undo")) && !json_is_true(json_object_get(now, "undo")))
        changes_add(changes, true, "undo", "undoes nothing any more");
}

/* ---- What it takes and gives ---- */

static void compare_media(struct changes *changes, const json_t *old, const json_t *now,
                          const char *member, const char *verb)
{
    const char *was = json_string_at(old, member), *is = json_string_at(now, member);
    was = was ? was : "JSON";
    is = is ? is : "JSON";
    if (strcmp(was, is) != 0)
        changes_add(changes, true, "type", "%s %s now, and %s before", verb, is, was);
}

static void compare_bodies(struct changes *changes, const json_t *old, const json_t *now)
{
    const json_t *was = json_object_get(old, "body"), *is = json_object_get(now, "body");
    bool bytes = json_object_get(old, "body_type") || json_object_get(now, "body_type");
    if (bytes)
        compare_media(changes, old, now, "body_type", "takes");
    else if (!was && is)
        changes_add(changes, true, "body", "needs a body now");
    else if (was && !is)
        changes_add(changes, true, "body", "takes no body any more");
    else if (was)
        changes_of_shapes(changes, "body", was, is, SHAPE_TAKEN);
}

/* A route without a query takes no parameters. */
static void compare_queries(struct changes *changes, const json_t *old, const json_t *now)
{
    const json_t *was = json_object_get(old, "query"), *is = json_object_get(now, "query");
    json_t *none =
        json_pack("{s:s, s:{}, s:b}", "type", "object", "properties", "additionalProperties", 0);
    if (was || is)
        changes_of_shapes(changes, "query", was ? was : none, is ? is : none, SHAPE_TAKEN_QUERY);
    json_decref(none);
}

static void compare_answers(struct changes *changes, const json_t *old, const json_t *now)
{
    const json_t *was = json_object_get(old, "answer"), *is = json_object_get(now, "answer");
    json_int_t old_status = json_integer_value(json_object_get(was, "status")),
               status = json_integer_value(json_object_get(is, "status"));
    const json_t *old_schema = json_object_get(was, "schema"),
                 *schema = json_object_get(is, "schema");
    compare_media(changes, old, now, "answer_type", "answers with");
    if (was && !is)
        changes_add(changes, true, "answer", "does not say any more what it answers");
    else if (was && old_status != status)
        changes_add(changes, true, "status",
                    "answers %" JSON_INTEGER_FORMAT " now, and %" JSON_INTEGER_FORMAT " before",
                    status, old_status);
    if (is && old_schema && !schema)
        changes_add(changes, true, "answer", "does not say any more what its answer has in it");
    else if (old_schema && schema)
        changes_of_shapes(changes, "answer", old_schema, schema, SHAPE_GIVEN);
    if (json_object_get(old, "location") && !json_object_get(now, "location"))
        changes_add(changes, true, "location", "does not say any more where its resource is");
    if (json_is_true(json_object_get(old, "of_view")) &&
        !json_is_true(json_object_get(now, "of_view")))
        changes_add(changes, true, "view", "is no longer a view");
}

/* The route that has its place now; NULL: it is gone. */
static const json_t *compare_route(struct changes *changes, const json_t *description,
                                   const json_t *old)
{
    const json_t *now = find_route_like(description, old, false);
    const json_t *other = now ? NULL : find_route_like(description, old, true);
    if (!now && other)
        changes_add(changes, true, "gone", "is gone; its path is served with %s",
                    json_string_at(other, "method"));
    else if (!now)
        changes_add(changes, true, "gone", "is gone");
    if (!now)
        return NULL;
    if (is_narrower_path(json_string_at(old, "path"), json_string_at(now, "path")))
        changes_add(changes, true, "path", "takes integers alone where its path took any text: %s",
                    json_string_at(now, "path"));
    compare_access(changes, old, now);
    compare_queries(changes, old, now);
    compare_bodies(changes, old, now);
    compare_answers(changes, old, now);
    return now;
}

static void name_route(struct changes *changes, const json_t *route, char name[static NAME_SIZE])
{
    snprintf(name, NAME_SIZE, "%s %s", json_string_at(route, "method"),
             json_string_at(route, "path"));
    changes->kind = "route";
    changes->name = name;
    changes->method = json_string_at(route, "method");
    changes->path = json_string_at(route, "path");
}

static bool is_kept_route(const json_t *route, const json_t *const *routes, size_t count)
{
    size_t i = 0;
    while (i < count && routes[i] != route)
        i++;
    return i < count;
}

static void compare_all_routes(struct changes *changes, const json_t *old, const json_t *now)
{
    const json_t *before = json_object_get(old, "routes");
    size_t count = json_array_size(before), i;
    const json_t **kept = calloc(count + 1, sizeof *kept);
    char name[NAME_SIZE];
    json_t *route;
    FH_ASSERT(kept != NULL);
    json_array_foreach (before, i, route) {
        name_route(changes, route, name);
        kept[i] = compare_route(changes, now, route);
    }
    json_array_foreach (json_object_get(now, "routes"), i, route) {
        name_route(changes, route, name);
        if (!is_kept_route(route, kept, count))
            changes_add(changes, false, "new", "is new");
    }
    free(kept);
}

/* ---- Services ---- */

void changes_of_events(json_t *found, const char *service, const json_t *old, const json_t *now,
                       const char *type)
{
    struct changes changes = {.found = found, .service = service};
    events_compare(&changes, old, now, type);
}

void changes_of_service(json_t *found, const char *service, const json_t *old, const json_t *now)
{
    struct changes changes = {
        .found = found, .service = service, .kind = "service", .name = service};
    if (!old || !now) {
        changes_add(&changes, !now, now ? "new" : "gone", now ? "is new" : "is gone");
        return;
    }
    compare_all_routes(&changes, old, now);
    changes_of_events(found, service, old, now, NULL);
}
