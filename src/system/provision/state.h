/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_PROVISION_STATE_H
#define SYSTEM_PROVISION_STATE_H

/*
 * The state folder of a system: one `up` holds its lock, and leaves there what status, stop, call
 * and check need to find it. docs/internals/processes.md lists its files.
 */

#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"

#define STATE_JSON_SIZE_MAX ((size_t)16 << 20)

struct state {
    char folder[4096]; /* absolute */
    int folder_fd;
    int lock_fd; /* -1: not locked */
};

/* Makes the folder (0700) and its parents if missing. Refuses a folder with anything else in it,
 * since its mode would be changed. */
enum fh_code state_create(struct state *state, const char *folder, struct fh_error *error);
/* A folder in it, whose entry is on the disk afterwards. False: errno says why. */
bool state_make_part(const struct state *state, const char *name);
/* FH_NOT_FOUND: there is none. */
enum fh_code state_open(struct state *state, const char *folder, struct fh_error *error);
void state_close(struct state *state);

/* FH_CONFLICT: another `up` is running, *ret_holder is its pid (0: unknown). The kernel releases
 * the lock of one that died. */
enum fh_code state_lock(struct state *state, pid_t *ret_holder, struct fh_error *error);
void state_unlock(struct state *state);

/* Makes a new file, mode 0600, which belongs to the folder's owner: whatever root makes in a
 * service's folder is the service's. -1 with errno; EEXIST: there is one. */
int state_make_file(int folder_fd, const char *name, int flags);
/* Replaces the file as a whole or not at all, also when the power fails; mode 0600, of the folder's
 * owner. `name` is relative to the folder of `folder_fd`. */
enum fh_code state_write_json(int folder_fd, const char *name, const json_t *value,
                              struct fh_error *error);
/* The same for a file of another form. */
enum fh_code state_write_text(int folder_fd, const char *name, const char *text, size_t length,
                              struct fh_error *error);
/* Like state_write_json, and durable when it returns. */
enum fh_code state_write_durable(int folder_fd, const char *name, const json_t *value,
                                 struct fh_error *error);
/* FH_NOT_FOUND: there is none. */
enum fh_code state_read_json(int folder_fd, const char *name, json_t **ret, struct fh_error *error);
/* openat(2) in a folder that a service may write to, who might wish that we wait or go elsewhere:
 * no link is followed, and what is no regular file is not opened (ENXIO). -1, with errno. */
int state_open_file(int folder_fd, const char *name, int flags);
/* Removes whatever has that name, a folder with all that is in it; no link is followed. */
void state_remove(int folder_fd, const char *name);

/* control.sock: a listening socket (replaces an old one; the caller listens), and a connection to
 * it. Connecting fails with FH_NOT_FOUND if no `up` listens. The folder's path may be of any
 * length. */
enum fh_code state_control_listen(struct state *state, int *ret_fd, struct fh_error *error);
enum fh_code state_control_connect(const struct state *state, int *ret_fd, struct fh_error *error);

#endif
