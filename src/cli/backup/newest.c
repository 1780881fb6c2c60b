/* SPDX-License-Identifier: Apache-2.0 */
/* See newest.h. */

#include "cli/backup/newest.h"

#include "base/json.h"
#include "cli/backup/kept.h"

#define NEWEST_FILE "backups.json"

/* New reference. */
static json_t *read_newest(const struct state *state)
{
    json_t *kept = NULL;
    struct fh_error error;
    enum fh_code code = state_read_json(state->folder_fd, NEWEST_FILE, &kept, &error);
    if (code != FH_OK && code != FH_NOT_FOUND)
        cli_fail(CLI_FAILED, "which backup is the newest is not known: %s", error.message);
    json_t *newest = json_incref(json_object_get(kept, "newest"));
    json_decref(kept);
    if (json_is_object(newest))
        return newest;
    json_decref(newest);
    return json_object();
}

void newest_note(const struct state *state, const json_t *manifest)
{
    struct fh_error error;
    const char *service;
    json_t *said, *newest = read_newest(state);
    json_object_foreach (json_object_get(manifest, "services"), service, said)
        json_object_set(newest, service, json_object_get(said, "taken_ms"));
    json_t *kept = json_pack("{s:O}", "newest", newest);
    if (state_write_durable(state->folder_fd, NEWEST_FILE, kept, &error) != FH_OK)
        cli_fail(CLI_FAILED, "that this backup is the newest is not kept: %s", error.message);
    json_decref(kept);
    json_decref(newest);
}

int newest_check(const struct state *state, const json_t *manifest, const char *service)
{
    json_t *newest = read_newest(state);
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
