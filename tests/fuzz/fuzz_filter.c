/* SPDX-License-Identifier: Apache-2.0 */
/* Filters: DOCUMENT\nFILTER. One whose form is right is compared without a fault, one whose form is
 * wrong never matches; and an index of any field of the document has bounded keys. */

#include "fuzz.h"
#include "store/document/document.h"
#include "store/document/key.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_start();
    char *first = fuzz_take(&data, &size, '\n'), *second = fuzz_rest(&data, &size);
    json_t *document = fuzz_json(first), *filter = fuzz_json(second);
    struct fh_error error;
    enum fh_code code = FH_OK;
    struct document_keys keys;
    if (json_is_object(document) && filter) {
        enum fh_code form = document_filter_check(filter, &error);
        bool matches = document_matches(document, filter, &code, &error);
        FH_ASSERT(code == form);
        FH_ASSERT(form == FH_OK || !matches);
        if (document_keys_init(&keys, document, "a.b", &error) == FH_OK) {
            FH_ASSERT(keys.count >= 1 && keys.count <= DOCUMENT_KEYS_MAX);
            document_keys_release(&keys);
        }
    }
    json_decref(document);
    json_decref(filter);
    free(first);
    free(second);
    return 0;
}
