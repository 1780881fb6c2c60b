/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_PROVISION_KEYS_H
#define SYSTEM_PROVISION_KEYS_H

/*
 * The keys by which the processes of a system authenticate each other, one for each ordered pair:
 * of services, and of the gateway and the operator with each service. STATE/keys.json has them all,
 * readable only by its owner:
 *
 *   {"freehold": 1,
 *    "number": 7,                              how often the file's keys have changed
 *    "rotated_ms": 1763737200123,              when all of them were last replaced
 *    "keys": {"CALLER": {"RECEIVER": "64 hex digits"}},
 *    "next": the same, or absent,              while they are replaced: learned, not yet used
 *    "former": the same, or absent,            no longer used, but still accepted
 *    "whole": true or absent,                  `next` replaces all keys
 *    "forgets_users": true or absent,          `users` end with `former`
 *    "users": [{"key": "64 hex digits", "until_ms": ...}]}   former public halves
 *
 * A process gets its own in its configuration. Keys are replaced in three steps, each durable
 * before anybody is told of it (supervise/rotation.h):
 *
 *   at rest ──begin──▸ LEARNING: `next` is accepted ──promote──▸ SIGNING: it is used, and what it
 *   replaced is `former`, still accepted ──forget──▸ at rest
 *
 * and LEARNING may be taken back. There is never more than one of `next` and `former`.
 */

#include <jansson.h>

#include "system/file/file.h"
#include "system/provision/state.h"

#define KEYS_FILE "keys.json"
#define KEYS_GATEWAY "gateway"
#define KEYS_OPERATOR "operator"
#define KEYS_UP                                                                                    \
    "_up" /* can't be a service's name: the key between the operator and `up`, for control.sock */

#define KEYS_USER                                                                                  \
    "_user" /* among the gateway's: the private half by which it states who a user is: call/user.h \
             */

/* Former public halves are accepted for this long: a saga's later steps carry the statement that it
 * began with. One that is open longer goes on as nobody's (saga/record.c). */
#define KEYS_USER_KEPT_MS ((int64_t)30 * 24 * 3600 * 1000)

enum keys_phase { KEYS_AT_REST, KEYS_LEARNING, KEYS_SIGNING };

/* The file's contents for all services of the file: existing keys, and new ones for missing pairs.
 * They are durable when this returns. `starting`: no process of the system lives, so whatever was
 * being replaced is replaced. New reference. */
enum fh_code keys_make(const struct state *state, const struct system_file *file, bool starting,
                       int64_t now_ms, json_t **ret, struct fh_error *error);
/* The same contents as they are. FH_NOT_FOUND: no `up` has made any yet. FH_INVALID: the file is
 * damaged. New reference. */
enum fh_code keys_read_all(const struct state *state, json_t **ret, struct fh_error *error);
/* Its "keys" alone. New reference. */
enum fh_code keys_read(const struct state *state, json_t **ret, struct fh_error *error);
enum fh_code keys_write(const struct state *state, const json_t *all, struct fh_error *error);

enum keys_phase keys_phase(const json_t *all);
json_int_t keys_number(const json_t *all);
int64_t keys_rotated_ms(const json_t *all); /* the wall clock's; 0: not known */
/* The steps, in memory: keys_write makes them durable. `of` NULL replaces all keys, a name those of
 * all pairs that this service, the gateway or the operator belongs to. `forgets_users`: at the end
 * of it no former public half is accepted any more, whoever completes it. At rest. */
void keys_begin(json_t *all, const char *of, bool forgets_users);
void keys_promote(json_t *all, int64_t now_ms);
void keys_forget(json_t *all);
void keys_take_back(json_t *all);
/* All steps that are left, at once: no process of the system lives. At rest nothing is. */
void keys_complete(json_t *all, int64_t now_ms);
/* Forgets the former public halves whose time is over. True: there were any. */
bool keys_forget_users(json_t *all, int64_t now_ms);

/* The key with which the operator commands `up`; NULL: there is none. Borrowed. keys_of_up_also:
 * the one that is accepted besides it. */
const char *keys_of_up(const json_t *keys);
const char *keys_of_up_also(const json_t *all);

/* What one process gets, by who may call whom (callers.h), as in docs/internals/processes.md:
 * {"number", "calls": {"RECEIVER": key}, "takes": {"CALLER": key}, "also": {"CALLER": key},
 * "user": key, "users": [key]}; the gateway's: {"number", "calls", "takes", "also", "user_secret"}.
 * New references.
 */
json_t *keys_of_service(const json_t *all, const json_t *matrix, const char *service);
json_t *keys_of_gateway(const json_t *all, const json_t *matrix);

#endif
