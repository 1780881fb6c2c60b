/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HTTP_CLIENT_H
#define HTTP_CLIENT_H

/*
 * The HTTP client: libcurl's multi interface on the libuv loop, connections kept alive. It sends
 * struct world_request to services whose addresses it was told: give http_client_send to
 * world_real_set_sender. No retries here (room call decides), no redirects, no proxies, no
 * signals. A request's deadline is kept by the client, to the millisecond.
 */

#include <uv.h>

#include "base/error.h"
#include "http/tls.h"
#include "world/world.h"

struct http_client;

/* To one address. Further requests wait in the client, and their deadlines run meanwhile. */
#define HTTP_CLIENT_CONNECTIONS_MAX 256

enum fh_code http_client_new(uv_loop_t *loop, struct world *world, struct http_client **ret,
                             struct fh_error *error);
/* Open requests fail first: their `done` is called. */
void http_client_free(struct http_client *client);
/* Before the first request: this client is for what is outside of the system (world_request.url),
 * by http or https as the URL says, certificates checked by the machine's authorities. Beyond the
 * public Internet's addresses only if told: who lets others name URLs lets them name those of this
 * machine and its network, too. */
enum http_outside { HTTP_INSIDE, HTTP_OUTSIDE_PUBLIC, HTTP_OUTSIDE_ANYWHERE };
void http_client_go_outside(struct http_client *client, enum http_outside outside);
/* Before the first address: all requests go by TLS, and the other side's certificate has to be in
 * the service's name. Borrowed as long as the client lives. Without a certificate: nothing. */
void http_client_use_tls(struct http_client *client, const struct http_tls *tls);
/* address "127.0.0.1:4711"; replaces an earlier one. */
void http_client_set_address(struct http_client *client, const char *service, const char *address);
/* Puts the header `name` on every request, with what `sign` gives for its service (a text that
 * lives until the next call); NULL: that request goes without. */
void http_client_set_signer(struct http_client *client, const char *name,
                            const char *(*sign)(void *context, const char *service), void *context);
void http_client_send(void *client, struct world_request *request); /* a world_sender */

#endif
