/* SPDX-License-Identifier: Apache-2.0 */
/* Which deliberate bug there is now: asked once, since it decides nothing else. */

#include "mutation.h"

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
