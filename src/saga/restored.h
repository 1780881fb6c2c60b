/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SAGA_RESTORED_H
#define SAGA_RESTORED_H

/*
 * Restores, of this service's store and of services that its sagas send to: see restored.c and
 * docs/operate/restored.md. The report is in work/restored.h.
 */

#include <jansson.h>
#include <stdint.h>

#include "base/error.h"
#include "saga/run.h"
#include "work/restored.h"

/* Where a restored receiver of sagas notifies its callers: POST, Freehold-From says which
 * service. */
#define SAGA_RESTORED_PATH "/_freehold/restored/announce"
/* What services whose sagas come here are granted: they are the ones to notify. */
#define SAGA_CALLER_GRANT "POST /_freehold/closed"

/* `service` has announced that it was restored and is now `incarnation`. FH_OK once that is
 * durable; what follows from it is done afterwards. On a fiber. */
enum fh_code saga_restored_announced(struct saga_manager *manager, const char *service,
                                     const char *incarnation, struct fh_error *error);

/* {"service", "incarnation", "restored": [{"incarnation", "position"}], "untold": [service],
 * "looking": [service], "entries": [...], "left_out"}: what was restored, which services have not
 * been notified yet, of which it is not known yet what a restore has lost there, and the report.
 * New reference. On a fiber. */
enum fh_code saga_restored_show(struct saga_manager *manager, json_t **ret, struct fh_error *error);
/* How many entries of the report no operator has seen yet, including those left out. On a fiber. */
int64_t saga_restored_waits(struct saga_manager *manager);
/* An operator has seen to some entries. */
enum fh_code saga_restored_seen(struct saga_manager *manager, struct restored_seen *seen,
                                struct fh_error *error);

#endif
