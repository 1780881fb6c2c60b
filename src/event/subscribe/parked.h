/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EVENT_SUBSCRIBE_PARKED_H
#define EVENT_SUBSCRIBE_PARKED_H

/*
 * Parked events, as operators see them: listing what is parked and why, retrying it, also with
 * other data, and dropping it.
 *
 * A key's events are retried in order, each in its own transaction. Its first statement takes the
 * event from the key's list (and with the last event the key itself), and fails if somebody else
 * was quicker: so an event that is retried twice at once takes effect once. If it fails again, it
 * goes back with its new error, and later events keep waiting. All functions park the fiber.
 */

#include <jansson.h>

#include "event/manager.h"
#include "store/ledger.h"

#define PARKED_LIST_MAX 1000 /* keys listed or retried at once */
#define PARKED_SHOW_MAX 100  /* events of one key shown at once */
/* Of their data, roughly; one event is always shown. */
#define PARKED_SHOW_SIZE_MAX ((size_t)4 << 20)
#define PARKED_RECOUNT_MS 200    /* how often parked events are counted during a retry */
#define PARKED_RETRY_MS 8000     /* of one retry request; whatever is left then is reported */
#define PARKED_OVERTAKEN_MAX 100 /* times in a row that somebody else may be quicker */

/* What is parked from `source` (NULL: all): {"keys": [{"source", "share", "key", "events",
 * "position", "id", "type", "attempts", "error", "parked_ms", "age_s", "time_ms"}], "more"}; for
 * each key its first event, which holds up the rest. New reference. */
enum fh_code parked_list(struct event_manager *manager, const char *source, json_t **ret,
                         struct fh_error *error);
/* {"source", "key", "count", "events": [{"position", "id", "type", "attempts", "error",
 * "parked_ms", "age_s", "time_ms", "event", "edits"}]}; "edits" [{"time_ms", "by", "before"}] only
 * for edited events. FH_NOT_FOUND: nothing is parked there. New reference. */
enum fh_code parked_show(struct event_manager *manager, const char *source, const char *key,
                         json_t **ret, struct fh_error *error);

/* Retries what is parked under `key` of `source`, or under all its keys (NULL), or from all sources
 * (both NULL), at most PARKED_LIST_MAX keys. {"applied", "keys": [{"source", "key", "applied",
 * "left", "error"}]}: `error` says why an event is still there; it is absent if time ran out.
 * FH_NOT_FOUND: that key is not parked. New reference. */
enum fh_code parked_retry(struct event_manager *manager, const char *source, const char *key,
                          json_t **ret, struct fh_error *error);
/* Drops the first event of a key, or all of them, and logs which. {"dropped": [{"position", "id",
 * "type", "error"}], "left"}. FH_NOT_FOUND: nothing is there. New reference. */
enum fh_code parked_drop(struct event_manager *manager, const char *source, const char *key,
                         bool all, json_t **ret, struct fh_error *error);

#define PARKED_EDITS "edits" /* a member added to the envelope of an edited event */
#define PARKED_EDITS_MAX 8   /* per event: the first edit and the latest ones */
#define PARKED_EDITED_SIZE_MAX ((size_t)4 << 20) /* of an event including its edits */
#define PARKED_BY_LENGTH_MAX 64

struct parked_change {
    const char *source, *key;
    int64_t position; /* of the event that the operator has seen; 0: whichever is first */
    json_t *data;
    const char *by; /* the operator */
};

/* Gives the first event of a key other data, and retries the key: *ret is as for parked_retry.
 * FH_NOT_FOUND: that key is not parked; FH_CONFLICT: since then the event was tried or edited, or
 * another one became the first; FH_INVALID: such an event can't have this data, with *ret_faults
 * (new reference, or NULL). In all of these cases nothing has changed. */
enum fh_code parked_edit(struct event_manager *manager, const struct parked_change *change,
                         json_t **ret, json_t **ret_faults, struct fh_error *error);

/* Within the layer. */
struct subscription;
struct batch_event;
/* Counts parked events again, if the store can be read now. */
void parked_recount(struct subscription *subscription);
/* The first event of a key was taken out of its list, `unparked` together with the key. Makes room
 * for another event now, and not only after everything has been retried. */
void parked_taken(struct subscription *subscription, bool unparked);
/* A fiber: retries once what was parked before this process started. */
void parked_retry_at_start(void *subscription);
/* The first event of a key, with its texts on `arena`. FH_NOT_FOUND. */
enum fh_code parked_head(struct event_manager *manager, struct arena *arena, const char *source,
                         const char *key, struct ledger_parked *ret, struct fh_error *error);

#endif
