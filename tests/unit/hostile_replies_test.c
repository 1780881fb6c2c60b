/* SPDX-License-Identifier: Apache-2.0 */
/* What a database server sends that was taken over, or was never ours: nested without end, of
 * another type, too long, without what each of our records has. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../support/json.h"
#include "../support/skip.h"
#include "base/json.h"
#include "engine/mongodb/bson.h"
#include "engine/redis/internal.h"
#include "engine/redis/record.h"
#include "store/records/records.h"

/* ---- BSON ---- */

/* {"a": {"a": ... {}}}, with arrays in place of documents if `arrays`; malloc'ed. */
static uint8_t *nested_bson(int depth, bool arrays, uint32_t *ret_length)
{
    uint32_t length = 5 + (uint32_t)(depth - 1) * 8;
    uint8_t *bytes = calloc(1, length), *at = bytes;
    assert_non_null(bytes);
    for (uint32_t left = length; at < bytes + (uint32_t)(depth - 1) * 7; left -= 8, at += 7) {
        memcpy(at, &left, sizeof left);
        memcpy(at + 4,
               arrays ? "\x04"
                        "0"
                      : "\x03"
                        "a",
               2);
    }
    memcpy(at, &(uint32_t){5}, sizeof(uint32_t));
    *ret_length = length;
    return bytes;
}

static json_t *object_of_nested(int depth, bool arrays)
{
    uint32_t length;
    bson_t document;
    uint8_t *bytes = nested_bson(depth, arrays, &length);
    assert_true(mongoc.bson_init_static(&document, bytes, length));
    json_t *object = mongodb_object(&document, NULL);
    free(bytes);
    return object;
}

static void bson_is_nested_no_deeper_than_json(void **state)
{
    (void)state;
    struct fh_error error;
    if (mongodb_load(&error) != FH_OK)
        SKIP_BECAUSE("%s", error.message);
    for (int arrays = 0; arrays < 2; arrays++) {
        json_t *deepest = object_of_nested(JSON_DEPTH_MAX, arrays);
        assert_non_null(deepest);
        json_decref(deepest);
        assert_null(object_of_nested(JSON_DEPTH_MAX + 1, arrays));
        assert_null(object_of_nested(500, arrays));
        assert_null(object_of_nested(200000, arrays));
    }
}

static void broken_bson_is_no_shorter_document(void **state)
{
    (void)state;
    /* {"a": 1 (int32), "b": a type that there is not} */
    static const uint8_t broken[] = "\x10\0\0\0\x10"
                                    "a\0\1\0\0\0\x55"
                                    "b\0\1";
    bson_t document;
    if (mongodb_load(ERROR_UNHEEDED) != FH_OK)
        SKIP_BECAUSE("MongoDB's library can't be loaded");
    assert_true(mongoc.bson_init_static(&document, broken, sizeof broken));
    assert_null(mongodb_object(&document, NULL));
}

/* ---- Redis ---- */

static redisReply *reply_of(const char *protocol)
{
    redisReply *reply;
    redisReader *reader = redis_reader_new();
    assert_int_equal(hiredis.redisReaderFeed(reader, protocol, strlen(protocol)), REDIS_OK);
    redis_reader_next(reader, &reply);
    hiredis.redisReaderFree(reader);
    return reply;
}

static void every_part_of_a_reply_has_a_text(void **state)
{
    (void)state;
    if (redis_load(ERROR_UNHEEDED) != FH_OK)
        SKIP_BECAUSE("Redis' library can't be loaded");
    redisReply *reply = reply_of("*5\r\n:7\r\n$-1\r\n*1\r\n$1\r\nx\r\n*-1\r\n+OK\r\n");
    assert_non_null(reply);
    for (size_t i = 0; i < 7; i++)
        assert_non_null(redis_at(reply, i)->str);
    assert_string_equal(redis_at(redis_at(reply, 2), 0)->str, "x");
    assert_string_equal(redis_at(redis_at(reply, 0), 3)->str, "");
    assert_string_equal(redis_at(redis_at(reply, 9), 9)->str, "");
    assert_string_equal(redis_at(NULL, 0)->str, "");
    hiredis.freeReplyObject(reply);
}

static void a_reply_is_nested_no_deeper_than_ours_are(void **state)
{
    (void)state;
    if (redis_load(ERROR_UNHEEDED) != FH_OK)
        SKIP_BECAUSE("Redis' library can't be loaded");
    for (int depth = 1; depth < 12; depth++) {
        char protocol[64] = "";
        for (int i = 0; i < depth; i++)
            strcat(protocol, "*1\r\n");
        strcat(protocol, ":1\r\n");
        redisReply *reply = reply_of(protocol);
        assert_true((reply != NULL) == (depth <= 7) ||
                    depth == 8); /* hiredis refuses some itself */
        if (reply)
            hiredis.freeReplyObject(reply);
    }
}

static void nothing_is_allocated_for_what_was_only_announced(void **state)
{
    (void)state;
    if (redis_load(ERROR_UNHEEDED) != FH_OK)
        SKIP_BECAUSE("Redis' library can't be loaded");
    redisReply *reply;
    static const char announced[] = "*1000000000\r\n*1\r\n";
    redisReader *reader = redis_reader_new();
    assert_int_equal(hiredis.redisReaderFeed(reader, announced, sizeof announced - 1), REDIS_OK);
    assert_false(redis_reader_next(reader, &reply));
    assert_null(reply);
    hiredis.redisReaderFree(reader);
}

static void a_reply_has_no_more_elements_than_were_asked_for(void **state)
{
    (void)state;
    struct fh_error error;
    if (redis_load(ERROR_UNHEEDED) != FH_OK)
        SKIP_BECAUSE("Redis' library can't be loaded");
    redisReply *three = reply_of("*3\r\n:1\r\n:2\r\n:3\r\n"), *none = reply_of("$1\r\nx\r\n");
    assert_int_equal(redis_reply_bounded(three, 3, &error), FH_OK);
    assert_int_equal(redis_reply_bounded(three, 2, &error), FH_UNAVAILABLE);
    assert_non_null(strstr(error.message, "3 elements; at most 2"));
    assert_int_equal(redis_reply_bounded(none, 2, &error), FH_UNAVAILABLE);
    hiredis.freeReplyObject(three);
    hiredis.freeReplyObject(none);
}

/* ---- Records of the ledger ---- */

static void a_record_without_a_field_that_each_has_is_damage(void **state)
{
    (void)state;
    static const struct {
        const char *table, *record, *words; /* NULL: it is sound */
    } all[] = {
        {"saga",
         "{\"birth\": \"b\", \"name\": \"n\", \"input\": \"{}\", \"state\": \"{}\", \"status\": "
         "\"running\"}",
         NULL},
        {"saga", "{\"birth\": \"b\", \"name\": \"n\", \"input\": \"{}\", \"state\": \"{}\"}",
         "saga lacks the text status"},
        {"saga", "{\"birth\": 7}", "saga lacks the text birth"},
        {"saga", "[]", "saga is not an object"},
        {"command", "{\"caller\": \"c\", \"key\": \"k\", \"birth\": null}",
         "command lacks the text birth"},
        {"parked", "{}", "parked lacks the text source"},
        {"meta", "{}", NULL},
        {"no such table", "{}", NULL},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct fh_error error = {0};
        json_t *record = NULL;
        assert_int_equal(json_parse(all[i].record, strlen(all[i].record), &record, &error), FH_OK);
        enum fh_code code = record_check(all[i].table, record, &error);
        assert_int_equal(code, all[i].words ? FH_UNAVAILABLE : FH_OK);
        assert_true(!all[i].words || strstr(error.message, all[i].words));
        assert_true(store_is_damaged(&error) == (all[i].words != NULL));
        json_decref(record);
    }
}

static void a_text_that_is_missing_is_empty(void **state)
{
    (void)state;
    json_t *record = json_pack("{s:i, s:n}", "a", 1, "b");
    assert_string_equal(record_text(record, "a"), "");
    assert_string_equal(record_text(record, "b"), "");
    assert_string_equal(record_text(record, "c"), "");
    assert_string_equal(record_text(NULL, "c"), "");
    assert_null(record_optional(record, "a"));
    assert_int_equal(record_number(record), 0);
    json_decref(record);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bson_is_nested_no_deeper_than_json),
        cmocka_unit_test(broken_bson_is_no_shorter_document),
        cmocka_unit_test(every_part_of_a_reply_has_a_text),
        cmocka_unit_test(a_reply_is_nested_no_deeper_than_ours_are),
        cmocka_unit_test(nothing_is_allocated_for_what_was_only_announced),
        cmocka_unit_test(a_reply_has_no_more_elements_than_were_asked_for),
        cmocka_unit_test(a_record_without_a_field_that_each_has_is_damage),
        cmocka_unit_test(a_text_that_is_missing_is_empty),
    };
    return cmocka_run_group_tests(tests, begin_json, NULL);
}
