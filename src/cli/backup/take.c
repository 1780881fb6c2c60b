/* SPDX-License-Identifier: Apache-2.0 */
/* One service's part of a backup, whether the system is running or stopped. */

#define _GNU_SOURCE
#include "cli/backup/backup.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "cli/cli.h"
#include "cli/backup/kept.h"
#include "engine/engines.h"
#include "service/backup.h"
#include "store/store.h"
#include "system/backup/backup.h"

static const json_t *service_of(const json_t *system, const char *name)
{
    size_t i;
    json_t *service;
    json_array_foreach (json_object_get(system, "services"), i, service) {
        if (strcmp(json_string_at(service, "name"), name) == 0)
            return service;
    }
    return NULL;
}

int taking_begin(struct taking *taking, const struct state *state)
{
    taking->service_fd =
        openat(state->folder_fd, taking->service, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (taking->service_fd >= 0)
        return CLI_DONE;
    return cli_fail(CLI_FAILED, "the folder of %s can't be opened: %s", taking->service,
                    strerror(errno));
}

bool taking_shows_no_moment(const struct taking *taking, const char **ret_engine)
{
    *ret_engine = json_string_at(service_of(taking->system, taking->service), "engine");
    const struct engine *engine = *ret_engine ? engine_named(*ret_engine) : NULL;
    return engine && !engine->store->copy_file && !engine->sql;
}

void taking_tell(struct progress *progress, const json_t *status)
{
    const char *unit = json_string_at(status, "unit");
    progress->guessed = !unit || strcmp(unit, "pages") != 0;
    progress->unit = progress->guessed ? "rows" : "pages";
    progress->total = json_integer_value(json_object_get(status, "total"));
    progress_reach(progress, json_integer_value(json_object_get(status, "done")));
}

/* What the service says is checked before it is in the manifest, which all others need, too. */
int taking_file(const struct taking *taking, const json_t *status, json_t *entries)
{
    static const char *const told[] = {"engine",   "incarnation", "position",
                                       "taken_ms", "migration",   "rows"};
    struct fh_error error;
    struct kept_reading reading;
    char file[BACKUP_FILE_SIZE];
    const json_t *service = service_of(taking->system, taking->service);
    struct backup_copying copying = {.way = taking->seal ? BACKUP_SEAL : BACKUP_AS_IT_IS,
                                     .seal = taking->seal,
                                     .service = taking->service,
                                     .told = kept_told,
                                     .context = &reading};
    backup_file_name(taking->service, taking->seal != NULL, file);
    kept_begin(&reading, taking->service, taking->quiet);
    enum fh_code code = backup_take(taking->service_fd, SERVICE_BACKUP_NAME ".db",
                                    taking->folder_fd, file, &copying, &error);
    kept_end(&reading);
    if (code != FH_OK)
        return cli_fail(CLI_FAILED, "%s: %s", taking->service, error.message);
    json_t *entry = json_pack("{s:s, s:O*, s:s, s:I}", "file", file, "model",
                              json_at(service, "description.model"), "sha256", copying.sum, "size",
                              (json_int_t)copying.size);
    for (size_t i = 0; i < sizeof told / sizeof *told; i++)
        json_object_set(entry, told[i], json_object_get(status, told[i]));
    json_object_set_new(entries, taking->service, entry);
    const char *wrong = backup_wrong_with(taking->service, entry, taking->seal != NULL);
    if (wrong)
        return cli_fail(CLI_FAILED,
                        "%s: what its process reports of its backup is wrong at \"%s\": no service "
                        "could be restored from a backup with that in it.",
                        taking->service, wrong);
    return CLI_DONE;
}
