/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_OPTIONS_H
#define BROKER_OPTIONS_H

/* Options of a bus, as drivers read them. What is wrong with one is told without repeating it: it
 * may be the password. */

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* `otherwise`: if there is none. */
enum fh_code broker_option_text(const json_t *options, const char *name, const char *otherwise,
                                char *ret, size_t size, struct fh_error *error);
#define BROKER_KEEP_BYTES (INT64_C(1) << 30) /* of a topic, unless its bus says otherwise */
#define BROKER_KEEP_S_MAX (INT64_C(10) * 366 * 86400)

/* From 1 to `most`. */
enum fh_code broker_option_number(const json_t *options, const char *name, int64_t otherwise,
                                  int64_t most, int64_t *ret, struct fh_error *error);
/* "outside_kept_s", of a publisher's bus; 0: there is none. */
enum fh_code broker_option_outside(const json_t *options, int64_t *ret, struct fh_error *error);

#endif
