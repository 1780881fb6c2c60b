/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers as they may come from a server that was taken over, or is none: of another type than
 * asked for, shorter, longer, nested. A reader only has to check what it depends on: there is
 * always a text, and an element that is missing is as good as nil (redis_at).
 */

#include "engine/redis/internal.h"

static char nothing[] = "";

const redisReply redis_no_reply = {.type = REDIS_REPLY_NIL, .str = nothing};

static void *(*array_of_hiredis)(const redisReadTask *task, int elements);

static void *create_bounded_array(const redisReadTask *task, int elements)
{
    return elements <= REDIS_REPLY_ELEMENTS_MAX ? array_of_hiredis(task, elements) : NULL;
}

redisReader *redis_reader_new(void)
{
    static redisReplyObjectFunctions bounded;
    redisReader *reader = hiredis.redisReaderCreate();
    FH_ASSERT(reader != NULL);
    bounded = *reader->fn;
    array_of_hiredis = bounded.createArray;
    bounded.createArray = create_bounded_array;
    reader->fn = &bounded;
    return reader;
}

/* hiredis leaves `str` NULL where there is no text, and frees it only where there is one. */
static bool settle_reply(redisReply *reply, int depth)
{
    if (!reply->str)
        reply->str = nothing;
    if (reply->type != REDIS_REPLY_ARRAY)
        return true;
    if (depth >= REDIS_REPLY_DEPTH_MAX)
        return false;
    for (size_t i = 0; i < reply->elements; i++) {
        if (!settle_reply(reply->element[i], depth + 1))
            return false;
    }
    return true;
}

bool redis_reader_next(redisReader *reader, redisReply **ret)
{
    void *reply;
    *ret = NULL;
    if (hiredis.redisReaderGetReply(reader, &reply) != REDIS_OK)
        return false;
    if (reply && !settle_reply(reply, 0)) {
        hiredis.freeReplyObject(reply);
        return false;
    }
    *ret = reply;
    return true;
}

enum fh_code redis_reply_bounded(const redisReply *reply, size_t elements_max,
                                 struct fh_error *error)
{
    if (redis_is(reply, REDIS_REPLY_ARRAY) && reply->elements <= elements_max)
        return FH_OK;
    if (redis_is(reply, REDIS_REPLY_ERROR))
        return redis_refused(reply, "to list what it keeps", error);
    return error_set(error, FH_UNAVAILABLE,
                     "The store's Redis server answered with %zu elements; at most %zu were asked "
                     "for.",
                     reply->elements, elements_max);
}
