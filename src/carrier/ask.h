/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CARRIER_ASK_H
#define CARRIER_ASK_H

/* One request to a server of derived stores that blocks, by HTTP: for the supervisors of private
 * ones, and for `check`. */

#include <jansson.h>

#include "base/error.h"
#include "base/text.h"

#define CARRIED_ASK_MS 3000 /* takes no longer */

struct carried_ask {
    const char *method, *path; /* "GET", "/_cluster/health" */
    const char *body;          /* NULL: none */
    long status;               /* of the answer */
    struct text *answer;       /* its body is added to it; NULL: it is left out */
};

/* `as` is {"host", "port", "user", "password", "tls": {"mode", "ca"}}; without a user nobody asks.
 * FH_UNAVAILABLE: there was no answer. The error has nothing of the request or its answer. */
enum fh_code carried_ask(const json_t *as, struct carried_ask *ask, struct fh_error *error);

#endif
