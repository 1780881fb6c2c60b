/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jansson's allocator is global to the process, and other libraries (libjwt) use jansson too. So
 * every allocation has a 16-byte header that says whether an arena owns it: whoever frees it and
 * whenever, an arena's memory is never passed to free, and malloc'ed memory never leaks.
 */

#define _GNU_SOURCE
#include "base/json.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_read.h"
#include "base/real.h"
#include "base/text.h"

#define UNEXPLAINED "\xef\xbf\xbd" /* U+FFFD */

struct head {
    _Alignas(16) struct arena *arena;
};

static _Thread_local struct arena *current;
static _Thread_local bool reading; /* a text: what does not fit into memory is refused */

/*
 * jansson 2.14 does not check whether it could grow the text of the token it is reading, and aborts
 * the process if it could not. Only that text grows to powers of two. So while parsing, an
 * allocation of such a size that no longer fits into the arena comes from the heap, and the parse
 * fails afterwards. Values that happen to have such sizes (strings of 15 bytes at worst) stay
 * within the budget.
 */
#define RESCUE_PER_BYTE 8
#define RESCUE_SIZE_MIN ((size_t)4096)
static _Thread_local size_t rescue_left;
static _Thread_local bool rescued;

static void *allocate_rescue(size_t size)
{
    if (size < 16 || (size & (size - 1)) || size > rescue_left)
        return NULL;
    rescue_left -= size;
    rescued = true;
    return malloc(size + sizeof(struct head));
}

static void *json_alloc(size_t size)
{
    struct arena *arena = current;
    struct head *head =
        arena ? arena_try_alloc(arena, size + sizeof *head) : malloc(size + sizeof *head);
    if (!head && arena) {
        head = allocate_rescue(size);
        arena = NULL;
    }
    FH_ASSERT(head != NULL || current || reading);
    if (!head)
        return NULL;
    head->arena = arena;
    return head + 1;
}

static void json_release(void *memory)
{
    if (!memory)
        return;
    struct head *head = (struct head *)memory - 1;
    if (!head->arena)
        free(head);
}

void json_memory_init(void)
{
    static bool done;
    if (done)
        return;
    done = true;
    json_set_alloc_funcs(json_alloc, json_release);
}

struct arena *json_arena_set(struct arena *arena)
{
    struct arena *before = current;
    current = arena;
    return before;
}

/* jansson would recurse up to 2,048 levels, far beyond a fiber's stack. */
static bool nesting_is_bounded(const char *text, size_t length)
{
    int depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < length; i++) {
        char c = text[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            if (++depth > JSON_DEPTH_MAX)
                return false;
        } else if (c == '}' || c == ']') {
            depth--;
        }
    }
    return true;
}

/* What json_read did not take: jansson says why, unless memory was short for a moment only. */
static enum fh_code ask_jansson(const char *text, size_t length, json_t **ret,
                                struct fh_error *error)
{
    json_error_t why;
    if (!nesting_is_bounded(text, length))
        return error_set(error, FH_INVALID, "The JSON is nested deeper than %d levels.",
                         JSON_DEPTH_MAX);
    /* After a number, jansson would take a NUL for the end. */
    const char *zero = length ? memchr(text, '\0', length) : NULL;
    if (zero)
        return error_set(error, FH_INVALID, "Not valid JSON: byte %zu is NUL.",
                         (size_t)(zero - text) + 1);
    *ret =
        json_loadb(text, length, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, &why);
    if (*ret)
        return FH_OK;
    if (!why.text[0])
        return FH_NO_MEMORY;
    char *quoted = strstr(why.text, " near '");
    if (quoted)
        *quoted = '\0'; /* what follows is of the text itself, which may be a secret */
    return error_set(error, FH_INVALID, "Not valid JSON: line %d, column %d: %.160s.", why.line,
                     why.column, why.text);
}

/* NULL: jansson is to look at it, with all the memory that there was. */
static json_t *read_by_ourselves(const char *text, size_t length)
{
    struct arena mark = current ? *current : (struct arena){0};
    json_t *value = length ? json_read(text, length) : NULL;
    if (!value && current && !current->refused)
        arena_rewind(current, &mark);
    return value;
}

enum fh_code json_parse(const char *text, size_t length, json_t **ret, struct fh_error *error)
{
    size_t size_max = current ? current->size_max : 0;
    if (current)
        current->size_max -= size_max / 4;
    rescued = false;
    rescue_left = length * RESCUE_PER_BYTE + RESCUE_SIZE_MIN;
    reading = true;
    *ret = read_by_ourselves(text, length);
    enum fh_code code = *ret ? FH_OK : ask_jansson(text, length, ret, error);
    if (current)
        current->size_max = size_max;
    rescue_left = 0;
    reading = false;
    if (code == FH_OK && !rescued)
        return FH_OK;
    json_decref(*ret);
    *ret = NULL;
    if (code == FH_INVALID && !rescued)
        return code;
    return error_set(error, FH_NO_MEMORY,
                     "The JSON needs more memory than one unit of work may have.");
}

json_t *json_parse_again(const char *text, size_t length)
{
    rescued = false;
    rescue_left = length * RESCUE_PER_BYTE + RESCUE_SIZE_MIN;
    reading = true;
    json_t *value = json_read(text, length);
    rescue_left = 0;
    reading = false;
    if (!rescued)
        return value;
    json_decref(value);
    return NULL;
}

/* ---- Texts ---- */

#define DEPTH_MAX 512
#define WRITTEN_AT_FIRST 500 /* bytes: more than most texts have */

static bool write_json_value(struct text *text, const json_t *value, int depth);

/* printf's "%g" in JSON's form: a point whatever the locale writes, no "+" and no leading zeros in
 * the exponent, and a fraction if there is neither: a real is read back as a real. */
static void append_real(struct text *text, const char *digits)
{
    size_t whole = strspn(digits, "-0123456789");
    const char *rest = digits + whole, *exponent = strchr(digits, 'e');
    text_append(text, digits, whole);
    if (*rest && rest != exponent) {
        rest += strcspn(rest, "0123456789");
        text_add(text, ".");
        text_append(text, rest, exponent ? (size_t)(exponent - rest) : strlen(rest));
    } else if (!exponent) {
        text_add(text, ".0");
    }
    if (!exponent)
        return;
    text_add(text, exponent[1] == '-' ? "e-" : "e");
    text_add(text, exponent + 2 + strspn(exponent + 2, "0"));
}

/* Never inline: its digits would be on the stack of every value, with a check around them. */
__attribute__((noinline)) void json_write_real(struct text *text, double real)
{
    char digits[REAL_DIGITS_SIZE];
    real_digits(real, digits);
    append_real(text, digits);
}

static const bool is_escaped[256] = {
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, /* control characters */
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, ['"'] = 1, ['\\'] = 1};

void json_write_string(struct text *text, const char *string, size_t length)
{
    static const char shorts[] = "btn\0fr"; /* for control characters from 8 on */
    const char *end = string + length, *plain = string;
    text_append(text, "\"", 1);
    for (const char *at = string; at < end; at++) {
        unsigned char c = (unsigned char)*at;
        if (!is_escaped[c])
            continue;
        text_append(text, plain, (size_t)(at - plain));
        plain = at + 1;
        if (c >= 0x20)
            text_append(text, (char[]){'\\', (char)c}, 2);
        else if (c >= 8 && c <= 13 && c != 11)
            text_append(text, (char[]){'\\', shorts[c - 8]}, 2);
        else
            text_printf(text, "\\u%04X", c);
    }
    text_append(text, plain, (size_t)(end - plain));
    text_append(text, "\"", 1);
}

static bool write_object(struct text *text, const json_t *object, int depth)
{
    bool written = true;
    const char *separator = "{";
    json_t *own = (json_t *)(uintptr_t)object; /* jansson's iterators need non-const */
    for (void *at = json_object_iter(own); at && written; at = json_object_iter_next(own, at)) {
        text_append(text, separator, 1);
        separator = ",";
        json_write_string(text, json_object_iter_key(at), json_object_iter_key_len(at));
        text_append(text, ":", 1);
        written = write_json_value(text, json_object_iter_value(at), depth);
    }
    text_add(text, json_object_size(own) ? "}" : "{}");
    return written;
}

static bool write_array(struct text *text, const json_t *array, int depth)
{
    bool written = true;
    size_t count = json_array_size(array);
    text_append(text, "[", 1);
    for (size_t i = 0; i < count && written; i++) {
        if (i)
            text_append(text, ",", 1);
        written = write_json_value(text, json_array_get(array, i), depth);
    }
    text_append(text, "]", 1);
    return written;
}

/* Same output as jansson's json_dump with JSON_COMPACT | JSON_ENCODE_ANY, except for reals. That
 * one prints each container's address into a table, to find containers that contain themselves,
 * which takes most of its time. Here those exceed the depth limit. */
static bool write_json_value(struct text *text, const json_t *value, int depth)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return depth < DEPTH_MAX && write_object(text, value, depth + 1);
    case JSON_ARRAY:
        return depth < DEPTH_MAX && write_array(text, value, depth + 1);
    case JSON_STRING:
        json_write_string(text, json_string_value(value), json_string_length(value));
        return true;
    case JSON_INTEGER:
        text_integer(text, json_integer_value(value));
        return true;
    case JSON_REAL:
        json_write_real(text, json_real_value(value));
        return true;
    case JSON_TRUE:
        text_add(text, "true");
        return true;
    case JSON_FALSE:
        text_add(text, "false");
        return true;
    case JSON_NULL:
        text_add(text, "null");
        return true;
    }
    return false;
}

bool json_write_fits(struct text *text, const json_t *value)
{
    if (text->length_max - text->length > WRITTEN_AT_FIRST)
        text_reserve(text, WRITTEN_AT_FIRST);
    FH_ASSERT(write_json_value(text, value, 0));
    return !text->overflow;
}

void json_write(struct text *text, const json_t *value)
{
    FH_ASSERT(json_write_fits(text, value));
}

/* Grows on the heap and is copied once: an arena would keep every smaller version of it. */
char *json_text(const json_t *value)
{
    struct text text;
    text_init(&text, TEXT_LENGTH_MAX);
    json_write(&text, value);
    char *copy = json_alloc(text.length + 1);
    FH_ASSERT(copy != NULL);
    memcpy(copy, text.data, text.length + 1);
    text_release(&text);
    return copy;
}

void json_text_free(char *text)
{
    json_release(text);
}

static json_t *copy_value(const json_t *value, int depth);

static bool copy_members(json_t *copy, json_t *object, int depth)
{
    for (void *at = json_object_iter(object); at; at = json_object_iter_next(object, at)) {
        json_t *member = copy_value(json_object_iter_value(at), depth);
        if (!member || json_object_setn_new_nocheck(copy, json_object_iter_key(at),
                                                    json_object_iter_key_len(at), member) != 0)
            return false;
    }
    return true;
}

static bool copy_elements(json_t *copy, const json_t *array, int depth)
{
    for (size_t i = 0; i < json_array_size(array); i++) {
        json_t *element = copy_value(json_array_get(array, i), depth);
        if (!element || json_array_append_new(copy, element) != 0)
            return false;
    }
    return true;
}

static json_t *copy_value(const json_t *value, int depth)
{
    json_t *own = (json_t *)(uintptr_t)value; /* jansson's iterators need non-const */
    if (!json_is_object(value) && !json_is_array(value))
        return json_copy(own);
    if (depth >= DEPTH_MAX)
        return NULL;
    json_t *copy = json_is_object(value) ? json_object() : json_array();
    if (copy && (json_is_object(value) ? copy_members(copy, own, depth + 1)
                                       : copy_elements(copy, own, depth + 1)))
        return copy;
    json_decref(copy);
    return NULL;
}

json_t *json_copy_all(const json_t *value)
{
    return value ? copy_value(value, 0) : NULL;
}

json_t *json_string_lossy(const char *text)
{
    json_t *value = json_string(text);
    if (value)
        return value;
    size_t size = strlen(text) * (sizeof UNEXPLAINED - 1) + 1, length = 0;
    char *copy = malloc(size);
    FH_ASSERT(copy != NULL);
    while (*text) {
        size_t taken = 1; /* of a character */
        json_t *one = NULL;
        while (taken <= 4 && !(one = json_stringn(text, taken)) && text[taken])
            taken++;
        length += (size_t)snprintf(copy + length, size - length, "%.*s", one ? (int)taken : 3,
                                   one ? text : UNEXPLAINED);
        text += one ? taken : 1;
        json_decref(one);
    }
    value = json_string(copy);
    free(copy);
    return value;
}

json_t *json_copy_out(const json_t *value)
{
    struct arena *before = json_arena_set(NULL);
    json_t *copy = json_deep_copy(value);
    json_arena_set(before);
    FH_ASSERT(copy != NULL || value == NULL);
    return copy;
}

json_t *json_at(const json_t *value, const char *path)
{
    json_t *at = (json_t *)(uintptr_t)value;
    while (at && *path) {
        const char *end = strchrnul(path, '.');
        at = json_object_getn(at, path, (size_t)(end - path));
        path = *end ? end + 1 : end;
    }
    return at;
}

const char *json_string_at(const json_t *value, const char *path)
{
    return json_string_value(json_at(value, path));
}

bool json_integer_at(const json_t *value, const char *path, json_int_t *ret)
{
    json_t *at = json_at(value, path);
    if (json_is_integer(at)) {
        *ret = json_integer_value(at);
        return true;
    }
    const char *text = json_string_value(at);
    if (!text)
        return false;
    const char *digits = text + (*text == '-');
    size_t length = strspn(digits, "0123456789");
    if (length == 0 || digits + length != text + json_string_length(at))
        return false;
    errno = 0;
    *ret = strtoll(text, NULL, 10);
    return errno == 0;
}
