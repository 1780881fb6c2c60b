/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whoever lives beside the hostile service: `neighbour`, whom that must not reach at all, and
 * `ally`, whom it may ask. Each keeps a secret. Owns `secrets`.
 */

#include <freehold.h>

static void ping(fh_work *w)
{
    fh_reply(w, 200, NULL);
}

static void keep_secret(fh_work *w)
{
    fh_exec(w, "INSERT INTO secrets (value) VALUES (:value)", fh_body(w));
}

static const fh_field secret_shape[] = {{"value", FH_STRING, .min = 1, .max = 1000}, {0}};

#define ROUTES                                                                                     \
    {                                                                                              \
        {"GET", "/ping", ping, .audience = FH_SERVICES},                                           \
        {                                                                                          \
            "POST", "/secrets", keep_secret, secret_shape, .audience = FH_OPERATORS                \
        }                                                                                          \
    }

#ifdef ALLY
FH_SERVICE(ally, .model = FH_RELATIONAL, .routes = ROUTES);
#else
FH_SERVICE(neighbour, .model = FH_RELATIONAL, .routes = ROUTES);
#endif
