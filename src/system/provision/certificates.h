/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_PROVISION_CERTIFICATES_H
#define SYSTEM_PROVISION_CERTIFICATES_H

/*
 * A system's own certificates, for mutual TLS between its processes: one authority, STATE/.tls, and
 * for each process a certificate in its name, in its own folder. X.509 version 3 with keys on P-256
 * (RFC 5280, RFC 5480).
 */

#include "base/error.h"

#define CERTIFICATES_FOLDER                                                                        \
    ".tls" /* the authority's, in the state folder: can't be a service's name */
#define CERTIFICATES_CA "tls-ca.pem"
#define CERTIFICATES_OWN "tls.pem"
#define CERTIFICATES_KEY "tls-key.pem" /* mode 0600 */
#define CERTIFICATES_NAME_LENGTH_MAX 63

struct certificates;

/* Opens the system's authority in STATE/.tls of this state folder: the existing one, or a new one
 * if there is none or less than a third of its time is left. Times are the wall clock's. */
enum fh_code certificates_open(int state_fd, const char *system, struct certificates **ret,
                               struct fh_error *error);
void certificates_close(struct certificates *certificates); /* may be NULL */

/* Puts the three files above for the process `name`, or an IPv4 address at which others know it, in
 * its folder: keeps existing ones if they are
 * from this authority and have a third of their time left, else makes new ones. */
enum fh_code certificates_give(struct certificates *certificates, int folder_fd, const char *name,
                               struct fh_error *error);

#endif
