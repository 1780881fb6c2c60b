/* SPDX-License-Identifier: Apache-2.0 */
/* See library.h. */

#include "base/library.h"

#include <dlfcn.h>
#include <stdint.h>

#define OPENSSL_NO_ATEXIT 0x00080000 /* openssl/crypto.h, which nothing else here needs */

void library_keep_openssl_at_exit(void)
{
    void *openssl = dlopen("libcrypto.so.3", RTLD_NOW | RTLD_LOCAL | RTLD_NOLOAD);
    int (*init)(uint64_t, const void *) = NULL;
    if (openssl)
        *(void **)&init = dlsym(openssl, "OPENSSL_init_crypto");
    if (init)
        init(OPENSSL_NO_ATEXIT, NULL);
}

enum fh_code library_load(const char *file, const char *package,
                          const struct library_symbol *symbols, size_t count,
                          struct fh_error *error)
{
    void *library = dlopen(file, RTLD_NOW | RTLD_LOCAL);
    if (!library)
        return error_set(error, FH_UNSUPPORTED,
                         "The client library %s can't be loaded (Debian: %s): %.120s.", file,
                         package, dlerror());
    library_keep_openssl_at_exit();
    for (size_t i = 0; i < count; i++) {
        *symbols[i].address = dlsym(library, symbols[i].name);
        if (!*symbols[i].address)
            return error_set(error, FH_UNSUPPORTED,
                             "The client library %s has no %s: a newer one is needed.", file,
                             symbols[i].name);
    }
    return FH_OK;
}
