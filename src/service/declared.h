/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVICE_DECLARED_H
#define SERVICE_DECLARED_H

/*
 * The services that a program's object files declare, as this library knows them. An object file
 * may have been compiled with an older freehold.h, in which structs had fewer fields: what it did
 * not know is zero.
 */

#include <stddef.h>

#include "base/error.h"
#include "freehold.h"

struct declared {
    const fh_service **services;
    size_t count;
};

/* Of the section that FH_SERVICE writes. Kept as long as the process. FH_UNSUPPORTED: one was
 * compiled with a freehold.h that does not go with this library; says what to do. */
enum fh_code declared_read(const fh_service *const *begin, const fh_service *const *end,
                           struct declared *ret, struct fh_error *error);
/* By its name; NULL: there is none. */
const fh_service *declared_find(const struct declared *declared, const char *name);

#endif
