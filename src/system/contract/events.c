/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Event types and their versions. All that is said of versions is said here:
 *
 *   the old version is still published    its shape may change in ways alone that nobody notices:
 *                                         who reads the old shape reads the new events, and events
 *                                         of this version that are stored already fit the new shape
 *   a higher one takes its place          who reads the old shape has to be able to read it
 *   a lower one does                      breaks: what is stored has a number that is used again
 *
 * A subscriber that turns old versions into new ones by itself can read what is stored, not what
 * will be published: nothing here depends on that. Where one declares which versions it takes,
 * whom.c is the place to look at it.
 *
 * Rules: "gone", "new", "version", "key", "actor", "partitions"; and those of shapes.
 */

#include "system/contract/events.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "shape/accept.h"

static json_int_t event_version(const json_t *published)
{
    return json_integer_value(json_object_get(published, "version"));
}

static bool is_member(const json_t *published, const char *member, const char *text)
{
    const char *own = json_string_at(published, member);
    return own && text ? strcmp(own, text) == 0 : own == text;
}

/* The one of this version; otherwise the newest. NULL: the type is not published. */
static const json_t *find_event_type(const json_t *description, const char *type,
                                     json_int_t version)
{
    const json_t *newest = NULL;
    size_t i;
    json_t *published;
    json_array_foreach (json_object_get(description, "publishes"), i, published) {
        if (!is_member(published, "type", type))
            continue;
        if (event_version(published) == version)
            return published;
        if (!newest || event_version(published) > event_version(newest))
            newest = published;
    }
    return newest;
}

/* Whoever has events of the old shape under the same number. */
static void compare_stored(struct changes *changes, const json_t *old, const json_t *now)
{
    char *pointer = NULL;
    const json_t *was = json_object_get(old, "schema"), *is = json_object_get(now, "schema");
    json_int_t version = event_version(old);
    if (shape_accepts_all(was, is, SHAPE_GIVEN, NULL) &&
        !shape_accepts_all(is, was, SHAPE_GIVEN, &pointer))
        changes_add(changes, true, "version",
                    "has another shape under the same version, and events of version "
                    "%" JSON_INTEGER_FORMAT " that are stored may not fit it at \"%s\": make it "
                    "version %" JSON_INTEGER_FORMAT,
                    version, pointer, version + 1);
    free(pointer);
}

static void compare_partitions(struct changes *changes, const json_t *old, const json_t *now)
{
    json_int_t was = json_integer_value(json_object_get(old, "partitions")),
               is = json_integer_value(json_object_get(now, "partitions"));
    if (was != is)
        changes_add(changes, is < was, "partitions",
                    "has %" JSON_INTEGER_FORMAT " partitions now, and %" JSON_INTEGER_FORMAT
                    " before%s",
                    is, was, is < was ? ": they can't become fewer" : "");
}

static void compare_published(struct changes *changes, const json_t *old, const json_t *now)
{
    const char *key = json_string_at(old, "key"), *now_key = json_string_at(now, "key");
    json_int_t was = event_version(old), is = event_version(now);
    if (is < was)
        changes_add(changes, true, "version",
                    "went back from version %" JSON_INTEGER_FORMAT " to %" JSON_INTEGER_FORMAT, was,
                    is);
    else if (is > was)
        changes_add(changes, false, "version",
                    "is published as version %" JSON_INTEGER_FORMAT
                    " now, and as %" JSON_INTEGER_FORMAT " before",
                    is, was);
    changes_of_shapes(changes, "data", json_object_get(old, "schema"),
                      json_object_get(now, "schema"), SHAPE_GIVEN);
    if (is == was)
        compare_stored(changes, old, now);
    if (!is_member(now, "key", key))
        changes_add(changes, true, "key", "has the key %s now, and %s before: the order is another",
                    now_key ? now_key : "none", key ? key : "none");
    if (json_is_true(json_object_get(old, "actor")) && !json_is_true(json_object_get(now, "actor")))
        changes_add(changes, true, "actor", "does not say any more who did it");
    compare_partitions(changes, old, now);
}

void events_compare(struct changes *changes, const json_t *old, const json_t *now, const char *type)
{
    size_t i;
    json_t *published;
    changes->kind = "event";
    changes->method = changes->path = NULL;
    json_array_foreach (json_object_get(old, "publishes"), i, published) {
        changes->name = json_string_at(published, "type");
        changes->version = event_version(published);
        const json_t *left = find_event_type(now, changes->name, changes->version);
        if (type && strcmp(type, changes->name) != 0)
            continue;
        if (left)
            compare_published(changes, published, left);
        else
            changes_add(changes, true, "gone", "is gone");
    }
    json_array_foreach (json_object_get(now, "publishes"), i, published) {
        changes->name = json_string_at(published, "type");
        changes->version = event_version(published);
        const json_t *before = find_event_type(old, changes->name, changes->version);
        bool wanted = !type || strcmp(type, changes->name) == 0;
        if (wanted && !before)
            changes_add(changes, false, "new", "is new");
        else if (wanted && event_version(before) < changes->version &&
                 find_event_type(now, changes->name, event_version(before)) != published)
            changes_add(changes, false, "new", "is published in this version, too");
    }
}
