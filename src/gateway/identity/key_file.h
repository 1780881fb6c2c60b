/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_IDENTITY_KEY_FILE_H
#define GATEWAY_IDENTITY_KEY_FILE_H

/*
 * API keys: a file of hashes, which is read again when it changes. docs/operate/authentication.md
 * describes it. A key is KEY_FILE_PREFIX and 32 random bytes in base64url: nobody guesses one, so a
 * fast hash protects it as well as a slow one would.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/text.h"
#include "world/world.h"

#define KEY_FILE_PREFIX "fhk_"
#define KEY_FILE_RANDOM_SIZE 32
#define KEY_FILE_KEY_LENGTH 47
#define KEY_FILE_HASH_SIZE 65 /* 64 hex digits and the NUL */
#define KEY_FILE_SIZE_MAX ((size_t)4 << 20)
#define KEY_FILE_KEYS_MAX 10000
#define KEY_FILE_LOOK_MS 1000 /* whether it has changed */

/* What a file's text says, by the keys' hashes in hex. FH_INVALID: a sentence with the place. */
struct key_set;
enum fh_code key_set_parse(const char *text, size_t length, struct key_set **ret,
                           struct fh_error *error);
void key_set_free(struct key_set *set); /* NULL is fine */
/* A new identity without "iat"; NULL: there is no such key. */
json_t *key_set_find(const struct key_set *set, const char *key);

/* The key with these random bytes. Whoever is done with it clears it: sodium_memzero. */
void key_of_random(const unsigned char random[static KEY_FILE_RANDOM_SIZE],
                   char ret[static KEY_FILE_KEY_LENGTH + 1]);
/* As the file has it: BLAKE2b of 32 bytes, in hex. */
void key_hash(const char *key, char ret[static KEY_FILE_HASH_SIZE]);

/* Looking whether the file at `path` is another one than at the last look. `text`: text_init with
 * KEY_FILE_SIZE_MAX, and empty. */
struct key_look {
    const char *path;
    struct stat seen; /* of the file that was read last */
    struct text text; /* its content, if it has changed since */
    bool changed;
    int number; /* errno; 0: none */
};
/* Blocks. `look`: a struct key_look. */
void key_file_look(void *look);
/* Back to before the first look. */
void key_look_forget(struct key_look *look);

struct key_file;
/* Reads it; then looks from time to time whether it has changed. `path` is borrowed. */
enum fh_code key_file_new(struct world *world, const char *path, struct key_file **ret,
                          struct fh_error *error);
void key_file_free(struct key_file *file); /* NULL is fine; no fiber may use it */
const struct key_set *key_file_keys(const struct key_file *file);
/* Changes whenever the keys may have. */
const uint64_t *key_file_generation(const struct key_file *file);

#endif
