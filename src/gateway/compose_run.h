/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_COMPOSE_RUN_H
#define GATEWAY_COMPOSE_RUN_H

/* The answer to a struct gateway_exchange whose route is composed: the entry of a fiber. */
void compose_run(void *exchange);

#endif
