/* SPDX-License-Identifier: Apache-2.0 */
/* Where the server is, who we are there, and how long it keeps messages. */

#include <string.h>

#include "broker/options.h"
#include "broker/rabbitmq/internal.h"

#define KEEP_S (24 * 60 * 60)
#define KEEP_S_MAX (49 * 24 * 60 * 60) /* in milliseconds, it is what the server's timers take */
#define ANYBODY "guest"                /* as the server comes: from its own machine alone */

static enum fh_code read_rabbitmq_numbers(const json_t *options, struct rabbitmq_options *ret,
                                          struct fh_error *error)
{
    int64_t port = 0, replicas = 0;
    enum fh_code code = broker_option_number(
        options, "port", ret->tls.verify ? RABBITMQ_PORT_TLS : RABBITMQ_PORT, 65535, &port, error);
    if (!code)
        code = broker_option_number(options, "replicas", 1, 5, &replicas, error);
    if (!code)
        code = broker_option_number(options, "keep_s", KEEP_S, KEEP_S_MAX, &ret->keep_s, error);
    if (!code)
        code = broker_option_number(options, "keep_bytes", BROKER_KEEP_BYTES, INT64_C(1) << 50,
                                    &ret->keep_bytes, error);
    if (!code)
        code = broker_option_outside(options, &ret->outside_kept_s, error);
    ret->port = (int)port;
    ret->replicas = (int)replicas;
    return code;
}

enum fh_code rabbitmq_options_read(const json_t *options, struct rabbitmq_options *ret,
                                   struct fh_error *error)
{
    *ret = (struct rabbitmq_options){0};
    enum fh_code code =
        broker_option_text(options, "host", "127.0.0.1", ret->host, sizeof ret->host, error);
    if (!code)
        code = broker_option_text(options, "user", ANYBODY, ret->user, sizeof ret->user, error);
    if (!code)
        code = broker_option_text(options, "password", ANYBODY, ret->password, sizeof ret->password,
                                  error);
    if (!code)
        code = broker_option_text(options, "vhost", "/", ret->vhost, sizeof ret->vhost, error);
    if (!code)
        code = store_tls_read(options, &ret->tls, error);
    if (!code)
        code = read_rabbitmq_numbers(options, ret, error);
    if (code)
        return code;
    if (!ret->host[0] || strpbrk(ret->host, "/@ "))
        return error_set(error, FH_INVALID,
                         "\"host\" of the bus must be a host's name or address, without a scheme, "
                         "a user or a port.");
    return FH_OK;
}
