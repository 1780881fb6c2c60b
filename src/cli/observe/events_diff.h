/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_OBSERVE_EVENTS_DIFF_H
#define CLI_OBSERVE_EVENTS_DIFF_H

#include <stdbool.h>

/* freehold events diff: how event types differ between two descriptions of contracts. `type` NULL:
 * all. An exit code. */
int events_diff(const char *old_path, const char *new_path, const char *type, bool as_json);

#endif
