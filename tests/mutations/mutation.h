/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MUTATION_H
#define MUTATION_H

/*
 * Deliberate bugs, to see that the simulation finds them. The sources have none: they stand in the
 * patches of this folder, which are applied to copies of the sources for one library that only the
 * simulation's own test links. There is one bug at a time, the one that the environment's
 * FREEHOLD_MUTATION names:
 *
 *     if (MUTATION(early_reply))
 *         answer_before_commit();
 */

#include <stdbool.h>

bool mutation_is(const char *name);

#define MUTATION(name) mutation_is(#name)

#endif
