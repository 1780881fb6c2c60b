/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cells that cover a circle: of all grids of 2^n by 2^n cells, take the finest whose cells are at
 * least as wide and as high as half the circle at its widest. Then the circle lies within the cell
 * of its center and the eight around it. The grid wraps around at the 180th meridian and ends at
 * the greatest latitudes; a circle that contains a pole is as wide as the grid, and everything is
 * searched.
 */

#include "store/keyvalue/geo.h"

#include <math.h>

#include "base/error.h"

#define EARTH_RADIUS_M 6372797.560856
#define BITS 26
#define CELLS (INT64_C(1) << BITS)
#define LONGITUDE_SPAN 360.0
#define LATITUDE_SPAN (2 * GEO_LATITUDE_MAX)
#define A_LITTLE_MORE 1.000001 /* more than the rounding of distances could lose */

static double radians_of(double degrees)
{
    return degrees * M_PI / 180;
}

static double degrees_of(double radians)
{
    return radians * 180 / M_PI;
}

/* Bit n of the lower half moves to bit 2n. */
static int64_t spread_bits(int64_t bits)
{
    int64_t wide = 0;
    for (int i = 0; i < BITS; i++)
        wide |= (bits >> i & 1) << 2 * i;
    return wide;
}

static int64_t gather_bits(int64_t wide)
{
    int64_t bits = 0;
    for (int i = 0; i < BITS; i++)
        bits |= (wide >> 2 * i & 1) << i;
    return bits;
}

static int64_t interleave_bits(int64_t x, int64_t y)
{
    return spread_bits(x) << 1 | spread_bits(y);
}

static int64_t cell_number(double offset, double span, int64_t cells)
{
    int64_t at = (int64_t)floor(offset / span * (double)cells);
    return at < 0 ? 0 : at >= cells ? cells - 1 : at;
}

bool geo_is_place(struct geo_place place)
{
    return isfinite(place.longitude) && isfinite(place.latitude) && fabs(place.longitude) <= 180 &&
           fabs(place.latitude) <= GEO_LATITUDE_MAX;
}

int64_t geo_score(struct geo_place place)
{
    FH_ASSERT(geo_is_place(place));
    return interleave_bits(cell_number(place.longitude + 180, LONGITUDE_SPAN, CELLS),
                           cell_number(place.latitude + GEO_LATITUDE_MAX, LATITUDE_SPAN, CELLS));
}

bool geo_place(int64_t score, struct geo_place *ret)
{
    *ret = (struct geo_place){0};
    if (score < 0 || score >= CELLS * CELLS)
        return false;
    double x = (double)gather_bits(score >> 1) + 0.5, y = (double)gather_bits(score) + 0.5;
    ret->longitude = x / (double)CELLS * LONGITUDE_SPAN - 180;
    ret->latitude = y / (double)CELLS * LATITUDE_SPAN - GEO_LATITUDE_MAX;
    return true;
}

/* The haversine formula. */
double geo_distance_m(struct geo_place from, struct geo_place to)
{
    double u = sin(radians_of(to.latitude - from.latitude) / 2);
    double v = sin(radians_of(to.longitude - from.longitude) / 2);
    double a = u * u + cos(radians_of(from.latitude)) * cos(radians_of(to.latitude)) * v * v;
    return 2 * EARTH_RADIUS_M * asin(sqrt(fmin(a, 1)));
}

/* How many degrees of longitude the circle reaches to either side. */
static double half_width(struct geo_place center, double angle)
{
    double latitude = fabs(radians_of(center.latitude));
    if (latitude + angle >= M_PI / 2)
        return LONGITUDE_SPAN;
    return degrees_of(asin(fmin(sin(angle) / cos(latitude), 1)));
}

static int fineness_of(struct geo_place center, double radius_m)
{
    double angle = radius_m / EARTH_RADIUS_M * A_LITTLE_MORE;
    double width = half_width(center, angle) * A_LITTLE_MORE, height = degrees_of(angle);
    int bits = 0;
    while (bits < BITS && LONGITUDE_SPAN / (double)(INT64_C(2) << bits) >= width &&
           LATITUDE_SPAN / (double)(INT64_C(2) << bits) >= height)
        bits++;
    return bits;
}

static bool is_among_ranges(const struct geo_range *ranges, int count, int64_t min)
{
    for (int i = 0; i < count; i++)
        if (ranges[i].min == min)
            return true;
    return false;
}

int geo_ranges(struct geo_place center, double radius_m,
               struct geo_range ranges[static GEO_RANGES_MAX])
{
    FH_ASSERT(geo_is_place(center) && radius_m >= 0 && radius_m <= GEO_RADIUS_M_MAX);
    int bits = fineness_of(center, radius_m), count = 0;
    int64_t cells = INT64_C(1) << bits, places = INT64_C(1) << 2 * (BITS - bits);
    int64_t x = cell_number(center.longitude + 180, LONGITUDE_SPAN, cells);
    int64_t y = cell_number(center.latitude + GEO_LATITUDE_MAX, LATITUDE_SPAN, cells);
    for (int i = 0; i < GEO_RANGES_MAX; i++) {
        int64_t row = y + i / 3 - 1, column = (x + i % 3 - 1 + cells) % cells;
        if (row < 0 || row >= cells)
            continue;
        int64_t min = interleave_bits(column, row) * places;
        if (!is_among_ranges(ranges, count,
                             min)) /* in a coarse grid neighbours can be the same cell */
            ranges[count++] = (struct geo_range){min, min + places - 1};
    }
    return count;
}
