/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sorted sets as handlers see them, and places, which are members whose scores encode a location.
 *
 * A search around a place reads the members of the cells that its circle touches, at most
 * SEARCHED_MAX, and measures the distance to each: nearness is decided here, the same on all
 * engines.
 */

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "store/keyvalue/geo.h"
#include "work/keyvalue.h"

#define SEARCHED_MAX KEYVALUE_MEMBERS_MAX

static void must_be_member(fh_work *w, const char *key, const char *member)
{
    keyvalue_must_be_name(w, "key", key);
    keyvalue_must_be_name(w, "member", member);
}

static bool get_member_score(fh_work *w, const struct keyvalue_view *view, const char *key,
                             const char *member, int64_t *ret)
{
    struct fh_error error;
    enum fh_code code = keyvalue_of(w)->score(view, key, member, ret, &error);
    if (code != FH_OK && code != FH_NOT_FOUND)
        work_fail(w, &error);
    return code == FH_OK;
}

static void member_put(fh_work *w, const struct keyvalue_view *view, const char *key,
                       const char *member, int64_t score)
{
    struct fh_error error;
    if (keyvalue_of(w)->member_put(view, key, member, score, &error) != FH_OK)
        work_fail(w, &error);
}

bool fh_kv_score(fh_work *w, const char *key, const char *member, int64_t *ret)
{
    struct keyvalue_view view = keyvalue_reading(w);
    must_be_member(w, key, member);
    return get_member_score(w, &view, key, member, ret);
}

void fh_kv_score_set(fh_work *w, const char *key, const char *member, int64_t score)
{
    struct keyvalue_view view = keyvalue_writing(w);
    must_be_member(w, key, member);
    keyvalue_must_lie(w, "score", score, FH_SCORE_MIN, FH_SCORE_MAX);
    member_put(w, &view, key, member, score);
}

int64_t fh_kv_score_add(fh_work *w, const char *key, const char *member, int64_t delta)
{
    struct keyvalue_view view = keyvalue_writing(w);
    struct fh_error error;
    int64_t score, sum;
    must_be_member(w, key, member);
    json_t *value = get_member_score(w, &view, key, member, &score) ? json_integer(score) : NULL;
    if (keyvalue_add(member, value, delta, &sum, &error) != FH_OK)
        work_fail(w, &error);
    member_put(w, &view, key, member, sum);
    return sum;
}

bool fh_kv_member_delete(fh_work *w, const char *key, const char *member)
{
    struct keyvalue_view view = keyvalue_writing(w);
    struct fh_error error;
    bool existed;
    must_be_member(w, key, member);
    if (keyvalue_of(w)->member_remove(&view, key, member, &existed, &error) != FH_OK)
        work_fail(w, &error);
    return existed;
}

static json_t *get_sorted_members(fh_work *w, const char *key, const struct keyvalue_range *range)
{
    struct keyvalue_view view = keyvalue_reading(w);
    struct fh_error error;
    json_t *list;
    keyvalue_must_be_name(w, "key", key);
    keyvalue_must_lie(w, "skip", range->skip, 0, KEYVALUE_SKIP_MAX);
    if (keyvalue_of(w)->members(&view, key, range, &list, &error) != FH_OK)
        work_fail(w, &error);
    return list;
}

static void must_be_limit(fh_work *w, int limit)
{
    keyvalue_must_lie(w, "limit", limit, 1, KEYVALUE_LIMIT_MAX);
}

json_t *fh_kv_lowest(fh_work *w, const char *key, int64_t min, int64_t max, int skip, int limit)
{
    must_be_limit(w, limit);
    return get_sorted_members(w, key, &(struct keyvalue_range){min, max, false, skip, limit});
}

json_t *fh_kv_highest(fh_work *w, const char *key, int64_t min, int64_t max, int skip, int limit)
{
    must_be_limit(w, limit);
    return get_sorted_members(w, key, &(struct keyvalue_range){min, max, true, skip, limit});
}

/* ---- Places ---- */

static struct geo_place must_be_place(fh_work *w, double longitude, double latitude)
{
    struct geo_place place = {longitude, latitude};
    if (!geo_is_place(place))
        keyvalue_refuse(w, fabs(longitude) <= 180 ? "latitude" : "longitude",
                        work_printf(w,
                                    "A longitude lies between -180 and 180, a latitude between "
                                    "-%.8f and %.8f.",
                                    GEO_LATITUDE_MAX, GEO_LATITUDE_MAX));
    return place;
}

static void must_be_score_of_place(fh_work *w, const char *key, const char *member, bool is)
{
    struct fh_error error;
    if (is)
        return;
    error_set(&error, FH_CONFLICT, "'%.100s' in '%.100s' has a score that is not a place's.",
              member, key);
    work_fail(w, &error);
}

void fh_kv_place_set(fh_work *w, const char *key, const char *member, double longitude,
                     double latitude)
{
    struct geo_place place = must_be_place(w, longitude, latitude);
    fh_kv_score_set(w, key, member, geo_score(place));
}

json_t *fh_kv_place(fh_work *w, const char *key, const char *member)
{
    int64_t score;
    struct geo_place place;
    if (!fh_kv_score(w, key, member, &score))
        return NULL;
    must_be_score_of_place(w, key, member, geo_place(score, &place));
    return json_pack("{s:f, s:f}", "longitude", place.longitude, "latitude", place.latitude);
}

struct near {
    const char *member;
    struct geo_place place;
    double distance_m;
};

static int compare_distances(const void *left, const void *right)
{
    const struct near *a = left, *b = right;
    if (a->distance_m != b->distance_m)
        return a->distance_m < b->distance_m ? -1 : 1;
    return strcmp(a->member, b->member);
}

/* All places within the circle, in no order. `found` has room for SEARCHED_MAX. */
static size_t search_geo_members(fh_work *w, const char *key, struct geo_place center,
                                 double radius_m, struct near *found)
{
    struct geo_range ranges[GEO_RANGES_MAX];
    int range_count = geo_ranges(center, radius_m, ranges);
    size_t searched = 0, count = 0, at;
    for (int i = 0; i < range_count; i++) {
        struct keyvalue_range range = {
            .min = ranges[i].min, .max = ranges[i].max, .limit = SEARCHED_MAX};
        json_t *list = get_sorted_members(w, key, &range), *one;
        searched += json_array_size(list);
        /* A full range may have more: both cases get the same answer. */
        if (searched >= SEARCHED_MAX)
            keyvalue_refuse(w, "radius_m",
                            work_printf(w,
                                        "There are %d places or more around; take a smaller "
                                        "radius.",
                                        SEARCHED_MAX));
        json_array_foreach (list, at, one) {
            struct near *near = &found[count];
            near->member = json_string_value(json_object_get(one, "member"));
            must_be_score_of_place(
                w, key, near->member,
                geo_place(json_integer_value(json_object_get(one, "score")), &near->place));
            near->distance_m = geo_distance_m(center, near->place);
            count += near->distance_m <= radius_m;
        }
    }
    return count;
}

json_t *fh_kv_near(fh_work *w, const char *key, double longitude, double latitude, double radius_m,
                   int limit)
{
    struct geo_place center = must_be_place(w, longitude, latitude);
    must_be_limit(w, limit);
    if (!(radius_m >= 0 && radius_m <= GEO_RADIUS_M_MAX))
        keyvalue_refuse(w, "radius_m",
                        work_printf(w, "A radius lies between 0 and %.0f m.", GEO_RADIUS_M_MAX));
    struct near *found = work_alloc(w, SEARCHED_MAX * sizeof *found);
    size_t count = search_geo_members(w, key, center, radius_m, found);
    qsort(found, count, sizeof *found, compare_distances);
    json_t *list = json_array();
    for (size_t i = 0; i < count && i < (size_t)limit; i++)
        json_array_append_new(list, json_pack("{s:s, s:f, s:f, s:f}", "member", found[i].member,
                                              "longitude", found[i].place.longitude, "latitude",
                                              found[i].place.latitude, "distance_m",
                                              found[i].distance_m));
    return list;
}
