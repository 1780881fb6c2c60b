/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_SERVERS_SUPERVISOR_H
#define SYSTEM_SERVERS_SUPERVISOR_H

/*
 * The process that runs one private database server as its child: creates it, starts it, provisions
 * what services need on it, and ends with it. To `up` it is a process like a service's: it reports
 * "ready" and sends heartbeats (docs/internals/processes.md).
 */

/* Returns the exit code: 0 stopped as requested, 1 the server has ended, 78 its configuration is
 * wrong. */
int server_supervisor_main(const char *config_path);

#endif
