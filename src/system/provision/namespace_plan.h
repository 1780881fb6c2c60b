/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_PROVISION_NAMESPACE_PLAN_H
#define SYSTEM_PROVISION_NAMESPACE_PLAN_H

/* Between namespace.c, which finds out what must be mounted, and namespace_enter.c, which does it
 * in the child. */

#include <limits.h>
#include <stdint.h>

#include "base/arena.h"
#include "http/tls.h"
#include "system/provision/namespace.h"

#define NAMESPACE_BINDS_MAX 256
#define NAMESPACE_LINKS_MAX 256
#define NAMESPACE_DIRECTORIES_MAX 1024
#define NAMESPACE_COVERS_MAX 32
#define NAMESPACE_COPY_SIZE_MAX HTTP_TLS_PEM_SIZE_MAX

/* A file or folder that is seen where it is. */
struct namespace_bind {
    const char *path; /* without links */
    dev_t device;     /* of what was found there */
    ino_t inode;
    bool folder;
    bool written;
    bool run;         /* what it reads may be programs and libraries */
    const void *copy; /* of a key: what is in it; else NULL */
    size_t copy_length;
    const char *copy_path; /* the copy is made here, in a cover, and mounted over an open place */
    int mount_fd;          /* in the child */
};

struct namespace_link {
    const char *path, *text;
};

struct mount_plan {
    struct arena arena;
    const char *folder; /* to end in */
    uid_t user;         /* who gets copies */
    uid_t own_user;     /* this process's */
    gid_t own_group;
    bool in_user_namespace;
    const char *covers[NAMESPACE_COVERS_MAX];
    size_t cover_count;
    const char *directories[NAMESPACE_DIRECTORIES_MAX]; /* each after the one it is in */
    size_t directory_count;
    struct namespace_link links[NAMESPACE_LINKS_MAX];
    size_t link_count;
    struct namespace_bind binds[NAMESPACE_BINDS_MAX];
    size_t bind_count;
};

#endif
