/* SPDX-License-Identifier: Apache-2.0 */
/* What of a value or a question may be a client's, and is unfit: the same for search and series. */

#include <stdarg.h>
#include <stdio.h>

#include "store/derived/internal.h"

enum fh_code derived_unfit(struct fh_error *error, const char *field, const char *format, ...)
{
    char message[sizeof error->message];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    error_set(error, FH_INVALID, "%s", message);
    snprintf(error->field, sizeof error->field, "%s", field);
    return FH_INVALID;
}

enum fh_code derived_word_check(const struct fh_derived_field *field, const json_t *value,
                                struct fh_error *error)
{
    if (!json_is_string(value))
        return FH_OK;
    if (strlen(json_string_value(value)) != json_string_length(value))
        return derived_unfit(error, field->name, "\"%.64s\" contains a NUL character.",
                             field->name);
    if (!(field->use & (FH_FACET | FH_TAG)) || json_string_length(value) <= DERIVED_WORD_LENGTH_MAX)
        return FH_OK;
    return derived_unfit(error, field->name,
                         "\"%.64s\" is longer than %d bytes, and can't be filtered by.",
                         field->name, DERIVED_WORD_LENGTH_MAX);
}
