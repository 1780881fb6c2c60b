/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_MUTATION_H
#define BASE_MUTATION_H

/*
 * Deliberate bugs, to see that the simulation finds them. Only a build with FREEHOLD_MUTATIONS has
 * them, and there one at a time, the one that the environment's FREEHOLD_MUTATION names; elsewhere
 * MUTATION is false, and what stands behind it is not even compiled to code.
 *
 *     if (MUTATION(early_reply))
 *         answer_before_commit();
 */

#include <stdbool.h>

bool mutation_is(const char *name); /* only where there are mutations */

#ifdef FREEHOLD_MUTATIONS
#define MUTATION(name) mutation_is(#name)
#else
#define MUTATION(name) false
#endif

#endif
