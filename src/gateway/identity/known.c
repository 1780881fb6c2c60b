/* SPDX-License-Identifier: Apache-2.0 */
/* What was verified by keys that have changed since is not found any more: a key that its provider
 * withdraws counts for nothing as soon as that is known here. */

#include "gateway/identity/known.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"

_Static_assert(KNOWN_NAME_SIZE ==
                   sodium_base64_ENCODED_LEN(32, sodium_base64_VARIANT_URLSAFE_NO_PADDING),
               "a name is a hash of 32 bytes");

struct known_user *known_user_new(json_t *identity, const char *statement, int64_t since_ms,
                                  int64_t until_ms, const uint64_t *source)
{
    struct known_user *user = calloc(1, sizeof *user);
    FH_ASSERT(user != NULL);
    *user = (struct known_user){.identity = identity,
                                .statement = strdup(statement),
                                .since_ms = since_ms,
                                .until_ms = until_ms,
                                .source = source,
                                .generation = source ? *source : 0,
                                .references = 1};
    FH_ASSERT(user->statement != NULL);
    return user;
}

void known_user_unref(struct known_user *user)
{
    if (!user || --user->references)
        return;
    json_decref(user->identity);
    free(user->statement);
    free(user);
}

void known_init(struct known_users *known, const unsigned char key[static 32])
{
    map_init(&known->users);
    memcpy(known->key, key, sizeof known->key);
}

void known_release(struct known_users *known)
{
    struct map_entry *entry = NULL;
    void *user;
    while (map_next(&known->users, &entry, NULL, &user))
        known_user_unref(user);
    map_release(&known->users);
}

void known_forget_all(struct known_users *known)
{
    known_release(known);
    map_init(&known->users);
}

void known_name_of_bytes(const struct known_users *known, const unsigned char *bytes, size_t length,
                         char ret[static KNOWN_NAME_SIZE])
{
    unsigned char hash[32];
    crypto_generichash(hash, sizeof hash, bytes, length, known->key, sizeof known->key);
    sodium_bin2base64(ret, KNOWN_NAME_SIZE, hash, sizeof hash,
                      sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}

void known_name(const struct known_users *known, const char *credentials,
                char ret[static KNOWN_NAME_SIZE])
{
    known_name_of_bytes(known, (const unsigned char *)credentials, strlen(credentials), ret);
}

static void forget_user(struct known_users *known, const char *name)
{
    known_user_unref(map_remove(&known->users, name));
}

struct known_user *known_find(struct known_users *known, const char *name, int64_t now_ms)
{
    struct known_user *user = map_get(&known->users, name);
    if (!user)
        return NULL;
    if (now_ms < user->since_ms || now_ms >= user->until_ms ||
        (user->source && *user->source != user->generation)) {
        forget_user(known, name);
        return NULL;
    }
    user->references++;
    return user;
}

/* A key is a client of its own; a user is one, whichever tokens he shows. */
static void name_known_client(const struct known_users *known, const char *name,
                              const char *credentials, struct known_user *user)
{
    const char *via = json_string_at(user->identity, "via");
    const char *issuer = json_string_at(user->identity, "iss");
    const char *subject = json_string_at(user->identity, "sub");
    char subject_name[KNOWN_NAME_SIZE];
    struct text text;
    user->by_key = via && strcmp(via, "key") == 0;
    FH_ASSERT(!user->by_key || credentials);
    text_init(&text, TEXT_LENGTH_MAX);
    text_printf(&text, "%s\n%s", issuer ? issuer : "", subject ? subject : "");
    known_name(known, text.data, subject_name);
    tally_name(user->by_key ? "key" : "user", user->by_key ? credentials : text.data,
               user->everywhere);
    text_release(&text);
    snprintf(user->client, sizeof user->client, "%c:%s", user->by_key ? 'k' : 'u',
             user->by_key ? name : subject_name);
}

void known_put(struct known_users *known, const char *name, const char *credentials,
               struct known_user *user)
{
    name_known_client(known, name, credentials, user);
    forget_user(known, name);
    if (known->users.count == KNOWN_MAX) {
        struct map_entry *entry = NULL;
        const char *oldest;
        char copy[KNOWN_NAME_SIZE];
        map_next(&known->users, &entry, &oldest, NULL);
        memcpy(copy, oldest, sizeof copy);
        forget_user(known, copy);
    }
    user->references++;
    map_put(&known->users, name, user);
}
