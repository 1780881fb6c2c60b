/* SPDX-License-Identifier: Apache-2.0 */
/* One row of a snapshot, in the version that its reader asks for. */

#include "event/feed/row.h"

#include "base/json.h"
#include "event/envelope.h"
#include "event/versions.h"

enum fh_code row_write(struct text *body, struct work_context *context,
                       const struct fh_published *published, struct ledger_event *row,
                       const json_t *data, int asked, const struct fields *fields,
                       struct fh_error *error)
{
    char *text = json_text(data), *cast = NULL;
    row->data = text;
    row->type = published->type;
    row->version = versions_published(published);
    enum versions_verdict verdict =
        versions_for_reader(context, row->type, row->version, asked, row->data, &cast, error);
    if (verdict == VERSIONS_CAST) {
        row->data = cast;
        row->version = asked;
    }
    if (verdict != VERSIONS_FAILED)
        envelope_row(body, row, fields);
    json_text_free(cast);
    json_text_free(text);
    return verdict == VERSIONS_FAILED ? error->code : FH_OK;
}
