/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_CRASH_H
#define BASE_CRASH_H

/*
 * Named points at which a test kills the process: before and after every durable step. They exist
 * only in a build with FREEHOLD_CRASH_POINTS; otherwise a point compiles to nothing.
 *
 * In such a build the environment variable FREEHOLD_CRASH names a file, relative to the process's
 * working directory. While it holds "NAME" or "NAME:N", the process that passes that point (for the
 * N-th time) removes the file and sends itself SIGKILL. So a test can arm one running service,
 * which dies once and comes back unarmed. With N = 0 each process that passes the point dies, and
 * appends a line to the file, which stays.
 */

void crash_point(const char *name); /* defined only with FREEHOLD_CRASH_POINTS */

#ifdef FREEHOLD_CRASH_POINTS
#define CRASH_POINT(name) crash_point(name)
#else
#define CRASH_POINT(name) ((void)0)
#endif

#endif
