/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WORK_COMMAND_KEY_H
#define WORK_COMMAND_KEY_H

/* The pure parts of commands: what a key says, what a request's digest is, and what is closed. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/id.h"
#include "store/ledger.h"

#define COMMAND_CALLER_SIZE 128 /* a service's name, with its NUL */
#define COMMAND_DIGEST_SIZE 65  /* BLAKE2b of 32 bytes, in hex, with its NUL */
#define COMMAND_ATTEMPT_MAX 30000

/* What a service's key says: "CALLER/BIRTH.NUMBER/STEP/ELEMENT". */
struct command_key {
    char caller[COMMAND_CALLER_SIZE];
    char birth[ID_SIZE];
    int64_t number;
};

/* Any key: 1..COMMAND_KEY_LENGTH_MAX visible ASCII characters. FH_INVALID says what is wrong. */
enum fh_code command_key_check(const char *header, const char *key, struct fh_error *error);
enum fh_code command_key_parse(const char *key, struct command_key *ret, struct fh_error *error);
/* Freehold-Attempt's value: 1 when absent. FH_INVALID when it is none. */
enum fh_code command_attempt_parse(const char *text, int64_t *ret, struct fh_error *error);

/* Of method, path, query and body; never of headers. */
void command_digest(char out[static COMMAND_DIGEST_SIZE], const char *method, const char *path,
                    const char *query, const char *body, size_t body_length);

/* True when `number` is closed: nothing of that saga is done any more, for ever. */
bool command_is_closed(const struct ledger_caller *closed, int64_t number);
/* A closing only closes: closed_through becomes the larger, and still open is only what both
 * leave open. `still_open` of either is a JSON array of numbers; the result's is ascending and
 * from the arena. FH_INVALID when one of them is no such array. */
enum fh_code command_closed_merge(const struct ledger_caller *one,
                                  const struct ledger_caller *other, struct arena *arena,
                                  struct ledger_caller *ret, struct fh_error *error);

#endif
