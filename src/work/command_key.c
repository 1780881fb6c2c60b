/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys, digests and closings, without a store. A service's key names the saga (by the incarnation
 * in which it began, and its number), the step and the element. Nothing in it changes when the saga
 * asks again, from another instance, or after a restore.
 */

#include "work/command_key.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "work/command.h"

enum fh_code command_key_check(const char *header, const char *key, struct fh_error *error)
{
    size_t length = strnlen(key, COMMAND_KEY_LENGTH_MAX + 1);
    if (length == 0 || length > COMMAND_KEY_LENGTH_MAX)
        return error_set(error, FH_INVALID, "%s must have 1 to %d characters.", header,
                         COMMAND_KEY_LENGTH_MAX);
    for (size_t i = 0; i < length; i++)
        if (key[i] <= ' ' || key[i] > '~')
            return error_set(error, FH_INVALID,
                             "%s may hold visible ASCII characters only; character %zu is none.",
                             header, i + 1);
    return FH_OK;
}

static bool is_incarnation(const char *text, size_t length)
{
    if (length != ID_SIZE - 1)
        return false;
    for (size_t i = 0; i < length; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        bool digit = (text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'f');
        if (dash ? text[i] != '-' : !digit)
            return false;
    }
    return true;
}

/* A positive integer that ends at `end`, without a sign or needless zeros. */
static bool parse_number(const char *text, char end, int64_t *ret, const char **ret_rest)
{
    if (*text < '1' || *text > '9')
        return false;
    int64_t number = 0;
    while (*text >= '0' && *text <= '9') {
        if (number > (INT64_MAX - 9) / 10)
            return false;
        number = number * 10 + (*text++ - '0');
    }
    if (*text != end)
        return false;
    *ret = number;
    *ret_rest = end ? text + 1 : text;
    return true;
}

enum fh_code command_key_parse(const char *key, struct command_key *ret, struct fh_error *error)
{
    enum fh_code code = command_key_check("A key between services", key, error);
    if (code)
        return code;
    const char *slash = strchr(key, '/');
    const char *birth = slash ? slash + 1 : "";
    const char *dot = strchr(birth, '.');
    const char *step = "";
    bool fits = slash && slash > key && slash - key < COMMAND_CALLER_SIZE && dot &&
                is_incarnation(birth, (size_t)(dot - birth)) &&
                parse_number(dot + 1, '/', &ret->number, &step);
    const char *element = fits ? strchr(step, '/') : NULL;
    if (!element || element == step || !element[1] || strchr(element + 1, '/'))
        return error_set(error, FH_INVALID,
                         "A key between services is CALLER/BIRTH-INCARNATION.NUMBER/STEP/ELEMENT; "
                         "this one is not.");
    memcpy(ret->caller, key, (size_t)(slash - key));
    ret->caller[slash - key] = '\0';
    memcpy(ret->birth, birth, ID_SIZE - 1);
    ret->birth[ID_SIZE - 1] = '\0';
    return FH_OK;
}

enum fh_code command_attempt_parse(const char *text, int64_t *ret, struct fh_error *error)
{
    const char *rest;
    *ret = 1;
    if (text && (!parse_number(text, '\0', ret, &rest) || *ret > COMMAND_ATTEMPT_MAX))
        return error_set(error, FH_INVALID, "Freehold-Attempt must be a number from 1 to %d.",
                         COMMAND_ATTEMPT_MAX);
    return FH_OK;
}

bool command_from_parse(const char *from, char *name, size_t size, const char **ret_incarnation)
{
    const char *slash = strchr(from, '/');
    if (!slash || slash == from || (size_t)(slash - from) >= size ||
        !is_incarnation(slash + 1, strlen(slash + 1)))
        return false;
    memcpy(name, from, (size_t)(slash - from));
    name[slash - from] = '\0';
    *ret_incarnation = slash + 1;
    return true;
}

static void digest_part(crypto_generichash_state *state, const char *part, size_t length)
{
    uint64_t prefix = length; /* so that different requests never hash the same bytes */
    crypto_generichash_update(state, (const unsigned char *)&prefix, sizeof prefix);
    crypto_generichash_update(state, (const unsigned char *)part, length);
}

void command_digest(char out[static COMMAND_DIGEST_SIZE], const char *method, const char *path,
                    const char *query, const char *body, size_t body_length)
{
    crypto_generichash_state state;
    unsigned char hash[(COMMAND_DIGEST_SIZE - 1) / 2];
    crypto_generichash_init(&state, NULL, 0, sizeof hash);
    digest_part(&state, method, strlen(method));
    digest_part(&state, path, strlen(path));
    digest_part(&state, query ? query : "", query ? strlen(query) : 0);
    digest_part(&state, body ? body : "", body ? body_length : 0);
    crypto_generichash_final(&state, hash, sizeof hash);
    for (size_t i = 0; i < sizeof hash; i++) { /* no secret: sodium_bin2hex takes its time */
        *out++ = "0123456789abcdef"[hash[i] >> 4];
        *out++ = "0123456789abcdef"[hash[i] & 15];
    }
    *out = '\0';
}

bool command_is_services(const char *caller)
{
    return caller && strcmp(caller, "gateway") != 0 && strcmp(caller, "operator") != 0;
}

/* A digest, since a subject may be long, and hold any characters. */
const char *command_outside_caller(struct arena *arena, const char *kind, const char *method,
                                   const char *pattern, const struct fh_user *user)
{
    char digest[COMMAND_DIGEST_SIZE];
    if (!user) {
        const char *const parts[] = {kind, " ", method, " ", pattern};
        return arena_joined(arena, parts, sizeof parts / sizeof *parts);
    }
    command_digest(digest, user->issuer ? user->issuer : "", user->subject, NULL, NULL, 0);
    return arena_printf(arena, "%s %s %s %.32s", kind, method, pattern, digest);
}

/* A sorted set of numbers. */
struct numbers {
    int64_t *values;
    size_t count;
};

static int compare_saga_numbers(const void *left, const void *right)
{
    int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;
    return (a > b) - (a < b);
}

static bool contains_number(const struct numbers *numbers, int64_t value)
{
    return numbers->count > 0 && bsearch(&value, numbers->values, numbers->count,
                                         sizeof *numbers->values, compare_saga_numbers) != NULL;
}

/* malloc'ed: the caller frees `values`. */
static enum fh_code parse_numbers(const char *text, struct numbers *ret, struct fh_error *error)
{
    json_t *array = NULL;
    *ret = (struct numbers){0};
    enum fh_code code = json_parse(text, strlen(text), &array, error);
    if (code)
        return code;
    size_t count = json_array_size(array);
    bool fits = json_is_array(array) && count <= COMMAND_STILL_OPEN_MAX;
    int64_t *values = fits ? calloc(count + 1, sizeof *values) : NULL;
    for (size_t i = 0; values && i < count; i++) {
        const json_t *value = json_array_get(array, i);
        values[i] = json_integer_value(value);
        fits = fits && json_is_integer(value) && values[i] > 0;
    }
    json_decref(array);
    if (!fits || !values) {
        free(values);
        return error_set(error, FH_INVALID,
                         "still_open must be an array of at most %d positive numbers.",
                         COMMAND_STILL_OPEN_MAX);
    }
    qsort(values, count, sizeof *values, compare_saga_numbers);
    *ret = (struct numbers){.values = values, .count = count};
    return FH_OK;
}

/* Runs for every command, and there may be thousands of numbers: a binary search in the text, since
 * the numbers ascend. */
static bool is_number_listed(const char *array, int64_t number)
{
    const char *low = array + 1, *high = array + strlen(array) - 1; /* within the brackets */
    while (low < high) {
        const char *at = low + (high - low) / 2;
        while (at > low && at[-1] != ',')
            at--;
        char *end;
        long long found = strtoll(at, &end, 10);
        if (found == number)
            return true;
        if (found < number)
            low = end + 1;
        else
            high = at - 1;
    }
    return false;
}

bool command_is_closed(const struct ledger_caller *closed, int64_t number)
{
    return number <= closed->closed_through && !is_number_listed(closed->still_open, number);
}

enum fh_code command_closed_merge(const struct ledger_caller *one,
                                  const struct ledger_caller *other, struct arena *arena,
                                  struct ledger_caller *ret, struct fh_error *error)
{
    const struct ledger_caller *larger = one->closed_through > other->closed_through ? one : other;
    const struct ledger_caller *smaller = larger == one ? other : one;
    struct numbers open = {0}, before = {0};
    struct text text;
    text_init(&text, TEXT_LENGTH_MAX);
    enum fh_code code = parse_numbers(larger->still_open, &open, error);
    if (!code)
        code = parse_numbers(smaller->still_open, &before, error);
    text_add(&text, "[");
    for (size_t i = 0; !code && i < open.count; i++) {
        int64_t number = open.values[i];
        bool twice = i > 0 && number == open.values[i - 1];
        bool stays = number > smaller->closed_through || contains_number(&before, number);
        if (stays && !twice && number <= larger->closed_through)
            text_printf(&text, "%s%lld", text.length > 1 ? "," : "", (long long)number);
    }
    text_add(&text, "]");
    free(open.values);
    free(before.values);
    if (!code && text.overflow) /* cut, it would close sagas that are open */
        code = error_retry(error, FH_NO_MEMORY, "No memory for the numbers of open sagas.");
    if (!code) {
        ret->closed_through = larger->closed_through;
        ret->still_open = arena_text(arena, text.data);
    }
    text_release(&text);
    return code;
}
