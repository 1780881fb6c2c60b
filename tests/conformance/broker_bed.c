/* SPDX-License-Identifier: Apache-2.0 */
/* See broker_bed.h. A test whose server can't be found has no sense: it ends there. */

#include "broker_bed.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "base/error.h"
#include "base/json.h"

static const char *environment_of(const struct broker_bed *bed)
{
    char variable[64] = "FREEHOLD_TEST_";
    size_t length = strlen(variable);
    for (const char *at = bed->driver; *at && length < sizeof variable - 1; at++)
        variable[length++] = (char)toupper((unsigned char)*at);
    variable[length] = '\0';
    return getenv(variable);
}

json_t *bed_server_options(const struct broker_bed *bed, char *ret_why, size_t size)
{
    const char *server = environment_of(bed), *missing = getenv("FREEHOLD_TEST_MISSING");
    if (server) {
        json_t *options = json_loads(server, 0, NULL);
        FH_ASSERT(options != NULL);
        json_object_set_new(options, "tls", json_pack("{s:s}", "mode", "off"));
        return options;
    }
    json_t *reasons = missing ? json_loads(missing, 0, NULL) : NULL;
    const char *reason = json_string_at(reasons, bed->driver);
    snprintf(ret_why, size, "%s", reason ? reason : "run it with tools/servers");
    json_decref(reasons);
    return NULL;
}

static pid_t server_pid(const json_t *options)
{
    int pid = 0;
    FILE *file = fopen(json_string_at(options, "pid_file"), "r");
    FH_ASSERT(file != NULL);
    FH_ASSERT(fscanf(file, "%d", &pid) == 1 && pid > 1);
    fclose(file);
    return pid;
}

void bed_server_kill(const json_t *options)
{
    FH_ASSERT(kill(server_pid(options), SIGKILL) == 0);
}

/* 'T' once it stands still; '\0': it is gone. */
static char state_of_thread(const char *tasks, const char *thread)
{
    char path[300], stat[256] = "";
    snprintf(path, sizeof path, "%s/%.20s/stat", tasks, thread);
    FILE *file = fopen(path, "r");
    if (!file)
        return '\0';
    size_t length = fread(stat, 1, sizeof stat - 1, file);
    fclose(file);
    stat[length] = '\0';
    const char *end = strrchr(stat, ')'); /* of its name */
    return end && end[1] == ' ' ? end[2] : '\0';
}

static bool stands_still(pid_t pid)
{
    char tasks[40];
    bool still = true;
    snprintf(tasks, sizeof tasks, "/proc/%d/task", (int)pid);
    DIR *directory = opendir(tasks);
    for (struct dirent *entry; directory && still && (entry = readdir(directory));) {
        char state =
            isdigit((unsigned char)entry->d_name[0]) ? state_of_thread(tasks, entry->d_name) : '\0';
        still = state == '\0' || strchr("TtZX", state);
    }
    if (directory)
        closedir(directory);
    return still;
}

/* A stop takes effect in one thread after another: on a busy machine a server of many still answers
 * what is asked of it at once. */
void bed_server_pause(const json_t *options, bool paused)
{
    pid_t pid = server_pid(options);
    FH_ASSERT(kill(pid, paused ? SIGSTOP : SIGCONT) == 0);
    while (paused && !stands_still(pid))
        usleep(1000);
}

/* It stands still while its folder is put aside, and is killed before it could miss it. */
void bed_server_wipe(const json_t *options)
{
    const char *data = json_string_at(options, "data");
    char aside[512];
    FH_ASSERT(data != NULL);
    bed_server_pause(options, true);
    for (int i = 0;; i++) {
        FH_ASSERT(snprintf(aside, sizeof aside, "%s.wiped-%d", data, i) < (int)sizeof aside);
        if (access(aside, F_OK) != 0)
            break;
    }
    FH_ASSERT(rename(data, aside) == 0 || errno == ENOENT);
    bed_server_kill(options);
}
