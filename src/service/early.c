/* SPDX-License-Identifier: Apache-2.0 */
/* Everything here is read once and kept: afterwards its files may be out of reach. */

#include "service/early.h"

#include "base/json.h"
#include "engine/engines.h"
#include "store/store.h"
#include "timer/timer.h"

enum fh_code load_early(const fh_service *service, const json_t *config, struct fh_error *error)
{
    const char *names[] = {json_string_at(config, "engine"), json_string_at(config, "from.engine")};
    enum fh_code code = FH_OK;
    for (int i = 0; i < 2 && code == FH_OK; i++) {
        const struct engine *engine = names[i] ? engine_named(names[i]) : NULL;
        if (engine && engine->store->load)
            code = engine->store->load(error);
    }
    return code == FH_OK ? timers_check(service, error) : code;
}
