/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_LIBRARY_H
#define BASE_LIBRARY_H

/*
 * Client libraries that are loaded on demand and never unloaded, so that programs that don't need
 * one don't depend on it. One list names a library's functions; it is used both to declare pointers
 * with the types from the library's own header and to fill the table below.
 */

#include <stddef.h>

#include "base/error.h"

struct library_symbol {
    const char *name;
    void **address;
};

/* `package`: what to install if the library is missing. FH_UNSUPPORTED: the library or one of its
 * symbols is missing; the message says which. */
enum fh_code library_load(const char *file, const char *package,
                          const struct library_symbol *symbols, size_t count,
                          struct fh_error *error);

/* OpenSSL frees what it has when the process exits, under the hands of client libraries' threads
 * that are still in it. Called before anything uses it, this makes it leave all to the kernel;
 * where no OpenSSL is loaded, it does nothing. library_load() calls it. */
void library_keep_openssl_at_exit(void);

#endif
