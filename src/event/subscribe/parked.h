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
#define PARKED_MANY_MAX 32   /* keys that one request acts on */
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

/* What is meant of the keys; a member that is NULL or 0 excludes none. */
struct parked_filter {
    const char *source;
    const char *type;                  /* of the first event of a key, which holds up the rest */
    const char *error;                 /* a part of its error's text */
    int64_t before_ms, after_ms;       /* it was parked at this time or before, or after */
    const struct event_retried *after; /* a place in the list: only keys behind it */
};
/* The first PARKED_LIST_MAX keys that are meant, as parked_list does, each with `until`: what is
 * parked of it later has a position beyond. "more": ask for those after the last one. */
enum fh_code parked_select(struct event_manager *manager, const struct parked_filter *filter,
                           json_t **ret, struct fh_error *error);
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
/* Retries keys that parked_select has answered, at most PARKED_MANY_MAX, each of which has
 * `source`, `key`, `id` and `attempts`. {"keys": [{"source", "key", "applied", "left", "error",
 * "changed", "next": {"id", "attempts"}}]}: `changed` for a key whose first event is another one by
 * now, or was tried or edited since, so that it was left alone; `next` names the event to go on
 * with, if time ran out; keys that were not come to are absent. FH_INVALID. New reference. */
enum fh_code parked_retry_many(struct event_manager *manager, const json_t *keys, json_t **ret,
                               struct fh_error *error);
/* Drops the first event of each of such keys, and of a key with `until` those after it up to that
 * position. {"keys": [{"source", "key", "dropped", "left", "error", "changed", "next"}]}. */
enum fh_code parked_drop_many(struct event_manager *manager, const json_t *keys, json_t **ret,
                              struct fh_error *error);
/* Drops the first event of a key, or all of them, and logs which. {"dropped": [{"position", "id",
 * "type", "error"}], "left"}. FH_NOT_FOUND: nothing is there. New reference. */
enum fh_code parked_drop(struct event_manager *manager, const char *source, const char *key,
                         bool all, json_t **ret, struct fh_error *error);

/* A member of the envelope of an event that was parked before any handler saw it, which says why:
 * until it is edited, a retry fails with it (event/source/map.h). */
#define PARKED_UNREADABLE "unreadable"
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
/* In all partitions: the same key may be in several of a source outside. */
void parked_recount_source(struct event_manager *manager, const char *source);
/* The first event of a key was taken out of its list, `unparked` together with the key. Makes room
 * for another event now, and not only after everything has been retried. */
void parked_taken(struct subscription *subscription, bool unparked);
/* A fiber: retries once what was parked before this process started. */
void parked_retry_at_start(void *subscription);
/* The partition that a key belongs to, ours or not; NULL: nothing subscribes to that source. Of a
 * source outside any one: there the broker decides where a message is. */
struct subscription *parked_subscription(struct event_manager *manager, const char *source,
                                         const char *key);
/* An entry of a list, of the first event of a key. */
json_t *parked_key_json(const struct ledger_parked *first, int64_t now_ms);
/* Where an entry of a list stands, and whether another place is before (< 0) or behind (> 0) it. */
void parked_place_of(struct event_retried *ret, const json_t *one);
int parked_place_compare(const struct event_retried *place, const char *source, const char *share,
                         int64_t position);
/* Retries a key, until one fails or time runs out: {"source", "key", "applied", "left", "error"}.
 */
json_t *parked_retry_key(struct event_manager *manager, const char *source, const char *key,
                         int64_t deadline_ns);
/* A key as it was seen: its first event, and how often that had been tried. */
struct parked_choice {
    const char *source, *key;
    const char *id; /* NULL: whichever is first, if it is not behind `until` */
    int64_t attempts;
    int64_t until; /* 0: only the first */
};
bool parked_is_chosen(const struct parked_choice *choice, const struct ledger_parked *first);
/* Drops the first event of the key. FH_NOT_FOUND: it is not the chosen one. */
enum fh_code parked_drop_chosen(struct event_manager *manager, const struct parked_choice *choice,
                                int64_t *left, struct fh_error *error);
/* The first event of a key, with its texts on `arena`. FH_NOT_FOUND. */
enum fh_code parked_head(struct event_manager *manager, struct arena *arena, const char *source,
                         const char *key, struct ledger_parked *ret, struct fh_error *error);

#endif
