/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_SUPERVISE_CONTROL_H
#define SYSTEM_SUPERVISE_CONTROL_H

/*
 * control.sock: how status, stop, scale, upgrade, move, restore, keys and check talk to `up`. One
 * JSON object per line in each direction; each request also has the "key" that control_new was
 * given:
 *
 *   {"command": "status"}  → the status, then the end
 *   {"command": "stop"}    → {"progress": "..."} as it goes, {"stopped": true}, then the end
 *   {"command": "scale", "service": "orders", "instances": 3}
 *   {"command": "upgrade", "service": "orders", "force": true or absent}
 *   {"command": "restore", "service": "orders"} (what lies ready in its folder: restore.h)
 *                          → {"progress": "..."} as it goes, {"done": true} or {"error": "..."}
 *   {"command": "move", "service": "orders", "to": "mariadb" or absent,
 *    "profile": NAME or absent, "abandon": true or absent}
 *                          → the same; {"progress", "done", "total", "guessed", "of"} reports rows
 *                            (total 0: unknown); the last line is {"done": true, "moved": {...}}
 *                            or {"error": "...", "back": true}
 *   {"command": "rotate-keys", "service": "_keys", "of": "orders" or absent, "forget": true or
 * absent} → the same as for restore anything else          → {"error": "..."}, then the end
 */

#include <jansson.h>
#include <uv.h>

#include "base/error.h"
#include "base/progress.h"

#define CONTROL_CLIENTS_MAX 16
#define CONTROL_LINE_SIZE_MAX 512
#define CONTROL_SERVICE_SIZE 64

struct control;

struct control_handler {
    json_t *(*status)(void *context); /* new reference */
    void (*stop)(void *context);
    /* A change of one service: "scale", "upgrade", "move", "restore" or "rotate-keys". FH_OK:
     * control_done will report its end, perhaps before this returns. */
    enum fh_code (*change)(void *context, const char *command, const char *service,
                           const json_t *request, struct fh_error *error);
    /* The end of an act is not in the audit log. */
    void (*unrecorded)(void *context, const char *error);
    void *context;
};

/* Takes over `listen_fd`. Clients that do not send `key` (copied) are refused: Landlock does not
 * keep a confined process from connecting. Every request but "status" is in the audit log in the
 * folder of `state_fd` (borrowed) before it is begun, or it is refused. */
enum fh_code control_new(uv_loop_t *loop, int listen_fd, int state_fd, const char *key,
                         struct control_handler handler, struct control **ret,
                         struct fh_error *error);
/* Other keys that are accepted from now on; `also` may be NULL. */
void control_take_keys(struct control *control, const char *key, const char *also);
/* To all clients that asked to stop; or, given a service, to those that asked for a change of
 * it. */
void control_progress(struct control *control, const char *service, const char *text);
/* The same, for progress in rows. */
void control_work(struct control *control, const char *service, const struct course *course);
/* To the same clients: it is done (`error` is NULL), or why not. */
void control_done(struct control *control, const char *service, const char *error);
/* To the same clients: the last line (taken), which says how it ended. */
void control_answer(struct control *control, const char *service, json_t *line);
/* Answers the clients that asked to stop, accepts no more, and frees itself once everything is
 * sent: run the loop until it is empty. */
void control_end(struct control *control);

#endif
