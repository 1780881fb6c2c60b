/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names in a document, OpenAPI or AsyncAPI, given when all of it is there, since a name that two
 * services use belongs to neither.
 *
 * Schemas: those of named shapes have a title, and here a note of whose they are. Each content that
 * a title has becomes a schema among the components, and what had it refers to it. If two contents
 * have one title, each gets its service's name before it; if they are of one service, what is taken
 * differs from what is told by its secrets alone (writeOnly), and is called the input. What a field
 * says of its object (may be null, is personal, has a default) stays beside the reference.
 *
 * Operations: an id that two services use has the service's name before it in both.
 */

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "service/openapi.h"
#include "shape/shape.h"

#define NAME_LENGTH_MAX ((size_t)256)
#define COMPONENTS "#/components/schemas/"

/* What a field says beside its object's shape. */
static const char *const of_fields[] = {SHAPE_SCHEMA_PERSONAL, SHAPE_SCHEMA_SECRET,
                                        SHAPE_SCHEMA_CARD, "default", "writeOnly"};
#define OF_FIELDS (sizeof of_fields / sizeof *of_fields)

static void put_named(json_t *object, const char *name, json_t *value)
{
    int result = json_object_set_new(object, name, value);
    FH_ASSERT(result == 0);
}

/* ---- Contents ---- */

/* Only where schemas have schemas in them: a default may look like one. */
static void note_service(json_t *schema, const char *service)
{
    const char *name;
    json_t *inner;
    json_object_foreach (json_object_get(schema, "properties"), name, inner)
        note_service(inner, service);
    if (json_object_get(schema, "items"))
        note_service(json_object_get(schema, "items"), service);
    if (json_is_string(json_object_get(schema, "title")))
        put_named(schema, OPENAPI_OF, json_string(service));
}

json_t *openapi_schema(const json_t *schema)
{
    json_t *copy = json_deep_copy(schema);
    FH_ASSERT(copy != NULL);
    json_object_del(copy, "$schema");
    json_object_del(json_object_get(copy, "items"), "$schema");
    return copy;
}

json_t *openapi_schema_of(const json_t *schema, const char *service)
{
    json_t *copy = openapi_schema(schema);
    if (service) /* otherwise it is noted already: a composition's are of several */
        note_service(copy, service);
    return copy;
}

static bool is_named_schema(const json_t *schema)
{
    return json_is_string(json_object_get(schema, OPENAPI_OF)) &&
           json_is_string(json_object_get(schema, "title"));
}

static bool is_nullable(const json_t *schema)
{
    return json_is_array(json_object_get(schema, "type"));
}

static void drop_notes(json_t *schema)
{
    const char *name;
    size_t i;
    json_t *inner;
    json_array_foreach (schema, i, inner)
        drop_notes(inner);
    json_object_foreach (schema, name, inner)
        drop_notes(inner);
    json_object_del(schema, OPENAPI_OF);
}

/* The shape's own schema, without what the field around it says. */
static json_t *content_of(const json_t *schema)
{
    json_t *content = json_deep_copy(schema);
    FH_ASSERT(content != NULL);
    for (size_t i = 0; i < OF_FIELDS; i++)
        json_object_del(content, of_fields[i]);
    put_named(content, "type", json_string("object"));
    return content;
}

static bool takes_secrets(json_t *schema)
{
    const char *name;
    size_t i;
    json_t *inner;
    json_array_foreach (schema, i, inner) {
        if (takes_secrets(inner))
            return true;
    }
    json_object_foreach (schema, name, inner) {
        if (strcmp(name, "writeOnly") == 0 || takes_secrets(inner))
            return true;
    }
    return false;
}

/* {"title", "service", "content" with its notes, "compared" without, "secrets"}: whether it takes
 * any. A service has one shape of a title; how far that is written out where it is within itself
 * makes no other of it. */
static json_t *find_named(json_t *entries, json_t *content)
{
    const char *title = json_string_at(content, "title");
    const char *service = json_string_at(content, OPENAPI_OF);
    json_t *compared = json_deep_copy(content), *entry, *found = NULL;
    bool secrets = takes_secrets(content);
    size_t i;
    drop_notes(compared);
    json_array_foreach (entries, i, entry) {
        bool own = strcmp(json_string_at(entry, "service"), service) == 0 &&
                   json_is_true(json_object_get(entry, "secrets")) == secrets;
        if (!found && strcmp(json_string_at(entry, "title"), title) == 0 &&
            (own || json_equal(json_object_get(entry, "compared"), compared)))
            found = entry;
    }
    json_decref(compared);
    return found;
}

static void add_named_schema(json_t *entries, const json_t *schema)
{
    json_t *content = content_of(schema);
    if (!find_named(entries, content)) {
        json_t *compared = json_deep_copy(content);
        drop_notes(compared);
        json_array_append_new(entries,
                              json_pack("{s:s, s:s, s:O, s:o, s:b}", "title",
                                        json_string_at(schema, "title"), "service",
                                        json_string_at(schema, OPENAPI_OF), "content", content,
                                        "compared", compared, "secrets", takes_secrets(content)));
    }
    json_decref(content);
}

static void collect_named(json_t *entries, const json_t *value)
{
    const char *name;
    size_t i;
    json_t *inner;
    json_array_foreach (value, i, inner)
        collect_named(entries, inner);
    json_object_foreach ((json_t *)(uintptr_t)value, name, inner)
        collect_named(entries, inner);
    if (is_named_schema(value) && !json_object_get(value, SHAPE_SCHEMA_AGAIN))
        add_named_schema(entries, value);
}

/* ---- Names ---- */

static bool is_same_in(const json_t *entry, const json_t *other, const char *member)
{
    return strcmp(json_string_at(entry, member), json_string_at(other, member)) == 0;
}

/* Where what is taken differs from what is told. */
static bool is_input(const json_t *entries, json_t *entry)
{
    size_t i;
    json_t *other;
    json_array_foreach (entries, i, other) {
        if (other != entry && is_same_in(entry, other, "title") &&
            is_same_in(entry, other, "service"))
            return json_is_true(json_object_get(entry, "secrets"));
    }
    return false;
}

static bool is_shared(const json_t *entries, const json_t *entry)
{
    size_t i;
    json_t *other;
    json_array_foreach (entries, i, other) {
        if (is_same_in(entry, other, "title") && !is_same_in(entry, other, "service"))
            return true;
    }
    return strcmp(json_string_at(entry, "title"), OPENAPI_PROBLEM) == 0;
}

/* `wanted`, or with the first number behind it that makes another of it; `used` has it then. */
static json_t *unused_name(json_t *used, const char *wanted, const char *joint)
{
    json_t *name = json_string(wanted);
    for (int number = 2; json_object_get(used, json_string_value(name)); number++) {
        json_decref(name);
        name = json_sprintf("%s%s%d", wanted, joint, number);
    }
    put_named(used, json_string_value(name), json_true());
    return name;
}

/* A name that is somebody's own stays his, even if another's would become the same. */
static void name_entries(json_t *entries)
{
    json_t *used = json_object(), *entry;
    size_t i;
    for (int own = 1; own >= 0; own--) {
        json_array_foreach (entries, i, entry) {
            bool shared = is_shared(entries, entry), input = is_input(entries, entry);
            char name[NAME_LENGTH_MAX];
            if (own != (!shared && !input))
                continue;
            snprintf(name, sizeof name, "%s%s%s", shared ? json_string_at(entry, "service") : "",
                     json_string_at(entry, "title"), input ? "Input" : "");
            name[0] = (char)toupper((unsigned char)name[0]);
            put_named(entry, "name", unused_name(used, name, ""));
        }
    }
    json_decref(used);
}

static json_t *reference_to(const json_t *entry, const json_t *schema)
{
    json_t *reference =
        json_pack("{s:o}", "$ref", json_sprintf(COMPONENTS "%s", json_string_at(entry, "name")));
    if (is_nullable(schema))
        reference = json_pack("{s:[o, {s:s}]}", "anyOf", reference, "type", "null");
    FH_ASSERT(reference != NULL);
    for (size_t i = 0; i < OF_FIELDS; i++) {
        json_t *said = json_object_get(schema, of_fields[i]);
        if (said)
            put_named(reference, of_fields[i], json_incref(said));
    }
    return reference;
}

static void refer_within(json_t *entries, json_t *value);

/* What is to be there instead; NULL: it stays. */
static json_t *referred_schema(json_t *entries, json_t *schema)
{
    if (!is_named_schema(schema)) {
        refer_within(entries, schema);
        return NULL;
    }
    json_t *content = content_of(schema), *entry = find_named(entries, content);
    json_decref(content);
    return entry ? reference_to(entry, schema) : NULL;
}

static void refer_within(json_t *entries, json_t *value)
{
    const char *name;
    size_t i;
    void *next;
    json_t *inner, *reference;
    json_array_foreach (value, i, inner) {
        reference = referred_schema(entries, inner);
        if (reference)
            json_array_set_new(value, i, reference);
    }
    json_object_foreach_safe (value, next, name, inner) {
        reference = referred_schema(entries, inner);
        if (reference)
            put_named(value, name, reference);
    }
}

void openapi_name_schemas(json_t *document, const char *where)
{
    json_t *entries = json_array(), *used = json_object_get(document, where), *entry;
    json_t *schemas = json_object_get(json_object_get(document, "components"), "schemas");
    size_t i;
    collect_named(entries, used);
    name_entries(entries);
    refer_within(entries, used);
    json_array_foreach (entries, i, entry) {
        json_t *content = json_object_get(entry, "content");
        refer_within(entries, content);
        put_named(schemas, json_string_at(entry, "name"), json_incref(content));
    }
    drop_notes(document);
    json_decref(entries);
}

/* ---- Operations ---- */

static void add_operations(json_t *by_id, json_t *paths)
{
    const char *path, *method, *id;
    json_t *item, *operation;
    json_object_foreach (paths, path, item) {
        json_object_foreach (item, method, operation) {
            id = json_string_at(operation, "operationId");
            if (!json_object_get(by_id, id))
                put_named(by_id, id, json_array());
            json_array_append(json_object_get(by_id, id), operation);
        }
    }
}

/* An id that one operation has stays, even if another's would become the same. */
void openapi_name_operations(json_t *document)
{
    json_t *by_id = json_object(), *used = json_object(), *operations, *operation;
    const char *id;
    size_t i;
    add_operations(by_id, json_object_get(document, "paths"));
    json_object_foreach (by_id, id, operations) {
        if (json_array_size(operations) == 1)
            put_named(used, id, json_true());
    }
    json_object_foreach (by_id, id, operations) {
        if (json_array_size(operations) == 1)
            continue;
        json_array_foreach (operations, i, operation) {
            const json_t *tag = json_array_get(json_object_get(operation, "tags"), 0);
            json_t *wanted = json_sprintf("%s_%s", json_string_value(tag), id);
            put_named(operation, "operationId", unused_name(used, json_string_value(wanted), "_"));
            json_decref(wanted);
        }
    }
    json_decref(used);
    json_decref(by_id);
}
