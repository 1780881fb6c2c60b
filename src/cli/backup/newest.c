/* SPDX-License-Identifier: Apache-2.0 */
/* See newest.h. */

#include "cli/backup/newest.h"

#include "base/json.h"
#include "cli/backup/kept.h"

#define NEWEST_FILE "backups.json"

/* A new reference. Damaged is not empty: else who keeps backups would only have to wait for it. */
static enum fh_code read_newest(const struct state *state, json_t **ret, struct fh_error *error)
{
    json_t *kept = NULL;
    enum fh_code code = state_read_json(state->folder_fd, NEWEST_FILE, &kept, error);
    *ret = code == FH_NOT_FOUND ? json_object() : json_incref(json_object_get(kept, "newest"));
    json_decref(kept);
    if (json_is_object(*ret))
        return FH_OK;
    json_decref(*ret);
    *ret = NULL;
    return code != FH_OK ? code : error_set(error, FH_INVALID, "It has no object \"newest\".");
}

void newest_note(const struct state *state, const json_t *manifest)
{
    struct fh_error error;
    const char *service;
    json_t *said, *newest;
    enum fh_code code = read_newest(state, &newest, &error);
    json_object_foreach (json_object_get(manifest, "services"), service, said)
        json_object_set(newest, service, json_object_get(said, "taken_ms"));
    json_t *kept = json_pack("{s:O?}", "newest", newest);
    if (code == FH_OK)
        code = state_write_durable(state->folder_fd, NEWEST_FILE, kept, &error);
    if (code != FH_OK)
        cli_fail(CLI_FAILED,
                 "this backup can't be recorded as the newest in %s/" NEWEST_FILE ": %s",
                 state->folder, error.message);
    json_decref(kept);
    json_decref(newest);
}

int newest_check(const struct state *state, const json_t *manifest, const char *service)
{
    struct fh_error error;
    json_t *newest;
    if (read_newest(state, &newest, &error) != FH_OK)
        return cli_fail(CLI_FAILED,
                        "which backup of %s is the newest is not known, since %s/" NEWEST_FILE
                        " can't be read: say --older if this one is meant. %s",
                        service, state->folder, error.message);
    const json_t *said = json_object_get(json_object_get(manifest, "services"), service);
    long long newest_ms = cli_number(newest, service), taken_ms = cli_number(said, "taken_ms");
    json_t *of_newest = json_pack("{s:I}", "taken_ms", (json_int_t)newest_ms);
    char taken[KEPT_TIME_SIZE], later[KEPT_TIME_SIZE];
    int code = CLI_DONE;
    kept_format_time(said, taken);
    kept_format_time(of_newest, later);
    if (taken_ms < newest_ms)
        code =
            cli_fail(CLI_FAILED,
                     "this backup of %s is of %s, and a newer one was made at %s: say --older if "
                     "this one is meant",
                     service, taken, later);
    json_decref(of_newest);
    json_decref(newest);
    return code;
}
