/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is asked of a server that alone has points. Whoever acknowledges what is not durable is no
 * server of ours (engine/postgresql/link.h), so there is nothing to wait for. One whose encoding
 * lacks a character would refuse the point, which would be nowhere then.
 */

#include <stdio.h>
#include <string.h>

#include "carrier/postgresql/internal.h"

enum fh_code curves_settles(struct carried_server *base, int64_t *ret_settle_s,
                            int64_t *ret_running_s, struct fh_error *error)
{
    struct curves_server *server = curves_of(base);
    struct curves_session session = {0};
    *ret_settle_s = 0;
    *ret_running_s = 0;
    enum fh_code code = curves_begin(&session, server, &server->carrying, 0, error);
    if (code == FH_OK)
        code = curves_run(&session, "SELECT current_setting('server_encoding'), floor(extract(epoch"
                                    " FROM clock_timestamp() - pg_postmaster_start_time()))::int8");
    if (code == FH_OK)
        *ret_running_s = curves_integer(&session, 0, 1);
    if (code == FH_OK && strcmp(curves_text(&session, 0, 0), "UTF8") != 0)
        code = error_set(error, FH_UNSUPPORTED,
                         "The encoding of the database at %.100s is not UTF8: it can't be the only "
                         "one to have points, as it lacks characters that their tags may have.",
                         server->at);
    curves_end(&session);
    return code;
}

enum fh_code curves_count(struct carried_server *base, const struct fh_derived *declared,
                          const struct carried_name *generation, int64_t position,
                          int64_t *ret_count, struct fh_error *error)
{
    struct curves_session session = {0};
    char sql[CURVES_SCHEMA_SIZE + 128];
    enum fh_code code = curves_begin_of(&session, base, declared, generation, error);
    snprintf(sql, sizeof sql, "SELECT count(*) FROM \"%s\".point WHERE fh_position > %lld",
             session.schema, (long long)position);
    if (code == FH_OK)
        code = curves_run(&session, sql);
    *ret_count = code == FH_OK ? curves_integer(&session, 0, 0) : 0;
    curves_end(&session);
    return code;
}
