/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_LIBRARY_H
#define BASE_LIBRARY_H

/*
 * Client libraries that are loaded when they are needed, and never unloaded: whoever does not need
 * one carries nothing of it. Their functions are named in one list, from which the pointers are
 * declared with the types that the library's own header gives, and the table below is made.
 */

#include <stddef.h>

#include "base/error.h"

struct library_symbol {
    const char *name;
    void **address;
};

/* `package`: what a person installs who lacks it. FH_UNSUPPORTED: it is not there, or has not all
 * of the symbols; says which. */
enum fh_code library_load(const char *file, const char *package,
                          const struct library_symbol *symbols, size_t count,
                          struct fh_error *error);

#endif
