/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_OBSERVE_STATUS_H
#define CLI_OBSERVE_STATUS_H

#include <jansson.h>

/* Prints what `up` and the services reported (status.c): no line is wider than `width`, which must
 * be at least 80; 0: a line may have any length. */
void status_print(const json_t *status, int width);

#endif
