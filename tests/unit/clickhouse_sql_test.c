/* SPDX-License-Identifier: Apache-2.0 */
/* What ClickHouse's driver writes: literals, names, tables, rows and questions. */

#include "../support/carried_ops.h"
#include "../support/fixture.h"

#include <stdio.h>
#include <stdlib.h>

#include "carrier/clickhouse/internal.h"

static const struct fh_derived_field fields[] = {
    {"kind", FH_STRING, FH_TAG}, {"site", FH_INT, FH_TAG}, {"paid", FH_BOOL, FH_TAG},
    {"cents", FH_INT},           {"fh_at", FH_NUMBER},     {0}};
static const struct fh_derived sold = {"sold", FH_COLUMNS, fields};
static const struct clickhouse server = {.owner = "shop.sales"};

static struct text written;

static int set_up(void **state)
{
    (void)state;
    text_init(&written, CLICKHOUSE_SMALL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    text_release(&written);
    return 0;
}

/* As ClickHouse reads one: what is behind a '\' is "xHH" here, always. */
static size_t read_literal(const char *literal, char ret[static 8])
{
    size_t length = 0;
    assert_int_equal(*literal++, '\'');
    while (*literal != '\'') {
        if (*literal != '\\') {
            ret[length++] = *literal++;
            continue;
        }
        char digits[3] = {literal[2], literal[3], '\0'}, *end;
        assert_int_equal(literal[1], 'x');
        ret[length++] = (char)strtol(digits, &end, 16);
        assert_ptr_equal(end, digits + 2);
        literal += 4;
    }
    assert_int_equal(literal[1], '\0');
    return length;
}

static void a_literal_of_any_byte_ends_where_it_ends(void **state)
{
    (void)state;
    for (int byte = 0; byte < 256; byte++) {
        const char value[] = {(char)byte, '\'', (char)byte};
        char read[8];
        text_clear(&written);
        clickhouse_write_literal(&written, value, sizeof value);
        assert_int_equal(strlen(written.data), written.length); /* no NUL */
        for (size_t i = 0; i < written.length; i++)
            assert_true((unsigned char)written.data[i] >= 0x20);
        assert_int_equal(read_literal(written.data, read), sizeof value);
        assert_memory_equal(read, value, sizeof value);
    }
    text_clear(&written);
    clickhouse_write_literal(&written, "", 0);
    assert_string_equal(written.data, "''");
}

static void a_name_of_any_byte_ends_where_it_ends(void **state)
{
    (void)state;
    for (int byte = 1; byte < 256; byte++) {
        const char name[] = {'a', (char)byte, 'b', '\0'};
        text_clear(&written);
        clickhouse_write_name(&written, name);
        const char *end = strchr(written.data + 1, '`');
        assert_ptr_equal(end, written.data + written.length - 1);
        assert_true(!strchr(written.data, '\\') == !strchr("`\\'\"\x7f", byte) || byte < 0x20);
    }
}

static void no_field_has_a_column_of_the_driver_s(void **state)
{
    static const char *const names[][2] = {{"kind", "`kind`"},
                                           {"fh", "`fh`"},
                                           {"fh_kind", "`fh_fh_kind`"},
                                           {"fh_fh_kind", "`fh_fh_fh_kind`"}};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const struct fh_derived_field field = {names[i][0], FH_INT, FH_TAG};
        text_clear(&written);
        clickhouse_write_field(&written, &field);
        assert_string_equal(written.data, names[i][1]);
    }
}

static void what_stands_in_a_url_is_encoded(void **state)
{
    (void)state;
    clickhouse_write_encoded(&written, "a&b=c d%`\"#+?/\xc3\xa4\n");
    assert_string_equal(written.data, "a%26b%3Dc%20d%25%60%22%23%2B%3F%2F%C3%A4%0A");
}

static void a_table_s_name_is_read_back_and_no_other(void **state)
{
    static const char *const wrong[] = {"sold",
                                        "sold-",
                                        "sold-01900000-0000-7000-8000-000000000000",
                                        "sold-01900000-0000-7000-8000-000000000000-",
                                        "sold-01900000-0000-7000-8000-000000000000-0",
                                        "sold-01900000-0000-7000-8000-000000000000-07",
                                        "sold-01900000-0000-7000-8000-000000000000-7a",
                                        "sold-01900000-0000-7000-8000-000000000000--7",
                                        "sold-01900000-0000-7000-8000-000000000000-7-kep",
                                        "sold-01900000-0000-7000-8000-000000000000-7-kept-",
                                        "sold-0190g000-0000-7000-8000-000000000000-7",
                                        "solder-01900000-0000-7000-8000-000000000000-7",
                                        "sol-01900000-0000-7000-8000-000000000000-7"};
    const struct carried_name name = {"01900000-0000-7000-8000-000000000000", CARRIED_NUMBER_MAX};
    char table[CLICKHOUSE_TABLE_SIZE];
    struct carried_name read;
    (void)state;
    clickhouse_table(&sold, &name, table);
    assert_true(clickhouse_table_read(&sold, table, &read));
    assert_int_equal(carried_name_compare(&name, &read), 0);
    assert_false(read.kept);
    assert_true(
        clickhouse_table_read(&sold, "sold-01900000-0000-7000-8000-000000000000-7-kept", &read));
    assert_true(read.kept && read.number == 7);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_false(clickhouse_table_read(&sold, wrong[i], &read));
}

static void a_table_has_the_declared_fields(void **state)
{
    char digest[CLICKHOUSE_DIGEST_SIZE], expected[1024];
    (void)state;
    clickhouse_digest(&sold, digest);
    snprintf(expected, sizeof expected,
             "CREATE TABLE IF NOT EXISTS `shop.sales`.`t` (fh_kind UInt8, fh_at Int64, fh_key "
             "String, fh_position Int64, fh_declared String ALIAS '%s', `kind` String, `site` "
             "Int64, `paid` UInt8, `cents` Nullable(Int64), `fh_fh_at` Nullable(Float64)) ENGINE = "
             "ReplacingMergeTree(fh_position) ORDER BY (fh_kind, fh_at, fh_key)",
             digest);
    clickhouse_write_create(&written, &server, "t", &sold, false);
    assert_string_equal(written.data, expected);
}

static const char first[] = "01900000-0000-7000-8000-000000000001";
static const char second[] = "01900000-0000-7000-8000-000000000002";

static struct carried_link link_of(int64_t from, const char *from_id, const char *to_id)
{
    struct carried_link link = {.from = from, .to = 900};
    snprintf(link.from_id, sizeof link.from_id, "%s", from_id);
    snprintf(link.to_id, sizeof link.to_id, "%s", to_id);
    return link;
}

static void a_kept_link_s_key_is_read_back_and_in_order(void **state)
{
    static const char *const wrong[] = {"",
                                        "1",
                                        "0000000000000001",
                                        "0000000000000001:a",
                                        "0000000000000001:a:b:",
                                        "000000000000001:a:b",
                                        "0000000000000001 a:b"};
    const struct carried_link links[] = {link_of(0, "", first),     link_of(0, "", second),
                                         link_of(9, first, first),  link_of(9, first, second),
                                         link_of(9, second, first), link_of(10, first, first)};
    char key[CLICKHOUSE_LINK_SIZE], before[CLICKHOUSE_LINK_SIZE] = "";
    struct carried_link read;
    (void)state;
    for (size_t i = 0; i < sizeof links / sizeof *links; i++) {
        clickhouse_link_key(&links[i], key);
        assert_true(strcmp(before, key) < 0);
        assert_true(clickhouse_link_key_read(key, &read));
        assert_int_equal(read.from, links[i].from);
        assert_string_equal(read.from_id, links[i].from_id);
        assert_string_equal(read.to_id, links[i].to_id);
        snprintf(before, sizeof before, "%s", key);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_false(clickhouse_link_key_read(wrong[i], &read));
}

static void write_fact(struct carried_op op, const char *life)
{
    carried_ops_fill(&sold, &op, 1);
    assert_non_null(op.values);
    clickhouse_write_fact(&written, &sold, &op, life);
}

static void a_kept_row_has_its_life(void **state)
{
    static const char expected[] = "\x05\0\0\0\0\0\0\0"
                                   "\x04"
                                   "life";
    json_t *value = json_pack("{s:s, s:i, s:b, s:i, s:f}", "kind", "a", "site", 1, "paid", 0,
                              "cents", 1, "fh_at", 0.5);
    (void)state;
    write_fact((struct carried_op){.position = 5, .key = "e.0", .value = value}, "life");
    assert_memory_equal(written.data + 1 + 8 + 4, expected, sizeof expected - 1);
    json_decref(value);
}

static void a_row_is_bytes(void **state)
{
    static const char expected[] = "\x01"                             /* a fact */
                                   "\xfe\xff\xff\xff\xff\xff\xff\xff" /* -2 */
                                   "\x03"
                                   "5@2"
                                   "\x05\0\0\0\0\0\0\0"
                                   "\x02"
                                   "\xc3\xa4"           /* ä */
                                   "\0\0\0\0\0\0\0\x80" /* the least */
                                   "\x01"
                                   "\x01" /* null */
                                   "\0"
                                   "\0\0\0\0\0\0\0\0" /* 0, of -0 */
                                   "\0"
                                   "\x09\0\0\0\0\0\0\0"
                                   "\x01"
                                   "4"
                                   "\x09\0\0\0\0\0\0\0" /* a link */
                                   "\0"
                                   "\0\0\0\0\0\0\0\0"
                                   "\0"
                                   "\x01"
                                   "\x01";
    json_t *value = json_pack("{s:s, s:I, s:b, s:n, s:f}", "kind", "ä", "site",
                              (json_int_t)INT64_MIN, "paid", 1, "cents", "fh_at", -0.0);
    (void)state;
    write_fact((struct carried_op){.position = 5, .key = "5@2", .at_ms = -2, .value = value}, "");
    clickhouse_write_link(&written, &sold, &(struct carried_link){4, 9}, "");
    assert_int_equal(written.length, sizeof expected - 1);
    assert_memory_equal(written.data, expected, sizeof expected - 1);
    json_decref(value);
}

static void a_long_text_has_a_long_length(void **state)
{
    char text[256];
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    json_t *value = json_pack("{s:s, s:i, s:b, s:i, s:f}", "kind", text, "site", 1, "paid", 0,
                              "cents", 1, "fh_at", 0.5);
    (void)state;
    write_fact((struct carried_op){.key = "", .value = value}, "");
    assert_memory_equal(written.data + 1 + 8 + 1 + 8,
                        "\xff\x01"
                        "aaa",
                        5);
    assert_int_equal(written.length, 1 + 8 + 1 + 8 + 2 + 255 + 8 + 1 + 9 + 9);
    json_decref(value);
}

/* ---- Questions ---- */

static void expect_question(const struct fh_columns *columns, int64_t oldest_ms,
                            const char *expected)
{
    struct columns_question question;
    struct fh_error error;
    assert_int_equal(columns_question_init(&question, &sold, columns, oldest_ms, &error), FH_OK);
    text_clear(&written);
    clickhouse_write_question(&written, &server, "t", &question);
    assert_string_equal(written.data, expected);
}

#define NAMES(...)                                                                                 \
    (const char *const[])                                                                          \
    {                                                                                              \
        __VA_ARGS__, NULL                                                                          \
    }
#define WHENEVER                                                                                   \
    " FROM `shop.sales`.`t` FINAL WHERE fh_kind = 1 AND fh_at >= -8640000000000000 AND fh_at < "   \
    "8640000000000001"
#define ENDS " LIMIT 100001 FORMAT RowBinary"

static void a_question_is_one_statement(void **state)
{
    (void)state;
    expect_question(&(struct fh_columns){.values = NAMES("count")}, INT64_MIN,
                    "SELECT toInt64(ifNull(count(), 0))" WHENEVER ENDS);
    expect_question(
        &(struct fh_columns){.values = NAMES("mean cents", "max fh_at", "uniq kind"),
                             .by = NAMES("site"),
                             .from_ms = 5,
                             .to_ms = 900,
                             .every_ms = 60},
        7,
        "SELECT toInt64(fh_at - ((fh_at % toInt64(60)) + toInt64(60)) % toInt64(60)), `site`, "
        "toInt64(ifNull(count(), 0)), toInt64(ifNull(count(`cents`), 0)), "
        "toInt64(ifNull(sum(bitShiftRight(`cents`, "
        "44)), 0)), toInt64(ifNull(sum(bitAnd(bitShiftRight(`cents`, 22), 4194303)), 0)), "
        "toInt64(ifNull(sum(bitAnd(`cents`, 4194303)), 0)), toInt64(ifNull(count(`fh_fh_at`), 0)), "
        "toFloat64(ifNull(max(`fh_fh_at`), 0)), toInt64(ifNull(uniqExact(`kind`), 0)) FROM "
        "`shop.sales`.`t` FINAL WHERE fh_kind = 1 AND fh_at >= 7 AND fh_at < 900 GROUP BY "
        "toInt64(fh_at - ((fh_at % toInt64(60)) + toInt64(60)) % toInt64(60)), `site`" ENDS);
}

#define RANGE(from, to)                                                                            \
    "SELECT toInt64(fh_at - ((fh_at % toInt64(60)) + toInt64(60)) % toInt64(60)) * fh_kind AS "    \
    "fh_key0, `site` AS fh_key1, count() AS fh_0, count(`cents`) AS fh_1, "                        \
    "sum(bitShiftRight(`cents`, 44)) AS fh_2, sum(bitAnd(bitShiftRight(`cents`, 22), 4194303)) "   \
    "AS fh_3, sum(bitAnd(`cents`, 4194303)) AS fh_4, count(`fh_fh_at`) AS fh_5, "                  \
    "sumKahanState(`fh_fh_at`) AS fh_6, max(`fh_fh_at`) AS fh_7, uniqExactState(`kind`) AS fh_8, " \
    "fh_kind AS fh_group, max(fh_at) AS fh_last FROM `shop.sales`.`t` FINAL WHERE (fh_kind = 0 "   \
    "AND fh_at >= 88) OR (fh_kind = 1 AND fh_at >= " #from " AND fh_at < " #to                     \
    " AND `site` IN (toInt64('7'))) GROUP BY fh_group, fh_key0, fh_key1"

static void a_divided_question_is_one_statement(void **state)
{
    json_t *filter = json_pack("{s:i}", "site", 7);
    const struct fh_columns columns = {
        .values = NAMES("mean cents", "max fh_at", "sum fh_at", "uniq kind"),
        .by = NAMES("site"),
        .filter = filter,
        .from_ms = 5,
        .to_ms = 900,
        .every_ms = 60};
    const struct clickhouse_ranges ranges = {2, {5, 400, 900}, 88};
    struct columns_question question;
    struct fh_error error;
    (void)state;
    assert_int_equal(columns_question_init(&question, &sold, &columns, INT64_MIN, &error), FH_OK);
    text_clear(&written);
    clickhouse_write_ranges(&written, &server, "t", &question, &ranges);
    assert_string_equal(
        written.data,
        "SELECT fh_key0, fh_key1, toInt64(ifNull(sum(fh_0), 0)), toInt64(ifNull(sum(fh_1), 0)), "
        "toInt64(ifNull(sum(fh_2), 0)), toInt64(ifNull(sum(fh_3), 0)), toInt64(ifNull(sum(fh_4), "
        "0)), toInt64(ifNull(sum(fh_5), 0)), toFloat64(ifNull(sumKahanMerge(fh_6), 0)), "
        "toFloat64(ifNull(max(fh_7), 0)), toInt64(ifNull(uniqExactMerge(fh_8), 0)) FROM (" RANGE(
            5, 400) " UNION ALL " RANGE(400, 900) ") GROUP BY fh_group, fh_key0, fh_key1 HAVING "
                                                  "fh_group != throwIf(fh_group = 0 AND (count() "
                                                  "!= 2 OR min(fh_0) != max(fh_0) OR min(fh_last) "
                                                  "!= max(fh_last)))" ENDS);
    json_decref(filter);
}

static void a_filter_s_values_are_literals(void **state)
{
    json_t *filter = json_pack("{s:[s, s], s:I, s:[]}", "kind", "a'); DROP TABLE t --", "\\",
                               "site", (json_int_t)INT64_MIN, "paid");
    (void)state;
    expect_question(&(struct fh_columns){.values = NAMES("count"), .filter = filter}, INT64_MIN,
                    "SELECT toInt64(ifNull(count(), 0))" WHENEVER
                    " AND `kind` IN ('a\\x27); DROP TABLE t --', '\\x5C') AND `site` IN "
                    "(toInt64('-9223372036854775808')) AND 0" ENDS);
    json_decref(filter);
}

int main(void)
{
#define SQL_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    static const struct CMUnitTest tests[] = {
        SQL_TEST(a_literal_of_any_byte_ends_where_it_ends),
        SQL_TEST(a_name_of_any_byte_ends_where_it_ends),
        SQL_TEST(no_field_has_a_column_of_the_driver_s),
        SQL_TEST(what_stands_in_a_url_is_encoded),
        SQL_TEST(a_table_s_name_is_read_back_and_no_other),
        SQL_TEST(a_table_has_the_declared_fields),
        SQL_TEST(a_kept_link_s_key_is_read_back_and_in_order),
        SQL_TEST(a_kept_row_has_its_life),
        SQL_TEST(a_row_is_bytes),
        SQL_TEST(a_long_text_has_a_long_length),
        SQL_TEST(a_question_is_one_statement),
        SQL_TEST(a_divided_question_is_one_statement),
        SQL_TEST(a_filter_s_values_are_literals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
