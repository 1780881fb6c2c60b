/* SPDX-License-Identifier: Apache-2.0 */
/* Sorted sets of keyvalue_sql: see engine.c. Their order is that of the index kv_member_score. */

#include "store/keyvalue/engine.h"

enum fh_code keyvalue_score(const struct keyvalue_view *view, const char *key, const char *member,
                            int64_t *ret, struct fh_error *error)
{
    int64_t number, score = INT64_MIN; /* not a possible score */
    *ret = 0;
    enum fh_code code = keyvalue_head_read(view, key, KEYVALUE_SORTED, &number, error);
    if (code)
        return code;
    const struct sql_value values[] = {sql_integer(number), sql_text(member)};
    if (number)
        code = sql_run(view->work, "SELECT score FROM kv_member WHERE number = ?1 AND member = ?2",
                       values, 2, keyvalue_read_integer, &score, NULL, error);
    if (!code && score == INT64_MIN)
        return error_set(error, FH_NOT_FOUND, "'%.100s' has no member '%.100s'.", key, member);
    *ret = score;
    return code;
}

static bool read_member(void *context, const struct sql_row *row)
{
    json_t *member = json_object();
    json_object_set_new(member, "member", json_string(row->values[0].text));
    json_object_set_new(member, "score", json_integer(row->values[1].integer));
    return json_array_append_new(context, member) == 0;
}

enum fh_code keyvalue_members(const struct keyvalue_view *view, const char *key,
                              const struct keyvalue_range *range, json_t **ret,
                              struct fh_error *error)
{
    int64_t number;
    *ret = NULL;
    enum fh_code code = keyvalue_head_read(view, key, KEYVALUE_SORTED, &number, error);
    if (code)
        return code;
    json_t *members = json_array();
    const struct sql_value values[] = {sql_integer(number), sql_integer(range->min),
                                       sql_integer(range->max), sql_integer(range->limit),
                                       sql_integer(range->skip)};
    const char *sql = range->highest_first
                          ? "SELECT member, score FROM kv_member WHERE number = ?1 AND score "
                            "BETWEEN ?2 AND ?3 ORDER BY score DESC, member DESC LIMIT ?4 OFFSET ?5"
                          : "SELECT member, score FROM kv_member WHERE number = ?1 AND score "
                            "BETWEEN ?2 AND ?3 ORDER BY score, member LIMIT ?4 OFFSET ?5";
    if (number)
        code = sql_run(view->work, sql, values, 5, read_member, members, NULL, error);
    if (code)
        json_decref(members);
    else
        *ret = members;
    return code;
}

enum fh_code keyvalue_member_put(const struct keyvalue_view *view, const char *key,
                                 const char *member, int64_t score, struct fh_error *error)
{
    int64_t number;
    enum fh_code code = keyvalue_head_make(view, key, KEYVALUE_SORTED, &number, error);
    if (code)
        return code;
    const struct sql_value values[] = {sql_integer(number), sql_text(member), sql_integer(score)};
    return keyvalue_run(view,
                        "INSERT INTO kv_member (number, member, score) VALUES (?1, ?2, ?3) "
                        "ON CONFLICT (number, member) DO UPDATE SET score = excluded.score",
                        values, 3, NULL, error);
}

enum fh_code keyvalue_member_remove(const struct keyvalue_view *view, const char *key,
                                    const char *member, bool *ret_existed, struct fh_error *error)
{
    int64_t number, removed = 0;
    *ret_existed = false;
    enum fh_code code = keyvalue_head_read(view, key, KEYVALUE_SORTED, &number, error);
    if (code || !number)
        return code;
    const struct sql_value values[] = {sql_integer(number), sql_text(member)};
    code = keyvalue_run(view, "DELETE FROM kv_member WHERE number = ?1 AND member = ?2", values, 2,
                        &removed, error);
    *ret_existed = removed > 0;
    if (code || !removed)
        return code;
    return keyvalue_end_if_empty(view, "SELECT number FROM kv_member WHERE number = ?1 LIMIT 1",
                                 number, error);
}
