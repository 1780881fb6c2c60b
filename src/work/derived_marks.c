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
 * What was given is collected once in a run, on its arena, since asking others is over by then; and
 * sorted, as a client may give many values and have long texts derived: a value is looked up in it,
 * and of a text each place is. Texts are told by their first GIVEN_LENGTH_MAX bytes, and none
 * begins with another, so there is one at most that can begin at a place.
 */

#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "shape/mark.h"
#include "work/derived.h"
#include "work/redact.h"

#define GIVEN_LENGTH_MIN 8
#define GIVEN_LENGTH_MAX 32
#define GIVEN_KEY_LENGTH_MIN 4

struct given_text {
    const char *at;
    size_t length;
};

/* One that is no object and no array. */
struct given_value {
    const char *name;
    unsigned marks;
    enum given_kind { GIVEN_FALSE, GIVEN_TRUE, GIVEN_NUMBER, GIVEN_TEXT } kind;
    struct given_text text;
    double number;
    struct given_value *next;
};

struct given_texts {
    const struct given_text *texts; /* in their order */
    size_t count;
    bool begins[256]; /* with this byte */
};

struct work_marked {
    const struct given_value *values; /* by names, kinds and values, each once */
    size_t count;
    struct given_texts all, unkept; /* of these none begins with another */
    struct given_texts keys;
};

/* ---- In order ---- */

static int order_given_texts(const void *one, const void *other)
{
    const struct given_text *a = one, *b = other;
    int order = memcmp(a->at, b->at, a->length < b->length ? a->length : b->length);
    return order ? order : (a->length > b->length) - (a->length < b->length);
}

static int order_given_values(const void *one, const void *other)
{
    const struct given_value *a = one, *b = other;
    int order = strcmp(a->name, b->name);
    if (order || a->kind != b->kind)
        return order ? order : (a->kind > b->kind) - (a->kind < b->kind);
    if (a->kind == GIVEN_TEXT)
        return order_given_texts(&a->text, &b->text);
    return (a->number > b->number) - (a->number < b->number);
}

static bool text_begins_with(const struct given_text *text, const struct given_text *beginning)
{
    return beginning->length <= text->length &&
           memcmp(text->at, beginning->at, beginning->length) == 0;
}

/* ---- What was given ---- */

struct collecting_given {
    fh_work *w;
    struct given_value *first;
    size_t count;
    unsigned marks; /* of what is looked at */
    bool failed;
};

/* False: it says nothing. The text is not copied. */
static bool given_value_of(const json_t *value, struct given_value *ret)
{
    if (json_is_string(value)) {
        ret->kind = GIVEN_TEXT;
        ret->text = (struct given_text){json_string_value(value), json_string_length(value)};
        return ret->text.length > 0;
    }
    ret->kind = json_is_number(value) ? GIVEN_NUMBER
                : json_is_true(value) ? GIVEN_TRUE
                                      : GIVEN_FALSE;
    ret->number = json_number_value(value);
    return json_is_number(value) || json_is_boolean(value);
}

static const char *copy_given(struct collecting_given *collecting, const char *text, size_t length)
{
    char *copy = arena_try_alloc(&collecting->w->arena, length + 1);
    collecting->failed |= !copy;
    if (!copy)
        return "";
    memcpy(copy, text, length);
    copy[length] = '\0';
    return copy;
}

static void collect_single(struct collecting_given *collecting, const char *name,
                           const json_t *value)
{
    struct given_value found = {.marks = collecting->marks, .next = collecting->first};
    if (!given_value_of(value, &found))
        return;
    struct given_value *one = arena_try_alloc(&collecting->w->arena, sizeof *one);
    collecting->failed |= !one;
    if (!one)
        return;
    *one = found;
    one->name = copy_given(collecting, name, strlen(name));
    if (found.kind == GIVEN_TEXT)
        one->text.at = copy_given(collecting, found.text.at, found.text.length);
    collecting->first = one;
    collecting->count++;
}

static void collect_given(struct collecting_given *collecting, const char *name,
                          const json_t *value)
{
    size_t i;
    const char *member;
    json_t *inner;
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

/* Each once, with the marks of all that are equal. */
static void sort_given_values(const struct collecting_given *collecting, struct work_marked *marked)
{
    struct given_value *values = work_alloc(collecting->w, collecting->count * sizeof *values);
    size_t count = 0;
    for (const struct given_value *one = collecting->first; one; one = one->next)
        values[count++] = *one;
    qsort(values, count, sizeof *values, order_given_values);
    for (size_t i = 0; i < count; i++) {
        struct given_value *last = marked->count ? &values[marked->count - 1] : NULL;
        if (last && order_given_values(last, &values[i]) == 0)
            last->marks |= values[i].marks;
        else
            values[marked->count++] = values[i];
    }
    marked->values = values;
}

/* Those of these marks and of this length or more; whole, or as they are told. */
static void sort_given_texts(fh_work *w, const struct work_marked *marked, unsigned marks,
                             size_t length_min, bool whole, struct given_texts *ret)
{
    struct given_text *texts = work_alloc(w, marked->count * sizeof *texts);
    size_t count = 0;
    for (size_t i = 0; i < marked->count; i++) {
        const struct given_value *value = &marked->values[i];
        if (value->kind != GIVEN_TEXT || !(value->marks & marks) || value->text.length < length_min)
            continue;
        texts[count] = value->text;
        if (!whole && texts[count].length > GIVEN_LENGTH_MAX)
            texts[count].length = GIVEN_LENGTH_MAX;
        count++;
    }
    qsort(texts, count, sizeof *texts, order_given_texts);
    for (size_t i = 0; i < count; i++) {
        if (!whole && ret->count && text_begins_with(&texts[i], &texts[ret->count - 1]))
            continue;
        ret->begins[(unsigned char)texts[i].at[0]] = true;
        texts[ret->count++] = texts[i];
    }
    ret->texts = texts;
}

static const struct work_marked *marked_given(fh_work *w)
{
    struct collecting_given collecting = {.w = w};
    if (w->marked)
        return w->marked;
    struct work_marked *marked = work_alloc(w, sizeof *marked);
    *marked = (struct work_marked){0};
    shape_visit_given(SHAPE_MARKED, work_given, w, take_marked, &collecting);
    if (collecting.failed)
        work_fault(w, WORK_MEMORY_FAULT);
    if (collecting.count) {
        sort_given_values(&collecting, marked);
        sort_given_texts(w, marked, SHAPE_MARKED, GIVEN_LENGTH_MIN, false, &marked->all);
        sort_given_texts(w, marked, SHAPE_UNKEPT, GIVEN_LENGTH_MIN, false, &marked->unkept);
        sort_given_texts(w, marked, SHAPE_MARKED, GIVEN_KEY_LENGTH_MIN, true, &marked->keys);
    }
    return w->marked = marked;
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

/* Whether one of them begins there. */
static bool begins_at(const struct given_texts *texts, const struct given_text *rest)
{
    size_t low = 0, high = texts->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct given_text *text = &texts->texts[middle];
        if (text_begins_with(rest, text))
            return true;
        if (order_given_texts(text, rest) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

static bool is_given_within(const struct given_texts *texts, const char *text, size_t length)
{
    for (size_t i = 0; texts->count && i + GIVEN_LENGTH_MIN <= length; i++) {
        if (texts->begins[(unsigned char)text[i]] &&
            begins_at(texts, &(struct given_text){text + i, length - i}))
            return true;
    }
    return false;
}

static bool is_given_named(const struct work_marked *marked, unsigned marks, const char *name,
                           const json_t *value)
{
    struct given_value asked = {.name = name};
    if (!given_value_of(value, &asked))
        return false;
    const struct given_value *found =
        bsearch(&asked, marked->values, marked->count, sizeof asked, order_given_values);
    return found && found->marks & marks;
}

static bool is_given(const struct work_marked *marked, unsigned marks, const char *name,
                     const json_t *value)
{
    size_t i;
    json_t *element;
    json_array_foreach (value, i, element) {
        if (is_given(marked, marks, name, element))
            return true;
    }
    return is_given_named(marked, marks, name, value) ||
           (json_is_string(value) &&
            is_given_within(marks == SHAPE_UNKEPT ? &marked->unkept : &marked->all,
                            json_string_value(value), json_string_length(value)));
}

static void check_derived_field(fh_work *w, const char *called, const struct fh_derived *declared,
                                const struct fh_derived_field *field, const json_t *value)
{
    const struct work_marked *marked = marked_given(w);
    if (!marked->count)
        return;
    if (is_given(marked, SHAPE_UNKEPT, field->name, value))
        work_fault(w,
                   "%s of %s: its field %s has a secret or a card's value that was given to "
                   "this handler: those are never derived.",
                   called, declared->name, field->name);
    if (!field->personal && is_given(marked, SHAPE_MARKED, field->name, value))
        work_fault(w,
                   "%s of %s: its field %s has a personal value that was given to this handler: "
                   "%s.",
                   called, declared->name, field->name,
                   declared->model == FH_SEARCH
                       ? "declare the field .personal, or leave that out"
                       : "leave that out, as it could not be removed there");
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
    const struct work_marked *marked = marked_given(w);
    const struct given_text whole = {key, strlen(key)};
    if (is_given_within(&marked->all, key, whole.length) ||
        (marked->keys.count &&
         bsearch(&whole, marked->keys.texts, marked->keys.count, sizeof whole, order_given_texts)))
        work_fault(w,
                   "%s of %s: the key has a marked value that was given to this handler, and keys "
                   "are in logs: make it of something else.",
                   called, declared->name);
}
