/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads descriptions of contracts. They are another team's, and may be anything: what comes out has
 * the form that the rest of this layer relies on, all words of its schemas known, and no control
 * characters in what is shown to people. Each refusal names the place, as line and column and as a
 * JSON Pointer.
 */

#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "freehold.h"
#include "shape/shape.h"
#include "system/contract/document.h"
#include "system/contract/place.h"
#include "system/file/file.h"

#define ELEMENTS_MAX 1024
#define SHOWN_MAX 400 /* bytes of a pointer, or of a sentence */

struct reading {
    const char *path, *text, *end;
    struct findings *findings;
};

/* As it may be shown to people. */
static void make_short(char *text)
{
    if (strlen(text) > SHOWN_MAX) {
        text[SHOWN_MAX] = '\0';
        text_mend_end(text);
    }
    text_make_plain(text, strlen(text));
    for (char *c = text; *c; c++)
        *c = *c == '\n' ? ' ' : *c;
}

/* Takes `pointer`, malloc'ed. */
static bool refuse_at(const struct reading *reading, char *pointer, const char *why)
{
    struct place place = place_in_json(reading->path, reading->text, pointer);
    char *plain = strdup(why);
    FH_ASSERT(plain != NULL);
    make_short(plain);
    make_short(pointer);
    findings_error(reading->findings, place, "%s: %s", *pointer ? pointer : "the whole", plain);
    free(plain);
    free(pointer);
    return false;
}

/* ---- Names ---- */

/* A value, and where it is. */
struct spot {
    const struct spot *outer;
    const char *name; /* NULL: an element */
    size_t index;
};

static void add_spot(struct text *text, const struct spot *spot)
{
    if (!spot->outer)
        return;
    add_spot(text, spot->outer);
    if (!spot->name)
        text_printf(text, "/%zu", spot->index);
    else
        text_add(text, "/");
    for (const char *c = spot->name; c && *c; c++) {
        if (*c == '~' || *c == '/')
            text_add(text, *c == '~' ? "~0" : "~1");
        else
            text_append(text, c, 1);
    }
}

static bool refuse_spot(const struct reading *reading, const struct spot *spot, const char *why)
{
    struct text pointer;
    text_init(&pointer, TEXT_LENGTH_MAX);
    text_add(&pointer, "");
    add_spot(&pointer, spot);
    return refuse_at(reading, text_take(&pointer), why);
}

static bool is_plain_text(const char *string)
{
    char *copy = strdup(string);
    FH_ASSERT(copy != NULL);
    text_make_plain(copy, strlen(copy));
    bool plain = strcmp(copy, string) == 0 && !strpbrk(string, "\n\t");
    free(copy);
    return plain;
}

/* Values are shown in quotes, as a JSON text has them; all else is names. */
static bool is_of_values(const char *name)
{
    return strcmp(name, "enum") == 0 || strcmp(name, "default") == 0 ||
           strcmp(name, "pattern") == 0;
}

static bool check_plain_names(const struct reading *reading, const struct spot *spot,
                              const json_t *value)
{
    const char *name;
    json_t *one;
    size_t i;
    if (json_is_string(value) && !is_plain_text(json_string_value(value)))
        return refuse_spot(reading, spot, "a control character is in this text");
    json_object_foreach ((json_t *)(uintptr_t)value, name, one) {
        const struct spot below = {spot, name, 0};
        if (!is_plain_text(name))
            return refuse_spot(reading, &below, "a control character is in this name");
        if (!is_of_values(name) && !check_plain_names(reading, &below, one))
            return false;
    }
    json_array_foreach (value, i, one) {
        const struct spot below = {spot, NULL, i};
        if (!check_plain_names(reading, &below, one))
            return false;
    }
    return true;
}

/* ---- Schemas ---- */

enum kind { TYPES, PROPERTIES, TEXTS, OTHERS, ELEMENTS, VALUES, COUNT, NUMBER, TEXT, TRUE, ANY };

static const struct word {
    const char *name;
    enum kind kind;
} schema_words[] = {{"type", TYPES},
                    {"properties", PROPERTIES},
                    {"required", TEXTS},
                    {"additionalProperties", OTHERS},
                    {"items", ELEMENTS},
                    {"enum", VALUES},
                    {"minLength", COUNT},
                    {"maxLength", COUNT},
                    {"minItems", COUNT},
                    {"maxItems", COUNT},
                    {"minimum", NUMBER},
                    {"maximum", NUMBER},
                    {"format", TEXT},
                    {"pattern", TEXT},
                    {"default", ANY},
                    {SHAPE_SCHEMA_PERSONAL, TRUE},
                    {SHAPE_SCHEMA_SECRET, TRUE},
                    {SHAPE_SCHEMA_CARD, TRUE},
                    {SHAPE_SCHEMA_AGAIN, TRUE},
                    {SHAPE_SCHEMA_LEVELS, COUNT},
                    {SHAPE_SCHEMA_LEAST_BYTES, COUNT},
                    {SHAPE_SCHEMA_FORMAT, TEXT},
                    {SHAPE_SCHEMA_PRECISION, COUNT},
                    {SHAPE_SCHEMA_SCALE, COUNT},
                    {SHAPE_SCHEMA_MINIMUM, TEXT},
                    {SHAPE_SCHEMA_MAXIMUM, TEXT}};

static bool are_texts(const json_t *value, bool or_null)
{
    size_t i;
    json_t *one;
    json_array_foreach (value, i, one) {
        if (!json_is_string(one) && !(or_null && json_is_null(one)))
            return false;
    }
    return json_is_array(value);
}

static bool is_schema_type(const char *name)
{
    static const char *const types[] = {"null",   "boolean", "integer", "number",
                                        "string", "object",  "array"};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (strcmp(types[i], name) == 0)
            return true;
    }
    return false;
}

static bool are_types(const json_t *value)
{
    size_t i;
    json_t *one;
    if (json_is_string(value))
        return is_schema_type(json_string_value(value));
    json_array_foreach (value, i, one) {
        if (!json_is_string(one) || !is_schema_type(json_string_value(one)))
            return false;
    }
    return json_is_array(value) && json_array_size(value) > 0;
}

/* Marks alone, or no other members at all. */
static bool are_others(const json_t *value)
{
    const char *name;
    json_t *one;
    json_object_foreach ((json_t *)(uintptr_t)value, name, one) {
        if ((strcmp(name, SHAPE_SCHEMA_PERSONAL) != 0 && strcmp(name, SHAPE_SCHEMA_SECRET) != 0 &&
             strcmp(name, SHAPE_SCHEMA_CARD) != 0) ||
            !json_is_true(one))
            return false;
    }
    return json_is_object(value) || json_is_false(value);
}

static bool is_of_kind(enum kind kind, const json_t *value)
{
    switch (kind) {
    case TYPES:
        return are_types(value);
    case PROPERTIES:
    case ELEMENTS:
        return json_is_object(value);
    case TEXTS:
    case VALUES:
        return are_texts(value, kind == VALUES);
    case OTHERS:
        return are_others(value);
    case COUNT:
        return json_is_integer(value) && json_integer_value(value) >= 0;
    case NUMBER:
        return json_is_number(value);
    case TEXT:
        return json_is_string(value);
    case TRUE:
        return json_is_true(value);
    case ANY:
        break;
    }
    return true;
}

static bool check_schema(const struct reading *reading, const struct spot *spot,
                         const json_t *schema);

static bool check_word(const struct reading *reading, const struct spot *spot, const char *name,
                       const json_t *value)
{
    const struct word *word = schema_words,
                      *end = schema_words + sizeof schema_words / sizeof schema_words[0];
    const char *property;
    json_t *one;
    while (word < end && strcmp(word->name, name) != 0)
        word++;
    if (word == end)
        return refuse_spot(reading, spot,
                           "no word of a shape's schema: expected those that freehold "
                           "describe writes");
    if (!is_of_kind(word->kind, value))
        return refuse_spot(reading, spot, "not the value that this word of a schema has");
    if (word->kind == ELEMENTS)
        return check_schema(reading, spot, value);
    json_object_foreach (word->kind == PROPERTIES ? (json_t *)(uintptr_t)value : NULL, property,
                         one) {
        const struct spot below = {spot, property, 0};
        if (!json_is_object(one))
            return refuse_spot(reading, &below, "expected a schema, an object");
        if (!check_schema(reading, &below, one))
            return false;
    }
    return true;
}

static bool check_schema(const struct reading *reading, const struct spot *spot,
                         const json_t *schema)
{
    const char *name;
    json_t *value;
    json_object_foreach ((json_t *)(uintptr_t)schema, name, value) {
        const struct spot below = {spot, name, 0};
        if (!check_word(reading, &below, name, value))
            return false;
    }
    return true;
}

/* Of the elements of a service's list, and of their answers. */
static bool check_schemas(const struct reading *reading, const struct spot *spot,
                          const json_t *list)
{
    static const char *const names[] = {"query", "body", "schema"};
    size_t i;
    json_t *element;
    json_array_foreach (list, i, element) {
        const struct spot at = {spot, NULL, i}, answer_at = {&at, "answer", 0},
                          answer_schema = {&answer_at, "schema", 0};
        const json_t *answer = json_object_get(json_object_get(element, "answer"), "schema");
        for (size_t j = 0; j < sizeof names / sizeof names[0]; j++) {
            const struct spot below = {&at, names[j], 0};
            const json_t *schema = json_object_get(element, names[j]);
            if (schema && !check_schema(reading, &below, schema))
                return false;
        }
        if (answer && !check_schema(reading, &answer_schema, answer))
            return false;
    }
    return true;
}

/* ---- Doubles ---- */

/* Two elements with the same members would be compared with one another. */
static bool check_doubles(const struct reading *reading, const struct spot *spot,
                          const json_t *list, const char *first, const char *second)
{
    json_t *seen = json_object(), *element;
    size_t i;
    bool good = true;
    json_array_foreach (list, i, element) {
        const struct spot at = {spot, NULL, i};
        json_t *both =
            json_pack("[O, O]", json_object_get(element, first), json_object_get(element, second));
        char *key = json_text(both);
        good = !json_object_get(seen, key) ||
               refuse_spot(reading, &at, "this is described twice here");
        FH_ASSERT(json_object_set_new(seen, key, json_true()) == 0);
        json_text_free(key);
        json_decref(both);
        if (!good)
            break;
    }
    json_decref(seen);
    return good;
}

/* ---- The form ---- */

#define TEXT_MAX 1024
#define NAME_PATTERN "[a-z][a-z0-9_-]*"
#define WORD(name, may_lack)                                                                       \
    {                                                                                              \
        name, FH_STRING, .min = 1, .max = TEXT_MAX, .optional = may_lack                           \
    }
#define ANY_SCHEMA(name)                                                                           \
    {                                                                                              \
        name, FH_OBJECT, .optional = true                                                          \
    }
#define LIST(name, shape)                                                                          \
    {                                                                                              \
        name, FH_ARRAY, .of = shape, .max = ELEMENTS_MAX, .optional = true                         \
    }
#define SERVICE_NAME(name)                                                                         \
    {                                                                                              \
        name, FH_STRING, .min = 1, .max = SYSTEM_NAME_LENGTH_MAX, .pattern = NAME_PATTERN          \
    }

static const char *const audience_names[] = {"public", "services", "operators", NULL};
static const fh_field answer_shape[] = {
    {"status", FH_INT, .min = 100, .max = 599}, ANY_SCHEMA("schema"), {0}};
static const fh_field route_shape[] = {
    {"method", FH_STRING, .min = 1, .max = 16, .pattern = "[A-Z]+"},
    {"path", FH_STRING, .min = 1, .max = TEXT_MAX, .pattern = "/.*"},
    {"audience", FH_STRING, .one_of = audience_names},
    WORD("auth", true),
    {"undo", FH_BOOL, .optional = true},
    ANY_SCHEMA("query"),
    ANY_SCHEMA("body"),
    WORD("body_type", true),
    {"answer", FH_OBJECT, .of = answer_shape, .optional = true},
    WORD("answer_type", true),
    WORD("location", true),
    {"of_view", FH_BOOL, .optional = true},
    {0}};
static const fh_field publishes_shape[] = {
    WORD("type", false),
    {"version", FH_INT, .min = 0, .max = INT32_MAX},
    WORD("key", true),
    {"actor", FH_BOOL, .optional = true},
    {"partitions", FH_INT, .min = 1, .max = INT32_MAX, .optional = true},
    ANY_SCHEMA("schema"),
    {0}};
static const fh_field hears_shape[] = {SERVICE_NAME("service"),
                                       WORD("type", false),
                                       {"fields", FH_STRING, .optional = true},
                                       {"personal", FH_STRING, .optional = true},
                                       {"snapshot", FH_BOOL, .optional = true},
                                       {0}};
static const fh_field asks_shape[] = {
    SERVICE_NAME("service"), WORD("path", false), {"personal", FH_STRING, .optional = true}, {0}};
static const fh_field takes_over_shape[] = {
    SERVICE_NAME("service"), WORD("path", false), WORD("step", false), {0}};
static const fh_field step_shape[] = {WORD("name", false),
                                      WORD("call", false),
                                      WORD("undo", true),
                                      {"body", FH_STRING, .optional = true},
                                      {"personal", FH_STRING, .optional = true},
                                      {0}};
static const fh_field saga_shape[] = {
    WORD("name", false), {"steps", FH_ARRAY, .of = step_shape, .max = ELEMENTS_MAX}, {0}};
static const fh_field service_shape[] = {SERVICE_NAME("name"),
                                         LIST("routes", route_shape),
                                         LIST("publishes", publishes_shape),
                                         LIST("hears", hears_shape),
                                         LIST("asks", asks_shape),
                                         LIST("takes_over", takes_over_shape),
                                         LIST("sagas", saga_shape),
                                         {0}};
static const fh_field document_shape[] = {
    {"contracts", FH_INT},
    {"system", FH_STRING, .max = TEXT_MAX},
    {"services", FH_ARRAY, .of = service_shape, .max = SYSTEM_SERVICES_MAX},
    {0}};

static bool check_format(const struct reading *reading, const json_t *document)
{
    const json_t *format = json_object_get(document, "contracts");
    struct place place = {reading->path, 0, 0};
    if (json_is_integer(format) && json_integer_value(format) == CONTRACT_FORMAT)
        return true;
    if (format) {
        char *found = json_text(format);
        make_short(found);
        findings_error(reading->findings, place_in_json(reading->path, reading->text, "/contracts"),
                       "this description has the format %s, and this freehold reads format %d: "
                       "a newer freehold has written it, so read it with that one",
                       found, CONTRACT_FORMAT);
        json_text_free(found);
    } else if (json_object_get(document, "freehold")) {
        findings_error(reading->findings, place,
                       "this is what a program says of itself (--describe), and no description of "
                       "contracts: freehold describe FILE --out PATH writes one");
    } else {
        findings_error(reading->findings, place,
                       "this is no description of contracts: freehold describe FILE --out PATH "
                       "writes one");
    }
    return false;
}

static bool check_document_form(const struct reading *reading, const json_t *document)
{
    const struct spot whole = {0};
    if (!check_format(reading, document) || !check_plain_names(reading, &whole, document))
        return false;
    json_t *faults = shape_check(document_shape, document);
    if (!faults)
        return true;
    const json_t *first = json_array_get(faults, 0);
    char *pointer = strdup(json_string_at(first, "pointer"));
    FH_ASSERT(pointer != NULL);
    refuse_at(reading, pointer, json_string_at(first, "detail"));
    json_decref(faults);
    return false;
}

static json_t *services_by_name(const struct reading *reading, const json_t *document)
{
    static const char *const lists[] = {"routes", "publishes"}, *const members[][2] = {
                                                                    {"method", "path"},
                                                                    {"type", "version"}};
    const struct spot whole = {0}, list = {&whole, "services", 0};
    json_t *all = json_object(), *service;
    size_t i;
    json_array_foreach (json_object_get(document, "services"), i, service) {
        const struct spot at = {&list, NULL, i};
        const char *name = json_string_at(service, "name");
        bool good = !json_object_get(all, name) ||
                    refuse_spot(reading, &at, "this service is described twice here");
        for (size_t j = 0; good && j < sizeof lists / sizeof lists[0]; j++) {
            const struct spot below = {&at, lists[j], 0};
            const json_t *elements = json_object_get(service, lists[j]);
            good = check_schemas(reading, &below, elements) &&
                   check_doubles(reading, &below, elements, members[j][0], members[j][1]);
        }
        if (!good) {
            json_decref(all);
            return NULL;
        }
        FH_ASSERT(json_object_set(all, name, service) == 0);
    }
    return all;
}

json_t *contract_parse(const char *path, const char *text, size_t length, struct findings *findings)
{
    struct reading reading = {path, text, text + length, findings};
    struct fh_error error;
    struct place place = {path, 0, 0};
    json_t *document = NULL, *services = NULL;
    if (text + strspn(text, " \t\r\n") == reading.end) {
        findings_error(findings, place, "the file is empty: expected a description of contracts");
        return NULL;
    }
    if (json_parse(text, length, &document, &error) != FH_OK) {
        make_short(error.message);
        findings_error(findings, place, "%s", error.message);
        return NULL;
    }
    if (check_document_form(&reading, document))
        services = services_by_name(&reading, document);
    json_decref(document);
    return services;
}
