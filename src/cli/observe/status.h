/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_OBSERVE_STATUS_H
#define CLI_OBSERVE_STATUS_H

#include <jansson.h>

/* What `up` and the services said (status.c), for a person: no line is wider than `width`, as long
 * as that is at least 80; 0: a line may have any length. */
void status_print(const json_t *status, int width);

#endif
