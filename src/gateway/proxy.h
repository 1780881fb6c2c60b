/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_PROXY_H
#define GATEWAY_PROXY_H

/* Passes a routed struct gateway_exchange to its service and answers it: entry of a fiber. */
void proxy_run(void *exchange);
/* The names of the request headers that reach a service: "Content-Type, Accept, ...". Static. */
const char *proxy_header_names(void);

#endif
