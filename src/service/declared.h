/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVICE_DECLARED_H
#define SERVICE_DECLARED_H

/*
 * The services that a program's object files declare, in this library's layout. An object file may
 * have been compiled with an older freehold.h, whose structs had fewer fields: those that it did
 * not know are zero.
 */

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "freehold.h"

struct declared {
    const fh_service **services;
    size_t count;
};

/* Reads the section that FH_SERVICE writes. Kept as long as the process. FH_UNSUPPORTED: one was
 * compiled with a freehold.h that does not fit this library; says what to do. FH_INVALID: as of
 * declared_check. */
enum fh_code declared_read(const fh_service *const *begin, const fh_service *const *end,
                           struct declared *ret, struct fh_error *error);
/* What a compiler can't see of a declaration: FH_INVALID if a shape, a name or a location in it
 * can't work. */
enum fh_code declared_check(const fh_service *service, struct fh_error *error);
/* Whether a route answers where `location` is, with other names in it or without types. */
bool declared_answers(const char *path, const char *location);
/* Finds one by name; NULL: there is none. */
const fh_service *declared_find(const struct declared *declared, const char *name);

#endif
