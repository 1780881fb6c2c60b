/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies against a shape with every type in it. Every fault has a place and a sentence, quotes
 * nothing that is secret, and the problem that is made of them can be printed. What fits is written
 * and read as the same value, needs no settling then, and fits the schema as another service reads
 * it. */

#include "fuzz.h"
#include "shape/mark.h"
#include "shape/problem.h"
#include "shape/shape.h"

static const char *const kinds[] = {"ONE", "TWO", NULL};
static const fh_field item[] = {
    {"product_id", FH_STRING, .min = 1, .max = 8}, {"quantity", FH_INT, .min = 1, .max = 5}, {0}};
static const fh_field inner[] = {{"flag", FH_BOOL, .nullable = true}, {"*", FH_ANY}, {0}};
static const fh_field shape[] = {
    {"name", FH_STRING, .min = 1, .max = 10},
    {"kind", FH_STRING, .one_of = kinds, .optional = true},
    {"count", FH_INT, .min = -5, .max = 5, .optional = true},
    {"items", FH_ARRAY, .of = item, .max = 4, .optional = true},
    {"tags", FH_ARRAY, .elements = FH_STRING, .optional = true},
    {"inner", FH_OBJECT, .of = inner, .optional = true},
    {"ratio", FH_NUMBER, .minimum = "-0.5", .default_value = "1"},
    {"price", FH_DECIMAL, .precision = 6, .scale = 2, .min = -3, .max = 3, .optional = true},
    {"at", FH_STRING, .format = FH_DATE_TIME, .optional = true},
    {"day", FH_STRING, .format = FH_DATE, .optional = true},
    {"id", FH_STRING, .format = FH_UUID, .optional = true},
    {"mail", FH_STRING, .format = FH_EMAIL, .optional = true},
    {"link", FH_STRING, .format = FH_URI, .optional = true},
    {"code", FH_STRING, .pattern = "([a-z]+-?)+[^x]{2,}.?", .default_value = "ab-cd",
     .secret = true},
    {"ratios", FH_ARRAY, .elements = FH_NUMBER, .maximum = "1e300", .max = 9, .optional = true},
    {"prices", FH_ARRAY, .elements = FH_DECIMAL, .scale = 3, .optional = true},
    {"days", FH_ARRAY, .elements = FH_STRING, .format = FH_DATE, .optional = true},
    {"limit", FH_INT, .min = 1, .max = 100, .default_value = "1e1"},
    {"within", FH_OBJECT, .of = inner, .default_value = "{\"flag\": null}", .personal = true},
    {0}};

static const fh_field *shape_read_back(void)
{
    static struct arena arena;
    static json_t *schema; /* kept, since what is read from it borrows its texts */
    static const fh_field *read;
    if (!read) {
        FH_ASSERT(shape_declared(shape, ERROR_UNHEEDED) == FH_OK);
        arena_init(&arena, ARENA_SIZE_MAX);
        schema = shape_schema(shape);
        read = shape_of_schema(&arena, schema);
    }
    return read;
}

/* `value` fits. */
static void check_fitting(const json_t *value)
{
    char *text = json_text(value), *again_text;
    json_t *again = NULL, *faults = shape_check(shape_read_back(), value);
    FH_ASSERT(!faults);
    FH_ASSERT(json_parse(text, strlen(text), &again, ERROR_UNHEEDED) == FH_OK);
    FH_ASSERT(json_equal(value, again));
    shape_settle(shape, again);
    again_text = json_text(again);
    FH_ASSERT(strcmp(text, again_text) == 0);
    json_t *redacted = shape_redacted(shape, value, SHAPE_MARKED);
    FH_ASSERT(strcmp(json_string_at(redacted, "code"), "[secret]") == 0);
    json_decref(redacted);
    json_decref(again);
    json_text_free(again_text);
    json_text_free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_start();
    char *text = fuzz_rest(&data, &size);
    json_t *value = fuzz_json(text);
    if (value)
        shape_settle(shape, value);
    json_t *faults = value ? shape_check(shape, value) : NULL;
    if (value && !faults)
        check_fitting(value);
    size_t index;
    json_t *fault;
    FH_ASSERT(!faults || json_array_size(faults) > 0);
    FH_ASSERT(json_array_size(faults) <= SHAPE_FAULTS_MAX);
    json_array_foreach (faults, index, fault) {
        FH_ASSERT(json_string_at(fault, "detail"));
        FH_ASSERT(json_string_at(fault, "pointer"));
    }
    json_t *problem = problem_new(PROBLEM_BODY_INVALID, "It does not fit.", faults);
    char *printed = json_text(problem);
    json_text_free(printed);
    json_decref(problem);
    json_decref(faults);
    json_decref(value);
    free(text);
    return 0;
}
