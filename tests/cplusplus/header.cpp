/* SPDX-License-Identifier: Apache-2.0 */
/* The public headers, as C++17 sees them. */

#include <freehold.h>
#include <freehold/simulate.h>
#include <freehold/test.h>

static_assert(FH_CPLUSPLUS == 1, "objects with destructors are known of");
