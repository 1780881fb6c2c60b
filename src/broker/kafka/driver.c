/* SPDX-License-Identifier: Apache-2.0 */
/* The driver: what broker.h asks for, and who does it. */

#include "broker/kafka/internal.h"

extern const struct broker_driver broker_kafka;

static enum fh_code kafka_check(const json_t *options, struct fh_error *error)
{
    struct kafka_options read;
    enum fh_code code = kafka_library_load(error);
    return code ? code : kafka_options_read(options, &read, error);
}

static enum fh_code connect_kafka_and_name(struct world *world, const json_t *options,
                                           int64_t deadline_ns, struct broker **ret,
                                           struct fh_error *error)
{
    enum fh_code code = kafka_connect(world, options, deadline_ns, ret, error);
    if (code == FH_OK)
        (*ret)->driver = &broker_kafka;
    return code;
}

const struct broker_driver broker_kafka = {
    .name = "kafka",
    .title = "Kafka",
    .port = KAFKA_PORT,
    .options = "mechanism keep_s keep_bytes replicas batch.size broker.address.family client.id "
               "client.rack "
               "compression.type linger.ms",
    .mechanism = KAFKA_MECHANISM,
    .check = kafka_check,
    .trespass = kafka_trespass,
    .server = &kafka_server,
    .connect = connect_kafka_and_name,
    .close = kafka_close,
    .declare = kafka_declare,
    .publish = kafka_publish,
    .consume = kafka_consume,
    .take = kafka_take,
    .wake = kafka_wake,
    .acknowledge = kafka_acknowledge,
    .unconsume = kafka_unconsume,
    .attach = kafka_attach,
    .header = kafka_header,
    .attributes = "ce_",
};
