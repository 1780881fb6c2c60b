/* SPDX-License-Identifier: Apache-2.0 */
/* The driver: what broker.h asks for, and who does it. */

#include "broker/rabbitmq/internal.h"

extern const struct broker_driver broker_rabbitmq;

static enum fh_code rabbitmq_check(const json_t *options, struct fh_error *error)
{
    struct rabbitmq_options read;
    enum fh_code code = rabbitmq_library_load(error);
    return code ? code : rabbitmq_options_read(options, &read, error);
}

static enum fh_code rabbitmq_connect_and_name(struct world *world, const json_t *options,
                                              int64_t deadline_ns, struct broker **ret,
                                              struct fh_error *error)
{
    enum fh_code code = rabbitmq_connect(world, options, deadline_ns, ret, error);
    if (code == FH_OK)
        (*ret)->driver = &broker_rabbitmq;
    return code;
}

const struct broker_driver broker_rabbitmq = {
    .name = "rabbitmq",
    .title = "RabbitMQ",
    .port = RABBITMQ_PORT,
    .port_tls = RABBITMQ_PORT_TLS,
    .options = "vhost keep_s keep_bytes replicas",
    .check = rabbitmq_check,
    .trespass = rabbitmq_trespass,
    .server = &rabbitmq_server,
    .connect = rabbitmq_connect_and_name,
    .close = rabbitmq_close,
    .declare = rabbitmq_declare,
    .publish = rabbitmq_publish,
    .consume = rabbitmq_consume,
    .take = rabbitmq_take,
    .wake = rabbitmq_wake,
    .acknowledge = rabbitmq_acknowledge,
    .unconsume = rabbitmq_unconsume,
    .attach = rabbitmq_attach,
    .header = rabbitmq_header,
    .attributes = "cloudEvents_",
    .skips = true,
};
