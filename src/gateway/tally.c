/* SPDX-License-Identifier: Apache-2.0 */
/* See tally.h. The hash has no key, since all gateways must find the same names and may have
 * nothing else in common. What it is made of is said first, so that no name of one kind is one of
 * another. */

#include "gateway/tally.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"

#define HASH_SIZE ((size_t)TALLY_NAME_SIZE / 2)
#define INDEX_SIZE (TALLY_NAME_SIZE + 12)

_Static_assert(HASH_SIZE >= crypto_generichash_BYTES_MIN, "BLAKE2b");

void tally_name(const char *what, const char *who, char ret[static TALLY_NAME_SIZE])
{
    crypto_generichash_state state;
    unsigned char hash[HASH_SIZE];
    crypto_generichash_init(&state, NULL, 0, sizeof hash);
    crypto_generichash_update(&state, (const unsigned char *)what, strlen(what) + 1);
    crypto_generichash_update(&state, (const unsigned char *)who, strlen(who));
    crypto_generichash_final(&state, hash, sizeof hash);
    sodium_bin2hex(ret, TALLY_NAME_SIZE, hash, sizeof hash);
}

void tally_init(struct tally *tally)
{
    map_init(&tally->index);
    tally->count = 0;
    tally->takes = 0;
}

void tally_release(struct tally *tally)
{
    map_release(&tally->index);
}

void tally_clear(struct tally *tally)
{
    tally_release(tally);
    tally_init(tally);
}

static struct tally_entry *find_tally_entry(const struct tally *tally, int kind, const char *name,
                                            char ret_place[static INDEX_SIZE])
{
    snprintf(ret_place, INDEX_SIZE, "%d:%s", kind, name);
    return map_get(&tally->index, ret_place);
}

bool tally_add(struct tally *tally, int kind, const char *client, const char *name, int64_t units)
{
    char place[INDEX_SIZE];
    struct tally_entry *entry = find_tally_entry(tally, kind, name, place);
    if (!entry && tally->count == TALLY_CLIENTS_MAX)
        return false;
    if (!entry) {
        FH_ASSERT(strlen(client) < sizeof entry->client && strlen(name) < sizeof entry->name);
        entry = &tally->entries[tally->count++];
        *entry = (struct tally_entry){.kind = kind};
        memcpy(entry->client, client, strlen(client) + 1);
        memcpy(entry->name, name, strlen(name) + 1);
        map_put(&tally->index, place, entry);
    }
    entry->units += units;
    tally->takes++;
    return true;
}

int64_t tally_units(const struct tally *tally, int kind, const char *name)
{
    char place[INDEX_SIZE];
    const struct tally_entry *entry = find_tally_entry(tally, kind, name, place);
    return entry ? entry->units : 0;
}
