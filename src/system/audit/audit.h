/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_AUDIT_H
#define SYSTEM_AUDIT_H

/*
 * The audit log: what operators have done to a system. STATE/audit.log, mode 0600, has a line of
 * JSON for each entry, and is only ever appended to:
 *
 *     {"n": 17, "at_ms": 1763737200123, "act": 17, "state": "begun", "what": "scale",
 *      "service": "orders", "who": {"uid": 0, "login": 1000}, "with": {"instances": 3},
 *      "previous": "9f86d0...", "dropped": 40}
 *     {"n": 18, "at_ms": ..., "act": 17, "state": "failed", "why": "...", "previous": "..."}
 *
 * An act is durable as begun before anything of it is done, and as done or failed after that; one
 * that was only begun was cut short, or goes on. "previous" is the BLAKE2b (256 bits, hex) of the
 * line before, without its line feed; zeros in the first one. So nothing can be changed, removed
 * or put in between without breaking the chain. What is removed at the end shows where the head (n
 * and digest of the last line) is kept elsewhere. "login" is the user who logged in, if the kernel
 * knows, such as the one who has used sudo. "dropped" bytes were an entry whose writing was cut
 * short: nothing was done for it.
 *
 * A log of AUDIT_SIZE_MAX is renamed to audit.log.N, N being its last entry's number, and the chain
 * goes on in a new one. Any process may append: `up` does for what it is asked, `freehold` for what
 * it does itself. audit.lock is held meanwhile.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

#define AUDIT_LOG "audit.log"
#define AUDIT_SIZE_MAX (4 << 20)
#define AUDIT_LINE_SIZE_MAX 65536
#define AUDIT_DIGEST_SIZE 65 /* hex, with its NUL */
#define AUDIT_WHAT_LENGTH_MAX 40
#define AUDIT_TEXT_LENGTH_MAX 512 /* of one argument; the rest is cut off */

struct audit_who {
    uid_t uid;
    int64_t login; /* -1: not known */
};
struct audit_who audit_who_of(uid_t uid, pid_t pid);
struct audit_who audit_who_self(void);

struct audit_act {
    const char *what, *service; /* "scale"; service: NULL for the whole system */
    struct audit_who who;
    /* An object, borrowed; NULL: none. Of arguments that are not known to hold no secret
     * (arguments.c), only the names are recorded. */
    const json_t *with;
};

/* Durably begun, when it returns FH_OK; *ret is its number, for audit_end. FH_UNAVAILABLE,
 * FH_INVALID: it must not be done. */
enum fh_code audit_begin(int state_fd, const struct audit_act *act, int64_t *ret,
                         struct fh_error *error);
/* `why` NULL: it is done; else it has failed. */
enum fh_code audit_end(int state_fd, int64_t act, const char *why, struct fh_error *error);

/* ---- Reading ---- */

struct audit_reading {
    /* Each entry, oldest first. */
    void (*entry)(void *context, const json_t *entry);
    /* A fault of the chain. */
    void (*fault)(void *context, const char *file, long line, const char *text);
    void *context;
    int64_t expected_n; /* this entry must be there, and have this digest; 0: none is expected */
    const char *expected_digest;
    /* Filled in. */
    int64_t first, last; /* 0: it is empty */
    char head[AUDIT_DIGEST_SIZE];
    long faults;
};

/* All of audit.log.N and audit.log, in order. FH_UNAVAILABLE: they can't be read. */
enum fh_code audit_read(int state_fd, struct audit_reading *reading, struct fh_error *error);

/* ---- Shared by the files of this folder ---- */

/* Text for an entry, cut to AUDIT_TEXT_LENGTH_MAX; what is no UTF-8 is left out. */
json_t *audit_text(const char *text);
/* What is recorded of arguments. New reference. */
json_t *audit_arguments(const json_t *with);

/* Holds audit.lock until the descriptor is closed; FH_UNAVAILABLE after 2 s in which another held
 * it. */
enum fh_code audit_lock(int state_fd, int *ret_fd, struct fh_error *error);
void audit_digest(const char *line, size_t length, char ret[static AUDIT_DIGEST_SIZE]);
/* The numbers of audit.log.N, in order. malloc'ed. */
enum fh_code audit_rotated(int state_fd, int64_t **ret, size_t *ret_count, struct fh_error *error);

#endif
