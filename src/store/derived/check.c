/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What may be declared of a derived store, and what may be put into one: the same for all engines.
 *
 * The digest is of all that decides how a value is kept, by a text that is hashed. It begins with
 * the number of that text's own form, which is raised with each change of the tables, so that
 * stores of before are made anew. Of roll-ups it says whether there are any, since a Freehold that
 * knows none would lose them; which ones may be changed (series_rollup.c).
 */

#include <ctype.h>
#include <sodium.h>
#include <string.h>

#include "base/json.h"
#include "store/derived/series_rollup.h"

#define COUNT(rows) (sizeof(rows) / sizeof *(rows))
#define DIGEST_FORM 1
#define NUMBER_SIZE_MAX 32 /* of digits, a word, or what a text stands in */
#define DIGEST_TEXT_MAX ((size_t)64 << 10)

/* ---- The declaration ---- */

static bool is_derived_name(const char *name, size_t length_max, bool capitals)
{
    size_t length = strlen(name);
    if (length == 0 || length > length_max || isdigit((unsigned char)*name))
        return false;
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)name[i];
        if (!islower(c) && !isdigit(c) && c != '_' && !(capitals && isupper(c)))
            return false;
    }
    return true;
}

/* The uses that a type can have; 0: none. */
static unsigned uses_of(enum fh_type type)
{
    switch (type) {
    case FH_STRING:
        return FH_TEXT | FH_FACET | FH_TAG | FH_SORTED;
    case FH_LIST:
        return FH_TEXT | FH_FACET | FH_TAG;
    case FH_INT:
        return FH_FACET | FH_TAG | FH_SORTED;
    case FH_BOOL:
        return FH_FACET | FH_TAG;
    case FH_NUMBER:
        return FH_SORTED;
    case FH_OBJECT:
    case FH_ARRAY:
    case FH_ANY:
    case FH_DECIMAL:
        break;
    }
    return 0;
}

static enum fh_code check_field_name(const struct fh_derived *derived,
                                     const struct fh_derived_field *field, struct fh_error *error)
{
    if (!is_derived_name(field->name, DERIVED_FIELD_LENGTH_MAX, true))
        return error_set(error, FH_INVALID,
                         "The field \"%.64s\" of the derived store %s needs a name of letters, "
                         "digits and '_'.",
                         field->name, derived->name);
    for (const struct fh_derived_field *other = derived->fields; other < field; other++) {
        if (strcmp(other->name, field->name) == 0)
            return error_set(error, FH_INVALID, "The derived store %s has the field %s twice.",
                             derived->name, field->name);
    }
    return FH_OK;
}

static enum fh_code check_search_field(const struct fh_derived *derived,
                                       const struct fh_derived_field *field, struct fh_error *error)
{
    unsigned uses = uses_of(field->type);
    if (!uses)
        return error_set(
            error, FH_INVALID,
            "The field %s of the derived store %s has a type that none can have there: "
            "expected FH_STRING, FH_LIST, FH_INT, FH_BOOL or FH_NUMBER.",
            field->name, derived->name);
    if (!field->use || field->use & ~uses)
        return error_set(error, FH_INVALID, "The field %s of the derived store %s %s.", field->name,
                         derived->name,
                         field->use ? "has a use that one of its type can't have"
                                    : "has no use: expected FH_TEXT, FH_FACET, FH_TAG, FH_SORTED");
    if (field->weight < 0 || field->weight > DERIVED_WEIGHT_MAX ||
        (field->weight && !(field->use & FH_TEXT)))
        return error_set(
            error, FH_INVALID,
            "The field %s of the derived store %s has the weight %d: expected 0 to %d, "
            "of an FH_TEXT alone.",
            field->name, derived->name, field->weight, DERIVED_WEIGHT_MAX);
    return FH_OK;
}

static enum fh_code check_derived_fields(const struct fh_derived *derived, struct fh_error *error)
{
    int count = 0;
    enum fh_code code = FH_OK;
    for (const struct fh_derived_field *field = derived->fields; field && field->name && !code;
         field++) {
        if (++count > DERIVED_FIELDS_MAX)
            return error_set(error, FH_INVALID, "The derived store %s has more than %d fields.",
                             derived->name, DERIVED_FIELDS_MAX);
        code = check_field_name(derived, field, error);
        if (code == FH_OK && field->personal && derived->model != FH_SEARCH)
            code = error_set(error, FH_INVALID,
                             "The field %s of the derived store %s is personal, and one person's "
                             "points or facts can't be removed: keep a number that stands for the "
                             "person, whose name is in the service's own store.",
                             field->name, derived->name);
        if (code == FH_OK)
            code = derived->model == FH_SEARCH ? check_search_field(derived, field, error)
                                               : series_field_check(derived, field, error);
    }
    return code;
}

static unsigned uses_declared(const struct fh_derived *derived)
{
    unsigned uses = 0;
    for (const struct fh_derived_field *field = derived->fields; field && field->name; field++)
        uses |= field->use;
    return uses;
}

static enum fh_code check_search(const struct fh_derived *derived, struct fh_error *error)
{
    if (derived->keys && derived->keys != FH_STRING && derived->keys != FH_INT)
        return error_set(error, FH_INVALID,
                         "The keys of the derived store %s can only be FH_STRING or FH_INT.",
                         derived->name);
    if (derived->language && strcmp(derived->language, "english") != 0)
        return error_set(error, FH_INVALID,
                         "The derived store %s is in \"%.40s\": expected \"english\" or NULL.",
                         derived->name, derived->language);
    if (derived->keep_days)
        return error_set(
            error, FH_INVALID,
            "The derived store %s has `keep_days`, which FH_SERIES and FH_COLUMNS alone have.",
            derived->name);
    if (!(uses_declared(derived) & FH_TEXT))
        return error_set(error, FH_INVALID,
                         "The derived store %s has no field that is FH_TEXT, so nothing to search.",
                         derived->name);
    return series_rollups_check(derived, error);
}

static enum fh_code check_derived(const struct fh_derived *derived, struct fh_error *error)
{
    if (!is_derived_name(derived->name, DERIVED_NAME_LENGTH_MAX, false))
        return error_set(error, FH_INVALID,
                         "The derived store \"%.64s\" needs a name of 1 to %d lower-case letters, "
                         "digits and '_'.",
                         derived->name, DERIVED_NAME_LENGTH_MAX);
    if (derived->model != FH_SEARCH && derived->model != FH_SERIES && derived->model != FH_COLUMNS)
        return error_set(error, FH_INVALID,
                         "The derived store %s has the model %d: expected FH_SEARCH, FH_SERIES or "
                         "FH_COLUMNS.",
                         derived->name, (int)derived->model);
    enum fh_code code = check_derived_fields(derived, error);
    if (code != FH_OK)
        return code;
    return derived->model == FH_SEARCH ? check_search(derived, error)
                                       : series_declared_check(derived, error);
}

enum fh_code derived_check(const fh_service *service, struct fh_error *error)
{
    enum fh_code code = FH_OK;
    for (int i = 0; i < derived_count(service) && !code; i++) {
        const struct fh_derived *derived = &service->derives[i];
        code = check_derived(derived, error);
        if (code == FH_OK && derived_find(service, derived->name) != derived)
            code =
                error_set(error, FH_INVALID, "Two derived stores have the name %s.", derived->name);
    }
    return code;
}

int derived_count(const fh_service *service)
{
    int count = 0;
    while (count < (int)COUNT(service->derives) && service->derives[count].name)
        count++;
    return count;
}

const struct fh_derived *derived_find(const fh_service *service, const char *name)
{
    for (int i = 0; i < derived_count(service); i++) {
        if (strcmp(service->derives[i].name, name) == 0)
            return &service->derives[i];
    }
    return NULL;
}

static unsigned personal_uses(const struct fh_derived *declared)
{
    unsigned uses = 0;
    for (const struct fh_derived_field *field = declared->fields; field && field->name; field++)
        uses |= field->personal ? field->use : 0;
    return uses;
}

bool derived_is_personal(const struct fh_derived *declared)
{
    return personal_uses(declared) != 0;
}

bool derived_erases_words(const struct fh_derived *declared)
{
    return declared->model == FH_SEARCH && personal_uses(declared) & FH_TEXT;
}

void derived_digest(const struct fh_derived *declared, char ret[static DERIVED_DIGEST_SIZE])
{
    derived_digest_rolled(declared, series_rollup_count(declared) > 0, ret);
}

void derived_digest_rolled(const struct fh_derived *declared, bool rolled,
                           char ret[static DERIVED_DIGEST_SIZE])
{
    unsigned char hash[(DERIVED_DIGEST_SIZE - 1) / 2];
    struct text text;
    text_init(&text, DIGEST_TEXT_MAX);
    text_printf(&text, "%d %d %d %s", DIGEST_FORM, (int)declared->model, declared->version,
                declared->language ? declared->language : "-");
    for (const struct fh_derived_field *field = declared->fields; field->name; field++)
        text_printf(&text, "; %s %d %u %d", field->name, (int)field->type, field->use,
                    field->weight);
    if (rolled)
        text_add(&text, "; rolled up");
    FH_ASSERT(!text.overflow);
    crypto_generichash(hash, sizeof hash, (const unsigned char *)text.data, text.length, NULL, 0);
    sodium_bin2hex(ret, DERIVED_DIGEST_SIZE, hash, sizeof hash);
    text_release(&text);
}

/* ---- A value ---- */

enum fh_code derived_key_check(const char *key, struct fh_error *error)
{
    size_t length = key ? strnlen(key, DERIVED_KEY_LENGTH_MAX + 1) : 0;
    if (length >= 1 && length <= DERIVED_KEY_LENGTH_MAX)
        return FH_OK;
    return derived_unfit(error, "key", "\"key\" must have 1 to %d bytes.", DERIVED_KEY_LENGTH_MAX);
}

static bool has_field_type(const struct fh_derived_field *field, const json_t *value)
{
    size_t i;
    json_t *one;
    switch (field->type) {
    case FH_STRING:
        return json_is_string(value);
    case FH_INT:
        return json_is_integer(value);
    case FH_BOOL:
        return json_is_boolean(value);
    case FH_NUMBER:
        return json_is_number(value);
    case FH_LIST:
        json_array_foreach (value, i, one) {
            if (!json_is_string(one))
                return false;
        }
        return json_is_array(value);
    case FH_OBJECT:
    case FH_ARRAY:
    case FH_ANY:
    case FH_DECIMAL:
        break;
    }
    return false;
}

static enum fh_code check_field_value(const struct fh_derived *declared,
                                      const struct fh_derived_field *field, const json_t *value,
                                      struct fh_error *error)
{
    size_t i;
    json_t *one;
    if (!value)
        return error_set(error, FH_UNSUPPORTED, "What is derived into %s lacks its field %s.",
                         declared->name, field->name);
    if (json_is_null(value) && !(field->use & FH_SORTED))
        return FH_OK;
    if (!has_field_type(field, value))
        return error_set(error, FH_UNSUPPORTED,
                         "What is derived into %s has a field %s that is not of its declared type.",
                         declared->name, field->name);
    if (json_array_size(value) > DERIVED_LIST_MAX)
        return derived_unfit(error, field->name, "\"%.64s\" has more than %d elements.",
                             field->name, DERIVED_LIST_MAX);
    enum fh_code code = derived_word_check(field, value, error);
    json_array_foreach (value, i, one) {
        if (code == FH_OK)
            code = derived_word_check(field, one, error);
    }
    return code;
}

/* As JSON text, where each byte may need six. */
static size_t value_size_most(const json_t *value)
{
    size_t size = NUMBER_SIZE_MAX + 6 * json_string_length(value), i;
    const json_t *one;
    json_array_foreach (value, i, one)
        size += NUMBER_SIZE_MAX + 6 * json_string_length(one);
    return size;
}

static size_t value_size(const struct fh_derived *declared, const json_t *value)
{
    size_t size = 0;
    for (const struct fh_derived_field *field = declared->fields; field->name; field++)
        size += json_dumpb(json_object_get(value, field->name), NULL, 0,
                           JSON_COMPACT | JSON_ENCODE_ANY);
    return size;
}

enum fh_code derived_value_check(const struct fh_derived *declared, const json_t *value,
                                 struct fh_error *error)
{
    enum fh_code code = FH_OK;
    size_t most = 0;
    if (!json_is_object(value))
        return error_set(error, FH_UNSUPPORTED, "What is derived into %s must be an object.",
                         declared->name);
    for (const struct fh_derived_field *field = declared->fields; field->name && !code; field++) {
        const json_t *member = json_object_get(value, field->name);
        code = check_field_value(declared, field, member, error);
        most += value_size_most(member);
    }
    if (code == FH_OK && most > DERIVED_VALUE_SIZE_MAX &&
        value_size(declared, value) > DERIVED_VALUE_SIZE_MAX)
        code = error_set(error, FH_INVALID, "What is derived into %s is larger than %d bytes.",
                         declared->name, DERIVED_VALUE_SIZE_MAX);
    return code;
}
