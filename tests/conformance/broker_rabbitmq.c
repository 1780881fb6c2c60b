/* SPDX-License-Identifier: Apache-2.0 */
/* RabbitMQ, by rabbitmq-server (see broker_bed.h). */

#include "broker_bed.h"

extern const struct broker_bed broker_bed_rabbitmq;
const struct broker_bed broker_bed_rabbitmq = {
    .driver = "rabbitmq",
    .options = bed_server_options,
    .kill = bed_server_kill,
    .wipe = bed_server_wipe,
    .pause = bed_server_pause,
};
