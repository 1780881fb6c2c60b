/* SPDX-License-Identifier: Apache-2.0 */
/* Answers of a Redis server, as many as there are. Each part of one that is taken has a text, and a
 * record of the ledger in it has all that its table's records have. */

#include "engine/redis/internal.h"
#include "engine/redis/record.h"
#include "fuzz.h"

static void read_reply(const redisReply *reply, int depth)
{
    enum fh_code code = FH_OK;
    struct fh_error error;
    FH_ASSERT(reply->str && depth <= REDIS_REPLY_DEPTH_MAX);
    json_t *saga = redis_record_parse(redis_table_of("saga"), reply, &error, &code);
    FH_ASSERT(!saga || (code == FH_OK && record_optional(saga, "status")));
    json_decref(saga);
    if (redis_reply_bounded(reply, 4, &error) == FH_OK)
        FH_ASSERT(reply->type == REDIS_REPLY_ARRAY && reply->elements <= 4);
    FH_ASSERT(redis_at(reply, reply->elements) == &redis_no_reply);
    for (size_t i = 0; reply->type == REDIS_REPLY_ARRAY && i < reply->elements; i++)
        read_reply(redis_at(reply, i), depth + 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    redisReply *reply;
    fuzz_start();
    FH_ASSERT(redis_load(ERROR_UNHEEDED) == FH_OK);
    redisReader *reader = redis_reader_new();
    if (hiredis.redisReaderFeed(reader, (const char *)data, size) == REDIS_OK) {
        while (redis_reader_next(reader, &reply) && reply) {
            read_reply(reply, 0);
            hiredis.freeReplyObject(reply);
        }
    }
    hiredis.redisReaderFree(reader);
    return 0;
}
