/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A walk over two schemas side by side, `from` and `to`: at each place where some value of `from`
 * might be none of `to` it leaves a difference. It goes by what the words of schema.c mean to
 * shape.c, which is in places stricter than JSON Schema (lengths are bytes), and reads whatever it
 * does not know in the safe direction: `from` may be anything, and nothing is one of `to`.
 *
 * A shape within itself is cut off in a schema, with the number of objects out at which it goes on
 * (SHAPE_SCHEMA_LEVELS). The walk goes on there. A pair of schemas that is being compared already
 * is taken to fit: a value that did not would have a smaller one in it that does not, and so on
 * without end, and values are finite.
 *
 * The schemas are another team's: the walk is bounded in depth, in steps and in what it says.
 *
 * To add a rule: say here when a value of `from` may not be one of `to`, and give the random shapes
 * of tests/unit/shape_accept_test.c the new word: they prove that nothing was overlooked.
 */

#include "shape/accept.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "shape/accept_words.h"
#include "shape/shape.h"
#include "shape/text.h"

#define STEPS_MAX 200000
#define DEPTH_MAX 128

/* The objects around a schema, innermost first. */
struct around {
    const struct around *outer;
    const json_t *schema;
};

/* A pair that is being compared, and those that it is in. */
struct pair {
    const struct pair *outer;
    const json_t *from, *to;
    const struct around *from_around, *to_around;
    const char *name; /* of a member; NULL: an element, or the whole */
    int depth;
};

struct walk {
    enum shape_use use;
    bool old_first; /* `from` is the old one */
    bool tolerant;  /* members that `to` does not name are ignored */
    const json_t *anything;
    json_t *found;
    size_t steps;
};

/* ---- Differences ---- */

static void add_pair_pointer(struct text *text, const struct pair *at)
{
    if (!at->outer)
        return;
    add_pair_pointer(text, at->outer);
    text_add(text, at->name ? "/" : "/0");
    for (const char *c = at->name; c && *c; c++) {
        if (*c == '~' || *c == '/')
            text_add(text, *c == '~' ? "~0" : "~1");
        else
            text_append(text, c, 1);
    }
}

static bool is_walk_full(const struct walk *walk)
{
    return json_array_size(walk->found) >= SHAPE_DIFFERENCES_MAX;
}

/* At the pair's place, or at its member `name`. */
static void add_difference(struct walk *walk, const struct pair *pair, const char *name,
                           const char *rule, const char *text)
{
    struct text pointer;
    const struct pair below = {.outer = pair, .name = name};
    if (is_walk_full(walk))
        return;
    text_init(&pointer, TEXT_LENGTH_MAX);
    text_add(&pointer, "");
    add_pair_pointer(&pointer, name ? &below : pair);
    json_t *difference =
        json_pack("{s:o, s:s, s:o}", "pointer", json_string(pointer.data ? pointer.data : ""),
                  "rule", rule, "text", json_string_lossy(text));
    FH_ASSERT(difference && json_array_append_new(walk->found, difference) == 0);
    text_release(&pointer);
}

/* "its pattern was none, is now \"[a-z]+\"" */
static void add_was_is(struct walk *walk, const struct pair *pair, const char *rule,
                       const char *what, const char *from, const char *to)
{
    char text[ACCEPT_WORDS_SIZE * 3];
    snprintf(text, sizeof text, "%s%swas %s, is now %s", what, *what ? " " : "",
             walk->old_first ? from : to, walk->old_first ? to : from);
    add_difference(walk, pair, NULL, rule, text);
}

/* ---- Values of one type ---- */

/* A bound of `to`, upper or lower, that values of `from` may be beyond. */
static void compare_bound(struct walk *walk, const struct pair *pair, const char *word, bool upper,
                          const char *rule, const char *what)
{
    char was[ACCEPT_WORDS_SIZE], is[ACCEPT_WORDS_SIZE];
    const json_t *from = json_object_get(pair->from, word), *to = json_object_get(pair->to, word);
    if (!to || (from && accept_number_order(from, to) * (upper ? -1 : 1) >= 0))
        return;
    accept_bound_words(from, was);
    accept_bound_words(to, is);
    add_was_is(walk, pair, rule, what, was, is);
}

static void compare_number_pair(struct walk *walk, const struct pair *pair)
{
    compare_bound(walk, pair, "minimum", false, "range", "its least value");
    compare_bound(walk, pair, "maximum", true, "range", "its largest value");
}

static void compare_decimal_bound(struct walk *walk, const struct pair *pair, const char *word,
                                  bool upper, const char *what)
{
    const char *from = json_string_at(pair->from, word), *to = json_string_at(pair->to, word);
    bool known = from && shape_is_decimal(from, strlen(from));
    if (!to || (from && strcmp(from, to) == 0))
        return;
    if (known && shape_is_decimal(to, strlen(to)) &&
        shape_decimal_compare(from, strlen(from), to, strlen(to)) * (upper ? -1 : 1) >= 0)
        return;
    char was[ACCEPT_WORDS_SIZE], is[ACCEPT_WORDS_SIZE];
    accept_quoted(from, was);
    accept_quoted(to, is);
    add_was_is(walk, pair, "range", what, was, is);
}

static void compare_decimals(struct walk *walk, const struct pair *pair)
{
    struct accept_digits from = accept_digits_of(pair->from), to = accept_digits_of(pair->to);
    if (from.before > to.before || from.after > to.after) {
        char was[ACCEPT_WORDS_SIZE], is[ACCEPT_WORDS_SIZE];
        snprintf(was, sizeof was, "%d before and %d after the point", from.before, from.after);
        snprintf(is, sizeof is, "%d and %d", to.before, to.after);
        add_was_is(walk, pair, "digits", "its digits", was, is);
    }
    compare_decimal_bound(walk, pair, SHAPE_SCHEMA_MINIMUM, false, "its least value");
    compare_decimal_bound(walk, pair, SHAPE_SCHEMA_MAXIMUM, true, "its largest value");
}

static void compare_length_pair(struct walk *walk, const struct pair *pair)
{
    struct accept_length from = accept_length_of(pair->from), to = accept_length_of(pair->to);
    char was[ACCEPT_WORDS_SIZE], is[ACCEPT_WORDS_SIZE];
    if (from.least >= to.least && from.most <= to.most)
        return;
    accept_length_words(&from, was);
    accept_length_words(&to, is);
    add_was_is(walk, pair, "length", "its length", was, is);
}

static void compare_format_pair(struct walk *walk, const struct pair *pair)
{
    const char *from = accept_format_of(pair->from), *to = accept_format_of(pair->to);
    if (to && !(from && strcmp(from, to) == 0))
        add_was_is(walk, pair, "format", "its format", from ? from : "none", to);
}

static void compare_pattern_pair(struct walk *walk, const struct pair *pair)
{
    const char *from = json_string_at(pair->from, "pattern"),
               *to = json_string_at(pair->to, "pattern");
    char was[ACCEPT_WORDS_SIZE], is[ACCEPT_WORDS_SIZE];
    if (!to || (from && strcmp(from, to) == 0))
        return;
    accept_quoted(from, was);
    accept_quoted(to, is);
    add_was_is(walk, pair, "pattern", "its pattern", was, is);
}

static void compare_string_pair(struct walk *walk, const struct pair *pair)
{
    bool from = accept_is_decimal(pair->from), to = accept_is_decimal(pair->to);
    if (from && to) {
        compare_decimals(walk, pair);
        return;
    }
    compare_format_pair(walk, pair);
    if (to)
        return; /* that is another format, too */
    compare_pattern_pair(walk, pair);
    compare_length_pair(walk, pair);
}

static void compare_value_lists(struct walk *walk, const struct pair *pair)
{
    const json_t *from = json_object_get(pair->from, "enum"),
                 *to = json_object_get(pair->to, "enum");
    size_t i;
    json_t *value;
    if (!json_is_array(to))
        return;
    if (!json_is_array(from)) {
        add_difference(walk, pair, NULL, "values",
                       walk->old_first ? "only certain values are left now"
                                       : "may be any text now, and not one of certain values");
        return;
    }
    json_t *known = accept_set_of(to);
    json_array_foreach (from, i, value) {
        char quoted[ACCEPT_WORDS_SIZE], text[ACCEPT_WORDS_SIZE * 2];
        if (!json_is_string(value) || json_object_get(known, json_string_value(value)))
            continue; /* null is a type */
        accept_quoted(json_string_value(value), quoted);
        snprintf(text, sizeof text,
                 walk->old_first ? "%s is no value of it any more" : "%s is a new value of it",
                 quoted);
        add_difference(walk, pair, NULL, "values", text);
    }
    json_decref(known);
}

/* ---- Objects and arrays ---- */

static void compare_pair(struct walk *walk, struct pair pair);

static void compare_below(struct walk *walk, const struct pair *pair, const char *name,
                          const json_t *from, const json_t *to)
{
    bool within = name != NULL; /* an array is no object around what is in it */
    const struct around from_here = {pair->from_around, pair->from},
                        to_here = {pair->to_around, pair->to};
    compare_pair(walk, (struct pair){.outer = pair,
                                     .from = from ? from : walk->anything,
                                     .to = to ? to : walk->anything,
                                     .from_around = within ? &from_here : pair->from_around,
                                     .to_around = within ? &to_here : pair->to_around,
                                     .name = name,
                                     .depth = pair->depth + 1});
}

static void compare_required(struct walk *walk, const struct pair *pair)
{
    json_t *sure = accept_set_of(json_object_get(pair->from, "required")), *unused;
    json_t *wanted = accept_set_of(json_object_get(pair->to, "required"));
    const json_t *known = json_object_get(pair->from, "properties");
    const char *name;
    json_object_foreach (wanted, name, unused) {
        if (json_object_get(sure, name))
            continue;
        const char *text = !walk->old_first               ? "may be absent now"
                           : walk->use == SHAPE_GIVEN     ? "is always there now"
                           : json_object_get(known, name) ? "is required now"
                                                          : "is new, and required";
        add_difference(walk, pair, name, "required", text);
    }
    json_decref(sure);
    json_decref(wanted);
}

/* The rest that one of them takes: members without a name in its schema. */
static void compare_rests(struct walk *walk, const struct pair *pair)
{
    json_t *from = json_object_get(pair->from, "properties"),
           *to = json_object_get(pair->to, "properties"), *member;
    const char *name;
    if (!accept_is_open(pair->from))
        return;
    json_object_foreach (to, name, member) {
        if (!json_object_get(from, name))
            compare_below(walk, pair, name, NULL, member);
    }
    if (!accept_is_open(pair->to) && !walk->tolerant)
        add_difference(walk, pair, NULL, "unknown",
                       walk->old_first ? "members that its shape does not name are refused now"
                                       : "members that its shape does not name are taken now");
}

static void compare_object_pair(struct walk *walk, const struct pair *pair)
{
    json_t *from = json_object_get(pair->from, "properties"),
           *to = json_object_get(pair->to, "properties"), *member;
    const char *name;
    compare_required(walk, pair);
    json_object_foreach (from, name, member) {
        const json_t *expected = json_object_get(to, name);
        if (expected)
            compare_below(walk, pair, name, member, expected);
        else if (!accept_is_open(pair->to) && !walk->tolerant)
            add_difference(walk, pair, name, "unknown",
                           walk->old_first ? "is not taken any more" : "is new");
    }
    compare_rests(walk, pair);
}

static void compare_array_pair(struct walk *walk, const struct pair *pair)
{
    compare_bound(walk, pair, "minItems", false, "count", "its least number of elements");
    compare_bound(walk, pair, "maxItems", true, "count", "its largest number of elements");
    compare_below(walk, pair, NULL, json_object_get(pair->from, "items"),
                  json_object_get(pair->to, "items"));
}

/* ---- The walk ---- */

/* Goes on where a shape that is within itself goes on, all but its type: that may be null here.
 * False: that can't be told. */
static bool follow_levels(const json_t **schema, const struct around **around)
{
    if (!json_is_true(json_object_get(*schema, SHAPE_SCHEMA_AGAIN)))
        return true;
    json_int_t levels = json_integer_value(json_object_get(*schema, SHAPE_SCHEMA_LEVELS));
    const struct around *at = *around;
    for (json_int_t i = 1; at && i < levels; i++)
        at = at->outer;
    if (!at || levels < 1)
        return false;
    *schema = at->schema;
    *around = at->outer;
    return true;
}

static bool is_within_itself(const struct pair *pair)
{
    for (const struct pair *at = pair->outer; at; at = at->outer) {
        if (at->from == pair->from && at->to == pair->to)
            return true;
    }
    return false;
}

/* False: values of some type are none of `to`. */
static bool compare_types(struct walk *walk, const struct pair *pair, unsigned from, unsigned to)
{
    char was[ACCEPT_WORDS_SIZE], is[ACCEPT_WORDS_SIZE];
    /* A parameter is read as the one type that it has: "007" is an integer, and no number. */
    bool reads_otherwise = walk->use == SHAPE_TAKEN_QUERY && to != from && to != ACCEPT_ANYTHING;
    if (!(from & ~to) && !reads_otherwise)
        return true;
    accept_type_words(from, was);
    accept_type_words(to, is);
    add_was_is(walk, pair, "type", "", was, is);
    return false;
}

/* All of the types that both have. */
static void compare_within_types(struct walk *walk, const struct pair *pair, unsigned common)
{
    if (common & ACCEPT_STRING) {
        compare_string_pair(walk, pair);
        compare_value_lists(walk, pair);
    }
    if (common & ACCEPT_NUMBERS)
        compare_number_pair(walk, pair);
    if (common & ACCEPT_OBJECT)
        compare_object_pair(walk, pair);
    if (common & ACCEPT_ARRAY)
        compare_array_pair(walk, pair);
}

static void compare_pair(struct walk *walk, struct pair pair)
{
    unsigned from = accept_types(pair.from), to = accept_types(pair.to);
    if (is_walk_full(walk) || !compare_types(walk, &pair, from, to))
        return;
    (void)follow_levels(&pair.from, &pair.from_around); /* otherwise it is any object */
    if (!follow_levels(&pair.to, &pair.to_around))
        add_difference(walk, &pair, NULL, "untold", "goes on in itself, and nothing says where");
    else if (pair.depth > DEPTH_MAX || ++walk->steps > STEPS_MAX)
        add_difference(walk, &pair, NULL, "untold", "is too deep or too much to be compared");
    else if (!is_within_itself(&pair))
        compare_within_types(walk, &pair, from & to);
}

static json_t *walk_both(const json_t *from, const json_t *to, enum shape_use use, bool old_first,
                         bool tolerant)
{
    json_t *anything = json_object();
    struct walk walk = {.use = use,
                        .old_first = old_first,
                        .tolerant = tolerant,
                        .anything = anything,
                        .found = json_array()};
    compare_pair(&walk, (struct pair){.from = from ? from : anything, .to = to ? to : anything});
    json_decref(anything);
    return walk.found;
}

/* ---- What is withdrawn ---- */

/* Members that were promised, if only as optional ones, and marks that are new. */
static void look_for_withdrawn(struct walk *walk, const struct pair *pair)
{
    json_t *old_members = json_object_get(pair->from, "properties"),
           *new_members = json_object_get(pair->to, "properties"), *member;
    const char *name;
    if (pair->depth > DEPTH_MAX || ++walk->steps > STEPS_MAX)
        return; /* walk_both has said so */
    json_object_foreach (old_members, name, member) {
        const json_t *left = json_object_get(new_members, name);
        const struct pair below = {
            .outer = pair, .from = member, .to = left, .name = name, .depth = pair->depth + 1};
        if (!left)
            add_difference(walk, pair, name, "gone", "is gone");
        else
            look_for_withdrawn(walk, &below);
        if (left && accept_marks(left) & ~accept_marks(member))
            add_difference(walk, pair, name, "marked",
                           "is marked now: who reads it has to name it in .personal");
    }
    const struct pair elements = {.outer = pair,
                                  .from = json_object_get(pair->from, "items"),
                                  .to = json_object_get(pair->to, "items"),
                                  .depth = pair->depth + 1};
    if (elements.from && elements.to)
        look_for_withdrawn(walk, &elements);
}

static json_t *withdrawn_members(const json_t *old_schema, const json_t *new_schema)
{
    struct walk walk = {.use = SHAPE_GIVEN, .found = json_array()};
    const struct pair whole = {.from = old_schema, .to = new_schema};
    look_for_withdrawn(&walk, &whole);
    return walk.found;
}

/* ---- Both directions ---- */

/* One of `all` at the same place. `text`, `rule`: with these; NULL: with any. */
static bool has_difference(const json_t *all, const json_t *one, const char *text, const char *rule)
{
    const char *pointer = json_string_at(one, "pointer");
    size_t i;
    json_t *other;
    json_array_foreach (all, i, other) {
        if (strcmp(json_string_at(other, "pointer"), pointer) == 0 &&
            (!text || strcmp(json_string_at(other, "text"), text) == 0) &&
            (!rule || strcmp(json_string_at(other, "rule"), rule) == 0))
            return true;
    }
    return false;
}

/* Takes `more`. Where a member is gone, or anything breaks, its other side is not news. */
static void add_differences(json_t *all, json_t *more, bool breaking)
{
    size_t i;
    json_t *one, *before = json_copy(all);
    json_array_foreach (more, i, one) {
        if (has_difference(before, one, NULL, breaking ? "gone" : NULL) ||
            has_difference(all, one, json_string_at(one, "text"), NULL))
            continue;
        json_object_set_new(one, "breaking", json_boolean(breaking));
        FH_ASSERT(json_array_append(all, one) == 0);
    }
    json_decref(before);
    json_decref(more);
}

bool shape_accepts_all(const json_t *old_schema, const json_t *new_schema, enum shape_use use,
                       char **ret)
{
    bool given = use == SHAPE_GIVEN;
    json_t *found = given ? walk_both(new_schema, old_schema, use, false, true)
                          : walk_both(old_schema, new_schema, use, true, false);
    const json_t *first = json_array_get(found, 0);
    if (first && ret)
        *ret = strdup(json_string_at(first, "pointer"));
    FH_ASSERT(!first || !ret || *ret);
    json_decref(found);
    return !first;
}

json_t *shape_differences(const json_t *old_schema, const json_t *new_schema, enum shape_use use)
{
    json_t *all = json_array();
    if (use == SHAPE_GIVEN) {
        add_differences(all, withdrawn_members(old_schema, new_schema), true);
        add_differences(all, walk_both(new_schema, old_schema, use, false, true), true);
    } else {
        add_differences(all, walk_both(old_schema, new_schema, use, true, false), true);
    }
    json_t *compatible = walk_both(new_schema, old_schema, use, false, false);
    json_t *narrower = walk_both(old_schema, new_schema, use, true, use == SHAPE_GIVEN);
    FH_ASSERT(json_array_extend(compatible, narrower) == 0);
    json_decref(narrower);
    add_differences(all, compatible, false);
    return all;
}
