/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_KEYVALUE_GEO_H
#define STORE_KEYVALUE_GEO_H

/*
 * Places on the earth as scores of a sorted set, in Redis's form (GEOADD): 26 bits for each
 * coordinate, interleaved, longitude first. So the places of one cell of a grid, however coarse,
 * have consecutive scores, and the ranges of at most nine cells cover a circle.
 */

#include <stdbool.h>
#include <stdint.h>

#define GEO_LATITUDE_MAX 85.05112878 /* as in the Mercator projection; longitudes: 180 */
#define GEO_RADIUS_M_MAX 5000000.0
#define GEO_RANGES_MAX 9

struct geo_place {
    double longitude, latitude; /* degrees */
};

/* Finite, and within the bounds. */
bool geo_is_place(struct geo_place place);
int64_t geo_score(struct geo_place place);
/* The middle of the place's cell: at most 0.3 m off. False: no place has this score. */
bool geo_place(int64_t score, struct geo_place *ret);
double geo_distance_m(struct geo_place from, struct geo_place to);

struct geo_range {
    int64_t min, max; /* scores, both included */
};
/* Ranges that do not overlap and contain all places within the circle, and more. Returns how many.
 * radius_m: 0..GEO_RADIUS_M_MAX. */
int geo_ranges(struct geo_place center, double radius_m,
               struct geo_range ranges[static GEO_RANGES_MAX]);

#endif
