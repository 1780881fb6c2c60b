/* SPDX-License-Identifier: Apache-2.0 */
/* See options.h. */

#include "broker/options.h"

#include <string.h>

enum fh_code broker_option_text(const json_t *options, const char *name, const char *otherwise,
                                char *ret, size_t size, struct fh_error *error)
{
    const json_t *value = json_object_get(options, name);
    if (value && !json_is_string(value))
        return error_set(error, FH_INVALID, "\"%s\" of the bus must be a text.", name);
    const char *text = value ? json_string_value(value) : otherwise;
    if (strlen(text) >= size)
        return error_set(error, FH_INVALID, "\"%s\" of the bus is longer than %zu bytes.", name,
                         size - 1);
    memcpy(ret, text, strlen(text) + 1);
    return FH_OK;
}

enum fh_code broker_option_number(const json_t *options, const char *name, int64_t otherwise,
                                  int64_t most, int64_t *ret, struct fh_error *error)
{
    const json_t *value = json_object_get(options, name);
    *ret = value ? json_integer_value(value) : otherwise;
    if (value && (!json_is_integer(value) || *ret < 1 || *ret > most))
        return error_set(error, FH_INVALID, "\"%s\" of the bus must be a number from 1 to %lld.",
                         name, (long long)most);
    return FH_OK;
}

enum fh_code broker_option_outside(const json_t *options, int64_t *ret, struct fh_error *error)
{
    return broker_option_number(options, "outside_kept_s", 0, BROKER_KEEP_S_MAX, ret, error);
}
