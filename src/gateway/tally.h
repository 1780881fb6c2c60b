/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_TALLY_H
#define GATEWAY_TALLY_H

/* What was taken from clients' buckets and has not been told to other gateways yet. Pure. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/map.h"

#define TALLY_CLIENTS_MAX 512
#define TALLY_CLIENT_SIZE 64
#define TALLY_NAME_SIZE 33 /* 16 bytes in hex, and the NUL */

struct tally_entry {
    int kind;
    char client[TALLY_CLIENT_SIZE]; /* as this gateway's buckets name it */
    char name[TALLY_NAME_SIZE];     /* as all gateways do */
    int64_t units;                  /* of a debt, as in base/bucket.h */
};

struct tally {
    struct map index;
    struct tally_entry entries[TALLY_CLIENTS_MAX];
    size_t count;
    int takes;
};

/* A client's name among gateways: a hash, so that no server is told addresses or users as such.
 * `what` says what `who` is: an "address", a "user", a "key". */
void tally_name(const char *what, const char *who, char ret[static TALLY_NAME_SIZE]);

void tally_init(struct tally *tally);
void tally_release(struct tally *tally);
void tally_clear(struct tally *tally);
/* False: there are TALLY_CLIENTS_MAX others, and nothing was added. */
bool tally_add(struct tally *tally, int kind, const char *client, const char *name, int64_t units);
/* Of one client; 0: it has taken nothing. */
int64_t tally_units(const struct tally *tally, int kind, const char *name);

#endif
