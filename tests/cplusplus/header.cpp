/* SPDX-License-Identifier: Apache-2.0 */
/* The public headers, as C++17 sees them. */

#include <freehold.h>
#include <freehold/simulate.h>
#include <freehold/test.h>

static_assert(FH_CPLUSPLUS == 1, "objects with destructors are known of");

/* What takes objects, and what tells. */
void tell_all(fh_work *w);
void tell_all(fh_work *w)
{
    json_t *fields = json_object();
    fh_log(w, FH_LOG_INFO, "An order came", fields);
    fh_log(w, FH_LOG_WARNING, "nothing more");
    fh_count(w, "orders", 1, fields);
    fh_count(w, "orders", 1);
    fh_observe(w, "order_size", 1.5);
}
