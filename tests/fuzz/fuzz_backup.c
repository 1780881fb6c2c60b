/* SPDX-License-Identifier: Apache-2.0 */
/* A backup's manifest, from anywhere: what is taken for one has all that is used of it. */

#include "fuzz.h"
#include "system/backup/backup.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_start();
    char *text = fuzz_rest(&data, &size);
    json_t *value = fuzz_json(text), *said;
    struct fh_error error = {0};
    const char *service;
    enum fh_code code = backup_manifest_check(value, &error);
    FH_ASSERT(code == FH_OK || error.message[0]);
    json_object_foreach (code == FH_OK ? json_object_get(value, "services") : NULL, service, said) {
        const char *file = json_string_at(said, "file");
        FH_ASSERT(file && !strchr(file, '/') && strlen(file) > strlen(".db"));
        FH_ASSERT(json_string_at(said, "model") && json_string_at(said, "engine"));
        FH_ASSERT(strlen(json_string_at(said, "sha256")) == BACKUP_SUM_SIZE - 1);
    }
    json_decref(value);
    free(text);
    return 0;
}
