/* SPDX-License-Identifier: Apache-2.0 */
/* freehold backup: the stores of a running system's services, each as it is at one moment. */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/progress.h"
#include "cli/cli.h"
#include "cli/kept.h"
#include "service/backup.h"
#include "store/store.h"
#include "system/backup.h"

#define LOOK_MS 100

/* ---- one service ----------------------------------------------------------------------------- */

struct taking {
    struct cli_operator *asking;
    const char *service;
    int folder_fd, service_fd; /* of the backup, and the service's own */
    bool quiet;
    char id[64];
};

static json_int_t number(const json_t *value, const char *name)
{
    return json_integer_value(json_object_get(value, name));
}

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

static bool is_over(pid_t pid)
{
    return pid <= 0 || (kill(pid, 0) != 0 && errno == ESRCH);
}

/* What the service's process has written of this backup last; NULL: nothing yet. */
static json_t *look(const struct taking *taking)
{
    json_t *status;
    if (state_read_json(taking->service_fd, SERVICE_BACKUP_STATUS, &status, NULL) != FH_OK)
        return NULL;
    const char *id = json_string_at(status, "id");
    if (id && strcmp(id, taking->id) == 0)
        return status;
    json_decref(status);
    return NULL;
}

static bool is_copying(const json_t *status)
{
    const char *state = json_string_at(status, "state");
    return !state || strcmp(state, "copying") == 0;
}

/* Until it is done; the process whose work it is may die meanwhile. */
static int await_copy(const struct taking *taking, json_t **ret)
{
    struct progress progress = {0};
    json_t *status = look(taking);
    const char *unit = json_string_at(status, "unit");
    progress_begin(&progress, taking->service,
                   unit && strcmp(unit, "pages") == 0 ? "pages" : "rows", 0, taking->quiet);
    while (is_copying(status)) {
        bool over = status && is_over((pid_t)number(status, "pid"));
        progress.total = number(status, "total");
        progress_reach(&progress, number(status, "done"));
        json_decref(status);
        poll(NULL, 0, LOOK_MS);
        status = look(taking);
        if (over && is_copying(status))
            break; /* it said nothing more before it ended */
    }
    progress_end(&progress);
    const char *state = json_string_at(status, "state"), *why = json_string_at(status, "error");
    int code = CLI_DONE;
    if (!state || strcmp(state, "copying") == 0)
        code = cli_fail(CLI_FAILED, "%s ended while it was backed up; its store is as it was",
                        taking->service);
    else if (strcmp(state, "done") != 0)
        code = cli_fail(CLI_FAILED, "%s: %s", taking->service, why ? why : "the backup failed");
    if (code == CLI_DONE)
        *ret = status;
    else
        json_decref(status);
    return code;
}

static int take_file(const struct taking *taking, const json_t *status, json_t *entries)
{
    struct fh_error error;
    struct kept_reading reading;
    char file[BACKUP_NAME_SIZE + 4], sum[BACKUP_SUM_SIZE];
    int64_t size = 0;
    const json_t *service = service_of(taking->asking->system, taking->service);
    snprintf(file, sizeof file, "%s.db", taking->service);
    enum fh_code code =
        backup_take(taking->service_fd, SERVICE_BACKUP_NAME ".db", taking->folder_fd, file, &error);
    kept_begin(&reading, taking->service, taking->quiet);
    if (code == FH_OK)
        code = backup_sum(taking->folder_fd, file, kept_told, &reading, sum, &size, &error);
    kept_end(&reading);
    if (code != FH_OK)
        return cli_fail(CLI_FAILED, "%s: %s", taking->service, error.message);
    json_object_set_new(
        entries, taking->service,
        json_pack(
            "{s:s, s:O, s:O, s:O, s:O, s:O, s:O, s:O, s:I, s:s}", "file", file, "model",
            json_at(service, "description.model"), "engine", json_object_get(status, "engine"),
            "incarnation", json_object_get(status, "incarnation"), "position",
            json_object_get(status, "position"), "taken_ms", json_object_get(status, "taken_ms"),
            "migration", json_object_get(status, "migration"), "rows",
            json_object_get(status, "rows"), "size", (json_int_t)size, "sha256", sum));
    return CLI_DONE;
}

static void warn_of_holding(const struct taking *taking)
{
    const char *engine =
        json_string_at(service_of(taking->asking->system, taking->service), "engine");
    const struct store_ops *ops = engine ? store_engine(engine) : NULL;
    if (ops && !ops->copy_file && !ops->sql)
        fprintf(stderr,
                "%s: %s can't show all of a store as it is at one moment, so the service takes no "
                "changes while it is copied\n",
                taking->service, engine);
}

static int take_one(struct cli_operator *asking, const char *service, int folder_fd, bool quiet,
                    json_t *entries)
{
    struct taking taking = {
        .asking = asking, .service = service, .folder_fd = folder_fd, .quiet = quiet};
    json_t *begun = NULL, *status = NULL;
    taking.service_fd =
        openat(asking->state.folder_fd, service, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (taking.service_fd < 0)
        return cli_fail(CLI_FAILED, "the folder of %s can't be opened: %s", service,
                        strerror(errno));
    warn_of_holding(&taking);
    int code =
        cli_operator_ask(asking, service, "POST", SERVICE_BACKUP_PATH, json_object(), &begun);
    const char *id = json_string_at(begun, "id");
    snprintf(taking.id, sizeof taking.id, "%s", id ? id : "");
    json_decref(begun);
    if (code == CLI_DONE)
        code = await_copy(&taking, &status);
    if (code == CLI_DONE)
        code = take_file(&taking, status, entries);
    json_decref(status);
    close(taking.service_fd);
    return code;
}

/* ---- all of them ----------------------------------------------------------------------------- */

static int take_all(struct cli_operator *asking, char **words, int folder_fd, bool quiet,
                    json_t *entries)
{
    size_t i;
    json_t *service;
    int code = CLI_DONE;
    for (; *words && code == CLI_DONE; words++)
        code = take_one(asking, *words, folder_fd, quiet, entries);
    if (json_object_size(entries) > 0 || code != CLI_DONE)
        return code;
    json_array_foreach (json_object_get(asking->system, "services"), i, service) {
        if (code == CLI_DONE)
            code = take_one(asking, json_string_at(service, "name"), folder_fd, quiet, entries);
    }
    return code;
}

static int backup(struct cli_operator *asking, char **words, const char *folder, bool as_json)
{
    struct fh_error error;
    int folder_fd;
    for (char **word = words; *word; word++) {
        if (strcmp(*word, "gateway") == 0)
            return cli_fail(CLI_USAGE, "the gateway has no store");
        if (!cli_service_address(asking->system, *word))
            return CLI_USAGE;
    }
    if (backup_folder_make(folder, &folder_fd, &error) != FH_OK)
        return cli_fail(CLI_FAILED, "%s", error.message);
    json_t *entries = json_object();
    json_t *manifest = json_pack("{s:i, s:O, s:I, s:O}", "freehold_backup", BACKUP_FORMAT, "system",
                                 json_object_get(asking->system, "system"), "taken_ms",
                                 (json_int_t)cli_now_ms(), "services", entries);
    int code = take_all(asking, words, folder_fd, as_json, entries);
    if (code == CLI_DONE && backup_finish(folder, folder_fd, manifest, &error) != FH_OK)
        code = cli_fail(CLI_FAILED, "%s", error.message);
    if (code == CLI_DONE)
        kept_print(manifest, folder, as_json);
    else
        fprintf(stderr, "%s is NO backup: it was not ended, and can be removed.\n", folder);
    json_decref(entries);
    json_decref(manifest);
    close(folder_fd);
    return code;
}

static int run(const struct cli_command *command, char **words, const char **values)
{
    struct cli_operator asking;
    const char *to = cli_value(command, values, "--to");
    const char *check = cli_value(command, values, "--check");
    bool as_json = cli_value(command, values, "--json") != NULL;
    if (!to == !check)
        return cli_fail(CLI_USAGE, "say where it shall go with --to FOLDER, or which one shall be "
                                   "looked at with --check FOLDER");
    if (check)
        return kept_check(check, words, as_json);
    int code = cli_operator_begin(&asking, cli_value(command, values, "--state"));
    if (code != CLI_DONE)
        return code;
    code = backup(&asking, words, to, as_json);
    cli_operator_end(&asking);
    return code;
}

const struct cli_command cli_backup = {
    .name = "backup",
    .words = "[SERVICE ...]",
    .words_min = 0,
    .words_max = CLI_WORDS_MAX,
    .summary = "Back up the stores of a running system's services, or check such a backup",
    .text =
        "The services go on meanwhile. Each file holds one store as it was at one moment, and\n"
        "what belongs to it: events, what was applied of others', commands, sagas. They can be\n"
        "restored to any engine of the same model. Stores of several services are each of a\n"
        "moment of their own. A folder is a backup when it has its " BACKUP_MANIFEST ", which\n"
        "is written last.\n"
        "Exit codes: 0 done, 1 failed or damaged, 2 wrong usage, 3 no running system.\n",
    .options = {{"--to", "FOLDER", "a new or empty folder"},
                {"--check", "FOLDER", "read such a folder again, and tell what it holds"},
                {"--state", "DIR",
                 "the system's state folder; default: the one that runs below ./.freehold"},
                {"--json", NULL, "answer in JSON"}},
    .run = run,
};
