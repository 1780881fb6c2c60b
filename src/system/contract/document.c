/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes descriptions of contracts. What is compared is written, and nothing else: a word that
 * changes nothing for others (a summary, the order in which fields are declared) must not change
 * the file, or nobody would look at its changes any more.
 */

#include "system/contract/document.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"

#define MEMBERS_MAX 12
#define INDENT 2

/* A list of a service: which members of its elements are written, and what they are sorted by. */
static const struct part {
    const char *name;
    const char *members[MEMBERS_MAX];
    const char *order[2];
} parts[] = {
    {"routes",
     {"method", "path", "audience", "auth", "undo", "query", "body", "body_type", "answer",
      "answer_type", "location", "of_view"},
     {"path", "method"}},
    {"publishes", {"type", "version", "key", "actor", "partitions", "schema"}, {"type", "version"}},
    {"hears", {"service", "type", "fields", "personal", "snapshot"}, {"service", "type"}},
    {"asks", {"service", "path", "personal"}, {"service", "path"}},
    {"takes_over", {"service", "path", "step"}, {"service", "path"}},
    {"sagas", {"name", "steps"}, {"name"}},
};
/* Of a saga only the steps that call others. */
static const struct part step_part = {"steps", {"name", "call", "undo", "body", "personal"}, {0}};

/* ---- Schemas ---- */

static void set_written(json_t *object, const char *name, json_t *value)
{
    FH_ASSERT(json_object_set_new(object, name, value) == 0);
}

static int order_of_texts(const void *left, const void *right)
{
    const char *a = json_string_value(*(json_t *const *)left),
               *b = json_string_value(*(json_t *const *)right);
    return !a || !b ? !a - !b : strcmp(a, b);
}

static json_t *sorted_array(const json_t *array, int (*order)(const void *, const void *))
{
    size_t count = json_array_size(array), i;
    json_t **all = calloc(count + 1, sizeof *all), *ret = json_array(), *one;
    FH_ASSERT(all != NULL);
    json_array_foreach (array, i, one)
        all[i] = one;
    qsort(all, count, sizeof *all, order);
    for (i = 0; i < count; i++) {
        if (i == 0 || !json_equal(all[i], all[i - 1]))
            FH_ASSERT(json_array_append(ret, all[i]) == 0);
    }
    free(all);
    return ret;
}

/* What an integer or a number is anyway. */
static bool is_implied(const char *word, const json_t *value)
{
    const char *text = json_string_value(value);
    json_int_t bound = json_integer_value(value);
    if (strcmp(word, "format") == 0)
        return text && (strcmp(text, "int64") == 0 || strcmp(text, "double") == 0);
    return json_is_integer(value) && ((strcmp(word, "minimum") == 0 && bound == INT64_MIN) ||
                                      (strcmp(word, "maximum") == 0 && bound == INT64_MAX));
}

static bool is_for_people(const char *word)
{
    return strcmp(word, "$schema") == 0 || strcmp(word, "title") == 0 ||
           strcmp(word, "description") == 0;
}

/* Without what says nothing to others, and with its lists sorted. */
static json_t *written_schema(const json_t *schema)
{
    json_t *written = json_object(), *member, *property;
    const char *name, *word;
    json_object_foreach ((json_t *)(uintptr_t)schema, word, member) {
        if (is_for_people(word) || is_implied(word, member))
            continue;
        json_t *properties = strcmp(word, "properties") == 0 ? json_object() : NULL;
        json_object_foreach (properties ? member : NULL, name, property)
            set_written(properties, name, written_schema(property));
        if (properties)
            set_written(written, word, properties);
        else if (strcmp(word, "items") == 0)
            set_written(written, word, written_schema(member));
        else if (strcmp(word, "required") == 0 || strcmp(word, "enum") == 0)
            set_written(written, word, sorted_array(member, order_of_texts));
        else
            set_written(written, word, json_incref(member));
    }
    return written;
}

/* ---- Services ---- */

static json_t *written_element(const struct part *part, const json_t *element);

static json_t *written_answer(const json_t *answer)
{
    json_t *written = json_object(), *schema = json_object_get(answer, "schema");
    set_written(written, "status", json_incref(json_object_get(answer, "status")));
    if (schema)
        set_written(written, "schema", written_schema(schema));
    return written;
}

static json_t *written_steps(const json_t *steps)
{
    json_t *written = json_array(), *step;
    size_t i;
    json_array_foreach (steps, i, step) {
        if (json_string_at(step, "call"))
            FH_ASSERT(json_array_append_new(written, written_element(&step_part, step)) == 0);
    }
    return written;
}

static json_t *written_element(const struct part *part, const json_t *element)
{
    json_t *written = json_object();
    for (int i = 0; i < MEMBERS_MAX && part->members[i]; i++) {
        const char *name = part->members[i];
        json_t *value = json_object_get(element, name);
        if (!value || json_is_null(value) || json_is_false(value))
            continue; /* which is what an absent one means, too */
        if (strcmp(name, "answer") == 0)
            set_written(written, name, written_answer(value));
        else if (strcmp(name, "steps") == 0)
            set_written(written, name, written_steps(value));
        else if (json_is_object(value))
            set_written(written, name, written_schema(value));
        else
            set_written(written, name, json_incref(value));
    }
    return written;
}

static const struct part *sorting; /* qsort hands nothing down */

static int order_of_elements(const void *left, const void *right)
{
    for (int i = 0; i < 2 && sorting->order[i]; i++) {
        const json_t *a = json_object_get(*(json_t *const *)left, sorting->order[i]),
                     *b = json_object_get(*(json_t *const *)right, sorting->order[i]);
        json_int_t x = json_integer_value(a), y = json_integer_value(b);
        int order = json_is_string(a) && json_is_string(b)
                        ? strcmp(json_string_value(a), json_string_value(b))
                        : (x > y) - (x < y);
        if (order)
            return order;
    }
    return 0;
}

static json_t *written_service(const json_t *description)
{
    json_t *written = json_object(), *element;
    size_t j;
    set_written(written, "name", json_incref(json_object_get(description, "name")));
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        json_t *all = json_array();
        json_array_foreach (json_object_get(description, parts[i].name), j, element)
            FH_ASSERT(json_array_append_new(all, written_element(&parts[i], element)) == 0);
        sorting = &parts[i];
        if (json_array_size(all))
            set_written(written, parts[i].name, sorted_array(all, order_of_elements));
        json_decref(all);
    }
    return written;
}

static int order_of_names(const void *left, const void *right)
{
    return strcmp(json_string_at(*(json_t *const *)left, "name"),
                  json_string_at(*(json_t *const *)right, "name"));
}

json_t *contract_document(const char *system, const json_t *const *descriptions, size_t count)
{
    json_t *all = json_array();
    for (size_t i = 0; i < count; i++)
        FH_ASSERT(json_array_append_new(all, written_service(descriptions[i])) == 0);
    json_t *document = json_pack("{s:i, s:s, s:o}", "contracts", CONTRACT_FORMAT, "system", system,
                                 "services", sorted_array(all, order_of_names));
    FH_ASSERT(document != NULL);
    json_decref(all);
    return document;
}

/* ---- Text ---- */

static bool is_scalar(const json_t *value)
{
    return !json_is_object(value) && !json_is_array(value);
}

static bool is_scalar_list(const json_t *value)
{
    size_t i;
    json_t *one;
    json_array_foreach (value, i, one) {
        if (!is_scalar(one))
            return false;
    }
    return json_is_array(value);
}

static void write_line_break(struct text *text, int depth)
{
    text_add(text, "\n");
    for (int i = 0; i < depth * INDENT; i++)
        text_add(text, " ");
}

static int order_of_keys(const void *left, const void *right)
{
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

static void write_value(struct text *text, const json_t *value, int depth);

static void write_object_lines(struct text *text, const json_t *object, int depth)
{
    size_t count = json_object_size(object), i = 0;
    const char **names = calloc(count + 1, sizeof *names), *name;
    json_t *unused;
    FH_ASSERT(names != NULL);
    json_object_foreach ((json_t *)(uintptr_t)object, name, unused)
        names[i++] = name;
    qsort(names, count, sizeof *names, order_of_keys);
    text_add(text, "{");
    for (i = 0; i < count; i++) {
        text_add(text, i ? "," : "");
        write_line_break(text, depth + 1);
        json_write_string(text, names[i], strlen(names[i]));
        text_add(text, ": ");
        write_value(text, json_object_get(object, names[i]), depth + 1);
    }
    if (count)
        write_line_break(text, depth);
    text_add(text, "}");
    free(names);
}

static void write_value(struct text *text, const json_t *value, int depth)
{
    bool inlined = is_scalar_list(value);
    size_t i;
    json_t *one;
    if (is_scalar(value)) {
        json_write(text, value);
        return;
    }
    if (json_is_object(value)) {
        write_object_lines(text, value, depth);
        return;
    }
    text_add(text, "[");
    json_array_foreach (value, i, one) {
        text_add(text, !i ? "" : inlined ? ", " : ",");
        if (!inlined)
            write_line_break(text, depth + 1);
        write_value(text, one, depth + 1);
    }
    if (!inlined)
        write_line_break(text, depth);
    text_add(text, "]");
}

void contract_write(struct text *text, const json_t *document)
{
    write_value(text, document, 0);
    text_add(text, "\n");
}
