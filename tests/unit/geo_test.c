/* SPDX-License-Identifier: Apache-2.0 */
/* Places as scores, and the ranges around them. */

#include "../support/harness.h"

#include <math.h>
#include <stdio.h>

#include "store/keyvalue/geo.h"

static void places_have_the_scores_that_redis_computes(void **state)
{
    (void)state;
    /* From its manual: GEOADD Sicily 13.361389 38.115556 "Palermo" 15.087269 37.502669 "Catania" */
    struct geo_place palermo = {13.361389, 38.115556}, catania = {15.087269, 37.502669};
    assert_true(geo_score(palermo) == INT64_C(3479099956230698));
    assert_true(geo_score(catania) == INT64_C(3479447370796909));
    /* GEODIST Sicily Palermo Catania: 166274.1516 m */
    geo_place(geo_score(palermo), &palermo);
    geo_place(geo_score(catania), &catania);
    assert_true(fabs(geo_distance_m(palermo, catania) - 166274.1516) < 0.0001);
}

static void a_place_comes_back_within_its_cell(void **state)
{
    (void)state;
    static const struct geo_place places[] = {
        {0, 0},       {180, GEO_LATITUDE_MAX}, {-180, -GEO_LATITUDE_MAX}, {13.4, 52.5},
        {-0.0001, 0}, {179.9999999, -33.8},
    };
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        struct geo_place back;
        assert_true(geo_is_place(places[i]));
        assert_true(geo_place(geo_score(places[i]), &back));
        assert_true(geo_is_place(back));
        assert_true(geo_distance_m(places[i], back) < 0.4);
        assert_true(geo_score(back) == geo_score(places[i]));
    }
}

static void what_is_no_place_is_none(void **state)
{
    (void)state;
    struct geo_place place;
    assert_false(geo_is_place((struct geo_place){180.1, 0}));
    assert_false(geo_is_place((struct geo_place){0, -86}));
    assert_false(geo_is_place((struct geo_place){NAN, 0}));
    assert_false(geo_is_place((struct geo_place){0, INFINITY}));
    assert_false(geo_place(-1, &place));
    assert_false(geo_place(INT64_C(1) << 52, &place));
    assert_true(geo_place((INT64_C(1) << 52) - 1, &place));
}

static unsigned draw(unsigned *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

static double between(unsigned *seed, double low, double high)
{
    return low + (high - low) * draw(seed) / (double)(1 << 24);
}

static bool is_within(const struct geo_range *ranges, int count, int64_t score)
{
    int found = 0;
    for (int i = 0; i < count; i++)
        found += score >= ranges[i].min && score <= ranges[i].max;
    return found == 1;
}

/* Of circles of all sizes everywhere, poles and the 180th meridian included: whatever lies within
 * is in exactly one range. */
static void ranges_hold_all_within_the_circle_once(void **state)
{
    (void)state;
    unsigned seed = 7, within = 0;
    for (int i = 0; i < 2000; i++) {
        struct geo_place center = {between(&seed, -180, 180),
                                   between(&seed, -GEO_LATITUDE_MAX, GEO_LATITUDE_MAX)};
        struct geo_range ranges[GEO_RANGES_MAX];
        if (i % 5 == 0)
            center.longitude = i % 2 ? 180 : -179.9999;
        double radius_m = GEO_RADIUS_M_MAX * pow(between(&seed, 0, 1), i % 12 + 1.0);
        int count = geo_ranges(center, radius_m, ranges);
        assert_in_range(count, 1, GEO_RANGES_MAX);
        for (int j = 0; j < 200; j++) {
            double reach = radius_m / 111000 * 1.2;
            struct geo_place place = {
                remainder(center.longitude + between(&seed, -1, 1) * fmin(180, reach * 12), 360),
                center.latitude + between(&seed, -1, 1) * reach};
            if (!geo_is_place(place))
                continue;
            geo_place(geo_score(place), &place);
            if (geo_distance_m(center, place) > radius_m)
                continue;
            within++;
            assert_true(is_within(ranges, count, geo_score(place)));
        }
    }
    assert_true(within > 10000);
}

static void a_small_circle_is_searched_in_small_ranges(void **state)
{
    (void)state;
    struct geo_range ranges[GEO_RANGES_MAX];
    int count = geo_ranges((struct geo_place){13.4, 52.5}, 100, ranges);
    assert_int_equal(count, 9);
    for (int i = 0; i < count; i++) /* of a grid of 2^17 by 2^17: 186 m by 144 m there */
        assert_true(ranges[i].max - ranges[i].min + 1 == INT64_C(1) << 2 * (26 - 17));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(places_have_the_scores_that_redis_computes),
        cmocka_unit_test(a_place_comes_back_within_its_cell),
        cmocka_unit_test(what_is_no_place_is_none),
        cmocka_unit_test(ranges_hold_all_within_the_circle_once),
        cmocka_unit_test(a_small_circle_is_searched_in_small_ranges),
    };
    return cmocka_run_group_tests_name("geo", tests, NULL, NULL);
}
