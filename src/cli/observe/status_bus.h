/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_OBSERVE_STATUS_BUS_H
#define CLI_OBSERVE_STATUS_BUS_H

#include <jansson.h>

/* A row for each publisher that relays to a bus: how many events wait, and why. Nothing where there
 * is none. */
void status_print_buses(const json_t *status);
/* A sentence for each publisher whose bus does not serve this subscriber now, and for each source
 * of which messages were lost. */
void status_note_buses(const json_t *service);

#endif
