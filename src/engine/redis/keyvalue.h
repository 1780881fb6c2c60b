/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_REDIS_KEYVALUE_H
#define ENGINE_REDIS_KEYVALUE_H

/* A key of the service's as a work sees it: what the server has, and the work's own changes. */

#include "engine/redis/internal.h"
#include "engine/redis/known.h"

/* A field or member that the work has changed. */
struct redis_item {
    bool there;
    char *text;    /* a field's value */
    int64_t score; /* a member's */
    bool placed;   /* it stands in the place that it has on the server */
};

struct redis_key {
    char *name, *server;       /* the service's, and with our prefix */
    struct redis_known *known; /* what the server has; NULL: the work has not looked */
    bool is_looked_at;         /* the script finds out whether it still has this kind, */
    enum keyvalue_kind looked_at;
    bool is_compared;        /* and whether this is still all of it */
    bool over;               /* what the server has of it is seen no more: removed, or replaced */
    enum keyvalue_kind kind; /* of the work's own changes; NONE: there are none */
    bool timed;              /* ends_ms is the work's own, else the server's */
    int64_t ends_ms;
    char *text;      /* of a value that was put */
    bool is_counted; /* `delta` was added to what the server has */
    int64_t delta;
    struct map items; /* by their names */
    struct redis_key
        *after; /* as it is behind the time that the work gave it; NULL: not asked yet */
};

/* For a read: the key as it is at the view's time. */
struct redis_key *redis_key(const struct keyvalue_view *view, const char *name);
/* For a write. FH_UNSUPPORTED: the work only reads. */
enum fh_code redis_key_open(const struct keyvalue_view *view, const char *name,
                            struct redis_key **ret, struct fh_error *error);
/* For a read: FH_CONFLICT where the key is another's kind. *ret_served: the server has parts of it
 * that are seen. */
enum fh_code redis_key_reads(const struct keyvalue_view *view, struct redis_key *key,
                             enum keyvalue_kind wanted, bool *ret_served, struct fh_error *error);
/* Asks together with the key's kind what will be asked next: its words behind the key, up to NULL.
 * One round trip instead of two, or none for what is remembered. */
enum fh_code redis_key_ahead(const struct keyvalue_view *view, struct redis_key *key,
                             struct fh_error *error, const char *command, ...)
    __attribute__((sentinel));
/* For a write: from now on the key is of that kind. */
enum fh_code redis_key_writes(struct redis_key *key, enum keyvalue_kind wanted,
                              struct fh_error *error);
/* `words` are all that the key has, whose kind was read: its known is whole from now on. */
void redis_key_whole(struct redis_key *key, const char *const *words, size_t count);
/* What the server's key has to be when it is written: a word of its own. */
const char *redis_key_needs(const struct redis_key *key, enum keyvalue_kind wanted);
/* It is not there any more. */
void redis_key_ends(struct redis_key *key);
void redis_item_put(struct redis_key *key, const char *name, const char *text, int64_t score,
                    bool there);
struct redis_item *redis_item(const struct redis_key *key, const char *name);

/* Slots, of value.c, hash.c and sorted.c. */
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
