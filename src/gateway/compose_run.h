/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_COMPOSE_RUN_H
#define GATEWAY_COMPOSE_RUN_H

/* Answers a struct gateway_exchange whose route is a composition: a fiber's entry function. */
void compose_run(void *exchange);

#endif
