/* SPDX-License-Identifier: Apache-2.0 */
/* Which changes of a shape keep what it promised: each rule, and random shapes against the check
 * itself. */

#include "../support/values.h"

#include <stdio.h>

#include "shape/accept.h"
#include "shape/shape.h"

/* ---- Rules ---- */

/* Whether such a change breaks, and what is said of its first difference. */
static void assert_change(const fh_field *old, const fh_field *new, enum shape_use use,
                          bool breaking, const char *pointer, const char *text)
{
    json_t *from = shape_schema(old), *to = shape_schema(new);
    char *place = NULL;
    assert_int_equal(shape_accepts_all(from, to, use, &place), !breaking);
    json_t *all = shape_differences(from, to, use), *first = json_array_get(all, 0);
    assert_non_null(first);
    assert_int_equal(json_is_true(json_object_get(first, "breaking")), breaking);
    assert_string_equal(json_string_at(first, "pointer"), pointer);
    assert_string_equal(json_string_at(first, "text"), text);
    if (breaking)
        assert_string_equal(place, pointer);
    free(place);
    json_decref(all);
    json_decref(from);
    json_decref(to);
}

#define OF(...) ((const fh_field[]){__VA_ARGS__, {0}})
#define BREAKS(use, old, new, pointer, text) assert_change(old, new, use, true, pointer, text)
#define KEEPS(use, old, new, pointer, text) assert_change(old, new, use, false, pointer, text)

static const char *const two[] = {"A", "B", NULL}, *const one[] = {"A", NULL};

static void a_body_is_stricter(void **unused)
{
    (void)unused;
    const fh_field id = {"id", FH_INT}, name = {"name", FH_STRING};
    const fh_field maybe = {"name", FH_STRING, .optional = true};
    BREAKS(SHAPE_TAKEN, OF(id), OF(id, name), "/name", "is new, and required");
    BREAKS(SHAPE_TAKEN, OF(id, maybe), OF(id, name), "/name", "is required now");
    BREAKS(SHAPE_TAKEN, OF(id, maybe), OF(id), "/name", "is not taken any more");
    BREAKS(SHAPE_TAKEN, OF(id, {"*"}), OF(id), "",
           "members that its shape does not name are refused now");
    KEEPS(SHAPE_TAKEN, OF(id), OF(id, maybe), "/name", "is new");
    KEEPS(SHAPE_TAKEN, OF(id, name), OF(id, maybe), "/name", "may be absent now");
    KEEPS(SHAPE_TAKEN, OF(id, name), OF(id, {"name", FH_STRING, .default_value = "x"}), "/name",
          "may be absent now");
    KEEPS(SHAPE_TAKEN, OF(id), OF(id, {"*"}), "",
          "members that its shape does not name are taken now");
    BREAKS(SHAPE_TAKEN, OF(id, {"*"}), OF(id, maybe, {"*"}), "/name",
           "was any value, is now a text");
}

#define V(...) OF({"v", __VA_ARGS__})

static void a_value_is_of_another_kind(void **unused)
{
    (void)unused;
    BREAKS(SHAPE_TAKEN, V(FH_INT), V(FH_STRING), "/v", "was an integer, is now a text");
    BREAKS(SHAPE_TAKEN, V(FH_NUMBER), V(FH_INT), "/v", "was a number, is now an integer");
    KEEPS(SHAPE_TAKEN, V(FH_INT, .min = 1), V(FH_NUMBER, .min = 1), "/v",
          "was an integer, is now a number");
    BREAKS(SHAPE_TAKEN_QUERY, V(FH_INT, .min = 1), V(FH_NUMBER, .min = 1), "/v",
           "was an integer, is now a number");
    BREAKS(SHAPE_TAKEN, V(FH_INT, .nullable = true), V(FH_INT), "/v",
           "was an integer or null, is now an integer");
    BREAKS(SHAPE_TAKEN, V(FH_STRING), V(FH_STRING, .one_of = two), "/v",
           "only certain values are left now");
    BREAKS(SHAPE_TAKEN, V(FH_STRING, .one_of = two), V(FH_STRING, .one_of = one), "/v",
           "\"B\" is no value of it any more");
    KEEPS(SHAPE_TAKEN, V(FH_STRING, .one_of = one), V(FH_STRING, .one_of = two), "/v",
          "\"B\" is a new value of it");
    BREAKS(SHAPE_TAKEN, V(FH_STRING), V(FH_STRING, .format = FH_DATE), "/v",
           "its format was none, is now date");
    BREAKS(SHAPE_TAKEN, V(FH_STRING, .secret = true),
           V(FH_STRING, .secret = true, .format = FH_UUID), "/v",
           "its format was none, is now uuid");
    KEEPS(SHAPE_TAKEN, V(FH_STRING, .format = FH_DATE), V(FH_STRING), "/v",
          "its format was date, is now none");
    BREAKS(SHAPE_TAKEN, V(FH_STRING, .pattern = "a+"), V(FH_STRING, .pattern = "a*"), "/v",
           "its pattern was \"^(?:a+)$\", is now \"^(?:a*)$\"");
    KEEPS(SHAPE_TAKEN, V(FH_STRING, .pattern = "a+"), V(FH_STRING), "/v",
          "its pattern was \"^(?:a+)$\", is now none");
}

static void a_value_has_other_bounds(void **unused)
{
    (void)unused;
    BREAKS(SHAPE_TAKEN, V(FH_INT), V(FH_INT, .min = 1), "/v", "its least value was none, is now 1");
    BREAKS(SHAPE_TAKEN, V(FH_INT, .min = 1, .max = 9), V(FH_INT, .min = 1, .max = 8), "/v",
           "its largest value was 9, is now 8");
    BREAKS(SHAPE_TAKEN, V(FH_NUMBER, .maximum = "0.5"), V(FH_NUMBER, .maximum = "0.25"), "/v",
           "its largest value was 0.5, is now 0.25");
    BREAKS(SHAPE_TAKEN, V(FH_STRING, .min = 1), V(FH_STRING, .min = 2), "/v",
           "its length was at least 1 bytes, is now at least 2 bytes");
    BREAKS(SHAPE_TAKEN, V(FH_STRING), V(FH_STRING, .max = 5), "/v",
           "its length was any, is now 0 to 5 bytes");
    BREAKS(SHAPE_TAKEN, V(FH_ARRAY, .max = 5), V(FH_ARRAY, .max = 4), "/v",
           "its largest number of elements was 5, is now 4");
    BREAKS(SHAPE_TAKEN, V(FH_DECIMAL, .scale = 2), V(FH_DECIMAL, .scale = 1), "/v",
           "its digits was 36 before and 2 after the point, is now 37 and 1");
    BREAKS(SHAPE_TAKEN, V(FH_DECIMAL, .scale = 2, .minimum = "0.01"),
           V(FH_DECIMAL, .scale = 2, .minimum = "0.1"), "/v",
           "its least value was \"0.01\", is now \"0.1\"");
    BREAKS(SHAPE_TAKEN, V(FH_STRING), V(FH_DECIMAL), "/v", "its format was none, is now decimal");
    KEEPS(SHAPE_TAKEN, V(FH_DECIMAL, .precision = 4, .scale = 2), V(FH_STRING, .max = 7), "/v",
          "its format was decimal, is now none");
    BREAKS(SHAPE_TAKEN, V(FH_ARRAY, .elements = FH_INT), V(FH_ARRAY, .elements = FH_STRING), "/v/0",
           "was an integer, is now a text");
}

static void what_is_given_keeps_its_promises(void **unused)
{
    (void)unused;
    const fh_field id = {"id", FH_INT}, name = {"name", FH_STRING};
    const fh_field maybe = {"name", FH_STRING, .optional = true};
    BREAKS(SHAPE_GIVEN, OF(id, name), OF(id), "/name", "is gone");
    BREAKS(SHAPE_GIVEN, OF(id, name), OF(id, maybe), "/name", "may be absent now");
    BREAKS(SHAPE_GIVEN, V(FH_STRING, .one_of = one), V(FH_STRING, .one_of = two), "/v",
           "\"B\" is a new value of it");
    BREAKS(SHAPE_GIVEN, V(FH_INT, .max = 5), V(FH_INT, .max = 6), "/v",
           "its largest value was 5, is now 6");
    BREAKS(SHAPE_GIVEN, V(FH_INT), V(FH_INT, .nullable = true), "/v",
           "was an integer, is now an integer or null");
    KEEPS(SHAPE_GIVEN, OF(id), OF(id, name), "/name", "is new");
    KEEPS(SHAPE_GIVEN, OF(id, maybe), OF(id, name), "/name", "is always there now");
    KEEPS(SHAPE_GIVEN, V(FH_INT, .max = 6), V(FH_INT, .max = 5), "/v",
          "its largest value was 6, is now 5");
}

/* Neither an optional member that is gone nor a new mark makes a value unreadable. */
static void what_readers_have_to_know_counts_too(void **unused)
{
    (void)unused;
    const fh_field *shapes[][2] = {
        {OF({"id", FH_INT}, {"name", FH_STRING, .optional = true}), OF({"id", FH_INT})},
        {OF({"name", FH_STRING}), OF({"name", FH_STRING, .personal = true})}};
    const char *const rules[] = {"gone", "marked"};
    for (int i = 0; i < 2; i++) {
        json_t *old = shape_schema(shapes[i][0]), *new = shape_schema(shapes[i][1]);
        assert_true(shape_accepts_all(old, new, SHAPE_GIVEN, NULL));
        json_t *all = shape_differences(old, new, SHAPE_GIVEN), *first = json_array_get(all, 0);
        assert_string_equal(json_string_at(first, "rule"), rules[i]);
        assert_true(json_is_true(json_object_get(first, "breaking")));
        json_decref(all);
        json_decref(old);
        json_decref(new);
    }
}

/* ---- Shapes within themselves ---- */

static const fh_field tree[] = {
    {"v", FH_INT}, {"below", FH_ARRAY, .of = tree, .optional = true}, {0}};
static const fh_field same_tree[] = {
    {"v", FH_INT}, {"below", FH_ARRAY, .of = same_tree, .optional = true}, {0}};
static const fh_field small_tree[] = {
    {"v", FH_INT, .min = 1}, {"below", FH_ARRAY, .of = small_tree, .optional = true}, {0}};
/* The same values, written down once more. */
static const fh_field unfolded_tree[] = {
    {"v", FH_INT}, {"below", FH_ARRAY, .of = tree, .optional = true}, {0}};
/* Deeper down it may be null. */
static const fh_field null_chain[] = {
    {"next", FH_OBJECT, .of = null_chain, .optional = true, .nullable = true}, {0}};
static const fh_field chain[] = {{"next", FH_OBJECT, .of = chain, .optional = true}, {0}};
/* Deeper down it is stricter. */
static const fh_field odd_tree[] = {
    {"v", FH_INT}, {"below", FH_ARRAY, .of = small_tree, .optional = true}, {0}};

static void a_shape_within_itself_is_followed(void **unused)
{
    (void)unused;
    json_t *all =
        json_pack("[ooooo]", shape_schema(tree), shape_schema(same_tree),
                  shape_schema(unfolded_tree), shape_schema(small_tree), shape_schema(odd_tree));
    const json_t *of = json_array_get(all, 0);
    char *pointer = NULL;
    for (size_t i = 0; i < 3; i++) {
        assert_true(shape_accepts_all(of, json_array_get(all, i), SHAPE_TAKEN, NULL));
        assert_true(shape_accepts_all(json_array_get(all, i), of, SHAPE_TAKEN, NULL));
    }
    assert_false(shape_accepts_all(of, json_array_get(all, 3), SHAPE_TAKEN, &pointer));
    assert_string_equal(pointer, "/v");
    free(pointer);
    pointer = NULL;
    assert_false(shape_accepts_all(of, json_array_get(all, 4), SHAPE_TAKEN, &pointer));
    assert_string_equal(pointer, "/below/0/v");
    free(pointer);
    assert_true(shape_accepts_all(json_array_get(all, 4), of, SHAPE_TAKEN, NULL));
    json_decref(all);
    json_t *with_null = shape_schema(null_chain), *without = shape_schema(chain);
    assert_true(shape_accepts_all(without, with_null, SHAPE_TAKEN, NULL));
    assert_false(shape_accepts_all(with_null, without, SHAPE_TAKEN, NULL));
    json_decref(with_null);
    json_decref(without);
}

/* ---- Schemas that are none of ours ---- */

static void what_nobody_wrote_is_never_compatible(void **unused)
{
    (void)unused;
    json_t *open = parsed("{\"type\": \"object\"}");
    json_t *lost = parsed("{\"type\": \"object\", \"x-freehold-again\": true, "
                          "\"x-freehold-levels\": 3}");
    assert_false(shape_accepts_all(open, lost, SHAPE_TAKEN, NULL));
    assert_true(shape_accepts_all(lost, open, SHAPE_TAKEN, NULL));
    json_decref(open);
    json_decref(lost);
}

/* Each level has three of the next, and all go on at the outermost: by far too much to unfold, if
 * the two sides don't go on at the same place. */
static void hostile_schemas_end(void **unused)
{
    (void)unused;
    struct text text;
    json_t *both[2];
    for (int side = 0; side < 2; side++) {
        text_init(&text, TEXT_LENGTH_MAX);
        for (int i = 0; i < 12 + side; i++)
            text_printf(&text,
                        "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{"
                        "\"a\":{\"type\":\"object\",\"x-freehold-again\":true,"
                        "\"x-freehold-levels\":%d},"
                        "\"b\":{\"type\":\"object\",\"x-freehold-again\":true,"
                        "\"x-freehold-levels\":%d},\"c\":",
                        i % 5 + 1, i % 3 + 1);
        text_add(&text, "{}");
        for (int i = 0; i < 12 + side; i++)
            text_add(&text, "}}");
        both[side] = parsed(text.data);
        text_release(&text);
    }
    (void)shape_accepts_all(both[0], both[1], SHAPE_TAKEN, NULL);
    json_decref(shape_differences(both[0], both[1], SHAPE_GIVEN));
    json_decref(both[0]);
    json_decref(both[1]);
}

/* ---- Random shapes ---- */

#define FIELDS_MAX 4
#define SHAPES_MAX 12
#define PAIRS 4000
#define VALUES 24

static uint64_t seed;

static unsigned below(unsigned bound)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(seed >> 33) % bound;
}

static bool chance(unsigned percent)
{
    return below(100) < percent;
}

struct shapes {
    fh_field fields[SHAPES_MAX][FIELDS_MAX + 1];
    int count;
};

static const char *const names[] = {"a", "b", "c", "d"};
static const char *const lists[][4] = {{"x", "yy", NULL}, {"x", NULL}, {"x", "yy", "zzz", NULL}};
static const char *const patterns[] = {"[a-z]*", "[a-z]{0,3}", "x|yy|zzz"};
static const char *const bounds[] = {"-1.5", "0.25", "2"};

static void draw_text_rules(fh_field *field)
{
    if (chance(30))
        field->one_of = lists[below(3)];
    else if (chance(25))
        field->pattern = patterns[below(3)];
    else if (chance(20))
        field->format = (enum fh_string_format)(1 + below(5));
    field->secret = field->type == FH_STRING && chance(10);
}

static void draw_rules(fh_field *field)
{
    enum fh_type of = field->type == FH_ARRAY ? field->elements : field->type;
    field->optional = chance(30);
    field->nullable = chance(15);
    if (field->type != FH_DECIMAL && field->type != FH_BOOL && chance(50)) {
        field->min = (int64_t)below(5) - (field->type == FH_INT ? 2 : 0);
        field->max = field->min + (int64_t)below(6);
    }
    if (of == FH_STRING)
        draw_text_rules(field);
    if (of == FH_DECIMAL) {
        field->precision = 1 + (int)below(5);
        field->scale = (int)below((unsigned)field->precision + 1);
    }
    if ((of == FH_DECIMAL || of == FH_NUMBER) && chance(30))
        field->minimum = bounds[below(3)];
    if ((of == FH_DECIMAL || of == FH_NUMBER) && chance(20))
        field->maximum = "2.5";
    if (field->type == FH_STRING && !field->one_of && !field->pattern && !field->format &&
        chance(10))
        field->default_value = field->min <= 1 && field->max != 0 ? "x" : NULL;
}

static const fh_field *draw_shape(struct shapes *shapes, int depth);

static void draw_field(struct shapes *shapes, fh_field *field, int depth)
{
    static const enum fh_type types[] = {FH_STRING, FH_INT,   FH_BOOL,   FH_NUMBER, FH_DECIMAL,
                                         FH_ANY,    FH_ARRAY, FH_OBJECT, FH_STRING};
    field->type = types[below(sizeof types / sizeof types[0])];
    if (field->type == FH_ARRAY)
        field->elements = types[below(6)];
    if ((field->type == FH_ARRAY || field->type == FH_OBJECT) && chance(70)) {
        field->of = chance(25) ? shapes->fields[below((unsigned)shapes->count)]
                               : draw_shape(shapes, depth + 1);
        field->elements = (enum fh_type)0;
    }
    draw_rules(field);
}

static const fh_field *draw_shape(struct shapes *shapes, int depth)
{
    if (shapes->count == SHAPES_MAX || depth > 3)
        return shapes->fields[0];
    fh_field *fields = shapes->fields[shapes->count++];
    int count = 1 + (int)below(FIELDS_MAX - 1), at = 0;
    for (int i = 0; i < count; i++) {
        fields[at].name = names[i];
        draw_field(shapes, &fields[at], depth);
        /* One that must have itself in it has no value. */
        if (fields[at].of)
            fields[at].optional = true;
        at++;
    }
    if (chance(20))
        fields[at] = (fh_field){"*", FH_ANY, .optional = true};
    return fields;
}

/* A copy with a few changes. */
static void change_shapes(const struct shapes *old, struct shapes *new)
{
    *new = *old;
    for (int i = 0; i < old->count; i++) {
        for (int j = 0; j < FIELDS_MAX; j++) {
            fh_field *field = &new->fields[i][j];
            for (int k = 0; field->of && k < old->count; k++) {
                if (field->of == old->fields[k])
                    field->of = new->fields[k];
            }
        }
    }
    for (unsigned changes = below(3) + 1; changes > 0; changes--) {
        fh_field *fields = new->fields[below((unsigned)new->count)];
        fh_field *field = &fields[below(2)];
        if (!field->name || strcmp(field->name, "*") == 0)
            continue;
        const fh_field before = *field;
        switch (below(7)) {
        case 0:
            field->optional = !field->optional || field->of;
            break;
        case 1:
            field->nullable = !field->nullable;
            break;
        case 2:
            field->max += field->max != 0;
            break;
        case 3:
            field->min -= field->min > 0;
            break;
        case 4:
            field->one_of = NULL;
            field->pattern = NULL;
            field->format = FH_NO_FORMAT;
            break;
        case 5:
            *field = (fh_field){.name = before.name};
            draw_field(new, field, 3);
            field->optional = field->optional || field->of;
            break;
        default:
            field->precision += field->precision != 0;
            field->minimum = NULL;
            break;
        }
    }
}

static json_t *draw_text(const fh_field *field)
{
    static const char *const texts[] = {"",
                                        "x",
                                        "yy",
                                        "zzz",
                                        "abcd",
                                        "\xc3\xa4",
                                        "x@y.z",
                                        "2026-02-28",
                                        "0.5",
                                        "-1.5",
                                        "12",
                                        "x:y",
                                        "00000000-0000-0000-0000-000000000000",
                                        "abcdefgh",
                                        "2026-02-28T10:00:00Z",
                                        "2",
                                        "0",
                                        "100.25",
                                        "1"};
    if (field->one_of && chance(80))
        return json_string(field->one_of[below(field->one_of[1] ? 2 : 1)]);
    return json_string(texts[below(sizeof texts / sizeof texts[0])]);
}

static json_t *draw_object(const fh_field *shape, int depth);

static json_t *draw_value(const fh_field *field, int depth)
{
    fh_field element = {
        .type = field->of ? FH_OBJECT : field->elements, .of = field->of, .one_of = field->one_of};
    json_t *array;
    if (field->nullable && chance(20))
        return json_null();
    switch (field->type) {
    case FH_INT:
        return json_integer((json_int_t)below(12) - 4);
    case FH_NUMBER:
        return chance(50) ? json_integer((json_int_t)below(6) - 2) : json_real(below(16) / 4.0 - 2);
    case FH_BOOL:
        return json_boolean(chance(50));
    case FH_OBJECT:
        return field->of && depth < 4 ? draw_object(field->of, depth + 1) : json_object();
    case FH_ARRAY:
        array = json_array();
        for (unsigned count = depth < 4 ? below(6) : 0; count > 0; count--)
            json_array_append_new(array, element.type ? draw_value(&element, depth + 1)
                                                      : json_integer(below(3)));
        return array;
    case FH_ANY:
        return chance(40) ? json_integer(below(9)) : chance(30) ? json_null() : draw_text(field);
    case FH_STRING:
    case FH_DECIMAL:
    case FH_LIST:
        break;
    }
    return draw_text(field);
}

static json_t *draw_object(const fh_field *shape, int depth)
{
    json_t *object = json_object();
    for (; shape->name; shape++) {
        if (strcmp(shape->name, "*") == 0)
            json_object_set_new(object, names[below(4)], json_integer(below(9)));
        else if (!(shape->optional || shape->default_value) || chance(60))
            json_object_set_new(object, shape->name, draw_value(shape, depth));
    }
    return object;
}

/* The shape as those read it who ignore what they don't know. */
static void open_shapes(struct shapes *shapes)
{
    for (int i = 0; i < shapes->count; i++) {
        fh_field *field = shapes->fields[i];
        while (field->name && strcmp(field->name, "*") != 0)
            field++;
        *field = (fh_field){"*", FH_ANY, .optional = true};
    }
}

struct tally {
    int kept, broke, proved, tried;
};

/* Values of `from` against `to`, which was said to accept them, or not. */
static void try_values(const fh_field *from, const fh_field *to, bool kept, struct tally *tally)
{
    bool found = false;
    for (int i = 0; i < VALUES; i++) {
        json_t *value = draw_object(from, 0), *unfit = shape_check(from, value);
        json_t *faults = unfit ? NULL : shape_check(to, value);
        tally->tried += !unfit;
        if (faults && kept) {
            char *text = json_text(value), *why = json_text(faults);
            fail_msg("seed %llu: %s: %s", (unsigned long long)seed, text, why);
        }
        found = found || faults;
        json_decref(faults);
        json_decref(unfit);
        json_decref(value);
    }
    tally->kept += kept;
    tally->broke += !kept;
    tally->proved += !kept && found;
}

static void try_pair(enum shape_use use, struct tally *tally)
{
    static struct shapes old, new;
    old = (struct shapes){0};
    const fh_field *old_shape = draw_shape(&old, 0);
    if (chance(90)) {
        change_shapes(&old, &new);
    } else {
        new = (struct shapes){0};
        draw_shape(&new, 0);
    }
    const fh_field *new_shape = new.fields[0];
    if (shape_declared(old_shape, ERROR_UNHEEDED) != FH_OK ||
        shape_declared(new_shape, ERROR_UNHEEDED) != FH_OK)
        return;
    json_t *from = shape_schema(old_shape), *to = shape_schema(new_shape);
    bool kept = shape_accepts_all(from, to, use, NULL);
    json_t *all = shape_differences(from, to, use);
    if (use == SHAPE_TAKEN) /* both say the same */
        assert_int_equal(kept, !json_is_true(json_object_get(json_array_get(all, 0), "breaking")));
    if (use == SHAPE_GIVEN) {
        open_shapes(&old);
        try_values(new_shape, old_shape, kept, tally);
    } else {
        try_values(old_shape, new_shape, kept, tally);
    }
    assert_true(shape_accepts_all(from, from, use, NULL));
    json_decref(all);
    json_decref(from);
    json_decref(to);
}

static void what_is_called_compatible_is_so_for_every_value(void **unused)
{
    (void)unused;
    struct tally tally = {0};
    for (int i = 0; i < PAIRS; i++) {
        seed = (uint64_t)i * 2654435761u + 17;
        try_pair(i % 2 ? SHAPE_GIVEN : SHAPE_TAKEN, &tally);
    }
    print_message("# %d compatible, %d not, of which %d were shown; %d values\n", tally.kept,
                  tally.broke, tally.proved, tally.tried);
    /* Neither side is empty, nor is "breaking" said at random. */
    assert_true(tally.kept > PAIRS / 10 && tally.broke > PAIRS / 10);
    assert_true(tally.proved > tally.broke / 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_body_is_stricter),
        cmocka_unit_test(a_value_is_of_another_kind),
        cmocka_unit_test(a_value_has_other_bounds),
        cmocka_unit_test(what_is_given_keeps_its_promises),
        cmocka_unit_test(what_readers_have_to_know_counts_too),
        cmocka_unit_test(a_shape_within_itself_is_followed),
        cmocka_unit_test(what_nobody_wrote_is_never_compatible),
        cmocka_unit_test(hostile_schemas_end),
        cmocka_unit_test(what_is_called_compatible_is_so_for_every_value),
    };
    return cmocka_run_group_tests(tests, values_start, NULL);
}
