/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_PROVISION_LIBRARIES_H
#define SYSTEM_PROVISION_LIBRARIES_H

/* Which files the loader will look for to run a program, as ld.so(8) has it, without running
 * anything: those outside the system's own folders (/lib, /usr/lib, the loader's cache), where a
 * mount namespace may have to let them be seen. */

#include "base/error.h"

/* Calls `found` with an absolute path for each: libraries by RPATH, RUNPATH and LD_LIBRARY_PATH,
 * LD_PRELOAD's, the loader, and a script's interpreter and what that needs. `program_fd`: the file
 * itself, if it is no longer what has the name; or -1. A file that is no program needs nothing.
 * Only what `found` returns is returned. */
enum fh_code libraries_find(const char *program, int program_fd, char *const *environment,
                            enum fh_code (*found)(void *context, const char *path), void *context);

#endif
