/* SPDX-License-Identifier: Apache-2.0 */
/* The places of all partitions are kept in one array, like a heap: those of 2N partitions behind
 * those of N. */

#define _GNU_SOURCE
#include "event/chain.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "event/envelope.h"

void chain_init(struct chain *chain, unsigned partitions)
{
    FH_ASSERT(partitions > 0 && partitions <= ENVELOPE_SHARES_MAX);
    FH_ASSERT((partitions & (partitions - 1)) == 0);
    chain->partitions = partitions;
    chain->last = calloc((size_t)2 * partitions - 1, sizeof *chain->last);
    FH_ASSERT(chain->last != NULL);
}

void chain_release(struct chain *chain)
{
    free(chain->last);
    chain->last = NULL;
}

/* Several times for each event. */
static void set_place(struct chain_place *place, int64_t position, const char *id)
{
    size_t length = strnlen(id, sizeof place->id - 1);
    place->position = position;
    memcpy(place->id, id, length);
    place->id[length] = '\0';
}

void chain_begin(struct chain *chain, int64_t position, const char *id)
{
    for (unsigned i = 0; i < 2 * chain->partitions - 1; i++)
        set_place(&chain->last[i], position, id);
}

void chain_write(const struct chain *chain, const char *key, struct text *out)
{
    /* A partition of 2N is a part of one of N, since the hash is taken modulo both. */
    unsigned in = envelope_partition(key, chain->partitions);
    const struct chain_place *before = NULL;
    for (unsigned n = 1; n <= chain->partitions; n *= 2) {
        const struct chain_place *place = &chain->last[n - 1 + in % n];
        if (before && before->position == place->position)
            continue;
        if (before)
            text_append(out, " ", 1);
        text_integer(out, n);
        text_append(out, ":", 1);
        text_integer(out, place->position);
        text_append(out, ",", 1);
        text_add(out, place->id);
        before = place;
    }
}

void chain_follow(struct chain *chain, const char *key, int64_t position, const char *id)
{
    unsigned in = envelope_partition(key, chain->partitions);
    for (unsigned n = 1; n <= chain->partitions; n *= 2)
        set_place(&chain->last[n - 1 + in % n], position, id);
}

bool chain_place_read(const char *text, char end, struct chain_place *ret, const char **ret_end)
{
    char *at;
    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    ret->position = strtoll(text, &at, 10);
    if (errno != 0 || *at != ',')
        return false;
    const char *id = at + 1;
    const char *behind = end ? strchrnul(id, end) : id + strlen(id);
    size_t length = (size_t)(behind - id);
    if (length >= ID_SIZE || (length > 0) != (ret->position > 0))
        return false;
    memcpy(ret->id, id, length);
    ret->id[length] = '\0';
    *ret_end = behind;
    return true;
}

bool chain_read(const char *text, unsigned of, struct chain_place *ret)
{
    unsigned long n = 0;
    for (int i = 0; i < CHAIN_LEVELS_MAX && *text; i++) {
        struct chain_place place;
        char *at;
        if (*text < '1' || *text > '9')
            return false;
        unsigned long level = strtoul(text, &at, 10);
        if (*at != ':' || level <= n || !chain_place_read(at + 1, ' ', &place, &text))
            return false;
        if (n == 0 && level != 1)
            return false;
        n = level;
        if (n <= of)
            *ret = place;
        text += *text == ' ';
    }
    return n > 0 && !*text;
}

bool chain_place_is(const struct chain_place *place, int64_t position, const char *id)
{
    return place->position == position && strcmp(place->id, id) == 0;
}
