/* SPDX-License-Identifier: Apache-2.0 */
/* JSON, on the heap and in an arena that is too small for some. What was read prints as text that
 * reads back equal and prints the same, and is what jansson reads. */

#include "fuzz.h"

static void check_round_trip(const json_t *value)
{
    json_t *again = NULL;
    char *text = json_text(value);
    FH_ASSERT(json_parse(text, strlen(text), &again, ERROR_UNHEEDED) == FH_OK);
    char *second = json_text(again);
    FH_ASSERT(strcmp(text, second) == 0);
    json_text_free(text);
    json_text_free(second);
    json_decref(again);
}

/* Only integers of more than 64 bits are read here alone; only nesting beyond the bound, and NUL,
 * by jansson alone. */
static void check_like_jansson(const json_t *value, const char *text, size_t size,
                               const struct fh_error *error)
{
    json_error_t why;
    json_t *other =
        json_loadb(text, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, &why);
    if (value && other)
        FH_ASSERT(json_equal(value, other));
    else if (value)
        FH_ASSERT(json_error_code(&why) == json_error_numeric_overflow);
    else if (other)
        FH_ASSERT(strstr(error->message, "nested") || memchr(text, '\0', size));
    json_decref(other);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_start();
    struct fh_error error;
    struct arena arena;
    json_t *value = NULL, *small = NULL;
    json_int_t number;
    char *text = fuzz_rest(&data, &size);
    enum fh_code code = json_parse(text, size, &value, &error);
    FH_ASSERT((code == FH_OK) == (value != NULL));
    check_like_jansson(value, text, size, &error);
    if (value) {
        FH_ASSERT(!memchr(text, '\0', size));
        check_round_trip(value);
        json_at(value, "a.b.c");
        json_integer_at(value, "a", &number);
    }
    arena_init(&arena, 4096);
    struct arena *before = json_arena_set(&arena);
    code = json_parse(text, size, &small, &error);
    FH_ASSERT(code == FH_OK || code == FH_INVALID || code == FH_NO_MEMORY);
    json_arena_set(before);
    arena_release(&arena);
    json_decref(value);
    free(text);
    return 0;
}
