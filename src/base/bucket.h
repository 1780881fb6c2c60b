/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_BUCKET_H
#define BASE_BUCKET_H

/*
 * Token buckets, one for each name, in a table of fixed size. Pure: the caller tells the time.
 *
 * A bucket has `quota` tokens, and gets back quota in a window, steadily. What is kept of one is
 * what it lacks (its debt), in units of a token / window_us, of which `quota` come back each
 * microsecond: so all of it is exact in integers. A bucket that others take from, too, may lack
 * more than its quota (bucket_owe): that has to come back before it has anything again.
 *
 * The rule of the table: a name that has no place takes that of the bucket that lacks least of
 * those it may be in (8), and with it what that lacks. Whoever fills the table with names gains
 * nothing: a bucket that lost its place lacked no more than any other then, all fill up at one
 * speed, and so its name begins again with no more than it had left. At worst newcomers have less
 * than they should.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BUCKET_QUOTA_MAX 1000000
#define BUCKET_WINDOW_S_MAX 86400
#define BUCKET_WAYS 8u
#define BUCKET_DEBT_QUOTAS 2 /* it never lacks more than this many quotas */

struct bucket_slot {
    uint64_t hash;
    int64_t debt;  /* at `at_us`; 0 in a slot that nobody has */
    int64_t at_us; /* of the caller's clock */
};

struct bucket_table {
    int64_t quota;     /* 1 to BUCKET_QUOTA_MAX */
    int64_t window_us; /* 1 s to BUCKET_WINDOW_S_MAX */
    size_t sets;
    unsigned char key[16]; /* of the hashes: random, so that nobody can choose who is a neighbour */
    struct bucket_slot *slots;
};

/* How a bucket stands after a look at it. */
struct bucket_standing {
    int64_t remaining;   /* whole tokens */
    int64_t full_us;     /* until it is full */
    int64_t possible_us; /* until what was refused is possible; 0 if it was not refused */
};

/* `places` is rounded up to a multiple of BUCKET_WAYS. */
void bucket_init(struct bucket_table *table, int64_t quota, int window_s, size_t places,
                 const unsigned char key[static 16]);
void bucket_release(struct bucket_table *table);

/* Takes `cost` tokens (at most the quota) of the name's bucket. False: it has too few, and nothing
 * is changed. */
bool bucket_take(struct bucket_table *table, const char *name, int64_t cost, int64_t now_us,
                 struct bucket_standing *ret);
bool bucket_is_empty(const struct bucket_table *table, const char *name, int64_t now_us);
/* Takes `cost` tokens, or what there is of them: returns how much that was, in units of a debt. */
int64_t bucket_charge(struct bucket_table *table, const char *name, int64_t cost, int64_t now_us);
/* Somebody else knows that the name's bucket lacked this much at `since_us`. What is worse counts,
 * that or what is known here: so nobody gains anything by what is told. */
void bucket_owe(struct bucket_table *table, const char *name, int64_t debt, int64_t since_us,
                int64_t now_us);
/* The largest debt of any of the table's buckets. */
int64_t bucket_debt_max(const struct bucket_table *table);

#endif
