/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WORK_USER_H
#define WORK_USER_H

/*
 * The person outside on whose behalf a unit of work is done, as the gateway stated and this service
 * verified (call/user.h). Never changed after it was made, and shared by all that refer to it.
 */

#include <jansson.h>

#include "freehold.h"

struct work_user {
    struct fh_user shown;  /* what handlers see */
    json_t *identity;      /* an object: "scopes", "roles", "claims"; on the heap */
    const char *statement; /* to pass on with requests, and to keep with a saga */
    unsigned char key[32]; /* the public half that it was verified by; all zero: none was asked */
    int references;        /* belongs to call/user.c */
};

#endif
