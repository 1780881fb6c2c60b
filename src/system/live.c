/* SPDX-License-Identifier: Apache-2.0 */
/* Looking at a running system from outside. What can only be proved by trying from inside a
 * service's process is listed as not proved, never passed over. */

#include "system/live.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/json.h"

const char *const live_not_proved[] = {"that each service is refused when it tries the others' "
                                       "stores (the folders are private to this "
                                       "user, and all services run as this user)",
                                       NULL};

static const json_t *named(const json_t *list, const char *name)
{
    size_t i;
    json_t *item;
    json_array_foreach ((json_t *)(uintptr_t)list, i, item) {
        const char *other = json_string_at(item, "name");
        if (other && strcmp(other, name) == 0)
            return item;
    }
    return NULL;
}

static void check_mode(const struct state *state, const struct system_service *service,
                       const char *name, mode_t expected, struct findings *findings)
{
    struct stat status;
    if (fstatat(state->folder_fd, name, &status, AT_SYMLINK_NOFOLLOW) != 0)
        findings_error(findings, service->place, "%s: %s/%s is not there", service->name,
                       state->folder, name);
    else if ((status.st_mode & 0777) != expected)
        findings_error(findings, service->place,
                       "%s: %s/%s has the mode %04o; expected %04o, or others can read it",
                       service->name, state->folder, name, (unsigned)status.st_mode & 0777,
                       (unsigned)expected);
}

static void check_service(const struct system_service *service, const struct state *state,
                          const json_t *status, const json_t *recorded, struct findings *findings)
{
    const json_t *process = named(json_at(status, "services"), service->name);
    const json_t *then = named(json_at(recorded, "services"), service->name);
    char name[64];
    if (!process) {
        findings_error(findings, service->place,
                       "%s is not part of the running system; stop it and start it again",
                       service->name);
        return;
    }
    if (!json_is_true(json_at(process, "ready")))
        findings_error(findings, service->place, "%s is not ready (%s)", service->name,
                       json_string_at(process, "phase"));
    if (!json_equal(json_at(then, "description"), service->description))
        findings_error(
            findings, service->place,
            "%s runs another version than %s: what the program says of itself has changed "
            "since up; stop the system and start it again",
            service->name, service->program_path);
    check_mode(state, service, service->name, 0700, findings);
    snprintf(name, sizeof name, "%s/service.json", service->name);
    check_mode(state, service, name, 0600, findings);
}

void live_check(struct system_file *file, const struct state *state, const json_t *status,
                struct findings *findings)
{
    struct place whole = {file->path, 0, 0};
    struct fh_error error;
    json_t *recorded, *process;
    size_t i;
    if (state_read_json(state->folder_fd, "system.json", &recorded, &error) != FH_OK) {
        findings_error(findings, whole, "%s", error.message);
        return;
    }
    if (strcmp(json_string_at(status, "system"), file->name) != 0)
        findings_error(findings, whole, "the system that runs there is '%s', not '%s'",
                       json_string_at(status, "system"), file->name);
    if (!json_is_true(json_at(status, "gateway.ready")))
        findings_error(findings, whole, "the gateway is not ready (%s)",
                       json_string_at(status, "gateway.phase"));
    for (i = 0; i < file->service_count; i++)
        check_service(&file->services[i], state, status, recorded, findings);
    json_array_foreach (json_at(status, "services"), i, process) {
        const char *name = json_string_at(process, "name");
        if (!system_file_service(file, name))
            findings_error(findings, whole, "%s runs, but the file no longer has it", name);
    }
    json_decref(recorded);
}
