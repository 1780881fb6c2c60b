/* SPDX-License-Identifier: Apache-2.0 */
/* What answers say of positions: those of a view, and those of commands. Where one has published,
 * its events have their positions by the time it is answered; only if they could not be fetched
 * (work/positions.c) nothing is said. */

#include "service/view.h"

#include <string.h>

#include "event/manager.h"
#include "store/ledger.h"
#include "work/batch.h"
#include "work/command.h"

/* The last position that a repeated command may have been given when it was first carried out,
 * perhaps by another process. 0: not known. */
static int64_t position_now(const struct work_context *context)
{
    struct store_work *work;
    int64_t position = 0;
    if (!context->leases)
        return context->events->position > context->position ? context->events->position
                                                             : context->position;
    if (store_sequence(context->store, NULL, 0, ERROR_UNHEEDED) != FH_OK ||
        store_begin(context->store, STORE_READ, &work, ERROR_UNHEEDED) != FH_OK)
        return 0;
    if (ledger_position(work, &position, ERROR_UNHEEDED) != FH_OK)
        position = 0;
    store_rollback(work);
    return position;
}

/* What the command has published, or, if it is a repeated one, at least that. NULL: nothing. */
static const char *view_at(struct exchange *exchange)
{
    fh_work *w = &exchange->work;
    if (w->read_only || !w->context->service->publishes[0].type)
        return NULL;
    int64_t position = work_last_position(w);
    if (position == 0 && w->repeated)
        position = position_now(w->context);
    return position > 0 ? command_at(w, position) : NULL;
}

static bool has_at(const fh_work *w)
{
    for (int i = 0; i < w->reply_header_count; i++) {
        if (strcmp(w->reply_headers[i].name, VIEW_AT_HEADER) == 0)
            return true;
    }
    return false;
}

size_t view_headers(struct exchange *exchange, int status, struct http_header *ret)
{
    size_t count = 0;
    const char *at =
        !exchange->route || status >= 400 || has_at(&exchange->work) ? NULL : view_at(exchange);
    if (at)
        ret[count++] = (struct http_header){VIEW_AT_HEADER, at};
    if (exchange->as_of && *exchange->as_of && status < 500)
        ret[count++] = (struct http_header){VIEW_AS_OF_HEADER, exchange->as_of};
    if (exchange->age && status < 500)
        ret[count++] = (struct http_header){"Age", exchange->age};
    return count;
}
