/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is asked of a server that alone has points. A page is durable once it is committed: its
 * transaction asks for that (session.c), whatever the server's configuration says. Against
 * `fsync=off` nothing can be done from here, so such a server is not trusted with them.
 */

#include <stdio.h>
#include <string.h>

#include "carrier/postgresql/internal.h"

enum fh_code curves_settles(struct carried_server *base, int64_t *ret_settle_s,
                            int64_t *ret_running_s, struct fh_error *error)
{
    struct curves_server *server = curves_of(base);
    struct curves_session session = {0};
    enum fh_code code = curves_begin(&session, server, &server->carrying, 0, error);
    if (code == FH_OK)
        code =
            curves_run(&session, "SELECT current_setting('fsync'),"
                                 " extract(epoch FROM now() - pg_postmaster_start_time())::bigint");
    if (code == FH_OK && strcmp(curves_text(&session, 0, 0), "on") != 0)
        code = error_set(error, FH_UNSUPPORTED,
                         "PostgreSQL at %.100s has fsync=off: what it alone has would be lost with "
                         "its power.",
                         server->at);
    *ret_settle_s = 0;
    *ret_running_s = code == FH_OK ? curves_integer(&session, 0, 1) : 0;
    curves_end(&session);
    return code;
}

enum fh_code curves_count(struct carried_server *base, const struct fh_derived *declared,
                          const struct carried_name *generation, int64_t position,
                          int64_t *ret_count, struct fh_error *error)
{
    struct curves_session session = {0};
    char sql[CURVES_SCHEMA_SIZE + 96];
    enum fh_code code = curves_begin_of(&session, base, declared, generation, error);
    snprintf(sql, sizeof sql, "SELECT count(*) FROM \"%s\".point WHERE fh_position > %lld",
             session.schema, (long long)position);
    if (code == FH_OK)
        code = curves_run(&session, sql);
    *ret_count = code == FH_OK ? curves_integer(&session, 0, 0) : 0;
    curves_end(&session);
    return code;
}
