/* SPDX-License-Identifier: Apache-2.0 */
/* Query parameters are first converted from text to the types that the shape names, and then
 * checked as a body is. */

#include <string.h>

#include "base/error.h"
#include "base/text.h"
#include "shape/mark.h"
#include "shape/walk.h"

static void must_hold(int result)
{
    FH_ASSERT(result == 0);
}

static void fault_query_value(struct shape_faults *faults, const struct shape_place *place,
                              const fh_field *field, const json_t *string)
{
    struct text detail;
    text_init(&detail, SHAPE_DETAIL_LENGTH_MAX);
    text_printf(&detail, "expected %s, found ",
                field->type == FH_LIST ? "values with one comma between two of them"
                                       : shape_type_expected(field));
    if (shape_field_marks(field))
        text_add(&detail, "something else");
    else
        shape_quote(&detail, json_string_value(string), json_string_length(string));
    shape_fault(faults, place, &detail);
}

json_t *shape_query(const fh_field *shape, const json_t *strings, json_t **ret)
{
    FH_ASSERT(shape != NULL && json_is_object(strings));
    struct shape_faults faults = {.of_query = true};
    struct shape_place whole = {0};
    json_t *typed = json_object();
    json_t *string;
    const char *name;
    json_object_foreach ((json_t *)(uintptr_t)strings, name, string) {
        const fh_field *field = shape_find_field(shape, name);
        struct shape_place below = {.parent = &whole, .name = name};
        json_t *value = field && strcmp(name, "*") != 0 ? shape_value_of_text(field, string)
                                                        : json_incref(string);
        if (value)
            must_hold(json_object_set_new(typed, name, value));
        else
            fault_query_value(&faults, &below, field, string);
    }
    *ret = NULL;
    shape_settle(shape, typed);
    /* All types are right from here on. A parameter that could not be converted is absent from
     * `typed` and must not be reported as missing, too. */
    if (!faults.found)
        shape_check_object(&faults, &whole, shape, typed);
    if (faults.found) {
        json_decref(typed);
        return faults.found;
    }
    *ret = typed;
    return NULL;
}
