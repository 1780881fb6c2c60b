/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_REDIS_RECORD_H
#define ENGINE_REDIS_RECORD_H

/* Shared by record.c, range.c, the ledger and the copier. */

#include "engine/redis/internal.h"

#define REDIS_MEMBER_END "\x1e"
#define REDIS_MEMBER_SIZE (RECORD_ID_SIZE * 2)

struct redis_table;

struct redis_record {
    const struct redis_table *table;
    char *id;
    json_t *old, *fresh; /* heap; NULL: none. Old: read only where the orders depend on it */
};

/* Visits a record's members: `take` gets each with its order. */
struct redis_members {
    void (*take)(struct redis_members *members, const char *order, const char *member);
};

struct redis_table {
    const char *name;
    const char *by_id; /* the order of all ids, or NULL */
    void (*members)(const char *id, const json_t *record, struct redis_members *members);
};

const struct redis_table *redis_table_of(const char *name);
/* `content` NULL: the previous content is unknown, so all that are possible. */
void redis_each_member(const struct redis_record *record, const json_t *content,
                       struct redis_members *members);
/* NULL: the unit of work has not changed it. */
struct redis_record *redis_changed(const struct redis_work *own, const struct redis_table *table,
                                   const char *id);
/* An answer to HGET: new reference; NULL: there is no such record, or *ret_code says why. */
json_t *redis_record_parse(const struct redis_table *table, const redisReply *reply,
                           struct fh_error *error, enum fh_code *ret_code);
/* The server's record, regardless of the unit of work's changes. */
enum fh_code redis_fetch(struct redis_work *own, const struct redis_table *table, const char *id,
                         bool looks, json_t **ret, struct fh_error *error);

/* parts.c */
struct redis_parts {
    const char *const *orders; /* up to NULL: 4 at most, whose members are ids */
    const char *low, *high;    /* as ZRANGEBYLEX wants them */
    const struct record_range *range;
    bool (*is_wanted)(const json_t *record, const struct record_range *range);
    bool (*visit)(void *context, json_t *record);
    void *context;
};
/* The records on the server, regardless of the unit of work's changes, which does not depend on
 * them either. */
enum fh_code redis_each_in_parts(struct store_work *work, const struct redis_parts *wanted,
                                 struct fh_error *error);

#endif
