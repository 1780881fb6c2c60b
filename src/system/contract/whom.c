/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A subscription names the fields that it reads, a step the members that it sends, a query its
 * parameters: one that has nothing to do with what changed is not broken. What is read of an answer
 * nobody says, so whoever asks for it may be.
 */

#define _GNU_SOURCE
#include "system/contract/whom.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "system/check/callers.h"

struct looking {
    json_t *whom;
    const json_t *change, *old;
    const struct consumer *consumer;
};

void whom_add(json_t *whom, const char *service, const char *how, const char *by)
{
    size_t i;
    json_t *known;
    json_array_foreach (whom, i, known) {
        if (strcmp(json_string_at(known, "service"), service) == 0 &&
            strcmp(json_string_at(known, "how"), how) == 0)
            return;
    }
    json_t *one =
        json_pack("{s:s, s:o, s:s*}", "service", service, "how", json_string_lossy(how), "by", by);
    FH_ASSERT(one && json_array_append_new(whom, one) == 0);
}

static void add_use(const struct looking *looking, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void add_use(const struct looking *looking, const char *format, ...)
{
    char *how;
    va_list args;
    va_start(args, format);
    FH_ASSERT(vasprintf(&how, format, args) >= 0);
    va_end(args);
    whom_add(looking->whom, looking->consumer->name, how, looking->consumer->by);
    free(how);
}

static bool is_rule(const struct looking *looking, const char *rule)
{
    return strcmp(json_string_at(looking->change, "rule"), rule) == 0;
}

static bool is_string_member(const json_t *object, const char *member, const char *text)
{
    const char *own = json_string_at(object, member);
    return own && strcmp(own, text) == 0;
}

/* ---- Lists of fields: "id, address.city" ---- */

/* "/address/city" as "address.city"; malloc'ed. */
static char *dotted_path(const char *pointer)
{
    struct text text;
    text_init(&text, TEXT_LENGTH_MAX);
    text_add(&text, "");
    for (pointer += *pointer == '/'; *pointer; pointer++) {
        bool escaped = *pointer == '~' && pointer[1];
        pointer += escaped;
        char c = escaped ? (*pointer == '1' ? '/' : '~') : *pointer == '/' ? '.' : *pointer;
        text_append(&text, &c, 1);
    }
    return text_take(&text);
}

/* One is the other, or within it. */
static bool overlaps_path(const char *field, size_t length, const char *path)
{
    size_t other = strlen(path), common = length < other ? length : other;
    if (strncmp(field, path, common) != 0)
        return false;
    return length == other || (length < other ? path[length] : field[other]) == '.';
}

/* The first field of the list that has to do with the path; "": none. */
static const char *find_field(const char *list, const char *path, size_t *ret_length)
{
    for (list += strspn(list, ", "); *list; list += strspn(list, ", ")) {
        *ret_length = strcspn(list, ", =");
        if (overlaps_path(list, *ret_length, path))
            return list;
        list += strcspn(list, ", ");
    }
    *ret_length = 0;
    return list;
}

/* ---- Events ---- */

static void look_at_one_subscription(const struct looking *looking, const json_t *subscribed)
{
    const char *fields = json_string_at(subscribed, "fields"),
               *personal = json_string_at(subscribed, "personal"),
               *pointer = json_string_at(looking->change, "pointer");
    char *path = dotted_path(pointer);
    size_t length, unused;
    bool named = is_rule(looking, "marked") && personal && *find_field(personal, path, &unused);
    if (!*path)
        add_use(looking, "subscribes to it");
    else if (!named && !(fields && *fields))
        add_use(looking, "subscribes to all of it");
    else if (!named && *find_field(fields, path, &length))
        add_use(looking, "reads %.*s", (int)length, find_field(fields, path, &length));
    free(path);
}

static void look_at_subscriptions(const struct looking *looking)
{
    size_t i;
    json_t *subscribed;
    json_array_foreach (json_object_get(looking->consumer->description, "hears"), i, subscribed) {
        if (is_string_member(subscribed, "service", json_string_at(looking->change, "service")) &&
            is_string_member(subscribed, "type", json_string_at(looking->change, "name")))
            look_at_one_subscription(looking, subscribed);
    }
}

/* ---- Routes ---- */

/* Whether it is the changed route, as it was, that serves this. */
static bool uses_route(const struct looking *looking, const char *service, const char *method,
                       const char *target)
{
    bool unused;
    if (!service || !target || !is_string_member(looking->change, "service", service))
        return false;
    const json_t *route = callers_route(looking->old, method, target, &unused);
    return route && is_string_member(looking->change, "method", json_string_at(route, "method")) &&
           is_string_member(looking->change, "path", json_string_at(route, "path"));
}

static bool sends_parameter(const char *target, const char *name)
{
    const char *query = strchr(target, '?');
    size_t length = strlen(name);
    while (query && *++query) {
        if (strncmp(query, name, length) == 0 && (query[length] == '=' || !query[length]))
            return true;
        query = strchr(query, '&');
    }
    return false;
}

/* What is required breaks those who don't send it, everything else those who do. `sends` is asked
 * for the first name in the pointer; without one, the whole has changed. */
static bool is_touched(const struct looking *looking, const char *given,
                       bool (*sends)(const char *given, const char *name))
{
    char *path = dotted_path(json_string_at(looking->change, "pointer"));
    bool whole = !*path, deep = strchr(path, '.') != NULL;
    path[strcspn(path, ".")] = '\0';
    bool sent = !whole && sends(given, path);
    free(path);
    return whole || sent != (is_rule(looking, "required") && !deep);
}

static bool sends_member(const char *map, const char *name)
{
    size_t length = strlen(name);
    for (map += strspn(map, ", "); *map; map += strspn(map, ", ")) {
        if (strcspn(map, ", =") == length && strncmp(map, name, length) == 0)
            return true;
        map += strcspn(map, ",");
    }
    return false;
}

static bool is_changed_part(const struct looking *looking, const char *part)
{
    return is_string_member(looking->change, "part", part);
}

static void look_at_asks(const struct looking *looking, const char *list, const char *how)
{
    size_t i;
    json_t *ask;
    json_array_foreach (json_object_get(looking->consumer->description, list), i, ask) {
        const char *target = json_string_at(ask, "path"),
                   *personal = json_string_at(ask, "personal");
        char *path = dotted_path(json_string_at(looking->change, "pointer"));
        size_t unused;
        bool named = is_rule(looking, "marked") && personal && *find_field(personal, path, &unused);
        if (uses_route(looking, json_string_at(ask, "service"), "GET", target) && !named &&
            (!is_changed_part(looking, "query") || is_touched(looking, target, sends_parameter)))
            add_use(looking, "%s", how);
        free(path);
    }
}

static void look_at_saga_step(const struct looking *looking, const json_t *saga, const json_t *step,
                              const char *member)
{
    struct callers_target target;
    const char *written = json_string_at(step, member), *map = json_string_at(step, "body");
    bool undoes = strcmp(member, "undo") == 0;
    if (!written || !callers_target_parse(written, &target) ||
        !uses_route(looking, target.service, target.method, target.path))
        return;
    if (is_rule(looking, "undo") && !undoes)
        return;
    if (is_changed_part(looking, "body") && !is_touched(looking, map ? map : "", sends_member))
        return;
    if (is_changed_part(looking, "query") && !is_touched(looking, target.path, sends_parameter))
        return;
    add_use(looking, "%s it in step %s of saga %s", undoes ? "undoes with" : "calls",
            json_string_at(step, "name"), json_string_at(saga, "name"));
}

static void look_at_sagas(const struct looking *looking)
{
    size_t i, j;
    json_t *saga, *step;
    json_array_foreach (json_object_get(looking->consumer->description, "sagas"), i, saga) {
        json_array_foreach (json_object_get(saga, "steps"), j, step) {
            look_at_saga_step(looking, saga, step, "call");
            look_at_saga_step(looking, saga, step, "undo");
        }
    }
}

/* ---- Services ---- */

static bool is_of_changed(const struct looking *looking, const char *service)
{
    return service && is_string_member(looking->change, "service", service);
}

/* The whole service is gone. */
static void look_at_all(const struct looking *looking)
{
    static const char *const lists[][2] = {{"asks", "asks it"},
                                           {"hears", "subscribes to its events"},
                                           {"takes_over", "takes over from it"}};
    struct callers_target target;
    size_t i, j;
    json_t *one, *step;
    for (size_t list = 0; list < sizeof lists / sizeof lists[0]; list++) {
        json_array_foreach (json_object_get(looking->consumer->description, lists[list][0]), i, one)
            if (is_of_changed(looking, json_string_at(one, "service")))
                add_use(looking, "%s", lists[list][1]);
    }
    json_array_foreach (json_object_get(looking->consumer->description, "sagas"), i, one) {
        json_array_foreach (json_object_get(one, "steps"), j, step) {
            const char *call = json_string_at(step, "call");
            if (call && callers_target_parse(call, &target) &&
                is_of_changed(looking, target.service))
                add_use(looking, "calls it in saga %s", json_string_at(one, "name"));
        }
    }
}

/* What is demanded of clients outside is not demanded of services. */
static bool is_for_outside_alone(const struct looking *looking)
{
    return is_rule(looking, "auth") ||
           (is_rule(looking, "audience") &&
            strstr(json_string_at(looking->change, "text"), "is now for services"));
}

void whom_find(json_t *whom, const json_t *change, const json_t *old,
               const struct consumer *consumer)
{
    const struct looking looking = {whom, change, old, consumer};
    if (is_string_member(change, "service", consumer->name))
        return;
    if (is_string_member(change, "kind", "service")) {
        look_at_all(&looking);
    } else if (is_string_member(change, "kind", "event")) {
        look_at_subscriptions(&looking);
    } else if (!is_for_outside_alone(&looking)) {
        look_at_asks(&looking, "asks", "asks for it");
        look_at_asks(&looking, "takes_over", "takes over from it");
        look_at_sagas(&looking);
    }
}
