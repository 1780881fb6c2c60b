/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One walk over value and shape finds what is marked. It ends where the value ends, so a shape may
 * contain itself; the walk over a shape alone stops at a shape that it is inside of.
 */

#define _GNU_SOURCE
#include "shape/mark.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "base/real.h"
#include "base/text.h"

#define ANYWHERE_LENGTH_MIN 4
#define BEGINNING_LENGTH_MIN 8

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

/* Which bytes of a text are of marked values, found before anything is replaced: one value may be
 * in another, or overlap it, and what is left of either would tell the rest. */
struct shape_cover {
    unsigned marks;            /* those that are looked for */
    shape_marked_visit *visit; /* NULL: they are looked for in the text */
    void *what;
    const char *text;
    size_t length;
    unsigned char *of; /* of each byte: the marks of what it belongs to; NULL: nothing was found */
};

static void cover_bytes(struct shape_cover *cover, size_t at, size_t length, unsigned marks)
{
    if (!cover->of)
        cover->of = calloc(cover->length, 1);
    FH_ASSERT(cover->of != NULL);
    for (size_t i = at; i < at + length; i++)
        cover->of[i] |= (unsigned char)marks;
}

static bool is_word_byte(char byte)
{
    return (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') ||
           (byte >= 'A' && byte <= 'Z') || (unsigned char)byte >= 0x80;
}

/* The text was cut off there, or says by dots that something was. Before a full stop, too,
 * something may have been; but names begin like common words, so only a secret is looked for there.
 */
static bool may_be_cut_off_at(const char *at, unsigned marks)
{
    size_t dots = strspn(at, ".");
    return dots >= 3 || (!at[dots] && (dots == 0 || (marks & SHAPE_UNKEPT)));
}

static bool shows_enough(size_t same, size_t length, const char *after, unsigned marks)
{
    return same == length || same >= BEGINNING_LENGTH_MIN ||
           (same >= ANYWHERE_LENGTH_MIN && may_be_cut_off_at(after, marks));
}

static void cover_word(struct shape_cover *cover, const char *value, bool anywhere, unsigned marks)
{
    size_t length = strlen(value), same;
    for (const char *at = cover->text; length && (at = strchr(at, *value)); at++) {
        for (same = 1; same < length && at[same] == value[same]; same++)
            ;
        bool begins = at == cover->text || !is_word_byte(at[-1]);
        if (anywhere ? shows_enough(same, length, at + same, marks)
                     : same == length && begins && !is_word_byte(at[same]))
            cover_bytes(cover, (size_t)(at - cover->text), same, marks);
    }
}

/* As in a URL: nothing but RFC 3986's unreserved characters is left as it is. */
static void cover_percent_encoded(struct shape_cover *cover, const char *value, unsigned marks)
{
    struct text encoded;
    text_init(&encoded, TEXT_LENGTH_MAX);
    for (const char *at = value; *at; at++) {
        bool same = (unsigned char)*at < 0x80 && (is_word_byte(*at) || strchr("-._~", *at));
        text_printf(&encoded, same ? "%c" : "%%%02X", (unsigned char)*at);
    }
    if (encoded.data && strcmp(encoded.data, value) != 0)
        cover_word(cover, encoded.data, true, marks);
    text_release(&encoded);
}

/* As in JSON, between its quotes. */
static void cover_escaped(struct shape_cover *cover, const json_t *string, unsigned marks)
{
    char *quoted = json_text(string);
    quoted[strlen(quoted) - 1] = '\0';
    if (strcmp(quoted + 1, json_string_value(string)) != 0)
        cover_word(cover, quoted + 1, true, marks);
    json_text_free(quoted);
}

static void cover_string(struct shape_cover *cover, const json_t *string, unsigned marks)
{
    const char *value = json_string_value(string);
    bool anywhere = json_string_length(string) >= ANYWHERE_LENGTH_MIN;
    cover_word(cover, value, anywhere, marks);
    if (anywhere) {
        cover_escaped(cover, string, marks);
        cover_percent_encoded(cover, value, marks);
    }
}

/* As Freehold writes it, and a real as printf and PostgreSQL do: "5" and "1e+300". */
static void cover_number(struct shape_cover *cover, const json_t *number, unsigned marks)
{
    char digits[REAL_DIGITS_SIZE], *text = json_text(number);
    cover_word(cover, text, false, marks);
    json_text_free(text);
    if (!json_is_real(number))
        return;
    real_digits(json_real_value(number), digits);
    cover_word(cover, digits, false, marks);
}

static void cover_value(struct shape_cover *cover, const json_t *value, unsigned marks)
{
    const char *name;
    size_t i;
    json_t *inner;
    switch (json_typeof(value)) {
    case JSON_STRING:
        cover_string(cover, value, marks);
        break;
    case JSON_INTEGER:
    case JSON_REAL:
        cover_number(cover, value, marks);
        break;
    case JSON_OBJECT:
        json_object_foreach ((json_t *)(uintptr_t)value, name, inner)
            cover_value(cover, inner, marks);
        break;
    case JSON_ARRAY:
        json_array_foreach (value, i, inner)
            cover_value(cover, inner, marks);
        break;
    case JSON_TRUE:
    case JSON_FALSE:
    case JSON_NULL:
        break;
    }
}

void shape_cover_given(struct shape_cover *cover, const fh_field *shape, const json_t *value)
{
    const char *name;
    size_t i;
    json_t *inner;
    if (!shape || !value || (!cover->visit && !*cover->text))
        return;
    json_array_foreach (value, i, inner)
        shape_cover_given(cover, shape, inner);
    json_object_foreach ((json_t *)(uintptr_t)value, name, inner) {
        const fh_field *field = marked_field(shape, name);
        unsigned marks = field ? shape_field_marks(field) & cover->marks : 0;
        if (marks && cover->visit)
            cover->visit(cover->what, name, inner, marks);
        else if (marks)
            cover_value(cover, inner, marks);
        else if (field)
            shape_cover_given(cover, field->of, inner);
    }
}

/* False: nothing is to be replaced. Otherwise `out`, which the caller has initialised, has it. */
static bool redact_covered(const char *text, unsigned marks, shape_given *given,
                           const void *context, struct text *out)
{
    struct shape_cover cover = {.marks = marks, .text = text, .length = strlen(text)};
    given(&cover, context);
    for (size_t i = 0, end; cover.of && i < cover.length; i = end) {
        unsigned found = 0;
        for (end = i; end < cover.length && !cover.of[end] == !cover.of[i]; end++)
            found |= cover.of[end];
        if (found)
            text_add(out, mark_label(found));
        else
            text_append(out, text + i, end - i);
    }
    free(cover.of);
    return cover.of != NULL;
}

void shape_redact_text(char *text, size_t size, unsigned marks, shape_given *given,
                       const void *context)
{
    struct text redacted;
    text_init(&redacted, TEXT_LENGTH_MAX);
    if (redact_covered(text, marks, given, context, &redacted))
        snprintf(text, size, "%s", redacted.data);
    text_release(&redacted);
}

void shape_visit_given(unsigned marks, shape_given *given, const void *context,
                       shape_marked_visit *visit, void *what)
{
    struct shape_cover cover = {.marks = marks, .visit = visit, .what = what, .text = ""};
    given(&cover, context);
}

static json_t *redact_told_string(const json_t *told, unsigned marks, shape_given *given,
                                  const void *context)
{
    struct text redacted;
    char *number = json_is_number(told) ? json_text(told) : NULL;
    text_init(&redacted, TEXT_LENGTH_MAX);
    bool changed =
        redact_covered(number ? number : json_string_value(told), marks, given, context, &redacted);
    json_t *copy = changed ? json_string(redacted.data) : json_deep_copy(told);
    text_release(&redacted);
    json_text_free(number);
    return copy;
}

json_t *shape_redacted_told(const json_t *told, unsigned marks, shape_given *given,
                            const void *context)
{
    const char *name;
    size_t i;
    json_t *inner, *copy;
    if (json_is_array(told)) {
        copy = json_array();
        json_array_foreach (told, i, inner)
            must_add(
                json_array_append_new(copy, shape_redacted_told(inner, marks, given, context)));
        return copy;
    }
    if (json_is_object(told)) {
        copy = json_object();
        json_object_foreach ((json_t *)(uintptr_t)told, name, inner)
            must_add(
                json_object_set_new(copy, name, shape_redacted_told(inner, marks, given, context)));
        return copy;
    }
    return json_is_string(told) || json_is_number(told)
               ? redact_told_string(told, marks, given, context)
               : json_deep_copy(told);
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
