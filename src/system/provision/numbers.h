/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_PROVISION_NUMBERS_H
#define SYSTEM_PROVISION_NUMBERS_H

/*
 * The numbers of the users that a system's processes run as, when root runs `up`. A system draws a
 * block of numbers once and keeps it in STATE/users.json with the number of each process; a process
 * keeps its number for good, whatever comes before it in the system file. No two systems on a
 * machine have the same block: NUMBERS_REGISTER says whose each is.
 */

#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

#include "system/provision/state.h"

#define NUMBERS_FILE "users.json"
#define NUMBERS_REGISTER "/var/lib/freehold/users"
/* Blocks: beyond what distributions, containers and directories assign (systemd's UIDS-GIDS,
 * SSSD's default range), and below 2^31. */
#define NUMBERS_FIRST 0x78000000U
#define NUMBERS_LAST 0x7fffefffU
#define NUMBERS_BLOCK 4096U
/* And where the user namespace that `up` runs in has no such numbers, as in some containers. */
#define NUMBERS_SMALL_FIRST 32768U
#define NUMBERS_SMALL_LAST 59391U
#define NUMBERS_SMALL_BLOCK 1024U
/* Of systems before users.json: the n-th process of the file was 64000 + n. */
#define NUMBERS_FORMER_FIRST 64000U
#define NUMBERS_FORMER_LAST 64999U

/* Reads the numbers of the system in this locked state folder, and draws a block for one that has
 * none, or whose block is another system's by now (its folder is a copy). New reference, for
 * numbers_of and numbers_add. *ret_unregistered: the register can't be written, so that another
 * system might draw the same. FH_INVALID: users.json says what can't be. */
enum fh_code numbers_read(const struct state *state, json_t **ret, bool *ret_unregistered,
                          struct fh_error *error);
/* Gives `name` a number, if it has none; a name that is not in use keeps its own. It lasts when
 * numbers_write has returned. FH_UNSUPPORTED: the block is used up. */
enum fh_code numbers_add(json_t *numbers, const char *name, struct fh_error *error);
enum fh_code numbers_write(const struct state *state, const json_t *numbers,
                           struct fh_error *error);
/* 0: none. */
uid_t numbers_of(const json_t *numbers, const char *name);
/* Whether a user is of a kind that systems give their processes: then files may be taken back from
 * it. */
bool numbers_are_ours(uid_t user);

#endif
