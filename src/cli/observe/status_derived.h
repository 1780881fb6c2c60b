/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_OBSERVE_STATUS_DERIVED_H
#define CLI_OBSERVE_STATUS_DERIVED_H

#include <jansson.h>

/* A row for each derived store on a server: how many events are not carried there, and why. Nothing
 * where there is none. */
void status_print_derived(const json_t *status);
/* A sentence for each of the service whose server refuses some of its values. */
void status_note_derived(const json_t *service);

#endif
