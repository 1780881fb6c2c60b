/* SPDX-License-Identifier: Apache-2.0 */
/* json_parse refuses members given twice, NUL in their names, and more than 64 levels; so the
 * recursion below has an end. */

#include "gateway/identity/strict.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/json.h"

static bool holds_nul(const json_t *value)
{
    size_t i;
    const char *name;
    json_t *inner;
    if (json_is_string(value))
        return strlen(json_string_value(value)) != json_string_length(value);
    json_array_foreach (value, i, inner) {
        if (holds_nul(inner))
            return true;
    }
    json_object_foreach ((json_t *)(uintptr_t)value, name, inner) {
        if (holds_nul(inner))
            return true;
    }
    return false;
}

enum fh_code strict_object(const char *text, size_t length, json_t **ret, struct fh_error *error)
{
    *ret = NULL;
    enum fh_code code = json_parse(text, length, ret, error);
    if (code == FH_OK && !json_is_object(*ret))
        code = error_set(error, FH_INVALID, "This is not a JSON object.");
    else if (code == FH_OK && holds_nul(*ret))
        code = error_set(error, FH_INVALID, "A text has a NUL (\\u0000) inside.");
    else
        return code;
    json_decref(*ret);
    *ret = NULL;
    return code;
}
