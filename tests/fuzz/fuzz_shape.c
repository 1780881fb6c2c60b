/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies against a shape with every type in it. Every fault has a place and a sentence, and the
 * problem that is made of them can be printed. */

#include "fuzz.h"
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
    {0}};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_start();
    char *text = fuzz_rest(&data, &size);
    json_t *value = fuzz_json(text);
    if (value)
        shape_settle(shape, value);
    json_t *faults = value ? shape_check(shape, value) : NULL;
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
