/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIMULATE_CRASH_PLACE_H
#define SIMULATE_CRASH_PLACE_H

#include "simulate/run.h"

/* From now on a signal that ends this process, as a handler's bug does, leaves in result->crash
 * whose code it was and in which functions, before it does. `result` is shared with whoever reads
 * it. Once in a process. */
void crash_place_watch(const struct simulate *simulate, struct run_result *result);

#endif
