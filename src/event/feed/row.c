/* SPDX-License-Identifier: Apache-2.0 */
/* One row of a snapshot, in the version that its reader asks for. */

#include "event/feed/row.h"

#include <string.h>

#include "base/json.h"
#include "event/envelope.h"
#include "event/digest.h"
#include "event/versions.h"

/* `data` NULL: as they stand in the row. */
static void write_digest(struct text *body, const struct ledger_event *row, const json_t *data,
                         const json_t *names)
{
    char digest[DIGEST_SIZE];
    json_t *parsed = NULL;
    if (!data)
        FH_ASSERT(json_parse(row->data, strlen(row->data), &parsed, ERROR_UNHEEDED) == FH_OK);
    digest_of(data ? data : parsed, names, digest);
    envelope_row_digest(body, row, digest);
    json_decref(parsed);
}

bool row_is_as_asked(const struct fh_published *published, const struct row_asked *asked)
{
    return !asked->version || asked->version == versions_published(published);
}

enum fh_code row_write(struct text *body, struct work_context *context,
                       const struct fh_published *published, struct ledger_event *row,
                       const json_t *data, const struct row_asked *asked, struct fh_error *error)
{
    char *cast = NULL;
    row->type = published->type;
    row->version = versions_published(published);
    if (asked->digests && row_is_as_asked(published, asked)) {
        write_digest(body, row, data, asked->digests);
        return FH_OK;
    }
    char *text = json_text(data);
    row->data = text;
    enum versions_verdict verdict = versions_for_reader(context, row->type, row->version,
                                                        asked->version, row->data, &cast, error);
    if (verdict == VERSIONS_CAST) {
        row->data = cast;
        row->version = asked->version;
    }
    if (verdict != VERSIONS_FAILED && asked->digests)
        write_digest(body, row, cast ? NULL : data, asked->digests);
    else if (verdict != VERSIONS_FAILED)
        envelope_row(body, row, &asked->fields);
    json_text_free(cast);
    json_text_free(text);
    return verdict == VERSIONS_FAILED ? error->code : FH_OK;
}
