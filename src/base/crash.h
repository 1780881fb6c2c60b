/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_CRASH_H
#define BASE_CRASH_H

/*
 * Named points at which a test kills the process: before and after every durable step. Only a
 * build with FREEHOLD_CRASH_POINTS has them; elsewhere a point is nothing at all.
 *
 * There the environment's FREEHOLD_CRASH names a file, relative to the process' own folder. While
 * it holds "NAME" or "NAME:N", the process that passes that point (for the N-th time) removes the
 * file and sends itself SIGKILL. So one running service is armed, dies once, and comes up unarmed.
 * With N = 0 each process that passes it dies, and leaves a line behind in the file, which stays.
 */

void crash_point(const char *name); /* only where there are points */

#ifdef FREEHOLD_CRASH_POINTS
#define CRASH_POINT(name) crash_point(name)
#else
#define CRASH_POINT(name) ((void)0)
#endif

#endif
