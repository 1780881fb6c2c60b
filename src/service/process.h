/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVICE_PROCESS_H
#define SERVICE_PROCESS_H

/*
 * What every process that `freehold up` starts has in common (docs/internals/processes.md): a
 * configuration file, a listening socket, the control channel with its heartbeat, signals, and exit
 * codes.
 */

#include <jansson.h>
#include <stdbool.h>
#include <uv.h>

#include "base/error.h"
#include "base/progress.h"
#include "base/text.h"
#include "http/server.h"
#include "service/watchdog.h"

/* Exit codes, besides 0: drained. docs/operate/instances.md#exit-codes */
#define PROCESS_EXIT_FAILED 1         /* a restart may help */
#define PROCESS_EXIT_MIGRATION 65     /* a migration is wrong, or was changed: it won't */
#define PROCESS_EXIT_UNAVAILABLE 69   /* its store can't be used now, such as on a full disk */
#define PROCESS_EXIT_CONFIGURATION 78 /* the configuration is wrong, or does not fit: it won't */

/* Whether it would end in the same way again. */
static inline bool process_exit_is_final(int exit_code)
{
    return exit_code == PROCESS_EXIT_CONFIGURATION || exit_code == PROCESS_EXIT_MIGRATION;
}
/* Of a process that could not start. `migrating`: it failed at a migration. */
int process_exit_of(enum fh_code code, bool migrating);

/* Set in the environment of a process whose store has already served its program: the schema is
 * left as it is, whatever the folder of migrations has by now. */
#define PROCESS_KEEPS_SCHEMA "FREEHOLD_KEEPS_SCHEMA"
#define PROCESS_BEAT_MS 1000
#define PROCESS_GRACE_MS 10000 /* for requests in progress, when draining */

/* In a service's folder: {"engine", "incarnation", "store"} of the store it last served from. */
#define PROCESS_STORE_FILE "store.json"
struct world;
/* Writes a JSON file, replacing it entirely or not at all; mode 0600. `world` NULL: real files. */
enum fh_code process_write(struct world *world, const char *folder, const char *name,
                           const json_t *value, struct fh_error *error);
/* Reads a configuration file: a JSON object with "freehold": 1. New reference. */
enum fh_code process_config_read(struct world *world, const char *path, json_t **ret,
                                 struct fh_error *error);

/* The listening socket: the configuration's "listen_fd", or a new one bound to `address`
 * ("127.0.0.1:8080") when that is not NULL. Non-blocking, close-on-exec. */
enum fh_code process_listen(const json_t *config, const char *address, int *ret_fd,
                            struct fh_error *error);

/* "own_listen_fd": reaches this process only; -1: it has none. */
enum fh_code process_listen_own(const json_t *config, int *ret_fd, struct fh_error *error);

/* "inside_fd", of the gateway: what comes by it comes from the inside; -1: there is none. */
enum fh_code process_listen_inside(const json_t *config, int *ret_fd, struct fh_error *error);

/* Zero-initialised before process_start; must live until process_end's handles are closed. */
struct process {
    uv_loop_t *loop;
    uv_signal_t signals[2];
    uv_timer_t beat;
    uv_poll_t control;
    int control_fd; /* -1: started by hand */
    bool stopping, works;
    /* Which keys the process has (docs/internals/processes.md), and up to which number none of its
     * requests is under way that was signed with earlier ones. 0: it has none. */
    int64_t keys, keys_settled;
    struct watchdog watchdog; /* from when it is ready */
    struct text told;         /* the part of a line from the starter that was received so far */
    /* The starter has other keys for it; NULL: they are not taken. May be set after
     * process_start. */
    void (*rekeyed)(void *context, const json_t *keys);
    void (*stop)(void *context);
    void (*beaten)(void *context); /* at each beat, or NULL; may be set after process_start */
    struct world *clock;           /* `up` gets its wall clock at each beat; may be set later too */
    void *context;
};

/* SIGTERM, SIGINT and the end of the starting process call `stop` once, on the loop. control_fd may
 * be -1. SIGPIPE is ignored. */
enum fh_code process_start(struct process *process, uv_loop_t *loop, int control_fd,
                           void (*stop)(void *context), void *context, struct fh_error *error);
/* The keys of this number are known, and perhaps settled: tells the starter, now and at each
 * beat. */
void process_keys(struct process *process, int64_t known, int64_t settled);
/* While something that may take long runs before it is ready (a migration, a move), it says so. */
void process_works(struct process *process, bool works);
/* How far that has come, in rows. */
void process_tell(struct process *process, const struct course *course);
void process_ready(struct process *process); /* tells the starter; beats from now on */
/* Asks to stop, as SIGTERM does. */
void process_stop(struct process *process);
/* Closes its handles: run the loop once more afterwards. Does nothing if it has ended or not
 * started. */
void process_end(struct process *process);

/* Logs a client that did not read its answer: for http_handler.unread. */
void process_log_unread(void *context, const struct http_peer *peer, size_t taken, size_t left);

#endif
