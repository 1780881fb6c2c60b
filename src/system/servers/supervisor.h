/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_SERVERS_SUPERVISOR_H
#define SYSTEM_SERVERS_SUPERVISOR_H

/*
 * The process that keeps one private database server: makes it, runs it as its child, makes what
 * services need on it, and ends with it. To `up` it is a process like a service's: it says "ready"
 * and beats (docs/internals/processes.md).
 */

/* Its exit code: 0 stopped as asked, 1 the server has ended, 78 its configuration is wrong. */
int server_supervisor_main(const char *config_path);

#endif
