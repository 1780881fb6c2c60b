/* SPDX-License-Identifier: Apache-2.0 */
/* A service that can do a hundred requests a second and no more: each keeps its loop for 10 ms. */

#include <freehold.h>
#include <time.h>

static void keep_busy(fh_work *w)
{
    nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    fh_reply(w, 200, json_pack("{s:b}", "done", 1));
}

static const fh_field load_shape[] = {{"load", FH_STRING}, {0}};

FH_SERVICE(busy, .model = FH_RELATIONAL,
           .routes = {{"GET", "/busy", keep_busy, .auth = FH_ANYONE},
                      {"POST", "/busy", keep_busy, .body = load_shape, .auth = FH_ANYONE}});
