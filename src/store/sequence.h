/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_SEQUENCE_H
#define STORE_SEQUENCE_H

/* What store_sequence keeps between its calls. */

struct store;

/* Call it before the store is closed; waits for a retry that is under way. */
void store_sequencer_close(struct store *store);

#endif
