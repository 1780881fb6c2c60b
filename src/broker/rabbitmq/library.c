/* SPDX-License-Identifier: Apache-2.0 */
/* See library.h. The library stays loaded until the process ends: threads may still be in it. */

#include "broker/rabbitmq/library.h"

#include "base/library.h"

#define LIBRARY "librabbitmq.so.4"

struct rabbitmq_library rabbitmq;

static const struct library_symbol symbols[] = {
#define RABBITMQ_SYMBOL(name) {#name, (void **)&rabbitmq.name},
    RABBITMQ_FUNCTIONS(RABBITMQ_SYMBOL)
#undef RABBITMQ_SYMBOL
};

enum fh_code rabbitmq_library_load(struct fh_error *error)
{
    if (rabbitmq.amqp_tcp_socket_new) /* the last in the list */
        return FH_OK;
    return library_load(LIBRARY, "librabbitmq4", symbols, sizeof symbols / sizeof symbols[0],
                        error);
}
