/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_VERIFY_VERIFY_H
#define SYSTEM_VERIFY_VERIFY_H

/* Verifies isolation (one store, one owner) by trying: what a live service must be refused, and
 * what came of it. */

#include <jansson.h>

#include "system/file/file.h"
#include "system/provision/state.h"

#define VERIFY_FILES_MAX 64 /* per folder */

/* {"paths": [...]} for POST /_freehold/prove (service/isolation.h): the state folder, the keys, and
 * every other part's folder with all its files. New reference. */
json_t *verify_paths(const struct system_file *file, const struct state *state,
                     const struct system_service *service);
/* Adds an error for each path that is open to it. What the service's kernel can't verify is added
 * to `not_verified`, an array of clauses without duplicates. */
void verify_judge(const struct system_service *service, const json_t *answer,
                  struct findings *findings, json_t *not_verified);

#endif
