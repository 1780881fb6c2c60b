/* SPDX-License-Identifier: Apache-2.0 */
/* Query strings, read and typed by a shape: what is taken fits it as a body would. */

#include "fuzz.h"
#include "http/path.h"
#include "shape/shape.h"

static const char *const colours[] = {"red", "green", NULL};
static const fh_field shape[] = {{"ids", FH_LIST, .min = 1, .max = 100, .optional = true},
                                 {"limit", FH_INT, .min = 1, .max = 1000, .optional = true},
                                 {"after", FH_STRING, .max = 20, .optional = true},
                                 {"colour", FH_STRING, .one_of = colours, .optional = true},
                                 {"colours", FH_LIST, .one_of = colours, .optional = true},
                                 {"days", FH_LIST, .format = FH_DATE, .optional = true},
                                 {"codes", FH_LIST, .pattern = "[a-z]\\d*", .optional = true},
                                 {"all", FH_BOOL, .optional = true},
                                 {"ratio", FH_NUMBER, .maximum = "0.5", .default_value = "0"},
                                 {"price", FH_DECIMAL, .scale = 2, .min = 1, .optional = true},
                                 {"day", FH_STRING, .nullable = true, .default_value = "null"},
                                 {0}};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_start();
    char *query = fuzz_rest(&data, &size);
    struct fh_error error;
    json_t *strings = NULL, *typed = NULL;
    if (path_query(query, &strings, &error) == FH_OK) {
        json_t *faults = shape_query(shape, strings, &typed);
        FH_ASSERT(json_array_size(faults) <= SHAPE_FAULTS_MAX);
        FH_ASSERT(faults || (json_is_object(typed) && !shape_check(shape, typed)));
        json_decref(faults);
        json_decref(typed);
    }
    json_decref(strings);
    free(query);
    return 0;
}
