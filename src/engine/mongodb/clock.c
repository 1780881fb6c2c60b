/* SPDX-License-Identifier: Apache-2.0 */
/* The server's time: part of its reply to isMaster, which needs no privilege and changes
 * nothing. */

#include "engine/mongodb/internal.h"

struct asked {
    struct mongodb_call call; /* first */
    int64_t now_ms;
};

static enum fh_code ask_clock(struct mongodb_call *call, struct fh_error *error)
{
    struct asked *asked = (struct asked *)call;
    bson_t reply;
    bson_iter_t at;
    /* The older of its two names: every server knows it. */
    enum fh_code code = mongodb_ask(call, "isMaster", &reply, error);
    if (!code && mongoc.bson_iter_init_find(&at, &reply, "localTime") &&
        mongoc.bson_iter_type(&at) == BSON_TYPE_DATE_TIME)
        asked->now_ms = mongoc.bson_iter_date_time(&at);
    else if (!code)
        code = error_set(error, FH_UNSUPPORTED, "The server does not report its time.");
    mongoc.bson_destroy(&reply);
    return code;
}

enum fh_code mongodb_clock(struct store *store, int64_t *ret_ms, struct fh_error *error)
{
    struct asked asked = {.call.run = ask_clock};
    enum fh_code code = mongodb_call((struct mongodb *)store, &asked.call, error);
    *ret_ms = asked.now_ms;
    return code;
}
