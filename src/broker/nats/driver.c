/* SPDX-License-Identifier: Apache-2.0 */
/* The driver: what broker.h asks for, and who does it. */

#include "broker/nats/internal.h"

extern const struct broker_driver broker_nats;

static enum fh_code nats_check(const json_t *options, struct fh_error *error)
{
    struct nats_options read;
    enum fh_code code = nats_library_load(error);
    return code ? code : nats_options_read(options, &read, error);
}

static enum fh_code nats_connected(struct broker *broker, struct fh_error *error)
{
    return nats_is_connected(nats_of(broker), error);
}

static enum fh_code connect_and_name(struct world *world, const json_t *options,
                                     int64_t deadline_ns, struct broker **ret,
                                     struct fh_error *error)
{
    enum fh_code code = nats_connect(world, options, deadline_ns, ret, error);
    if (code == FH_OK)
        (*ret)->driver = &broker_nats;
    return code;
}

const struct broker_driver broker_nats = {
    .name = "nats",
    .title = "NATS JetStream",
    .port = NATS_PORT,
    .options = "token keep_s keep_bytes replicas",
    .check = nats_check,
    .connected = nats_connected,
    .trespass = nats_trespass,
    .server = &nats_server,
    .connect = connect_and_name,
    .close = nats_close,
    .declare = nats_declare,
    .publish = nats_publish,
    .consume = nats_consume,
    .take = nats_take,
    .wake = nats_wake,
    .acknowledge = nats_acknowledge,
    .unconsume = nats_unconsume,
    .attach = nats_attach,
    .header = nats_header,
    .attributes = "ce-",
    .skips = true,
};
