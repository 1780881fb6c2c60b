/* SPDX-License-Identifier: Apache-2.0 */
/* What both sides of a deal do: they count how often something was taken, and given back. */

#include <freehold.h>

static inline void take(fh_work *w, const char *what)
{
    fh_exec(w,
            "INSERT INTO taken (token, what, times, undone) VALUES (:token, :what, 1, 0)"
            " ON CONFLICT (token, what) DO UPDATE SET times = times + 1",
            fh_body(w), json_pack("{s:s}", "what", what));
    fh_publish(w, "Taken", json_pack("{s:O}", "token", json_object_get(fh_body(w), "token")));
    fh_reply(w, 200, NULL);
}

static inline void give_back(fh_work *w)
{
    fh_exec(w, "UPDATE taken SET undone = undone + 1 WHERE token = :token AND what = 'deal'",
            fh_undone_request(w));
    fh_publish(w, "Given",
               json_pack("{s:O}", "token", json_object_get(fh_undone_request(w), "token")));
    fh_reply(w, 200, NULL);
}

static const fh_field taking_shape[] = {{"token", FH_STRING}, {"refused", FH_BOOL}, {0}};
static const fh_field taken_shape[] = {{"token", FH_STRING}, {0}};
