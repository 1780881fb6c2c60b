/* SPDX-License-Identifier: Apache-2.0 */
/* Which answers are coded, and how: Accept-Encoding as RFC 9110, 12.5.3, has it. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <zlib.h>
#include <zstd.h>

#include "gateway/coding.h"

static void the_client_says_what_it_accepts(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        enum coding coding;
    } cases[] = {
        {NULL, CODING_NONE},
        {"", CODING_NONE},
        {"gzip", CODING_GZIP},
        {"GZip", CODING_GZIP},
        {"x-gzip", CODING_GZIP},
        {"zstd", CODING_ZSTD},
        {"gzip, deflate, br, zstd", CODING_ZSTD},
        {"gzip, deflate, br", CODING_GZIP},
        {"br", CODING_NONE},
        {"gzip;q=1.0, zstd;q=0.5", CODING_GZIP},
        {"gzip;q=0.5, zstd;q=0.501", CODING_ZSTD},
        {"gzip ; q=0", CODING_NONE},
        {"gzip;q=0.000", CODING_NONE},
        {"gzip;q=0.001", CODING_GZIP},
        {"*", CODING_ZSTD},
        {"*;q=0", CODING_NONE},
        {"zstd;q=0, *", CODING_GZIP},
        {"identity", CODING_NONE},
        {"identity;q=1, gzip;q=0.5", CODING_NONE},
        {"identity;q=0.5, gzip", CODING_GZIP},
        {"identity;q=0, gzip", CODING_GZIP},
        {"identity;q=0", CODING_NONE},
        {" , gzip , ,", CODING_GZIP},
        {"gzip;q=2", CODING_NONE},
        {"gzip;q=1.5", CODING_NONE},
        {"gzip;q=0.1234", CODING_NONE},
        {"gzip;q=", CODING_NONE},
        {"gzip;q", CODING_NONE},
        {"gzip;level=9", CODING_NONE},
        {"gzip;", CODING_GZIP},
        {"gzipx", CODING_NONE},
        {"zst, gzi", CODING_NONE},
        {";;;,,,;q=1", CODING_NONE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (coding_accepted(cases[i].header) != cases[i].coding)
            fail_msg("\"%s\"", cases[i].header);
    }
}

static bool fits(const char *type, size_t length, int status, const char *name, const char *value)
{
    static char body[CODING_SIZE_MAX + 1];
    struct http_header header = {name, value};
    struct http_answer answer = {.status = status,
                                 .content_type = type,
                                 .body = body,
                                 .body_length = length,
                                 .headers = &header,
                                 .header_count = name ? 1 : 0};
    return coding_fits(&answer);
}

static void text_of_some_length_is_coded(void **state)
{
    (void)state;
    assert_true(fits(NULL, CODING_SIZE_MIN, 200, NULL, NULL));
    assert_true(fits("text/csv", CODING_SIZE_MAX, 201, NULL, NULL));
    assert_true(fits("application/problem+json; charset=utf-8", 5000, 422, NULL, NULL));
    assert_true(fits("application/vnd.x+json", 5000, 200, NULL, NULL));
    assert_false(fits(NULL, CODING_SIZE_MIN - 1, 200, NULL, NULL));
    assert_false(fits(NULL, CODING_SIZE_MAX + 1, 200, NULL, NULL));
    assert_false(fits("image/png", 5000, 200, NULL, NULL));
    assert_false(fits("application/zip", 5000, 200, NULL, NULL));
    assert_false(fits("application/octet-stream", 5000, 200, NULL, NULL));
    assert_false(fits(NULL, 5000, 206, NULL, NULL));
    assert_false(fits(NULL, 5000, 304, NULL, NULL));
}

static void what_must_stay_as_it_is_is_not_coded(void **state)
{
    (void)state;
    assert_false(fits(NULL, 5000, 200, "ETag", "\"1\""));
    assert_true(fits(NULL, 5000, 200, "ETag", "W/\"1\""));
    assert_false(fits(NULL, 5000, 200, "Cache-Control", "public, no-transform"));
    assert_false(fits(NULL, 5000, 200, "cache-control", "No-Transform"));
    assert_true(fits(NULL, 5000, 200, "Cache-Control", "no-cache"));
    assert_false(fits(NULL, 5000, 200, "Content-Encoding", "br"));
}

static void what_is_coded_can_be_read_again(void **state)
{
    (void)state;
    enum { LENGTH = 50000 };
    struct coder coder = {0};
    char *body = malloc(LENGTH), *read = malloc(LENGTH);
    size_t length;
    for (unsigned i = 0; i < LENGTH; i++)
        body[i] = (char)('a' + i * i / 7 % 20);
    char *coded = coder_encode(&coder, CODING_ZSTD, body, LENGTH, &length);
    assert_non_null(coded);
    assert_true(length < LENGTH);
    assert_int_equal(ZSTD_decompress(read, LENGTH, coded, length), LENGTH);
    assert_memory_equal(read, body, LENGTH);
    free(coded);
    coded = coder_encode(&coder, CODING_GZIP, body, LENGTH, &length);
    assert_non_null(coded);
    z_stream stream = {.next_in = (Bytef *)coded,
                       .avail_in = (uInt)length,
                       .next_out = (Bytef *)read,
                       .avail_out = LENGTH};
    size_t zipped = length;
    assert_int_equal(inflateInit2(&stream, 15 + 16), Z_OK);
    assert_int_equal(inflate(&stream, Z_FINISH), Z_STREAM_END);
    assert_int_equal(stream.total_out, LENGTH);
    inflateEnd(&stream);
    assert_memory_equal(read, body, LENGTH);
    free(coded);
    /* The same memory once more, and after what did not fit. */
    for (int i = 0; i < 3; i++) {
        assert_null(coder_encode(&coder, CODING_GZIP, "ab", 2, &length));
        coded = coder_encode(&coder, CODING_GZIP, body, LENGTH, &length);
        assert_non_null(coded);
        assert_int_equal(length, zipped);
        free(coded);
    }
    coder_release(&coder);
    free(body);
    free(read);
}

static void what_gets_no_smaller_is_left_alone(void **state)
{
    (void)state;
    unsigned char noise[4096];
    struct coder coder = {0};
    size_t length;
    uint32_t drawn = 1;
    for (size_t i = 0; i < sizeof noise; i++) {
        drawn = drawn * 1664525u + 1013904223u;
        noise[i] = (unsigned char)(drawn >> 24);
    }
    assert_null(coder_encode(&coder, CODING_ZSTD, (const char *)noise, sizeof noise, &length));
    assert_null(coder_encode(&coder, CODING_GZIP, (const char *)noise, sizeof noise, &length));
    coder_release(&coder);
}

static void a_second_has_a_budget(void **state)
{
    (void)state;
    struct coder budget = {0};
    int64_t now_ns = INT64_C(5000000000);
    assert_true(coder_affords(&budget, now_ns));
    coder_spent(&budget, (CODING_BUDGET_MS - 1) * 1000000);
    assert_true(coder_affords(&budget, now_ns + 1));
    coder_spent(&budget, 1000000);
    assert_false(coder_affords(&budget, now_ns + 2));
    assert_true(coder_affords(&budget, now_ns + 1000000000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_client_says_what_it_accepts),
        cmocka_unit_test(text_of_some_length_is_coded),
        cmocka_unit_test(what_must_stay_as_it_is_is_not_coded),
        cmocka_unit_test(what_is_coded_can_be_read_again),
        cmocka_unit_test(what_gets_no_smaller_is_left_alone),
        cmocka_unit_test(a_second_has_a_budget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
