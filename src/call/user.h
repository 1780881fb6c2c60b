/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CALL_USER_H
#define CALL_USER_H

/*
 * Statements of who the person outside is. The gateway authenticates, signs what it found, and
 * passes it on in a header; every service verifies it and passes it on unchanged. Pure: keys are
 * passed in. docs/guide/identity.md says what this promises and what not.
 *
 * A statement is "1.IDENTITY.SIGNATURE", both in base64url without padding (RFC 4648, 5). IDENTITY
 * is a JSON object:
 *
 *     {"sub": text,               who; 1 to 255 bytes, no control characters
 *      "iss": text,               who vouches for `sub`; absent: this system's own file of keys
 *      "via": "jwt" | "introspection" | "key" | "certificate",
 *      "scopes": [text, ...],     at most 64, each of 1 to 128 bytes, without blanks or controls
 *      "roles": [text, ...],      the same
 *      "claims": {...},           what the system file chose, any JSON
 *      "iat": s, "exp": s}        when it was stated, and when the credentials end (or absent):
 *                                 the wall clock's seconds since 1970
 *
 * and nothing else; "scopes", "roles" and "claims" may be absent. SIGNATURE is Ed25519 over
 * "Freehold-User\nSYSTEM\n1.IDENTITY", so that neither another system's statement nor anything else
 * that was ever signed with the key is taken for one. The key pair is made by `up`: the gateway has
 * the private half, services the public one. So a service can state nothing, only repeat what it
 * was told.
 *
 * A statement does not expire: a saga's later steps carry it for as long as the saga lasts. That
 * credentials are good is the gateway's affair, when the request arrives.
 */

#include <jansson.h>
#include <stdbool.h>

#include "base/error.h"
#include "work/user.h"

#define USER_HEADER "Freehold-User"
#define USER_STATEMENT_SIZE 4096 /* with its NUL */
#define USER_KEY_TEXT_SIZE 65    /* 32 bytes in hex, with the NUL; both halves */
#define USER_SUBJECT_LENGTH_MAX 255
#define USER_GRANTS_MAX 64
#define USER_GRANT_LENGTH_MAX 128
#define USER_CACHE_MAX 1024 /* verified statements that are remembered */
#define USER_KEYS_MAX 66    /* that a verifier has: one to sign with, the next, and former ones */

/* Makes a private half. */
void user_key_make(char ret[static USER_KEY_TEXT_SIZE]);
/* The public half of it. False: it is none. `key` may be NULL. */
bool user_key_public(const char *key, char ret[static USER_KEY_TEXT_SIZE]);

/* The gateway's side. FH_INVALID: `key` is no private half. */
struct user_signer;
enum fh_code user_signer_new(const char *system, const char *key, struct user_signer **ret,
                             struct fh_error *error);
void user_signer_free(struct user_signer *signer); /* NULL is fine */
/* FH_INVALID: the identity has another form than the one above, or is too large. */
enum fh_code user_sign(const struct user_signer *signer, const json_t *identity,
                       char ret[static USER_STATEMENT_SIZE], struct fh_error *error);

/* A service's side. `key` NULL: every statement of the right form is believed, for a program that
 * was started by hand and for systems in one process. FH_INVALID: it is no public half. */
struct user_verifier;
enum fh_code user_verifier_new(const char *system, const char *key, struct user_verifier **ret,
                               struct fh_error *error);
void user_verifier_free(struct user_verifier *verifier); /* NULL is fine */
/* The public half that the gateway signs with, or will, and an array of others that are accepted
 * besides it: the next one, and former ones, since sagas carry their statements on. Replaces all
 * earlier ones. FH_INVALID: one is none; then nothing has changed. */
enum fh_code user_verifier_take_keys(struct user_verifier *verifier, const char *key,
                                     const json_t *others, struct fh_error *error);
/* Whether this user's statement would still be accepted. */
bool user_stands(const struct user_verifier *verifier, const struct work_user *user);
/* A reference, for user_unref; NULL: *ret_why says why, in a whole sentence. A statement that was
 * verified costs a look-up from then on. */
/* `verifier` NULL verifies nothing. */
struct work_user *user_verify(struct user_verifier *verifier, const char *statement,
                              const char **ret_why);
struct work_user *user_ref(struct work_user *user);
void user_unref(struct work_user *user); /* NULL is fine */

#endif
