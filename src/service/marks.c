/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Some places can't do without showing or keeping what they hold: a query is in the logs of every
 * proxy, an event in the stores of all its subscribers, an event's key in logs and traces, an
 * answer to a command in the record that repeats it. A mark that says otherwise is refused, rather
 * than believed by whoever reads the declaration.
 */

#include "service/marks.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "shape/shape.h"

#define PATH_SIZE 512
#define DEPTH_MAX 32

static const char *mark_of(const json_t *schema)
{
    if (json_is_true(json_object_get(schema, SHAPE_SCHEMA_SECRET)))
        return "secret";
    if (json_is_true(json_object_get(schema, SHAPE_SCHEMA_CARD)))
        return "card";
    return json_is_true(json_object_get(schema, SHAPE_SCHEMA_PERSONAL)) ? "personal" : NULL;
}

static void add_marks(json_t *found, const json_t *schema, const char *around, int depth)
{
    const char *name;
    json_t *property, *others = json_object_get(schema, "additionalProperties");
    char path[PATH_SIZE];
    if (depth > DEPTH_MAX)
        return;
    if (json_object_get(schema, "items"))
        add_marks(found, json_object_get(schema, "items"), around, depth + 1);
    if (mark_of(others)) {
        snprintf(path, sizeof path, "%s%s*", around, *around ? "." : "");
        json_object_set_new(found, path, json_string(mark_of(others)));
    }
    json_object_foreach (json_object_get(schema, "properties"), name, property) {
        snprintf(path, sizeof path, "%s%s%s", around, *around ? "." : "", name);
        const char *mark = mark_of(property);
        if (mark)
            json_object_set_new(found, path, json_string(mark));
        if (!mark || strcmp(mark, "personal") == 0)
            add_marks(found, property, path, depth + 1); /* a secret may be in what is personal */
    }
}

json_t *marks_of_schema(const json_t *schema)
{
    json_t *found = json_object();
    add_marks(found, schema, "", 0);
    return found;
}

/* The name of the first that is a secret or a card. False: there is none. */
static bool find_secret(const json_t *schema, char name[static PATH_SIZE])
{
    json_t *found = marks_of_schema(schema), *mark;
    const char *path;
    bool any = false;
    json_object_foreach (found, path, mark) {
        if (!any && strcmp(json_string_value(mark), "personal") != 0) {
            snprintf(name, PATH_SIZE, "%s", path);
            any = true;
        }
    }
    json_decref(found);
    return any;
}

/* Whether every field on the way to it, or it alone, may be absent: then an answer fits without
 * it. */
static bool may_be_absent(const json_t *schema, const char *path)
{
    size_t length = strcspn(path, "."), i;
    char name[PATH_SIZE];
    json_t *required, *items = json_object_get(schema, "items");
    if (items)
        return may_be_absent(items, path);
    snprintf(name, sizeof name, "%.*s", (int)length, path);
    const json_t *inner = json_object_get(json_object_get(schema, "properties"), name);
    if (path[length] && inner)
        return may_be_absent(inner, path + length + 1);
    json_array_foreach (json_object_get(schema, "required"), i, required) {
        if (strcmp(json_string_value(required), name) == 0)
            return false;
    }
    return true;
}

static enum fh_code check_route_marks(const json_t *route, struct fh_error *error)
{
    const char *method = json_string_at(route, "method"), *path = json_string_at(route, "path");
    const json_t *answer = json_object_get(json_object_get(route, "answer"), "schema");
    char name[PATH_SIZE];
    method = method ? method : "";
    if (find_secret(json_object_get(route, "query"), name))
        return error_set(error, FH_INVALID,
                         "the query of %s %s has the secret '%.64s', and queries are kept in logs "
                         "on the way: take it in the body",
                         method, path, name);
    json_t *found = strcmp(method, "GET") == 0 ? json_object() : marks_of_schema(answer), *mark;
    const char *field;
    enum fh_code code = FH_OK;
    json_object_foreach (found, field, mark) {
        if (code == FH_OK && strcmp(json_string_value(mark), "personal") != 0 &&
            !may_be_absent(answer, field))
            code = error_set(error, FH_INVALID,
                             "the answer of %s %s has the secret '%.64s', which a repeated answer "
                             "leaves out: make it .optional",
                             method, path, field);
    }
    json_decref(found);
    return code;
}

/* Whether the schema has this field by its own name, at any depth. */
static bool is_declared(const json_t *schema, const char *path)
{
    char name[PATH_SIZE];
    while (*path && schema) {
        size_t length = strcspn(path, ".");
        snprintf(name, sizeof name, "%.*s", (int)length, path);
        schema = json_object_get(json_object_get(schema, "properties"), name);
        path += length + (path[length] == '.');
    }
    return schema != NULL;
}

/* The mark is one of the key itself, of what is around it, or of all names around it. */
static bool key_has_mark(const json_t *schema, const char *key, const char *field)
{
    size_t length = strlen(field);
    if (field[length - 1] == '*')
        return strncmp(key, field, length - 1) == 0 && !is_declared(schema, key);
    return strncmp(key, field, length) == 0 && (key[length] == '\0' || key[length] == '.');
}

/* What is made of it for those who read an earlier version is kept by them as well. */
static enum fh_code check_downcast_marks(const json_t *published, struct fh_error *error)
{
    char name[PATH_SIZE];
    size_t i;
    json_t *downcast;
    json_array_foreach (json_object_get(published, "downcasts"), i, downcast) {
        if (find_secret(json_object_get(downcast, "schema"), name))
            return error_set(error, FH_INVALID,
                             "%.64s has the secret '%.64s' in version %d, and an event is kept by "
                             "all its subscribers: leave it out",
                             json_string_at(published, "type"), name,
                             (int)json_integer_value(json_object_get(downcast, "to")));
    }
    return FH_OK;
}

static enum fh_code check_published_marks(const json_t *published, struct fh_error *error)
{
    const char *type = json_string_at(published, "type"), *key = json_string_at(published, "key");
    const json_t *schema = json_object_get(published, "schema");
    char name[PATH_SIZE];
    if (find_secret(schema, name))
        return error_set(error, FH_INVALID,
                         "%s has the secret '%.64s', and an event is kept by its publisher and all "
                         "its subscribers: leave it out",
                         type, name);
    json_t *found = marks_of_schema(schema), *mark;
    const char *field;
    enum fh_code code = FH_OK;
    json_object_foreach (found, field, mark) {
        if (key && key_has_mark(schema, key, field))
            code = error_set(error, FH_INVALID,
                             "%s is published by the key '%s', which is %s, and keys of events are "
                             "in logs and traces: use an id",
                             type, key, json_string_value(mark));
    }
    json_decref(found);
    return code == FH_OK ? check_downcast_marks(published, error) : code;
}

enum fh_code marks_check(const json_t *description, struct fh_error *error)
{
    enum fh_code code = FH_OK;
    size_t i;
    json_t *one;
    json_array_foreach (json_object_get(description, "routes"), i, one)
        code = code ? code : check_route_marks(one, error);
    json_array_foreach (json_object_get(description, "publishes"), i, one)
        code = code ? code : check_published_marks(one, error);
    return code;
}
