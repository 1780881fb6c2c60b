/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_HTTP_CERTIFICATES_H
#define TESTS_HTTP_CERTIFICATES_H

/* Certificates as a system makes them for its processes. */

#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/stat.h>

#include "http/tls.h"
#include "http_support.h"
#include "system/provision/certificates.h"

/* Where the authority of `system` and what it gave lie: in the order of CERTIFICATES_CA, _OWN and
 * _KEY. */
static inline void tls_paths(const char *folder, const char *system, char ret[3][160])
{
    static const char *const files[] = {CERTIFICATES_CA, CERTIFICATES_OWN, CERTIFICATES_KEY};
    for (int i = 0; i < 3; i++)
        snprintf(ret[i], sizeof ret[i], "%s/%s/%s", folder, system, files[i]);
}

/* What the authority of `system` gives to `name`, below `folder`. */
static inline void make_tls(const char *folder, const char *system, const char *name,
                            struct http_tls *ret)
{
    char path[3][160];
    snprintf(path[0], sizeof path[0], "%s/%s", folder, system);
    mkdir(path[0], 0700);
    int state_fd = open(path[0], O_RDONLY | O_DIRECTORY);
    struct certificates *certificates;
    struct fh_error error = {0};
    assert_int_equal(certificates_open(state_fd, system, &certificates, &error), FH_OK);
    assert_int_equal(certificates_give(certificates, state_fd, name, &error), FH_OK);
    certificates_close(certificates);
    close(state_fd);
    tls_paths(folder, system, path);
    json_t *places =
        json_pack("{s:s, s:s, s:s}", "ca", path[0], "certificate", path[1], "key", path[2]);
    assert_int_equal(http_tls_read(places, ret, &error), FH_OK);
    json_decref(places);
}

#endif
