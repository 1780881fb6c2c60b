/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_PROVISION_PART_H
#define SYSTEM_PROVISION_PART_H

/*
 * What a part's processes see of closed places (namespace.h), besides their own folder and their
 * program. Never pass on a path that a service could have written down: root mounts it. Paths live
 * as long as the provision; NULL, and what is visible already, are ignored.
 */

#include "system/provision/namespace.h"
#include "system/provision/provision.h"

/* A part of this system that has nothing yet. */
struct provision_part part_new(const struct provision *provision, const char *name,
                               const char *folder);
void part_close(struct provision_part *part); /* what it holds open */
/* It is run by the supervisor of a private server, whose server.json is in its folder. */
void part_supervise(const struct provision *provision, struct provision_part *part);
/* A folder or a file, read-only. One that is missing when a process is started stays invisible to
 * it; in a folder that is there, what comes later is seen, sockets too. */
void part_show(struct provision_part *part, const char *path);
/* A folder, to be written in as far as its mode lets. */
void part_open(struct provision_part *part, const char *path);
/* A file that the process may read even if it is root's alone. */
void part_lend_key(struct provision_part *part, const char *path);
/* What the system file says a service reads: its migrations, its reports, and certificates for its
 * store; of one that moves its store (part->moves) those of all servers, since it is also where it
 * was before. */
void part_show_to_service(const struct provision *provision, const struct system_service *service,
                          struct provision_part *part);
/* To the gateway: what it needs of the server on which gateways count together. */
void part_show_counters(const struct provision *provision, struct provision_part *part);
/* The programs of PATH, for a process that looks for some there, with what is installed beside
 * them; where all processes are one user. */
void part_show_programs(const struct provision *provision, struct provision_part *part);
/* What must be mounted for the next process; *ret is NULL if it runs in no namespace. `environment`
 * NULL: that of this process. */
enum fh_code part_plan_mounts(const struct provision_part *part, int program_fd,
                              char *const *environment, struct mount_plan **ret,
                              struct fh_error *error);

#endif
