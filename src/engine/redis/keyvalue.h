/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_REDIS_KEYVALUE_H
#define ENGINE_REDIS_KEYVALUE_H

/* A key of the service's as a unit of work sees it: the server's state and the unit of work's own
 * changes. */

#include "engine/redis/internal.h"
#include "engine/redis/known.h"

/* A field or member that the unit of work has changed. */
struct redis_item {
    bool there;
    char *text;    /* a field's value */
    int64_t score; /* a member's */
    bool placed;   /* it was output in its place among the server's */
};

struct redis_key {
    char *name, *server;       /* the service's name, and the server's, with our prefix */
    int number;                /* among those that the unit of work's steps name; 0: not yet */
    struct redis_known *known; /* the server's state; NULL: not read */
    bool is_looked_at;         /* the script checks that it still has this kind, */
    enum keyvalue_kind looked_at;
    bool is_compared;        /* and that this is still all of its content */
    bool over;               /* the server's content is no longer visible: removed, or replaced */
    enum keyvalue_kind kind; /* of the unit of work's own changes; NONE: there are none */
    bool timed;              /* ends_ms was set by the unit of work, else it is the server's */
    int64_t ends_ms;
    char *text;      /* of a value that was put */
    bool is_counted; /* `delta` was added to the server's value */
    int64_t delta;
    struct map items; /* by their names */
    struct redis_key
        /* The key after the end time that the unit of work gave it; NULL: not needed yet. */
        *after;
};

/* For a read: the key as it is at the view's time. */
struct redis_key *redis_key(const struct keyvalue_view *view, const char *name);
/* For a write. FH_UNSUPPORTED: the unit of work is read-only. */
enum fh_code redis_key_open(const struct keyvalue_view *view, const char *name,
                            struct redis_key **ret, struct fh_error *error);
/* For a read: FH_CONFLICT if the key is of another kind. *ret_served: some of the server's content
 * is visible. */
enum fh_code redis_key_reads(const struct keyvalue_view *view, struct redis_key *key,
                             enum keyvalue_kind wanted, bool *ret_served, struct fh_error *error);
/* The kind of the server's content, and when it ends (0: never), whatever the unit of work has
 * changed. */
enum fh_code redis_key_served(const struct keyvalue_view *view, struct redis_key *key,
                              enum keyvalue_kind *ret_kind, int64_t *ret_ends_ms,
                              struct fh_error *error);
/* Asks for the key's kind together with the question that will follow: `command`, the key, and the
 * words up to NULL. One round trip instead of two, or none if the key is remembered. */
enum fh_code redis_key_ahead(const struct keyvalue_view *view, struct redis_key *key,
                             struct fh_error *error, const char *command, ...)
    __attribute__((sentinel));
/* For a write: from now on the key is of that kind. */
enum fh_code redis_key_writes(struct redis_key *key, enum keyvalue_kind wanted,
                              struct fh_error *error);
/* `words` are the whole content of the key, whose kind was read: its `known` is whole from now
 * on. */
void redis_key_whole(struct redis_key *key, const char *const *words, size_t count);
/* The kind that the server's key must have when it is written, as a word ("any": any). */
const char *redis_key_needs(const struct redis_key *key, enum keyvalue_kind wanted);
/* For redis_step_at. */
int redis_key_number(struct redis_work *own, struct redis_key *key);
/* Removes the key. */
void redis_key_ends(struct redis_key *key);
void redis_item_put(struct redis_key *key, const char *name, const char *text, int64_t score,
                    bool there);
struct redis_item *redis_item(const struct redis_key *key, const char *name);

/* Operations, in value.c, hash.c and sorted.c. */
__typeof__(*(struct keyvalue_ops){0}.get) redis_value_get;
__typeof__(*(struct keyvalue_ops){0}.put) redis_value_put;
__typeof__(*(struct keyvalue_ops){0}.add) redis_value_add;
__typeof__(*(struct keyvalue_ops){0}.field_get) redis_field_get;
__typeof__(*(struct keyvalue_ops){0}.fields) redis_fields;
__typeof__(*(struct keyvalue_ops){0}.field_put) redis_field_put;
__typeof__(*(struct keyvalue_ops){0}.field_remove) redis_field_remove;
__typeof__(*(struct keyvalue_ops){0}.score) redis_score;
__typeof__(*(struct keyvalue_ops){0}.members) redis_members;
__typeof__(*(struct keyvalue_ops){0}.member_put) redis_member_put;
__typeof__(*(struct keyvalue_ops){0}.member_remove) redis_member_remove;

#endif
