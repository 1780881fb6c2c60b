/* SPDX-License-Identifier: Apache-2.0 */
/* Where the server is, who we are there, and how long it keeps messages. */

#include <string.h>

#include "broker/nats/internal.h"
#include "broker/options.h"

#define KEEP_S (24 * 60 * 60)

static enum fh_code read_nats_numbers(const json_t *options, struct nats_options *ret,
                                      struct fh_error *error)
{
    int64_t port = 0, replicas = 0;
    enum fh_code code = broker_option_number(options, "port", NATS_PORT, 65535, &port, error);
    if (!code)
        code = broker_option_number(options, "replicas", 1, 5, &replicas, error);
    if (!code)
        code =
            broker_option_number(options, "keep_s", KEEP_S, BROKER_KEEP_S_MAX, &ret->keep_s, error);
    if (!code)
        code = broker_option_number(options, "keep_bytes", BROKER_KEEP_BYTES, INT64_C(1) << 50,
                                    &ret->keep_bytes, error);
    if (!code)
        code = broker_option_outside(options, &ret->outside_kept_s, error);
    ret->port = (int)port;
    ret->replicas = (int)replicas;
    return code;
}

enum fh_code nats_options_read(const json_t *options, struct nats_options *ret,
                               struct fh_error *error)
{
    *ret = (struct nats_options){0};
    enum fh_code code = broker_option_text(options, "host", "", ret->host, sizeof ret->host, error);
    if (!code)
        code = broker_option_text(options, "user", "", ret->user, sizeof ret->user, error);
    if (!code)
        code =
            broker_option_text(options, "password", "", ret->password, sizeof ret->password, error);
    if (!code)
        code = broker_option_text(options, "token", "", ret->token, sizeof ret->token, error);
    if (!code)
        code = read_nats_numbers(options, ret, error);
    if (!code)
        code = store_tls_read(options, &ret->tls, error);
    if (code)
        return code;
    if (!ret->host[0])
        memcpy(ret->host, "127.0.0.1", sizeof "127.0.0.1");
    if (strpbrk(ret->host, "/@ "))
        return error_set(error, FH_INVALID,
                         "\"host\" of the bus must be a host's name or address, without a scheme, "
                         "a user or a port.");
    if (ret->token[0] && ret->user[0])
        return error_set(error, FH_INVALID,
                         "The bus has both a \"token\" and a \"user\": NATS takes one of them.");
    return FH_OK;
}
