/* SPDX-License-Identifier: Apache-2.0 */
/* What the engines of the key-value model share: which names and values are allowed, and the errors
 * for others. */

#include "store/keyvalue/keyvalue.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"

const struct keyvalue_ops *keyvalue_engine(const struct store *store)
{
    return store->engine->keyvalue;
}

static enum fh_code refuse_keyvalue(struct fh_error *error, const char *field, const char *message)
{
    error_set(error, FH_INVALID, "%s", message);
    snprintf(error->field, sizeof error->field, "%s", field);
    return FH_INVALID;
}

/* Jansson makes strings only of UTF-8. */
static bool is_utf8(const char *text)
{
    struct arena *before = json_arena_set(NULL);
    json_t *string = json_string(text);
    json_decref(string);
    json_arena_set(before);
    return string != NULL;
}

enum fh_code keyvalue_name_check(const char *what, const char *name, struct fh_error *error)
{
    char message[120];
    size_t length = name ? strnlen(name, KEYVALUE_NAME_LENGTH_MAX + 1) : 0;
    if (length >= 1 && length <= KEYVALUE_NAME_LENGTH_MAX && is_utf8(name))
        return FH_OK;
    snprintf(message, sizeof message, "A %s has 1 to %d bytes, which are UTF-8.", what,
             KEYVALUE_NAME_LENGTH_MAX);
    return refuse_keyvalue(error, what, message);
}

enum fh_code keyvalue_value_text(const json_t *value, char **ret, struct fh_error *error)
{
    char message[80];
    *ret = NULL;
    if (!value)
        return refuse_keyvalue(error, "value", "There is no value to keep.");
    char *text = json_text(value);
    if (strlen(text) <= KEYVALUE_VALUE_SIZE_MAX) {
        *ret = text;
        return FH_OK;
    }
    json_text_free(text);
    snprintf(message, sizeof message, "The value is larger than %d bytes.",
             KEYVALUE_VALUE_SIZE_MAX);
    return refuse_keyvalue(error, "value", message);
}

static const char *kind_name(enum keyvalue_kind kind)
{
    static const char *const names[] = {
        [KEYVALUE_NONE] = "nothing",
        [KEYVALUE_VALUE] = "a value",
        [KEYVALUE_HASH] = "a hash",
        [KEYVALUE_SORTED] = "a sorted set",
    };
    return names[kind];
}

enum fh_code keyvalue_kind_error(const char *key, enum keyvalue_kind is, enum keyvalue_kind wanted,
                                 struct fh_error *error)
{
    return error_set(error, FH_CONFLICT, "'%.100s' is %s, and %s is needed.", key, kind_name(is),
                     kind_name(wanted));
}

enum fh_code keyvalue_add(const char *name, const json_t *value, int64_t delta, int64_t *ret,
                          struct fh_error *error)
{
    *ret = 0;
    if (value && !json_is_integer(value))
        return error_set(error, FH_CONFLICT, "'%.100s' is not an integer, and can't count.", name);
    int64_t before = json_integer_value(value), after;
    if (__builtin_add_overflow(before, delta, &after) || after > KEYVALUE_INTEGER_MAX ||
        after < -KEYVALUE_INTEGER_MAX)
        return error_set(error, FH_CONFLICT, "'%.100s' would count beyond %lld.", name,
                         (long long)KEYVALUE_INTEGER_MAX);
    *ret = after;
    return FH_OK;
}
