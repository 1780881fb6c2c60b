/* SPDX-License-Identifier: Apache-2.0 */
/* The driver: what broker.h asks for, and who does it. */

#include "broker/rabbitmq/internal.h"

extern const struct broker_driver broker_rabbitmq;

static enum fh_code connect_and_name(struct world *world, const json_t *options,
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
    .connect = connect_and_name,
    .close = rabbitmq_close,
    .declare = rabbitmq_declare,
    .publish = rabbitmq_publish,
    .consume = rabbitmq_consume,
    .take = rabbitmq_take,
    .acknowledge = rabbitmq_acknowledge,
    .unconsume = rabbitmq_unconsume,
};
