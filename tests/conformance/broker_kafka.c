/* SPDX-License-Identifier: Apache-2.0 */
/* Kafka, as tools/servers makes it from its packages (see broker_bed.h). */

#include "broker_bed.h"

extern const struct broker_bed broker_bed_kafka;
const struct broker_bed broker_bed_kafka = {
    .driver = "kafka",
    .options = bed_server_options,
    .kill = bed_server_kill,
    .wipe = bed_server_wipe,
    .pause = bed_server_pause,
};
