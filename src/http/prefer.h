/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HTTP_PREFER_H
#define HTTP_PREFER_H

#define PREFER_WAIT_S_MAX 60

/* The seconds of "wait=N" in a Prefer header's value (RFC 7240, section 4.3), at most
 * PREFER_WAIT_S_MAX; 0: none. `prefer` may be NULL. */
int prefer_wait_s(const char *prefer);

#endif
