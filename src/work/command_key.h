/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WORK_COMMAND_KEY_H
#define WORK_COMMAND_KEY_H

/* The pure parts of commands: parsing keys, digesting requests, deciding which sagas are closed. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/id.h"
#include "freehold.h"
#include "store/ledger.h"

#define COMMAND_CALLER_SIZE 128 /* a service's name, with its NUL */
#define COMMAND_DIGEST_SIZE 65  /* BLAKE2b of 32 bytes, in hex, with its NUL */
#define COMMAND_ATTEMPT_MAX 30000

/* A key sent by a service: "CALLER/BIRTH.NUMBER/STEP/ELEMENT". */
struct command_key {
    char caller[COMMAND_CALLER_SIZE];
    char birth[ID_SIZE];
    int64_t number;
};

/* Checks any key: 1..COMMAND_KEY_LENGTH_MAX visible ASCII characters. FH_INVALID says what is
 * wrong. */
enum fh_code command_key_check(const char *header, const char *key, struct fh_error *error);
enum fh_code command_key_parse(const char *key, struct command_key *ret, struct fh_error *error);
/* The value of Freehold-Attempt; 1 when it is absent. FH_INVALID when it is malformed. */
enum fh_code command_attempt_parse(const char *text, int64_t *ret, struct fh_error *error);

/* Covers method, path, query and body, but never headers. Also used for pairs of texts that must
 * not be taken for another pair. */
void command_digest(char out[static COMMAND_DIGEST_SIZE], const char *method, const char *path,
                    const char *query, const char *body, size_t body_length);

/* Is a request of this caller (fh_caller's; NULL: not known) a service's? One that names itself in
 * its token only could otherwise use the keys of those outside. */
bool command_is_services(const char *caller);
/* Whose keys those are that are no service's: "client POST /api/orders". With a user, followed by a
 * digest of who that is: keys are each user's own, nobody else is given the answer or learns that
 * there is one. Without, as it always was: records from before stay good. */
const char *command_outside_caller(struct arena *arena, const char *kind, const char *method,
                                   const char *pattern, const struct fh_user *user);

/* True when `number` is closed: nothing is ever done for that saga again. */
bool command_is_closed(const struct ledger_caller *closed, int64_t number);
/* Merges two closings. Closings only ever close: closed_through becomes the larger one, and a
 * number stays open only if both leave it open. Each `still_open` is a JSON array of numbers; the
 * result's is ascending and allocated on the arena. FH_INVALID when either is not such an array. */
enum fh_code command_closed_merge(const struct ledger_caller *one,
                                  const struct ledger_caller *other, struct arena *arena,
                                  struct ledger_caller *ret, struct fh_error *error);

#endif
