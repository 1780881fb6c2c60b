/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The largest debt is BUCKET_DEBT_QUOTAS * quota * window_us, 1.73e17, and what comes back within
 * as many windows is no more than that: both fit. A bucket at which nobody looked for so long is
 * full, whatever it lacked.
 */

#include "base/bucket.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

_Static_assert(crypto_shorthash_KEYBYTES == 16 && crypto_shorthash_BYTES == sizeof(uint64_t),
               "SipHash-2-4");

void bucket_init(struct bucket_table *table, int64_t quota, int window_s, size_t places,
                 const unsigned char key[static 16])
{
    FH_ASSERT(quota >= 1 && quota <= BUCKET_QUOTA_MAX && window_s >= 1 &&
              window_s <= BUCKET_WINDOW_S_MAX && places > 0);
    *table = (struct bucket_table){.quota = quota,
                                   .window_us = (int64_t)window_s * 1000000,
                                   .sets = (places + BUCKET_WAYS - 1) / BUCKET_WAYS};
    memcpy(table->key, key, sizeof table->key);
    table->slots = calloc(table->sets * BUCKET_WAYS, sizeof *table->slots);
    FH_ASSERT(table->slots != NULL);
}

void bucket_release(struct bucket_table *table)
{
    free(table->slots);
    *table = (struct bucket_table){0};
}

static int64_t debt_now(const struct bucket_table *table, const struct bucket_slot *slot,
                        int64_t now_us)
{
    int64_t elapsed_us = now_us - slot->at_us;
    if (elapsed_us >= BUCKET_DEBT_QUOTAS * table->window_us)
        return 0;
    int64_t back = elapsed_us > 0 ? elapsed_us * table->quota : 0;
    return slot->debt > back ? slot->debt - back : 0;
}

/* The name's slot, or the one whose place it would take. */
static struct bucket_slot *bucket_slot_of(const struct bucket_table *table, uint64_t hash,
                                          int64_t now_us)
{
    struct bucket_slot *set = table->slots + hash % table->sets * BUCKET_WAYS, *least = set;
    int64_t least_debt = INT64_MAX;
    for (size_t i = 0; i < BUCKET_WAYS; i++) {
        int64_t debt = debt_now(table, &set[i], now_us);
        if (set[i].hash == hash)
            return &set[i];
        if (debt < least_debt) {
            least = &set[i];
            least_debt = debt;
        }
    }
    return least;
}

static uint64_t bucket_hash(const struct bucket_table *table, const char *name)
{
    uint64_t hash;
    crypto_shorthash((unsigned char *)&hash, (const unsigned char *)name, strlen(name), table->key);
    return hash;
}

static void put_debt(struct bucket_slot *slot, uint64_t hash, int64_t debt, int64_t now_us)
{
    *slot = (struct bucket_slot){.hash = hash, .debt = debt, .at_us = now_us};
}

static int64_t us_until(int64_t units, int64_t quota)
{
    return units > 0 ? (units + quota - 1) / quota : 0;
}

bool bucket_take(struct bucket_table *table, const char *name, int64_t cost, int64_t now_us,
                 struct bucket_standing *ret)
{
    uint64_t hash = bucket_hash(table, name);
    struct bucket_slot *slot = bucket_slot_of(table, hash, now_us);
    int64_t most = table->quota * table->window_us, debt = debt_now(table, slot, now_us);
    FH_ASSERT(cost >= 0 && cost <= table->quota);
    int64_t beyond = debt + cost * table->window_us - most;
    if (beyond <= 0) {
        debt += cost * table->window_us;
        put_debt(slot, hash, debt, now_us);
    }
    *ret = (struct bucket_standing){.remaining = debt < most ? (most - debt) / table->window_us : 0,
                                    .full_us = us_until(debt, table->quota),
                                    .possible_us = us_until(beyond, table->quota)};
    return beyond <= 0;
}

bool bucket_is_empty(const struct bucket_table *table, const char *name, int64_t now_us)
{
    const struct bucket_slot *slot = bucket_slot_of(table, bucket_hash(table, name), now_us);
    return debt_now(table, slot, now_us) > (table->quota - 1) * table->window_us;
}

int64_t bucket_charge(struct bucket_table *table, const char *name, int64_t cost, int64_t now_us)
{
    uint64_t hash = bucket_hash(table, name);
    struct bucket_slot *slot = bucket_slot_of(table, hash, now_us);
    int64_t most = table->quota * table->window_us, debt = debt_now(table, slot, now_us);
    int64_t charged = cost < table->quota ? cost * table->window_us : most;
    int64_t left = debt < most ? most - debt : 0;
    charged = charged < left ? charged : left;
    put_debt(slot, hash, debt + charged, now_us);
    return charged;
}

int64_t bucket_debt_max(const struct bucket_table *table)
{
    return BUCKET_DEBT_QUOTAS * table->quota * table->window_us;
}

void bucket_owe(struct bucket_table *table, const char *name, int64_t debt, int64_t since_us,
                int64_t now_us)
{
    FH_ASSERT(debt >= 0 && debt <= bucket_debt_max(table));
    uint64_t hash = bucket_hash(table, name);
    struct bucket_slot *slot = bucket_slot_of(table, hash, now_us);
    const struct bucket_slot told = {.debt = debt, .at_us = since_us};
    int64_t own = debt_now(table, slot, now_us), others = debt_now(table, &told, now_us);
    if (others > own)
        put_debt(slot, hash, others, now_us);
}
