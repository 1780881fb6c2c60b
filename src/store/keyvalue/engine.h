/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_KEYVALUE_ENGINE_H
#define STORE_KEYVALUE_ENGINE_H

/* What the files of keyvalue_sql share. The tables are described in engine.c. */

#include <jansson.h>

#include "store/keyvalue/keyvalue.h"
#include "store/relational/sql.h"

enum fh_code keyvalue_run(const struct keyvalue_view *view, const char *sql,
                          const struct sql_value *values, int count, int64_t *ret_changes,
                          struct fh_error *error);
/* The same with an integer as the only value. */
enum fh_code keyvalue_run_on(const struct keyvalue_view *view, const char *sql, int64_t number,
                             int64_t *ret_changes, struct fh_error *error);
/* A sql_visit: the first column of the first row, into an int64_t. */
bool keyvalue_read_integer(void *context, const struct sql_row *row);

/* A lifetime of a key. */
struct keyvalue_head {
    int64_t number;
    enum keyvalue_kind kind; /* NONE: there is no row, and number is 0 */
    int64_t ends_ms;         /* 0: never */
    bool ended;              /* the row exists, but the key has expired */
};

enum fh_code keyvalue_head_get(const struct keyvalue_view *view, const char *key,
                               struct keyvalue_head *head, struct fh_error *error);
bool keyvalue_head_is_there(const struct keyvalue_head *head);
/* Ends a lifetime: one row, however large the key is. */
enum fh_code keyvalue_head_bury(const struct keyvalue_view *view, const struct keyvalue_head *head,
                                struct fh_error *error);
enum fh_code keyvalue_head_insert(const struct keyvalue_view *view, const char *key,
                                  enum keyvalue_kind kind, const char *text, int64_t *ret_number,
                                  struct fh_error *error);
/* The number of an existing key of that kind; 0: there is no such key. */
enum fh_code keyvalue_head_read(const struct keyvalue_view *view, const char *key,
                                enum keyvalue_kind wanted, int64_t *ret_number,
                                struct fh_error *error);
/* The same for a write: a key that does not exist is created. */
enum fh_code keyvalue_head_make(const struct keyvalue_view *view, const char *key,
                                enum keyvalue_kind wanted, int64_t *ret_number,
                                struct fh_error *error);
/* After the removal of a part: unless `sql` finds another one, removes the key. */
enum fh_code keyvalue_end_if_empty(const struct keyvalue_view *view, const char *sql,
                                   int64_t number, struct fh_error *error);
/* The value in the first column of the first row; NULL: there is none. */
enum fh_code keyvalue_value_of(const struct keyvalue_view *view, const char *sql,
                               const struct sql_value *values, int count, json_t **ret,
                               struct fh_error *error);

/* Slots of keyvalue_sql. */
enum fh_code keyvalue_field_get(const struct keyvalue_view *view, const char *key,
                                const char *field, json_t **ret, struct fh_error *error);
enum fh_code keyvalue_fields(const struct keyvalue_view *view, const char *key, json_t **ret,
                             struct fh_error *error);
enum fh_code keyvalue_field_put(const struct keyvalue_view *view, const char *key,
                                const char *field, const char *text, struct fh_error *error);
enum fh_code keyvalue_field_remove(const struct keyvalue_view *view, const char *key,
                                   const char *field, bool *ret_existed, struct fh_error *error);
enum fh_code keyvalue_score(const struct keyvalue_view *view, const char *key, const char *member,
                            int64_t *ret, struct fh_error *error);
enum fh_code keyvalue_members(const struct keyvalue_view *view, const char *key,
                              const struct keyvalue_range *range, json_t **ret,
                              struct fh_error *error);
enum fh_code keyvalue_member_put(const struct keyvalue_view *view, const char *key,
                                 const char *member, int64_t score, struct fh_error *error);
enum fh_code keyvalue_member_remove(const struct keyvalue_view *view, const char *key,
                                    const char *member, bool *ret_existed, struct fh_error *error);
enum fh_code keyvalue_sweep(const struct keyvalue_view *view, int64_t *ret_removed,
                            struct fh_error *error);

#endif
