/* SPDX-License-Identifier: Apache-2.0 */
/* What is asked of the server, and told to it, past works, by those who read or write a store as a
 * whole. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/keyvalue/redis_copy.h"

#define CURSOR_SIZE 24
#define COUNT "100" /* that one scan looks at; small hashes come whole */

enum fh_code redis_copy_tell(struct store *store, const struct redis_words *commands,
                             struct fh_error *error)
{
    if (commands->count == 0)
        return FH_OK;
    redisReply **replies = calloc((size_t)commands->count, sizeof(redisReply *));
    FH_ASSERT(replies != NULL);
    enum fh_code code = redis_ask(redis_of(store), commands, replies, error);
    bool answered = code == FH_OK;
    for (int i = 0; answered && i < commands->count; i++) {
        if (code == FH_OK && redis_is(replies[i], REDIS_REPLY_ERROR))
            code = redis_refused(replies[i], "what is copied", error);
        hiredis.freeReplyObject(replies[i]);
    }
    free((void *)replies);
    if (code == FH_OUTCOME_UNKNOWN) /* the whole is done again */
        code = error_set(error, FH_UNAVAILABLE, "The store's Redis server does not answer.");
    return code;
}

enum fh_code redis_copy_scan(struct store *store, const char *key, redis_copy_pairs *visit,
                             void *context, struct fh_error *error)
{
    char cursor[CURSOR_SIZE] = "0";
    enum fh_code code;
    do {
        struct redis_words words;
        redisReply *reply;
        redis_words_init(&words);
        redis_command(&words, "HSCAN", key, cursor, "COUNT", COUNT, NULL);
        code = redis_read(redis_of(store), &words, &reply, error);
        redis_words_release(&words);
        if (code != FH_OK)
            return code;
        if (redis_is(reply, REDIS_REPLY_ARRAY) && reply->elements == 2) {
            snprintf(cursor, sizeof cursor, "%s", reply->element[0]->str);
            code = visit(context, reply->element[1], error);
        } else {
            code = redis_refused(reply, "to list what it keeps", error);
        }
        hiredis.freeReplyObject(reply);
    } while (code == FH_OK && strcmp(cursor, "0") != 0);
    return code;
}

enum fh_code redis_copy_count(struct store *store, const char *command, const char *name,
                              int64_t *ret, struct fh_error *error)
{
    char *key = redis_name(redis_of(store), "fh", name);
    struct redis_words words;
    redisReply *reply;
    redis_words_init(&words);
    redis_command(&words, command, key, NULL);
    enum fh_code code = redis_read(redis_of(store), &words, &reply, error);
    redis_words_release(&words);
    free(key);
    *ret = 0;
    if (code != FH_OK)
        return code;
    if (redis_is(reply, REDIS_REPLY_INTEGER))
        *ret = reply->integer;
    else
        code = redis_refused(reply, "to count what it keeps", error);
    hiredis.freeReplyObject(reply);
    return code;
}
