/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVICE_EARLY_H
#define SERVICE_EARLY_H

/* What a service reads of the machine's files, before it confines itself. */

#include <jansson.h>

#include "base/error.h"
#include "freehold.h"

/* What the engine needs of its client library; and the zones of the declared schedules, which are
 * checked with that. FH_INVALID: says what is wrong with one. */
enum fh_code load_early(const fh_service *service, const json_t *config, struct fh_error *error);

#endif
