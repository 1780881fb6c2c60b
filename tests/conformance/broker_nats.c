/* SPDX-License-Identifier: Apache-2.0 */
/* NATS JetStream, by nats-server (see broker_bed.h). */

#include "broker_bed.h"

extern const struct broker_bed broker_bed_nats;
const struct broker_bed broker_bed_nats = {
    .driver = "nats",
    .options = bed_server_options,
    .kill = bed_server_kill,
    .wipe = bed_server_wipe,
    .pause = bed_server_pause,
};
