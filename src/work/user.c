/* SPDX-License-Identifier: Apache-2.0 */
/* How a handler sees the person on whose behalf it runs. Nothing changes in a rerun. */

#include "work/user.h"

#include "work/work.h"

const struct fh_user *fh_user(fh_work *w)
{
    return w->user ? &w->user->shown : NULL;
}
