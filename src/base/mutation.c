/* SPDX-License-Identifier: Apache-2.0 */
/* Which deliberate bug a build for tests has now: asked once, since it decides nothing else. */

#include "base/mutation.h"

#ifdef FREEHOLD_MUTATIONS

#include <stdlib.h>
#include <string.h>

bool mutation_is(const char *name)
{
    static const char *chosen;
    if (!chosen)
        chosen = getenv("FREEHOLD_MUTATION");
    if (!chosen)
        chosen = "";
    return strcmp(chosen, name) == 0;
}

#else

typedef int mutation_none; /* a translation unit is not empty */

#endif
