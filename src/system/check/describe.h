/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_CHECK_DESCRIBE_H
#define SYSTEM_CHECK_DESCRIBE_H

/*
 * Asks every program to describe itself: PROGRAM --describe, all side by side, each limited in
 * output and time. The replies are checked to have the form of docs/internals/processes.md, so that
 * later readers of a description can rely on its types.
 */

#include "system/file/file.h"

#define DESCRIBE_SIZE_MAX ((size_t)1 << 20)
#define DESCRIBE_TIME_MS_MAX 10000

/* Sets `description` of every service whose program_path is known; adds a finding for each that
 * fails. */
void describe_programs(struct system_file *file, struct findings *findings);
/* Asks each program of a relational service for the SQL of its handlers, PROGRAM --statements:
 * ret[i] is what that of file->services[i] says, a new reference; NULL: it does not say it, as one
 * that was built with an earlier version. */
void describe_statements(struct system_file *file, json_t *ret[SYSTEM_SERVICES_MAX]);
/* The same for one service, in at most `time_ms_max`; blocks until then. */
void describe_program(struct system_service *service, int time_ms_max, struct findings *findings);

#endif
