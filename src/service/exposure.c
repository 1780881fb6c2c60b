/* SPDX-License-Identifier: Apache-2.0 */
/* Words and numbers of exposures: one table, for the system file's reader, the configurations that
 * `up` writes, and the processes that read them. */

#include "service/exposure.h"

#include <string.h>

#include "base/json.h"

const char *const exposure_words[] = {"inside", "public", "off", NULL};
const char *const exposed_words[] = {"metrics", "docs", "openapi", "asyncapi", NULL};

enum fh_code exposure_read(const json_t *config, enum exposure ret[static EXPOSED_COUNT],
                           struct fh_error *error)
{
    const json_t *given = json_object_get(config, "exposure");
    for (int i = 0; i < EXPOSED_COUNT; i++) {
        const json_t *value = json_object_get(given, exposed_words[i]);
        const char *word = json_string_value(value);
        int exposure = EXPOSURE_INSIDE;
        ret[i] = EXPOSURE_INSIDE;
        if (!value)
            continue;
        while (exposure_words[exposure] && !(word && strcmp(exposure_words[exposure], word) == 0))
            exposure++;
        if (!exposure_words[exposure])
            return error_set(error, FH_INVALID,
                             "\"exposure\": \"%s\" must be \"inside\", \"public\" or \"off\".",
                             exposed_words[i]);
        ret[i] = (enum exposure)exposure;
    }
    return FH_OK;
}

json_t *exposure_json(const enum exposure exposures[static EXPOSED_COUNT])
{
    json_t *all = json_object();
    for (int i = 0; i < EXPOSED_COUNT; i++)
        json_object_set_new(all, exposed_words[i], json_string(exposure_words[exposures[i]]));
    return all;
}
