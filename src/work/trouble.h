/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WORK_TROUBLE_H
#define WORK_TROUBLE_H

/*
 * Trouble with a service's store: it does not serve, because the disk is full, or its server is
 * gone or has no connection left. Clients see that in their answers; this reports it to the
 * operator, in the log at most once a minute, and in the service's state. The first unit of work
 * that succeeds ends the trouble; where none is requested, trouble_try finds out.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "world/world.h"

enum trouble_kind { TROUBLE_READS, TROUBLE_WRITES, TROUBLE_KINDS };

struct trouble {
    uint64_t failures; /* in a row; 0: no trouble */
    int64_t since_ns, last_ns;
    int64_t told_ns;   /* 0: never */
    bool told;         /* whether this trouble was logged */
    char message[256]; /* of the last failure */
};

/* Records what the store answered to a unit of work. FH_OK ends the trouble; of all errors only
 * FH_UNAVAILABLE counts. */
void trouble_note(struct trouble troubles[static TROUBLE_KINDS], enum trouble_kind kind,
                  struct world *world, enum fh_code code, const struct fh_error *error);
/* If the last failure of a kind is TROUBLE_TRY_NS old: does a small read or write of its own, which
 * ends the trouble if it succeeds. On a fiber. */
#define TROUBLE_TRY_NS (INT64_C(3) * 1000000000)
struct work_context;
void trouble_try(struct work_context *context);
/* {"writes": {"why", "failures", "since_ms", "last_ms"}}, both ages; a kind without trouble is
 * absent. */
json_t *trouble_show(const struct trouble troubles[static TROUBLE_KINDS], struct world *world);

#endif
