/* SPDX-License-Identifier: Apache-2.0 */
/* Updates: DOCUMENT\nUPDATE. What could be stored can be stored afterwards, with the same id, and
 * an update whose form is wrong is refused whatever the document. */

#include "fuzz.h"
#include "store/document/document.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_start();
    char *first = fuzz_take(&data, &size, '\n'), *second = fuzz_rest(&data, &size);
    json_t *document = fuzz_json(first), *update = fuzz_json(second);
    struct fh_error error;
    if (document && update && document_check(document, &error) == FH_OK) {
        json_t *id = json_deep_copy(json_object_get(document, "id"));
        enum fh_code form = document_update_check(update, &error);
        enum fh_code code = document_apply(document, update, &error);
        FH_ASSERT(form == FH_OK || code == form);
        if (code == FH_OK) {
            FH_ASSERT(document_check(document, &error) == FH_OK);
            FH_ASSERT(json_equal(json_object_get(document, "id"), id));
        }
        json_decref(id);
    }
    json_decref(document);
    json_decref(update);
    free(first);
    free(second);
    return 0;
}
