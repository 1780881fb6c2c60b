/* SPDX-License-Identifier: Apache-2.0 */
/* A key that others read lets them pose as the gateway, or as a service to its store's server. */

#include "system/file/private_key.h"

#include <sys/stat.h>

#include "system/file/secret_file.h"

void private_key_check(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                       const char *path)
{
    struct stat status;
    struct place place = yaml_place(reader, node);
    if (stat(path, &status) != 0)
        return;
    switch (secret_file_fault(&status)) {
    case SECRET_SOUND:
        break;
    case SECRET_NO_FILE:
        findings_error(reader->findings, place, "%s: %s is not a regular file", what, path);
        break;
    case SECRET_OPEN:
        findings_error(reader->findings, place,
                       "%s: others can use the private key %s, whose mode is %04o: chmod 600 it, "
                       "and take a new key if they may have read it",
                       what, path, (unsigned)status.st_mode & 0777);
        break;
    case SECRET_OF_ANOTHER:
        findings_error(reader->findings, place,
                       "%s: the private key %s belongs to another user, %u: chown it to the one "
                       "who runs up, or to root",
                       what, path, (unsigned)status.st_uid);
        break;
    }
}
