/* SPDX-License-Identifier: Apache-2.0 */
/* Events of points as the outbox has them: what is read as it was written is what JSON says, and
 * nothing outside of the text is ever shown. */

#include "carrier/form.h"
#include "carrier/values.h"
#include "fuzz.h"

static const struct fh_derived_field fields[] = {{"device", FH_STRING, FH_TAG},
                                                 {"site", FH_INT, FH_TAG},
                                                 {"on", FH_BOOL, FH_TAG},
                                                 {"c", FH_NUMBER},
                                                 {"n", FH_INT},
                                                 {0}};
static const struct fh_derived measured = {"measured", FH_SERIES, fields};

static void look_at_value(const struct fh_derived_field *field, const struct carried_value *value,
                          const struct carried_value *expected)
{
    FH_ASSERT(value->kind == expected->kind);
    if (value->kind == CARRIED_NUMBER && field->type == FH_NUMBER) {
        double one = carried_real(value), other = carried_real(expected);
        FH_ASSERT(memcmp(&one, &other, sizeof one) == 0);
    } else if (value->kind != CARRIED_NULL && value->kind != CARRIED_NUMBER) {
        FH_ASSERT(value->length == expected->length &&
                  memcmp(value->text, expected->text, value->length) == 0);
    } else if (value->kind == CARRIED_NUMBER) {
        FH_ASSERT(carried_integer(value) == carried_integer(expected));
    }
}

static void look_at_op(const struct carried_op *op, const json_t *expected)
{
    const char *key = json_string_at(expected, "key"), *name = json_string_at(expected, "name");
    FH_ASSERT(name && strcmp(name, "measured") == 0);
    FH_ASSERT(key && memcmp(op->key, key, strlen(key)) == 0 && op->key[strlen(key)] == '"');
    FH_ASSERT(json_integer_value(json_object_get(expected, "at_ms")) == op->at_ms);
    struct carried_value *values =
        carried_values_new(&measured, op->at_ms, json_object_get(expected, "value"));
    FH_ASSERT(values != NULL);
    for (int i = 0; fields[i].name; i++)
        look_at_value(&fields[i], &op->values[i], &values[i]);
    free(values);
}

static void look_at_found(const struct carried_found *found, const char *text)
{
    json_t *data = fuzz_json(text);
    const json_t *ops = json_object_get(data, "ops"), *op;
    size_t i;
    FH_ASSERT(json_is_array(ops) && json_array_size(ops) == (size_t)found->count);
    json_array_foreach (ops, i, op)
        look_at_op(&found->ops[i], op);
    FH_ASSERT((json_object_get(data, "generation") != NULL) == (found->incarnation.at != NULL));
    FH_ASSERT((json_object_get(data, "last") != NULL) == (found->last.at != NULL));
    json_decref(data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct carried_form form;
    struct carried_found found = {0};
    fuzz_start();
    char *text = calloc(1, size + JSON_SCAN_PADDING);
    FH_ASSERT(text != NULL);
    if (size)
        memcpy(text, data, size);
    size_t length = strlen(text);
    carried_form_init(&form, &measured);
    size_t room = carried_form_room(&form, length);
    found.ops = calloc(room, sizeof *found.ops);
    found.values = calloc(room * (size_t)form.field_count, sizeof *found.values);
    FH_ASSERT(found.ops && found.values);
    if (carried_form_read(&form, text, length, &found))
        look_at_found(&found, text);
    free(found.ops);
    free(found.values);
    carried_form_release(&form);
    free(text);
    return 0;
}
