/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FREEHOLD_KEYVALUE_H
#define FREEHOLD_KEYVALUE_H

/* A part of freehold.h, which includes it: the key-value model. */

/*
 * A key holds a value, a hash or a sorted set (docs/guide/keyvalue.md). Keys, fields and members
 * are strings of 1 to 512 bytes; values are any JSON of at most 1 MiB. A key exists from its first
 * value, field or member until its last is removed. A call on a key of another kind ends the
 * handler with 409. One unit of work can change any number of keys.
 */
FH_API json_t *fh_kv(fh_work *w, const char *key);     /* none: 404 */
FH_API json_t *fh_try_kv(fh_work *w, const char *key); /* none: NULL */
/* Replaces whatever the key holds, and removes its expiry. */
FH_API void fh_kv_set(fh_work *w, const char *key, json_t *value);
FH_API bool fh_kv_delete(fh_work *w, const char *key); /* of any kind; false: no such key */
/* Counters: integers up to 2^53 - 1 either way; a missing one counts as 0. The key keeps its
 * expiry. */
FH_API int64_t fh_kv_add(fh_work *w, const char *key, int64_t delta); /* returns the new value */
/* The same for counters that many units of work share: returns no value, so none of them has to
 * wait or be rerun. If it fails, the handler may end at a later call, or after it has returned. */
FH_API void fh_kv_count(fh_work *w, const char *key, int64_t delta);

/* Hashes: fields with values. */
FH_API json_t *fh_kv_fields(fh_work *w, const char *key); /* an object; at most 10,000 fields */
FH_API json_t *fh_kv_field(fh_work *w, const char *key, const char *field); /* none: NULL */
FH_API void fh_kv_field_set(fh_work *w, const char *key, const char *field, json_t *value);
FH_API bool fh_kv_field_delete(fh_work *w, const char *key, const char *field);
FH_API int64_t fh_kv_field_add(fh_work *w, const char *key, const char *field, int64_t delta);

/* Sorted sets: members with scores, which are integers up to 2^53 - 1 either way. Equal scores are
 * ordered by the members' bytes. */
#define FH_SCORE_MAX INT64_C(9007199254740991)
#define FH_SCORE_MIN (-FH_SCORE_MAX)
FH_API bool fh_kv_score(fh_work *w, const char *key, const char *member, int64_t *ret);
FH_API void fh_kv_score_set(fh_work *w, const char *key, const char *member, int64_t score);
FH_API int64_t fh_kv_score_add(fh_work *w, const char *key, const char *member, int64_t delta);
FH_API bool fh_kv_member_delete(fh_work *w, const char *key, const char *member);
/* [{"member", "score"}] with scores from min to max, inclusive; skips the first `skip` (at most
 * 10,000) and returns at most `limit` (1..1,000). */
FH_API json_t *fh_kv_lowest(fh_work *w, const char *key, int64_t min, int64_t max, int skip,
                            int limit);
FH_API json_t *fh_kv_highest(fh_work *w, const char *key, int64_t min, int64_t max, int skip,
                             int limit);

/* Places on the earth, in degrees, stored to within 0.6 m: members of a sorted set. */
FH_API void fh_kv_place_set(fh_work *w, const char *key, const char *member, double longitude,
                            double latitude);
/* {"longitude", "latitude"}; none: NULL. */
FH_API json_t *fh_kv_place(fh_work *w, const char *key, const char *member);
/* [{"member", "longitude", "latitude", "distance_m"}], nearest first. */
FH_API json_t *fh_kv_near(fh_work *w, const char *key, double longitude, double latitude,
                          double radius_m, int limit);

/* When a key of any kind expires, by the wall clock; 0: never. False: no such key. A key that has
 * expired by fh_now_ms does not exist. */
FH_API bool fh_kv_expire_at(fh_work *w, const char *key, int64_t at_ms);
FH_API bool fh_kv_expires_at(fh_work *w, const char *key, int64_t *ret_ms);

FH_API json_t *fh_peek_kv(fh_work *w, const char *key); /* none: NULL */
FH_API json_t *fh_peek_kv_fields(fh_work *w, const char *key);

#endif
