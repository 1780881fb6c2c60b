/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVICE_TRIAL_H
#define SERVICE_TRIAL_H

/*
 * Whether this program would get ready on the store of the one that serves now: it copies that into
 * the folder SERVICE_TRIAL_FOLDER of the service's own, and does there what a start does, up to the
 * first request to anybody else. It serves nobody, and what it writes is in that folder, which
 * `freehold up` removes (system/supervise/trial.h).
 */

#include "service/runtime.h"

#define SERVICE_TRIAL_FOLDER "trial"

/* Of a service with an embedded store. On a fiber. FH_UNAVAILABLE: it can't be tried now. */
enum fh_code service_try(struct runtime *runtime, struct fh_error *error);

#endif
