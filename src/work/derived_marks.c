/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is marked gets into derived stores only where their fields say so: in place of trust in
 * whoever wrote the handler, what it derives is compared with the marked values that it was given
 * (work/redact.h), by searches, too. It may have made anything of them, so there are two ways of
 * telling one:
 *
 *     under its name   of whatever type, if it is equal
 *     a text           of GIVEN_LENGTH_MIN bytes and more, in any text; of ones that are shorter
 *                      others happen to be the same, and a refusal of those would be wrong
 *
 * An element of a list and a member of an object are as what they are in. That of a key is a text,
 * since keys are in logs and on operators' screens: a shorter one is told there, if it is all of
 * the key.
 *
 * What was given is collected once in a run, on its arena. Asking others is over by then.
 */

#define _GNU_SOURCE
#include <string.h>

#include "base/json.h"
#include "shape/mark.h"
#include "work/derived.h"
#include "work/redact.h"

#define GIVEN_LENGTH_MIN 8
#define GIVEN_KEY_LENGTH_MIN 4

/* One that is no object and no array. */
struct given_value {
    const char *name;
    unsigned marks;
    json_type type;
    const char *text;
    size_t length;
    double number;
    json_int_t integer;
    const struct given_value *next;
};

struct work_marked {
    const struct given_value *first;
};

/* ---- What was given ---- */

struct collecting_given {
    fh_work *w;
    struct work_marked *marked;
    unsigned marks; /* of what is looked at */
    bool failed;
};

static char *copy_given(struct collecting_given *collecting, const char *text, size_t length)
{
    char *copy = arena_try_alloc(&collecting->w->arena, length + 1);
    collecting->failed |= !copy;
    if (copy) {
        memcpy(copy, text, length);
        copy[length] = '\0';
    }
    return copy;
}

static void collect_single(struct collecting_given *collecting, const char *name,
                           const json_t *value)
{
    struct given_value *one = arena_try_alloc(&collecting->w->arena, sizeof *one);
    collecting->failed |= !one;
    if (!one)
        return;
    *one = (struct given_value){.name = copy_given(collecting, name, strlen(name)),
                                .marks = collecting->marks,
                                .type = json_typeof(value),
                                .number = json_number_value(value),
                                .integer = json_integer_value(value),
                                .next = collecting->marked->first};
    if (json_is_string(value)) {
        one->length = json_string_length(value);
        one->text = copy_given(collecting, json_string_value(value), one->length);
    }
    if (!collecting->failed)
        collecting->marked->first = one;
}

static void collect_given(struct collecting_given *collecting, const char *name,
                          const json_t *value)
{
    size_t i;
    const char *member;
    json_t *inner;
    bool says_nothing =
        json_is_null(value) || (json_is_string(value) && !json_string_length(value));
    if (!json_is_object(value) && !json_is_array(value) && !says_nothing)
        collect_single(collecting, name, value);
    json_array_foreach (value, i, inner)
        collect_given(collecting, name, inner);
    json_object_foreach ((json_t *)(uintptr_t)value, member, inner)
        collect_given(collecting, member, inner);
}

static void take_marked(void *what, const char *name, const json_t *value, unsigned marks)
{
    struct collecting_given *collecting = what;
    collecting->marks = marks;
    collect_given(collecting, name, value);
}

static const struct work_marked *marked_given(fh_work *w)
{
    struct collecting_given collecting = {.w = w};
    if (w->marked)
        return w->marked;
    collecting.marked = work_alloc(w, sizeof *collecting.marked);
    *collecting.marked = (struct work_marked){0};
    shape_visit_given(SHAPE_MARKED, work_given, w, take_marked, &collecting);
    if (collecting.failed)
        work_fault(w, WORK_MEMORY_FAULT);
    return w->marked = collecting.marked;
}

/* ---- What was found ---- */

/* {"hits": [{"value": {"name": ...}, "highlight"}], "facets": {"name": [{"value", "count"}]}} */
static const fh_field *answer_marks(fh_work *w, const struct fh_derived *declared)
{
    static const fh_field counts[] = {{"value", FH_ANY, .personal = true}, {0}};
    struct {
        fh_field answer[3], hit[3], value[DERIVED_FIELDS_MAX + 1], facets[DERIVED_FIELDS_MAX + 1];
    } *shapes = work_alloc(w, sizeof *shapes);
    int count = 0;
    memset(shapes, 0, sizeof *shapes);
    for (const struct fh_derived_field *field = declared->fields; field->name; field++) {
        if (!field->personal)
            continue;
        shapes->value[count] = (fh_field){.name = field->name, .type = FH_ANY, .personal = true};
        shapes->facets[count++] = (fh_field){.name = field->name, .type = FH_ARRAY, .of = counts};
    }
    shapes->hit[0] = (fh_field){.name = "value", .type = FH_OBJECT, .of = shapes->value};
    shapes->hit[1] = (fh_field){.name = "highlight", .type = FH_STRING, .personal = true};
    shapes->answer[0] = (fh_field){.name = "hits", .type = FH_ARRAY, .of = shapes->hit};
    shapes->answer[1] = (fh_field){.name = "facets", .type = FH_OBJECT, .of = shapes->facets};
    return shapes->answer;
}

void derived_marks_found(fh_work *w, const struct fh_derived *declared, const json_t *answer)
{
    if (!derived_is_personal(declared))
        return;
    struct work_found *found = work_alloc(w, sizeof *found);
    *found = (struct work_found){answer_marks(w, declared), answer, w->found};
    w->found = found;
}

/* ---- What is derived ---- */

static bool is_given_within(const struct given_value *given, const char *text, size_t length,
                            bool named, size_t length_min)
{
    bool same = length == given->length && memcmp(text, given->text, length) == 0;
    if (same && (named || length >= length_min))
        return true;
    return given->length >= GIVEN_LENGTH_MIN &&
           memmem(text, length, given->text, given->length) != NULL;
}

static bool is_given_number(const struct given_value *given, const json_t *value)
{
    if (given->type == JSON_INTEGER && json_is_integer(value))
        return given->integer == json_integer_value(value);
    return (given->type == JSON_INTEGER || given->type == JSON_REAL) && json_is_number(value) &&
           !(given->number < json_number_value(value)) &&
           !(given->number > json_number_value(value));
}

static bool is_given(const struct given_value *given, const char *name, const json_t *value)
{
    bool named = strcmp(given->name, name) == 0;
    size_t i;
    json_t *element;
    json_array_foreach (value, i, element) {
        if (is_given(given, name, element))
            return true;
    }
    if (given->type == JSON_STRING)
        return json_is_string(value) &&
               is_given_within(given, json_string_value(value), json_string_length(value), named,
                               GIVEN_LENGTH_MIN);
    return named && (is_given_number(given, value) ||
                     (json_is_boolean(value) && given->type == json_typeof(value)));
}

static void check_derived_field(fh_work *w, const char *called, const struct fh_derived *declared,
                                const struct fh_derived_field *field, const json_t *value)
{
    for (const struct given_value *given = marked_given(w)->first; given; given = given->next) {
        bool unkept = given->marks & SHAPE_UNKEPT;
        if ((field->personal && !unkept) || !is_given(given, field->name, value))
            continue;
        if (unkept)
            work_fault(w,
                       "%s of %s: its field %s has a secret or a card's value that was given to "
                       "this handler: those are never derived.",
                       called, declared->name, field->name);
        work_fault(
            w, "%s of %s: its field %s has a personal value that was given to this handler: %s.",
            called, declared->name, field->name,
            declared->model == FH_SEARCH ? "declare the field .personal, or leave that out"
                                         : "leave that out, as it could not be removed there");
    }
}

void derived_marks_check(fh_work *w, const char *called, const struct fh_derived *declared,
                         const json_t *value)
{
    for (const struct fh_derived_field *field = declared->fields; field->name; field++)
        check_derived_field(w, called, declared, field, json_object_get(value, field->name));
}

void derived_marks_check_key(fh_work *w, const char *called, const struct fh_derived *declared,
                             const char *key)
{
    size_t length = strlen(key);
    for (const struct given_value *given = marked_given(w)->first; given; given = given->next) {
        if (given->type == JSON_STRING &&
            is_given_within(given, key, length, false, GIVEN_KEY_LENGTH_MIN))
            work_fault(w,
                       "%s of %s: the key has a marked value that was given to this handler, and "
                       "keys are in logs: make it of something else.",
                       called, declared->name);
    }
}
