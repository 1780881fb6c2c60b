/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_IDENTITY_KNOWN_H
#define GATEWAY_IDENTITY_KNOWN_H

/*
 * Who was authenticated by which credentials, remembered until they end: so a request costs one
 * look-up instead of a verified and a made signature. Credentials are remembered by a keyed hash
 * alone, and only those that were found good: nobody without some can fill this memory.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/map.h"
#include "gateway/tally.h"

#define KNOWN_MAX 8192
#define KNOWN_NAME_SIZE 44 /* 32 bytes in base64 without padding, and the NUL */

struct known_user {
    json_t *identity; /* as in call/user.h */
    char *statement;  /* the identity signed: the value of Freehold-User */
    int64_t since_ms; /* of the wall clock, as is */
    int64_t until_ms;
    const uint64_t *source; /* of the keys by which it was verified; NULL: none that change */
    uint64_t generation;    /* of `source`, then */
    bool by_key;            /* an API key */
    char client[KNOWN_NAME_SIZE + 2]; /* for limits: whose requests are counted together */
    char everywhere[TALLY_NAME_SIZE]; /* the same, as all gateways name it */
    int references;
};

/* Takes over `identity`. One reference is the caller's. */
struct known_user *known_user_new(json_t *identity, const char *statement, int64_t since_ms,
                                  int64_t until_ms, const uint64_t *source);
void known_user_unref(struct known_user *user); /* NULL is fine */

struct known_users {
    struct map users;
    unsigned char key[32];
};

void known_init(struct known_users *known, const unsigned char key[static 32]);
void known_release(struct known_users *known);
void known_forget_all(struct known_users *known);
/* Under which name these credentials are remembered. */
void known_name(const struct known_users *known, const char *credentials,
                char ret[static KNOWN_NAME_SIZE]);
/* The same for a certificate: its second byte is beyond ASCII, as in no credentials' text. */
void known_name_of_bytes(const struct known_users *known, const unsigned char *bytes, size_t length,
                         char ret[static KNOWN_NAME_SIZE]);
/* A reference; NULL: none are remembered, or they have ended. What is from the future was
 * remembered before the clock was set back, and would live too long. */
struct known_user *known_find(struct known_users *known, const char *name, int64_t now_ms);
/* Takes a reference of its own, and names its client: the key, by these `credentials`, or the user.
 * The oldest one is forgotten when there are too many. */
void known_put(struct known_users *known, const char *name, const char *credentials,
               struct known_user *user);

#endif
