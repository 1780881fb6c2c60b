/* SPDX-License-Identifier: Apache-2.0 */
/* In what order PostgreSQL's driver brings a page's points, beside the plainest way to say it: of
 * each tags and time the last op, however tags and times come. And what memory pages leave. */

#include "../support/harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "carrier/postgresql/internal.h"
#include "carrier/spare.h"

#define OPS_MAX 400
#define ROUNDS 300

static const struct fh_derived_field fields[] = {
    {"device", FH_STRING, FH_TAG}, {"site", FH_INT, FH_TAG}, {"c", FH_NUMBER}, {0}};
static const struct fh_derived measured = {"measured", FH_SERIES, fields};

/* "" and no text at all are the same tag, as are no number and 0. */
static const struct carried_value devices[] = {
    {NULL, 0, CARRIED_NULL}, {"", 0, CARRIED_TEXT},         {"a", 1, CARRIED_TEXT},
    {"b", 1, CARRIED_TEXT},  {"12345678", 8, CARRIED_TEXT}, {"a\0b", 3, CARRIED_TEXT}};
static const struct carried_value sites[] = {{NULL, 0, CARRIED_NULL},
                                             {"0", 1, CARRIED_NUMBER},
                                             {"7", 1, CARRIED_NUMBER},
                                             {"-7", 2, CARRIED_NUMBER}};
enum { DEVICES = 6, SITES = 4 };

/* Which tags an op has: the same number for the same ones. */
static int tags_drawn(const struct carried_value *values)
{
    int device = 0, site = 0;
    for (int i = 2; i < DEVICES; i++)
        device = values[0].text == devices[i].text ? i : device;
    for (int i = 2; i < SITES; i++)
        site = values[1].text == sites[i].text ? i : site;
    return device * SITES + site;
}

static int draw(int below)
{
    static uint64_t drawn = 1;
    drawn = drawn * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (int)((drawn >> 33) % (uint64_t)below);
}

static bool is_last_of_its_point(const struct carried_op *ops, int count, int at)
{
    for (int i = at + 1; i < count; i++) {
        if (ops[i].at_ms == ops[at].at_ms &&
            tags_drawn(ops[i].values) == tags_drawn(ops[at].values))
            return false;
    }
    return true;
}

static void expect_sorted(const struct curves_page *page, const struct carried_op *ops, int count)
{
    int points = 0;
    for (int i = 0; i < count; i++)
        points += is_last_of_its_point(ops, count, i);
    assert_int_equal(page->count, points);
    for (int i = 0; i < page->count; i++) {
        const struct curves_point *point = &page->points[i];
        assert_true(is_last_of_its_point(ops, count, (int)(point->op - ops)));
        assert_int_equal(page->times[i], point->op->at_ms);
        assert_int_equal(tags_drawn(page->tags[point->tags].values), tags_drawn(point->op->values));
        if (i == 0)
            continue;
        assert_in_range(point->tags - point[-1].tags, 0, 1);
        assert_true(point->tags > point[-1].tags || point->op->at_ms > point[-1].op->at_ms);
    }
    for (int i = 1; i < page->tags_count; i++)
        assert_true(memcmp(page->tags[i - 1].digest, page->tags[i].digest, CURVES_TAGS_DIGEST) < 0);
}

static void each_point_is_there_once_by_tags_and_time(void **state)
{
    static struct carried_value values[OPS_MAX][3];
    static struct carried_op ops[OPS_MAX];
    (void)state;
    const struct carried_name generation = {.incarnation = "0123456789abcdef", .number = 1};
    for (int round = 0; round < ROUNDS; round++) {
        struct carried_page page = {.ops = ops, .count = draw(OPS_MAX)};
        bool in_order = round % 2;
        for (int i = 0; i < page.count; i++) {
            values[i][0] = devices[draw(DEVICES)];
            values[i][1] = sites[draw(SITES)];
            values[i][2] = (struct carried_value){"1.5", 3, CARRIED_NUMBER};
            ops[i] = (struct carried_op){.position = i + 1,
                                         .key = "",
                                         .at_ms = in_order ? i / 8 : draw(20),
                                         .values = values[i]};
        }
        struct curves_page *made = curves_write_page(&measured, &generation, &page, NULL);
        assert_non_null(made);
        expect_sorted(made, ops, page.count);
        curves_unwrite_page(made);
    }
}

static void unwrite_nothing(void *written)
{
    (void)written;
}

static void memory_that_is_given_back_is_taken_again(void **state)
{
    const struct carried_server_ops ops = {.unwrite = unwrite_nothing};
    struct carried_spare spare = {.written = NULL};
    (void)state;
    for (size_t size = 1; size < (size_t)1 << 24; size = size * 3 + 1) {
        void *first = spare_take(&spare, size), *second = spare_take(&spare, size);
        assert_non_null(first);
        assert_ptr_not_equal(first, second);
        assert_int_equal((uintptr_t)first % 16, 0);
        memset(first, 1, size);
        memset(second, 2, size);
        spare_give(&spare, first);
        assert_ptr_equal(spare_take(&spare, size), first);
        spare_give(&spare, first);
        spare_give(&spare, second);
    }
    assert_null(spare_take(&spare, SIZE_MAX));
    spare_give(&spare, NULL);
    spare_release(&spare, &ops);
    void *alone = spare_take(NULL, 100);
    assert_non_null(alone);
    spare_give(NULL, alone);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_point_is_there_once_by_tags_and_time),
        cmocka_unit_test(memory_that_is_given_back_is_taken_again),
    };
    return cmocka_run_group_tests_name("curves_sort", tests, NULL, NULL);
}
