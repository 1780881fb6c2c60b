/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FUZZ_H
#define FUZZ_H

/*
 * What the targets share. A target is one file: it takes any bytes, gives them to one reader of
 * input from outside, and aborts where a promise of that reader does not hold; AddressSanitizer and
 * UndefinedBehaviorSanitizer see the rest. Inputs that a target reads as several are parted at
 * newlines. Seeds are in corpus/TARGET, a few small files each.
 */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *count, char ***arguments);

/* The input up to its next `end` (or its end), NUL-terminated, malloc'ed: so that reading beyond it
 * is seen. */
static inline char *fuzz_take(const uint8_t **data, size_t *size, char end)
{
    const uint8_t *found = *size ? memchr(*data, end, *size) : NULL;
    size_t length = found ? (size_t)(found - *data) : *size;
    size_t used = found ? length + 1 : length;
    char *text = malloc(length + 1);
    FH_ASSERT(text != NULL);
    if (length)
        memcpy(text, *data, length);
    text[length] = '\0';
    *data += used;
    *size -= used;
    return text;
}

/* All that is left. */
static inline char *fuzz_rest(const uint8_t **data, size_t *size)
{
    char *text = malloc(*size + 1);
    FH_ASSERT(text != NULL);
    if (*size)
        memcpy(text, *data, *size);
    text[*size] = '\0';
    return text;
}

/* A JSON value on the heap, or NULL. */
static inline json_t *fuzz_json(const char *text)
{
    json_t *value = NULL;
    json_parse(text, strlen(text), &value, ERROR_UNHEEDED);
    return value;
}

static inline void fuzz_start(void)
{
    static bool started;
    if (!started)
        json_memory_init();
    started = true;
}

#endif
