/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HTTP_CLIENT_H
#define HTTP_CLIENT_H

/*
 * The HTTP client on the libuv loop, with persistent connections: libcurl's multi interface, and
 * without it to services that use no TLS. It sends each struct world_request to the address it was
 * given for the service: pass http_client_send to world_real_set_sender. No retries here (layer
 * `call` decides on those), no redirects, no proxies, no signals. The client itself enforces a
 * request's deadline, to the millisecond.
 */

#include <uv.h>

#include "base/error.h"
#include "http/outside.h"
#include "http/tls.h"
#include "world/world.h"

struct http_client;

/* To one address. Further requests wait in the client, and their deadlines keep running. */
#define HTTP_CLIENT_CONNECTIONS_MAX 256

enum fh_code http_client_new(uv_loop_t *loop, struct world *world, struct http_client **ret,
                             struct fh_error *error);
/* Open requests fail first: their `done` is called. */
void http_client_free(struct http_client *client);
/* Call before the first request. This client then also sends requests to URLs outside the system
 * (world_request.url) that `rules` allow, verifying certificates against the machine's authorities.
 * What the rules borrow must outlive the client. */
void http_client_go_outside(struct http_client *client, const struct outside_rules *rules);
/* Call after that. Servers outside must bear a certificate of tls->trusted, and of nobody else, and
 * are shown tls->certificate where there is one. `tls` is borrowed for the client's life. */
void http_client_trust(struct http_client *client, const struct http_tls *tls);
/* Call before the first address is set. All requests use TLS, and the other side's certificate must
 * bear the service's name. `tls` is borrowed for the client's life. No effect unless it has a
 * certificate and an authority. */
void http_client_use_tls(struct http_client *client, const struct http_tls *tls);
/* address: "127.0.0.1:4711"; replaces an earlier one. */
void http_client_set_address(struct http_client *client, const char *service, const char *address);
/* Adds the header `name` to every request to a service; its value is what `sign` returns for that
 * service (a string that is valid until the next call). NULL: that request has no such header. */
void http_client_set_signer(struct http_client *client, const char *name,
                            const char *(*sign)(void *context, const char *service), void *context);
/* `settled` is called once all requests that are under way now have ended; perhaps before this
 * returns, and never if the client is freed first. A second call replaces the first. */
void http_client_settle(struct http_client *client, void (*settled)(void *context), void *context);
void http_client_send(void *client, struct world_request *request); /* a world_sender */

#endif
