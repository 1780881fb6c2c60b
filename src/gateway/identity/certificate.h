/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_IDENTITY_CERTIFICATE_H
#define GATEWAY_IDENTITY_CERTIFICATE_H

/* Whose a client's certificate is. Pure: that it is of a trusted authority, in time and not
 * withdrawn was found when the connection was set up (http/tls_session.h). */

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* Where the subject stands: in a name of this kind of subjectAltName, or in the common name. */
enum certificate_name {
    CERTIFICATE_URI,
    CERTIFICATE_DNS,
    CERTIFICATE_EMAIL,
    CERTIFICATE_CN,
};
extern const char *const certificate_name_words[]; /* ended by NULL, in the enum's order */

struct certificate_rules {
    enum certificate_name name;
    const char *subjects; /* what stands before each subject; borrowed */
};

/* Of {"name": "uri", "subjects": "..."}; `config` is borrowed. */
enum fh_code certificate_rules_read(const json_t *config, struct certificate_rules *ret,
                                    struct fh_error *error);
/* A new identity, good until *ret_until_ms of the wall clock. FH_INVALID: a sentence for the log:
 * it has ended, or has not exactly one such name. */
enum fh_code certificate_identity(const struct certificate_rules *rules, const unsigned char *der,
                                  size_t length, int64_t now_ms, json_t **ret,
                                  int64_t *ret_until_ms, struct fh_error *error);

#endif
