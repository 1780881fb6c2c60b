/* SPDX-License-Identifier: Apache-2.0 */
/* Places are judged the same way for cursors and for the places that a snapshot's pages came
 * from. */

#include "event/outbox/place.h"

#include <string.h>

enum fh_code place_judge(struct store_work *work, int64_t last, int64_t position, const char *id,
                         enum place *ret, struct fh_error *error)
{
    int64_t trimmed;
    char there[ID_SIZE];
    *ret = PLACE_AHEAD;
    if (position > last)
        return FH_OK;
    enum fh_code code = ledger_outbox_trimmed(work, &trimmed, there, error);
    *ret = PLACE_TRIMMED;
    if (code != FH_OK || position < trimmed)
        return code;
    if (position > trimmed)
        code = ledger_outbox_id_at(work, position, there, error);
    *ret = position > 0 && strcmp(there, id) != 0 ? PLACE_ANOTHER : PLACE_HERE;
    return code;
}

enum fh_code place_id(struct store_work *work, int64_t last, char ret[ID_SIZE],
                      struct fh_error *error)
{
    int64_t trimmed;
    enum fh_code code = ledger_outbox_trimmed(work, &trimmed, ret, error);
    return code == FH_OK && last > trimmed ? ledger_outbox_id_at(work, last, ret, error) : code;
}
