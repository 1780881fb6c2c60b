/* SPDX-License-Identifier: Apache-2.0 */
/* How a portion shrinks and grows: the caller that sees it fail passes the next size (usually
 * half); it is doubled once `needed` portions of its size have succeeded. `needed` doubles each
 * time growing fails and is halved each time it succeeds, so with a constant bound one portion in
 * PORTION_NEEDED_MAX fails. */

#include "base/portion.h"

int portion_size(const struct portion *portion, int most)
{
    return portion->size && portion->size < most ? portion->size : most;
}

void portion_passed(struct portion *portion, int size)
{
    if (!portion->size || size < portion->size)
        return; /* something else limited it: that says nothing about a larger one */
    if (portion->grew && portion->needed > 1)
        portion->needed /= 2;
    portion->grew = 0;
    if (++portion->passed < portion->needed)
        return;
    portion->passed = 0;
    portion->grew = 1;
    portion->size = portion->size < (1 << 20) ? portion->size * 2 : 0;
}

void portion_failed(struct portion *portion, int next)
{
    if (portion->needed < 1)
        portion->needed = 1;
    if (portion->grew && portion->needed < PORTION_NEEDED_MAX)
        portion->needed *= 2;
    portion->grew = 0;
    portion->passed = 0;
    portion->size = next > 1 ? next : 1;
}
