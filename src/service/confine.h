/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVICE_CONFINE_H
#define SERVICE_CONFINE_H

/*
 * A process confines itself with Landlock (https://docs.kernel.org/userspace-api/landlock.html):
 * from then on it reaches its own folder, what it must read, and no other file, and connects to the
 * ports it has business with. It leaves no core and can't be traced, and makes only the system
 * calls of system_calls.h. This needs no root, and can't be undone. Landlock confines a thread and
 * those that it starts later, so this must come before any other thread starts.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "service/system_calls.h"

/* What this kernel's Landlock covers; for what it does not, see confine_gaps. */
struct confinement {
    int abi; /* Landlock's; 0: the kernel has none, or has it switched off */
    bool confined;
    enum calls_filtered calls;
};

#define REACH_PORTS_MAX 1024

/* What stays within reach. */
struct reach {
    const char *folder;      /* may be read and written; NULL: none */
    const char *readable;    /* may be read; NULL: none */
    const char *const *also; /* paths that may be read if they exist; ends with NULL; NULL: none */
    const uint16_t *ports;   /* may be connected to by TCP, on any machine (Landlock knows no
                                addresses); nothing may be listened on */
    size_t port_count;
    struct calls_needed calls;
};

/* *ret->confined stays false, with FH_OK, if the kernel has no Landlock; the calls are filtered all
 * the same. FH_CONFLICT: another thread is running, which would not be confined. */
enum fh_code confine(const struct reach *reach, struct confinement *ret, struct fh_error *error);
/* `confine` as the configuration says ("confine": false turns it off), logging the result. With a
 * "store" on a server, a bus or an "outside", what it takes to connect stays readable. The ports
 * are those of the peers it has a key to call, of its store, of the brokers of "bus" and "buses",
 * with "outside" 80 and 443, and those in "outside_ports". */
enum fh_code confine_by(const json_t *config, const char *folder, const char *readable,
                        struct confinement *ret, struct fh_error *error);
/* What Landlock of that ABI leaves open: half-sentences, ending with NULL. */
const char *const *confine_gaps(int abi);

#endif
