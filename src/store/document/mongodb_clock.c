/* SPDX-License-Identifier: Apache-2.0 */
/* What time it is on the server: a part of its greeting, which needs no right and changes nothing.
 */

#include "store/document/mongodb.h"

struct asked {
    struct mongodb_call call; /* first */
    int64_t now_ms;
};

static enum fh_code ask(struct mongodb_call *call, struct fh_error *error)
{
    struct asked *asked = (struct asked *)call;
    bson_t command, reply;
    bson_error_t why;
    bson_iter_t at;
    mongoc.bson_init(&command);
    /* The older of its two names: every server knows it. */
    mongoc.bson_append_int64(&command, "isMaster", -1, 1);
    bool answered =
        mongoc.mongoc_client_command_simple(call->client, "admin", &command, NULL, &reply, &why);
    bool told = answered && mongoc.bson_iter_init_find(&at, &reply, "localTime") &&
                mongoc.bson_iter_type(&at) == BSON_TYPE_DATE_TIME;
    if (told)
        asked->now_ms = mongoc.bson_iter_date_time(&at);
    mongoc.bson_destroy(&reply);
    mongoc.bson_destroy(&command);
    if (!answered)
        return mongodb_failed(&why, error);
    return told ? FH_OK : error_set(error, FH_UNSUPPORTED, "The server does not tell its time.");
}

enum fh_code mongodb_clock(struct store *store, int64_t *ret_ms, struct fh_error *error)
{
    struct asked asked = {.call.run = ask};
    enum fh_code code = mongodb_call((struct mongodb *)store, &asked.call, error);
    *ret_ms = asked.now_ms;
    return code;
}
