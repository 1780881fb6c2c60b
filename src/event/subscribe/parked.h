/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EVENT_SUBSCRIBE_PARKED_H
#define EVENT_SUBSCRIBE_PARKED_H

/*
 * Parked events, as operators see them: what is parked and why, trying it again, with other data
 * too, giving it up.
 *
 * A key's events are retried in order, each in a work of its own, whose first statement takes the
 * event from the key's list (and with the last one the key itself): it fails when somebody else
 * was quicker, so an event that is retried twice at once takes effect once. What fails again goes
 * back with its error, and those behind it go on waiting. All functions park the fiber.
 */

#include <jansson.h>

#include "event/manager.h"
#include "store/ledger.h"

#define PARKED_LIST_MAX 1000                   /* keys shown or retried at once */
#define PARKED_SHOW_MAX 100                    /* events shown of one key */
#define PARKED_SHOW_SIZE_MAX ((size_t)4 << 20) /* their data, about; one is always shown */
#define PARKED_RECOUNT_MS 200    /* how often what is parked is counted while a retry goes on */
#define PARKED_RETRY_MS 8000     /* of one request to retry: what is left then is told */
#define PARKED_OVERTAKEN_MAX 100 /* times that somebody else may be quicker, in a row */

/* What is parked of `source` (NULL: of all): {"keys": [{"source", "share", "key", "events",
 * "position", "id", "type", "attempts", "error", "parked_ms", "age_s", "time_ms"}], "more"}: of
 * each key the event that holds it. New reference. */
enum fh_code parked_list(struct event_manager *manager, const char *source, json_t **ret,
                         struct fh_error *error);
/* {"source", "key", "count", "events": [{"position", "id", "type", "attempts", "error",
 * "parked_ms", "time_ms", "event", "edits"}]}, with "edits" [{"time_ms", "by", "before"}] of those
 * that were edited. FH_NOT_FOUND: nothing is. New reference. */
enum fh_code parked_show(struct event_manager *manager, const char *source, const char *key,
                         json_t **ret, struct fh_error *error);

/* Retries what is parked under `key` of `source`, or of all keys (NULL), or of all sources (both
 * NULL). {"applied", "keys": [{"source", "key", "applied", "left", "error"}]}: `error` why an event
 * is still there, absent when the time was over. FH_NOT_FOUND: that key is not parked. New
 * reference. */
enum fh_code parked_retry(struct event_manager *manager, const char *source, const char *key,
                          json_t **ret, struct fh_error *error);
/* Gives up the first event of a key, or all of them, and says in the log which. {"dropped":
 * [{"position", "id", "type", "error"}], "left"}. FH_NOT_FOUND: nothing is there. New reference. */
enum fh_code parked_drop(struct event_manager *manager, const char *source, const char *key,
                         bool all, json_t **ret, struct fh_error *error);

#define PARKED_EDITS "edits" /* in a parked event, beside the envelope's own members */
#define PARKED_EDITS_MAX 8   /* of one event: the first and the last ones */
#define PARKED_EDITED_SIZE_MAX ((size_t)4 << 20) /* of an event with them */
#define PARKED_BY_LENGTH_MAX 64

struct parked_change {
    const char *source, *key;
    int64_t position; /* of the event that the person has seen; 0: whichever is the first */
    json_t *data;
    const char *by; /* who it is */
};

/* Gives the first event of a key other data, and retries the key: *ret is as parked_retry's.
 * FH_NOT_FOUND: that key is not parked; FH_CONFLICT: the event was tried or edited meanwhile, or
 * another one is the first now; FH_INVALID: the data can't be those of such an event, with
 * *ret_faults (new reference, or NULL). In all of these nothing has changed. */
enum fh_code parked_edit(struct event_manager *manager, const struct parked_change *change,
                         json_t **ret, json_t **ret_faults, struct fh_error *error);

/* Within the room. */
struct subscription;
struct batch_event;
/* Reads s->parked from the store, as far as it can be read now. */
void parked_recount(struct subscription *subscription);
/* The first event of a key was taken out of its list, and the key with it: there is room for
 * another one, now and not only when all that is retried has been. */
void parked_taken(struct subscription *subscription, bool unparked);
/* A fiber: tries once what was parked before this process began. */
void parked_retry_at_start(void *subscription);
/* The first event of a key, its texts on `arena`. FH_NOT_FOUND. */
enum fh_code parked_head(struct event_manager *manager, struct arena *arena, const char *source,
                         const char *key, struct ledger_parked *ret, struct fh_error *error);

#endif
