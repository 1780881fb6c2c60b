/* SPDX-License-Identifier: Apache-2.0 */
/* See library.h. The library stays loaded until the process ends: its threads may run still. */

#include "broker/kafka/library.h"

#include "base/library.h"

#define LIBRARY "librdkafka.so.1"

struct kafka_library kafka;

static const struct library_symbol symbols[] = {
#define KAFKA_SYMBOL(name) {#name, (void **)&kafka.name},
    KAFKA_FUNCTIONS(KAFKA_SYMBOL)
#undef KAFKA_SYMBOL
};

enum fh_code kafka_library_load(struct fh_error *error)
{
    if (kafka.rd_kafka_topic_result_error_string) /* the last in the list */
        return FH_OK;
    return library_load(LIBRARY, "librdkafka1", symbols, sizeof symbols / sizeof symbols[0], error);
}
