/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_TLS_OPENSSL_H
#define STORE_TLS_OPENSSL_H

/*
 * OpenSSL's messages about what is wrong with a link. Several client libraries are built on it and
 * pass on nothing but its texts: their engines put these rows into their own tables. The more
 * specific ones come first.
 */

#include "store/tls.h"

/* clang-format off */
#define STORE_TLS_OPENSSL_WORDS \
    {"Hostname mismatch", STORE_TLS_OTHER_HOST}, \
    {"IP address mismatch", STORE_TLS_OTHER_HOST}, \
    {"certificate has expired", STORE_TLS_EXPIRED}, \
    {"handshake failure", STORE_TLS_WEAK}, \
    {"unsupported protocol", STORE_TLS_WEAK}, \
    {"protocol version", STORE_TLS_WEAK}, \
    {"certificate required", STORE_TLS_UNKNOWN_CLIENT}, \
    {"bad certificate", STORE_TLS_UNKNOWN_CLIENT}, \
    {"unknown ca", STORE_TLS_UNKNOWN_CLIENT}, \
    {"self-signed certificate", STORE_TLS_OTHER_AUTHORITY}, \
    {"unable to get local issuer", STORE_TLS_OTHER_AUTHORITY}, \
    {"certificate verify failed", STORE_TLS_OTHER_AUTHORITY}
/* clang-format on */

#endif
