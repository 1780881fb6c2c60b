/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HTTP_PUBLIC_H
#define HTTP_PUBLIC_H

/* Which addresses are on the public Internet: those that are globally reachable according to IANA's
 * registries of special-purpose addresses (RFC 6890), without multicast. Pure. */

#include <stdbool.h>
#include <sys/socket.h>

bool http_is_public(const struct sockaddr *address);

#endif
