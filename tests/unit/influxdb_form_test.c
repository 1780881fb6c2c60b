/* SPDX-License-Identifier: Apache-2.0 */
/* What InfluxDB's driver writes, and what it reads answers as: texts, places of points and of
 * links, pages, numbers. Without a server. */

#include "../support/carried_ops.h"
#include "../support/harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "carrier/influxdb/internal.h"

static const struct fh_derived_field fields[] = {
    {"device", FH_STRING, FH_TAG}, {"site", FH_INT, FH_TAG}, {"c", FH_NUMBER}, {"n", FH_INT}, {0}};
static const struct fh_derived measured = {"measured", FH_SERIES, fields};

/* ---- What is written ---- */

static void every_text_of_a_tag_comes_back(void **state)
{
    char word[INFLUXDB_WORD_SIZE], text[DERIVED_WORD_LENGTH_MAX + 1], all[256];
    struct sql_value read;
    (void)state;
    for (int i = 1; i < 256; i++)
        all[i - 1] = (char)(unsigned char)i;
    for (size_t first = 0; first < 255; first++) {
        for (size_t length = 0; length <= 255 - first; length += length < 3 ? 1 : 63) {
            struct sql_value value = {.kind = SQL_TEXT, .text = all + first, .length = length};
            influxdb_write_word(&value, FH_STRING, word);
            assert_int_equal(strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                          "0123456789_.:-%"),
                             strlen(word));
            assert_true(*word != '\0');
            assert_true(influxdb_read_word(word, strlen(word), FH_STRING, &read, text));
            assert_int_equal(read.length, length);
            assert_memory_equal(read.text, value.text, length);
        }
    }
}

static void what_is_no_tag_of_ours_is_none(void **state)
{
    static const char *const wrong[] = {"", "%4", "%4g", "a%", "%%", "a b", "%ff", "%é"};
    char text[DERIVED_WORD_LENGTH_MAX + 1], longer[DERIVED_WORD_LENGTH_MAX + 1];
    struct sql_value read;
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_false(influxdb_read_word(wrong[i], strlen(wrong[i]), FH_STRING, &read, text));
    memset(longer, 'a', sizeof longer);
    assert_false(influxdb_read_word(longer, sizeof longer, FH_STRING, &read, text));
    assert_true(influxdb_read_word(longer, sizeof longer - 1, FH_STRING, &read, text));
    assert_true(influxdb_read_word("-7", 2, FH_INT, &read, text) && read.integer == -7);
    assert_false(influxdb_read_word("7.5", 3, FH_INT, &read, text));
    assert_false(influxdb_read_word("9223372036854775808", 19, FH_INT, &read, text));
    assert_true(influxdb_read_word("-9223372036854775808", 20, FH_INT, &read, text) &&
                read.integer == INT64_MIN);
    assert_true(influxdb_read_word("true", 4, FH_BOOL, &read, text) && read.integer == 1);
    assert_true(influxdb_read_word("false", 5, FH_BOOL, &read, text) && read.integer == 0);
    assert_false(influxdb_read_word("1", 1, FH_BOOL, &read, text));
}

static void what_ends_a_name_is_escaped(void **state)
{
    struct text text;
    (void)state;
    text_init(&text, 1000);
    influxdb_add_identifier(&text, "a\"b\\c'd\n");
    assert_string_equal(text.data, "\"a\\\"b\\\\c'd\\n\"");
    text_clear(&text);
    influxdb_add_string(&text, "a\"b\\c'd\n", 8);
    assert_string_equal(text.data, "'a\"b\\\\c\\'d\\n'");
    text_clear(&text);
    influxdb_add_key(&text, "a b,c=d\"", 8);
    assert_string_equal(text.data, "a\\ b\\,c\\=d\"");
    text_release(&text);
}

static void names_with_a_meaning_of_the_servers_get_another_one(void **state)
{
    static const char *const names[][2] = {{"c", "c"},
                                           {"time", "fh_f_time"},
                                           {"Time", "fh_f_Time"},
                                           {"fh_p", "fh_f_fh_p"},
                                           {"_field", "fh_f__field"},
                                           {"fh", "fh"}};
    char written[INFLUXDB_FIELD_SIZE];
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        influxdb_field_name(&(struct fh_derived_field){.name = names[i][0]}, written);
        assert_string_equal(written, names[i][1]);
    }
}

static const char *line_of(int64_t position, int64_t at_ms, json_t *value)
{
    static char line[1000];
    struct carried_op op = {.position = position, .key = "k", .at_ms = at_ms, .value = value};
    struct text text;
    struct influxdb_form form;
    carried_ops_fill(&measured, &op, 1);
    text_init(&text, sizeof line);
    influxdb_form_init(&form, "m", &measured);
    influxdb_write_op(&text, &form, &op);
    snprintf(line, sizeof line, "%s", text.data);
    influxdb_form_release(&form);
    text_release(&text);
    json_decref(value);
    return line;
}

static void a_version_of_a_point_has_a_place_of_its_own(void **state)
{
    (void)state;
    assert_string_equal(
        line_of(5, 1000,
                json_pack("{s:s, s:i, s:f, s:i}", "device", "a b", "site", -1, "c", 0.1, "n", 7)),
        "m,device=a%20b,site=-1,fh_era=0 c=0.1,n=7i,fh_p=5i "
        "1000000005\n");
    assert_string_equal(
        line_of(1000005, 1000,
                json_pack("{s:s, s:i, s:n, s:n}", "device", "", "site", 2, "c", "n")),
        "m,device=%,site=2,fh_era=1 fh_has=0i,fh_p=1000005i 1000000005\n");
    assert_string_equal(line_of(999999, -1,
                                json_pack("{s:s, s:i, s:i, s:s}", "device", "\\", "site", 2, "c", 3,
                                          "n", "-9223372036854775808")),
                        "m,device=%5C,site=2,fh_era=0 c=3.0,n=-9223372036854775808i,fh_p=999999i "
                        "-1\n");
}

/* Whatever two links are, they are in different places; so are their parts. */
static void a_link_has_a_place_of_its_own_in_its_day(void **state)
{
    static const int64_t ends[] = {1, 2, 4096, 65535, 65536, 65537, 131072, INT64_C(1) << 53};
    struct {
        int64_t era, ns;
    } places[8 * 4];
    int count = 0;
    (void)state;
    for (size_t i = 0; i < 8; i++) {
        static const int64_t spans[] = {1, 2, 4095, 4096};
        for (size_t j = 0; j < 4; j++) {
            struct carried_link link = {ends[i] - spans[j], ends[i]};
            if (link.from < 0)
                continue;
            places[count].ns = influxdb_link_ns(&link, -86400000, &places[count].era);
            assert_in_range(places[count].ns + INT64_C(86400000000000), 0, INT64_C(86399999999999));
            count++;
        }
    }
    for (int i = 0; i < count; i++) {
        for (int j = 0; j < i; j++)
            assert_true(places[i].era != places[j].era || places[i].ns != places[j].ns);
    }
}

static void a_page_has_a_part_of_its_link_in_each_day(void **state)
{
    json_t *fact = json_pack("{s:s, s:i, s:n, s:n}", "device", "d", "site", 1, "c", "n");
    struct carried_op ops[] = {{.position = 3, .key = "a", .at_ms = 5, .value = fact},
                               {.position = 4, .key = "a", .at_ms = -5, .value = fact},
                               {.position = 5, .key = "a", .at_ms = 6, .value = fact},
                               {.position = 6, .key = "a", .at_ms = INT64_MAX, .value = fact},
                               {.position = 7, .key = "a", .at_ms = 6}};
    struct carried_page page = {{2, 7}, ops, 5};
    struct influxdb_page lines = {&measured, &page, "m", "l", .count = 5, .linked = true};
    (void)state;
    carried_ops_fill(&measured, ops, 5);
    text_init(&lines.body, 10000);
    influxdb_form_init(&lines.form, "m", &measured);
    influxdb_page_refuse(&page);
    assert_true(!ops[0].refused[0] && ops[3].refused[0] && ops[4].refused[0]);
    influxdb_page_write(&lines);
    assert_string_equal(lines.body.data,
                        "m,device=d,site=1,fh_era=0 fh_has=0i,fh_p=3i 5000003\n"
                        "m,device=d,site=1,fh_era=0 fh_has=0i,fh_p=4i -4999996\n"
                        "m,device=d,site=1,fh_era=0 fh_has=0i,fh_p=5i 6000005\n"
                        "l,fh_era=0 fh_from=2i,fh_to=7i,fh_parts=2i -86399999971324\n"
                        "l,fh_era=0 fh_from=2i,fh_to=7i,fh_parts=2i 28676\n");
    lines.voids = true;
    influxdb_page_write(&lines);
    assert_string_equal(lines.body.data,
                        "l,fh_era=0 fh_from=2i,fh_to=7i,fh_parts=0i -86399999971324\n"
                        "l,fh_era=0 fh_from=2i,fh_to=7i,fh_parts=0i 28676\n");
    page.count = 0; /* nothing was derived, and that is known, too */
    lines.voids = false;
    lines.count = 0;
    influxdb_page_write(&lines);
    assert_string_equal(lines.body.data, "l,fh_era=0 fh_from=2i,fh_to=7i,fh_parts=1i 28676\n");
    influxdb_form_release(&lines.form);
    text_release(&lines.body);
    json_decref(fact);
}

/* ---- What is read ---- */

struct reading {
    struct text text;
    bool fails;
};

static bool note_series(void *context, const struct influxdb_rows *rows)
{
    struct reading *reading = context;
    text_printf(&reading->text, "%d %.*s", rows->statement, (int)rows->name.length,
                rows->name.text);
    for (int i = 0; i < rows->tag_count; i++)
        text_printf(&reading->text, " %.*s=%.*s", (int)rows->tag_names[i].length,
                    rows->tag_names[i].text, (int)rows->tags[i].length, rows->tags[i].text);
    text_add(&reading->text, ":");
    return true;
}

static bool note_row(void *context, const struct influxdb_rows *rows)
{
    struct reading *reading = context;
    for (int i = 0; i < rows->column_count; i++)
        text_printf(&reading->text, " %d", (int)rows->cells[i].kind);
    text_add(&reading->text, ";");
    return !reading->fails;
}

static bool scans(const char *answer, struct reading *reading, const char **ret_words)
{
    struct influxdb_reader reader = {.context = reading, .series = note_series, .row = note_row};
    text_clear(&reading->text);
    bool done = influxdb_scan(&reader, answer, strlen(answer));
    *ret_words = reader.words;
    return done;
}

#define CHUNK(rows, partial)                                                                       \
    "{\"results\":[{\"statement_id\":1,\"series\":[{\"name\":\"m\",\"tags\":{\"device\":\"d\"},"   \
    "\"columns\":[\"time\",\"c\"],\"values\":[" rows "]" partial "}]" partial "}]}\n"

static void answers_are_read_chunk_by_chunk(void **state)
{
    static const char *const whole[] = {
        CHUNK("[1,null],[-2.5e+3,true]", ",\"partial\":true") CHUNK("[3,\"x\"]", ""),
        "{\"results\":[{\"statement_id\":0},{\"statement_id\":1,\"messages\":[{\"level\":\"x\","
        "\"text\":\"y\"}]}]}",
        " { \"results\" : [ ] } "};
    static const char *const cut[] = {"",
                                      "{",
                                      CHUNK("[1,2]", ",\"partial\":true"),
                                      CHUNK("[1,2]", "") "{\"resu",
                                      CHUNK("[1,2,3]", ""),
                                      CHUNK("[1]", ""),
                                      CHUNK("[1,[2]]", ""),
                                      CHUNK("[1,tru]", ""),
                                      "{\"results\":[{\"statement_id\":-1}]}",
                                      "{\"results\":[{\"statement_id\":0,\"x\":[[[[[[[[[[[[1]]]]"
                                      "]]]]]]]]}]}",
                                      "<html>",
                                      "[]",
                                      "{\"results\":[{\"series\":[{\"name\":\"a\\"};
    struct reading reading = {0};
    const char *words;
    (void)state;
    text_init(&reading.text, 10000);
    assert_true(scans(whole[0], &reading, &words));
    assert_string_equal(reading.text.data, "1 m device=d: 3 0; 3 2;1 m device=d: 3 4;");
    assert_true(scans(whole[1], &reading, &words));
    assert_true(scans(whole[2], &reading, &words));
    for (size_t i = 0; i < sizeof cut / sizeof *cut; i++) {
        assert_false(scans(cut[i], &reading, &words));
        assert_null(words);
    }
    assert_false(
        scans(CHUNK("[1,2]", "") "{\"results\":[{\"statement_id\":1,\"error\":\"timeout\"}]}",
              &reading, &words));
    assert_memory_equal(words, "timeout", 7);
    assert_false(scans("{\"error\":\"no\"}", &reading, &words));
    assert_memory_equal(words, "no", 2);
    reading.fails = true;
    assert_false(scans(whole[0], &reading, &words));
    text_release(&reading.text);
}

/* Any beginning of an answer is none. */
static void what_was_cut_off_is_no_answer(void **state)
{
    static const char answer[] =
        CHUNK("[1,null],[-2.5e+3,true]", ",\"partial\":true") CHUNK("[3,\"x\"]", "");
    struct reading reading = {0};
    (void)state;
    text_init(&reading.text, 10000);
    for (size_t length = 0; length < sizeof answer - 2; length++) {
        struct influxdb_reader reader = {.context = &reading, .row = note_row};
        char *copy = malloc(length + 1); /* so that nothing is read behind it, unseen */
        memcpy(copy, answer, length);
        assert_false(influxdb_scan(&reader, copy, length));
        free(copy);
    }
    text_release(&reading.text);
}

static void numbers_are_exact(void **state)
{
    static const struct {
        const char *text;
        bool integer;
        int64_t number;
        double real;
    } cases[] = {{"9223372036854775807", true, INT64_MAX, 0x1p63},
                 {"-9223372036854775808", true, INT64_MIN, -0x1p63},
                 {"9223372036854775808", false, 0, 0x1p63},
                 {"10000000000000000000000", false, 0, 1e22},
                 {"0.1", false, 0, 0.1},
                 {"5e-324", false, 0, 0x1p-1074},
                 {"1.7976931348623157e+308", false, 0, 0x1.fffffffffffffp1023},
                 {"-0", true, 0, -0.0}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct influxdb_cell cell = {INFLUXDB_NUMBER, cases[i].text, strlen(cases[i].text), false};
        int64_t number = 0;
        double real;
        assert_int_equal(influxdb_cell_integer(&cell, &number), cases[i].integer);
        if (cases[i].integer)
            assert_true(number == cases[i].number);
        assert_true(influxdb_cell_real(&cell, &real) && real == cases[i].real);
    }
    struct influxdb_cell none = {INFLUXDB_NUMBER, "-", 1, false};
    int64_t number;
    double real;
    assert_false(influxdb_cell_integer(&none, &number) || influxdb_cell_real(&none, &real));
    none = (struct influxdb_cell){INFLUXDB_NULL, "5", 1, false};
    assert_false(influxdb_cell_integer(&none, &number) || influxdb_cell_real(&none, &real));
}

static void options_are_looked_at(void **state)
{
    static const struct {
        const char *options;
        bool right;
    } cases[] = {{"{}", true},
                 {"{\"host\":\"::1\",\"port\":8086,\"user\":\"u\",\"password\":\"p\"}", true},
                 {"{\"host\":\"http://x\"}", false},
                 {"{\"host\":\"\"}", false},
                 {"{\"port\":0}", false},
                 {"{\"port\":\"1\"}", false},
                 {"{\"user\":\"u\"}", false},
                 {"{\"password\":\"a secret\"}", false},
                 {"{\"user\":\"a:b\",\"password\":\"a secret\"}", false},
                 {"{\"user\":1}", false}};
    struct fh_error error;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *options = json_loads(cases[i].options, 0, NULL);
        enum fh_code code = influxdb_check(options, &error);
        assert_int_equal(code, cases[i].right ? FH_OK : FH_INVALID);
        assert_true(code == FH_OK || !strstr(error.message, "secret"));
        json_decref(options);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_text_of_a_tag_comes_back),
        cmocka_unit_test(what_is_no_tag_of_ours_is_none),
        cmocka_unit_test(what_ends_a_name_is_escaped),
        cmocka_unit_test(names_with_a_meaning_of_the_servers_get_another_one),
        cmocka_unit_test(a_version_of_a_point_has_a_place_of_its_own),
        cmocka_unit_test(a_link_has_a_place_of_its_own_in_its_day),
        cmocka_unit_test(a_page_has_a_part_of_its_link_in_each_day),
        cmocka_unit_test(answers_are_read_chunk_by_chunk),
        cmocka_unit_test(what_was_cut_off_is_no_answer),
        cmocka_unit_test(numbers_are_exact),
        cmocka_unit_test(options_are_looked_at),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
