/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One walk over value and shape finds what is marked. It ends where the value ends, so a shape may
 * contain itself; the walk over a shape alone stops at a shape that it is inside of.
 */

#define _GNU_SOURCE
#include "shape/mark.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"

#define ANYWHERE_LENGTH_MIN 4

unsigned shape_field_marks(const fh_field *field)
{
    return (field->personal ? SHAPE_PERSONAL : 0u) | (field->secret ? SHAPE_SECRET : 0u) |
           (field->card ? SHAPE_CARD : 0u);
}

struct enclosing {
    const struct enclosing *outer;
    const fh_field *shape;
};

static unsigned marks_within(const fh_field *shape, const struct enclosing *outer)
{
    unsigned marks = 0;
    for (const struct enclosing *at = outer; at; at = at->outer) {
        if (at->shape == shape)
            return 0;
    }
    struct enclosing here = {.outer = outer, .shape = shape};
    for (const fh_field *field = shape; field && field->name; field++) {
        marks |= shape_field_marks(field);
        if (field->of)
            marks |= marks_within(field->of, &here);
    }
    return marks;
}

unsigned shape_marks(const fh_field *shape)
{
    return shape ? marks_within(shape, NULL) : 0;
}

/* What the shape says of a member; NULL: nothing. */
static const fh_field *marked_field(const fh_field *shape, const char *name)
{
    const fh_field *others = NULL;
    for (const fh_field *field = shape; field && field->name; field++) {
        if (strcmp(field->name, name) == 0)
            return field;
        if (strcmp(field->name, "*") == 0)
            others = field;
    }
    return others;
}

/* ---- Values ---- */

enum copy_kind { COPY_REDACTED, COPY_WITHOUT, COPY_ONLY };

struct copying {
    enum copy_kind kind;
    unsigned marks;
    bool found;
};

static json_t *copy_marked_value(struct copying *copying, const fh_field *shape,
                                 const json_t *value);

static const char *mark_label(unsigned marks)
{
    if (marks & SHAPE_SECRET)
        return "[secret]";
    return marks & SHAPE_CARD ? "[card]" : "[personal]";
}

/* NULL: it is not in the copy. */
static json_t *copy_member(struct copying *copying, const fh_field *field, const json_t *value)
{
    unsigned marks = field ? shape_field_marks(field) & copying->marks : 0;
    if (!marks)
        return copy_marked_value(copying, field ? field->of : NULL, value);
    copying->found = true;
    switch (copying->kind) {
    case COPY_REDACTED:
        return json_is_null(value) ? json_null() : json_string(mark_label(marks));
    case COPY_ONLY:
        return json_deep_copy(value);
    case COPY_WITHOUT:
        break;
    }
    return NULL;
}

static void must_add(int result)
{
    FH_ASSERT(result == 0);
}

static json_t *copy_marked_array(struct copying *copying, const fh_field *shape,
                                 const json_t *value)
{
    json_t *copy = json_array(), *element;
    size_t i, filled = 0;
    json_array_foreach (value, i, element) {
        json_t *one = copy_marked_value(copying, shape, element);
        filled += one != NULL;
        must_add(json_array_append_new(copy, one ? one : json_null())); /* keeps its place */
    }
    if (copying->kind == COPY_ONLY && filled == 0) {
        json_decref(copy);
        return NULL;
    }
    return copy;
}

static json_t *copy_marked_value(struct copying *copying, const fh_field *shape,
                                 const json_t *value)
{
    if (json_is_array(value) && shape)
        return copy_marked_array(copying, shape, value);
    if (!json_is_object(value) || !shape)
        return copying->kind == COPY_ONLY ? NULL : json_deep_copy(value);
    json_t *copy = json_object(), *member;
    const char *name;
    json_object_foreach ((json_t *)(uintptr_t)value, name, member) {
        json_t *one = copy_member(copying, marked_field(shape, name), member);
        if (one)
            must_add(json_object_set_new(copy, name, one));
    }
    if (copying->kind == COPY_ONLY && json_object_size(copy) == 0) {
        json_decref(copy);
        return NULL;
    }
    return copy;
}

json_t *shape_redacted(const fh_field *shape, const json_t *value, unsigned marks)
{
    struct copying copying = {COPY_REDACTED, marks, false};
    return copy_marked_value(&copying, shape, value);
}

json_t *shape_without(const fh_field *shape, const json_t *value, unsigned marks,
                      bool *ret_left_out)
{
    struct copying copying = {COPY_WITHOUT, marks, false};
    json_t *copy = copy_marked_value(&copying, shape, value);
    if (copying.found)
        *ret_left_out = true;
    return copy;
}

json_t *shape_only(const fh_field *shape, const json_t *value, unsigned marks)
{
    struct copying copying = {COPY_ONLY, marks, false};
    return copy_marked_value(&copying, shape, value);
}

static bool is_redacted(unsigned marks, const json_t *value)
{
    return marks && json_is_string(value) &&
           strcmp(json_string_value(value), mark_label(marks)) == 0;
}

json_t *shape_restored(const fh_field *shape, const json_t *value, const json_t *original)
{
    json_t *copy, *inner;
    const char *name;
    size_t i;
    if (!shape || !original || (!json_is_object(value) && !json_is_array(value)))
        return json_deep_copy(value);
    if (json_is_array(value)) {
        copy = json_array();
        json_array_foreach (value, i, inner)
            must_add(json_array_append_new(
                copy, shape_restored(shape, inner, json_array_get(original, i))));
        return copy;
    }
    copy = json_object();
    json_object_foreach ((json_t *)(uintptr_t)value, name, inner) {
        const fh_field *field = marked_field(shape, name);
        const json_t *before = json_object_get(original, name);
        bool as_before = before && field && is_redacted(shape_field_marks(field), inner);
        must_add(json_object_set_new(
            copy, name,
            as_before ? json_deep_copy(before)
                      : shape_restored(field ? field->of : NULL, inner, before)));
    }
    return copy;
}

/* ---- Texts ---- */

struct redacting {
    unsigned marks;
    char *text;
    size_t size;
};

static bool is_word_byte(char byte)
{
    return (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') ||
           (byte >= 'A' && byte <= 'Z') || (unsigned char)byte >= 0x80;
}

/* Puts `label` in place of `length` bytes at `at`; returns where it ends. */
static char *replace_bytes(struct redacting *redacting, char *at, size_t length, const char *label)
{
    size_t space = redacting->size - (size_t)(at - redacting->text) - 1;
    size_t labelled = strlen(label) < space ? strlen(label) : space;
    size_t rest = strnlen(at + length, space - labelled);
    memmove(at + labelled, at + length, rest);
    memcpy(at, label, labelled);
    at[labelled + rest] = '\0';
    return at + labelled;
}

/* The text was cut off within the value. */
static void redact_cut_end(struct redacting *redacting, const char *value, size_t length,
                           const char *label)
{
    size_t end = strlen(redacting->text);
    size_t most = length - 1 < end ? length - 1 : end;
    for (size_t n = most; n >= ANYWHERE_LENGTH_MIN; n--) {
        if (memcmp(redacting->text + end - n, value, n) == 0) {
            replace_bytes(redacting, redacting->text + end - n, n, label);
            return;
        }
    }
}

static void redact_word(struct redacting *redacting, const char *value, bool anywhere,
                        const char *label)
{
    size_t length = strlen(value);
    char *at = redacting->text;
    while (length > 0 && (at = strstr(at, value))) {
        bool begins = at == redacting->text || !is_word_byte(at[-1]);
        if (anywhere || (begins && !is_word_byte(at[length])))
            at = replace_bytes(redacting, at, length, label);
        else
            at++;
    }
    if (anywhere)
        redact_cut_end(redacting, value, length, label);
}

static void redact_value(struct redacting *redacting, const json_t *value, unsigned marks)
{
    const char *label = mark_label(marks), *name;
    char number[32];
    size_t i;
    json_t *inner;
    switch (json_typeof(value)) {
    case JSON_STRING:
        redact_word(redacting, json_string_value(value),
                    strlen(json_string_value(value)) >= ANYWHERE_LENGTH_MIN, label);
        break;
    case JSON_INTEGER:
        snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        redact_word(redacting, number, false, label);
        break;
    case JSON_OBJECT:
        json_object_foreach ((json_t *)(uintptr_t)value, name, inner)
            redact_value(redacting, inner, marks);
        break;
    case JSON_ARRAY:
        json_array_foreach (value, i, inner)
            redact_value(redacting, inner, marks);
        break;
    case JSON_REAL:
    case JSON_TRUE:
    case JSON_FALSE:
    case JSON_NULL:
        break;
    }
}

static void redact_by_shape(struct redacting *redacting, const fh_field *shape, const json_t *value)
{
    const char *name;
    size_t i;
    json_t *inner;
    json_array_foreach (value, i, inner)
        redact_by_shape(redacting, shape, inner);
    json_object_foreach ((json_t *)(uintptr_t)value, name, inner) {
        const fh_field *field = marked_field(shape, name);
        unsigned marks = field ? shape_field_marks(field) & redacting->marks : 0;
        if (marks)
            redact_value(redacting, inner, marks);
        else if (field && field->of)
            redact_by_shape(redacting, field->of, inner);
    }
}

void shape_redact_text(const fh_field *shape, const json_t *value, unsigned marks, char *text,
                       size_t size)
{
    struct redacting redacting = {marks, text, size};
    if (shape && value && *text)
        redact_by_shape(&redacting, shape, value);
}

/* ---- Names ---- */

const fh_field *shape_named(struct shape_named *named, const char *names, bool deep)
{
    int count = 0;
    if (!names || !*names)
        return NULL;
    bool whole =
        snprintf(named->names, sizeof named->names, "%s", names) < (int)sizeof named->names;
    char *rest = named->names, *name;
    while (whole && (name = strsep(&rest, ","))) {
        whole = count < SHAPE_NAMED_MAX;
        if (whole && *name)
            named->fields[count++] = (fh_field){.name = name, .type = FH_ANY, .personal = true};
    }
    named->fields[count++] = (fh_field){
        .name = "*", .type = FH_ANY, .of = deep ? named->fields : NULL, .personal = !whole};
    named->fields[count] = (fh_field){0};
    return named->fields;
}
