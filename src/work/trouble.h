/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WORK_TROUBLE_H
#define WORK_TROUBLE_H

/*
 * That the store of a service does not serve its works: a full disk, a server that is gone or has
 * no connection left. Whoever asked is told by the work's answer; this tells whoever runs the
 * service, in the log, at most once a minute, and in the service's state. Works end it; where
 * nobody asks for any, trouble_try finds out.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "world/world.h"

enum trouble_kind { TROUBLE_READS, TROUBLE_WRITES, TROUBLE_KINDS };

struct trouble {
    uint64_t failures; /* in a row; 0: there is no trouble */
    int64_t since_ns, last_ns;
    int64_t told_ns;   /* 0: never */
    bool told;         /* of this one */
    char message[256]; /* the last one's */
};

/* What the store said to a work of the kind. FH_OK ends the trouble; of the rest only what says
 * that it does not serve counts. */
void trouble_note(struct trouble troubles[static TROUBLE_KINDS], enum trouble_kind kind,
                  struct world *world, enum fh_code code, const struct fh_error *error);
/* Where the last failure of a kind is TROUBLE_TRY_NS old: a small read, or a small write, of the
 * service's own, which ends that trouble if it goes well. On a fiber. */
#define TROUBLE_TRY_NS (INT64_C(3) * 1000000000)
struct work_context;
void trouble_try(struct work_context *context);
/* {"writes": {"why", "failures", "since_ms", "last_ms"}}, both ages, as far as there is any. */
json_t *trouble_show(const struct trouble troubles[static TROUBLE_KINDS], struct world *world);

#endif
