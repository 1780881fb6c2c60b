/* SPDX-License-Identifier: Apache-2.0 */
/* A key that others read lets them pose as the gateway, or as a service to its store's server. */

#include "system/file/private_key.h"

#include <sys/stat.h>
#include <unistd.h>

void private_key_check(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                       const char *path)
{
    struct stat status;
    struct place place = yaml_place(reader, node);
    if (stat(path, &status) != 0)
        return;
    if (!S_ISREG(status.st_mode)) {
        findings_error(reader->findings, place, "%s: %s is not a regular file", what, path);
        return;
    }
    mode_t closed = status.st_uid == 0 && geteuid() != 0 ? 0037 : 0077;
    if (status.st_mode & closed)
        findings_error(reader->findings, place,
                       "%s: others can use the private key %s, whose mode is %04o: chmod 600 it, "
                       "and take a new key if they may have read it",
                       what, path, (unsigned)status.st_mode & 0777);
    else if (status.st_uid != 0 && status.st_uid != geteuid())
        findings_error(reader->findings, place,
                       "%s: the private key %s belongs to another user, %u: chown it to the one "
                       "who runs up, or to root",
                       what, path, (unsigned)status.st_uid);
}
