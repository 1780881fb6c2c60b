/* SPDX-License-Identifier: Apache-2.0 */
/* proc_pid_status(5). The bounding set is not judged: only root can empty it, and with no_new_privs
 * nothing comes of it. */

#include "system/verify/processes.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"

static const char *const capability_sets[] = {"CapInh:\t", "CapPrm:\t", "CapEff:\t", "CapAmb:\t"};

static void check_line(const char *line, struct place place, const char *name, int pid,
                       struct findings *findings)
{
    for (size_t i = 0; i < sizeof capability_sets / sizeof *capability_sets; i++) {
        size_t length = strlen(capability_sets[i]);
        if (strncmp(line, capability_sets[i], length) == 0 &&
            strspn(line + length, "0") != strcspn(line + length, "\n"))
            findings_error(findings, place, "a process of %s (pid %d) has capabilities: %.6s %.16s",
                           name, pid, line, line + length);
    }
    if (strcmp(line, "NoNewPrivs:\t0\n") == 0)
        findings_error(findings, place,
                       "a process of %s (pid %d) could gain privileges: NoNewPrivs is 0", name,
                       pid);
}

/* Whether it is in the same mount namespace as we, who see everything. False if nobody knows. */
static bool sees_as_we_do(int pid)
{
    char path[64], its[64], own[64];
    snprintf(path, sizeof path, "/proc/%d/ns/mnt", pid);
    ssize_t its_length = readlink(path, its, sizeof its),
            own_length = readlink("/proc/self/ns/mnt", own, sizeof own);
    return its_length > 0 && its_length == own_length && memcmp(its, own, (size_t)own_length) == 0;
}

static void check_process(int pid, struct place place, const char *name, struct walls walls,
                          struct findings *findings)
{
    char path[64], line[256];
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    FILE *file = fopen(path, "re");
    if (!file)
        return; /* it has just ended */
    while (fgets(line, sizeof line, file)) {
        check_line(line, place, name, pid, findings);
        if (walls.users && strncmp(line, "Uid:\t0\t", 7) == 0)
            findings_error(findings, place, "a process of %s (pid %d) runs as root", name, pid);
    }
    fclose(file);
    if (walls.namespaces && sees_as_we_do(pid))
        findings_error(findings, place,
                       "a process of %s (pid %d) is in no mount namespace of its own", name, pid);
}

void processes_check(const json_t *process, struct place place, const char *name,
                     struct walls walls, struct findings *findings)
{
    size_t i;
    json_t *instance;
    json_array_foreach (json_at(process, "instances"), i, instance) {
        json_int_t pid;
        if (json_integer_at(instance, "pid", &pid))
            check_process((int)pid, place, name, walls, findings);
    }
}
