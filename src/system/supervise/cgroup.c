/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cgroup.kill (Linux 5.14) kills all at once. Before it, and in version 1, a group that forks
 * faster than we kill is stopped first: frozen, or forbidden to make processes. A pid that is read
 * from cgroup.procs may be another process's by the time it is killed: so a pidfd is opened, the
 * list is read again, and only what is in both is killed, through the pidfd.
 */

#define _GNU_SOURCE
#include "system/supervise/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LINE_SIZE 4096
#define DEPTH_MAX 8
#define KILLED_AT_ONCE 64 /* descriptors open at a time */

/* ---- Finding ---- */

struct hierarchy {
    const char *type;       /* of its file system */
    const char *controller; /* of version 1; NULL: version 2 */
};

static const struct hierarchy hierarchies[] = {
    {"cgroup2", NULL}, {"cgroup", "freezer"}, {"cgroup", "pids"}, {"cgroup", "name=systemd"}};

static bool names_controller(const char *list, const char *wanted)
{
    size_t length = strlen(wanted);
    for (const char *at = list; at; at = strchr(at, ','), at = at ? at + 1 : NULL) {
        if (strncmp(at, wanted, length) == 0 && (at[length] == ',' || !at[length]))
            return true;
    }
    return false;
}

/* The group of this process, from a line of /proc/self/cgroup: "ID:CONTROLLERS:PATH". */
static bool find_own_group(const struct hierarchy *hierarchy, char ret[LINE_SIZE])
{
    char line[LINE_SIZE];
    bool found = false;
    FILE *file = fopen("/proc/self/cgroup", "re");
    while (file && !found && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        char *controllers = strchr(line, ':'),
             *path = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!path)
            continue;
        *path++ = '\0';
        controllers++;
        found = hierarchy->controller ? names_controller(controllers, hierarchy->controller)
                                      : *controllers == '\0' && strncmp(line, "0:", 2) == 0;
        if (found)
            snprintf(ret, LINE_SIZE, "%s", path);
    }
    if (file)
        fclose(file);
    return found;
}

/* A line of /proc/self/mountinfo: ID PARENT DEVICE ROOT POINT OPTIONS ... - TYPE SOURCE SUPER.
 * Sets the path of the group in this mount. */
static bool find_in_mount(char *line, const struct hierarchy *hierarchy, const char *own,
                          char ret[CGROUP_PATH_SIZE])
{
    char *words[6], *rest = line, *after = strstr(line, " - ");
    if (!after)
        return false;
    *after = '\0';
    for (size_t i = 0; i < 6; i++) {
        if (!(words[i] = strsep(&rest, " ")))
            return false;
    }
    after += 3;
    char *type = strsep(&after, " "), *source = strsep(&after, " ");
    if (!source || !after || strcmp(type, hierarchy->type) != 0)
        return false;
    after[strcspn(after, "\n")] = '\0';
    if (hierarchy->controller && !names_controller(after, hierarchy->controller))
        return false;
    size_t shown = strcmp(words[3], "/") == 0 ? 0 : strlen(words[3]);
    if (strncmp(own, words[3], shown) != 0 || strncmp(own, "/..", 3) == 0 || strchr(words[4], '\\'))
        return false;
    int length = snprintf(ret, CGROUP_PATH_SIZE, "%s%s", words[4], own + shown);
    if (length > 1 && length < CGROUP_PATH_SIZE && ret[length - 1] == '/')
        ret[length - 1] = '\0';
    return length < CGROUP_PATH_SIZE;
}

static bool find_group(const struct hierarchy *hierarchy, char ret[CGROUP_PATH_SIZE])
{
    char own[LINE_SIZE], line[LINE_SIZE];
    bool found = false;
    if (!find_own_group(hierarchy, own))
        return false;
    FILE *file = fopen("/proc/self/mountinfo", "re");
    while (file && !found && fgets(line, sizeof line, file))
        found = find_in_mount(line, hierarchy, own, ret);
    if (file)
        fclose(file);
    return found;
}

/* ---- Files of a group ---- */

/* Opens a file of a group, whose name is a string constant. */
static FILE *open_of_group(const char *group, const char *name, const char *mode)
{
    char path[CGROUP_PATH_SIZE + 32];
    snprintf(path, sizeof path, "%s/%s", group, name);
    return fopen(path, mode);
}

static bool write_to_group(const char *group, const char *name, const char *value)
{
    char path[CGROUP_PATH_SIZE + 32];
    snprintf(path, sizeof path, "%s/%s", group, name);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool written = fd >= 0 && write(fd, value, strlen(value)) == (ssize_t)strlen(value);
    if (fd >= 0)
        close(fd);
    return written;
}

/* ---- Making ---- */

bool cgroup_make(const char *group, const char *name, char ret[CGROUP_PATH_SIZE])
{
    int length = snprintf(ret, CGROUP_PATH_SIZE, "%s/%s", group, name);
    if (length >= CGROUP_PATH_SIZE || (mkdir(ret, 0755) != 0 && errno != EEXIST))
        return false;
    /* One that was left behind may still be as cgroup_kill stopped it. */
    write_to_group(ret, "pids.max", "max");
    write_to_group(ret, "freezer.state", "THAWED");
    write_to_group(ret, "cgroup.freeze", "0");
    return true;
}

bool cgroup_make_own(const char *name, enum cgroup_version version, char ret[CGROUP_PATH_SIZE])
{
    char group[CGROUP_PATH_SIZE], list[CGROUP_PATH_SIZE + 16];
    for (size_t i = 0; i < sizeof hierarchies / sizeof *hierarchies; i++) {
        enum cgroup_version is = hierarchies[i].controller ? CGROUP_V1 : CGROUP_V2;
        if ((version != CGROUP_ANY && version != is) || !find_group(&hierarchies[i], group) ||
            !cgroup_make(group, name, ret))
            continue;
        snprintf(list, sizeof list, "%s/cgroup.procs", ret);
        if (access(list, W_OK) == 0)
            return true;
    }
    return false;
}

/* ---- Members ---- */

bool cgroup_add(const char *group, pid_t pid)
{
    char text[16];
    snprintf(text, sizeof text, "%d", (int)pid);
    return write_to_group(group, "cgroup.procs", text);
}

bool cgroup_holds(const char *group, pid_t pid)
{
    char path[64], wanted[CGROUP_PATH_SIZE], line[LINE_SIZE];
    const char *name = strrchr(group, '/');
    bool holds = false;
    snprintf(path, sizeof path, "/proc/%d/cgroup", (int)pid);
    snprintf(wanted, sizeof wanted, "%s/", name ? name : group);
    FILE *file = fopen(path, "re");
    while (file && !holds && fgets(line, sizeof line, file))
        holds = strstr(line, wanted) != NULL;
    if (file)
        fclose(file);
    return holds;
}

/* Returns how many there are; the first `size` of them in `ret`. */
static size_t list_of_group(const char *group, pid_t *ret, size_t size)
{
    char line[32];
    size_t count = 0;
    FILE *file = open_of_group(group, "cgroup.procs", "re");
    if (!file && errno != ENOENT && errno != ENODEV)
        return 1; /* it may have members */
    while (file && fgets(line, sizeof line, file)) {
        if (count < size)
            ret[count] = (pid_t)strtol(line, NULL, 10);
        count++;
    }
    if (file)
        fclose(file);
    return count;
}

static void kill_if_member(const pid_t *listed, size_t count, pid_t pid, int pidfd)
{
    for (size_t i = 0; i < count; i++) {
        if (listed[i] != pid || pid <= 0) /* 0: of another pid namespace */
            continue;
        if (pidfd >= 0)
            syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
        else
            kill(pid, SIGKILL);
        return;
    }
}

static size_t kill_members(const char *group)
{
    pid_t before[KILLED_AT_ONCE], now[KILLED_AT_ONCE];
    int pidfds[KILLED_AT_ONCE];
    size_t count = list_of_group(group, before, KILLED_AT_ONCE);
    size_t some = count < KILLED_AT_ONCE ? count : KILLED_AT_ONCE;
    if (count == 0)
        return 0;
    for (size_t i = 0; i < some; i++)
        pidfds[i] = (int)syscall(SYS_pidfd_open, before[i], 0);
    size_t again = list_of_group(group, now, KILLED_AT_ONCE);
    for (size_t i = 0; i < some; i++) {
        kill_if_member(now, again < KILLED_AT_ONCE ? again : KILLED_AT_ONCE, before[i], pidfds[i]);
        if (pidfds[i] >= 0)
            close(pidfds[i]);
    }
    return count;
}

/* Calls `of_each` for each group directly below. */
static size_t each_below(const char *group, int depth, size_t (*of_each)(const char *, int))
{
    char below[CGROUP_PATH_SIZE];
    size_t sum = 0;
    DIR *folder = depth < DEPTH_MAX ? opendir(group) : NULL;
    const struct dirent *entry;
    while (folder && (entry = readdir(folder))) {
        if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
            continue;
        if (snprintf(below, sizeof below, "%s/%s", group, entry->d_name) < (int)sizeof below)
            sum += of_each(below, depth + 1);
    }
    if (folder)
        closedir(folder);
    return sum;
}

static size_t kill_tree(const char *group, int depth)
{
    return kill_members(group) + each_below(group, depth, kill_tree);
}

static size_t count_tree(const char *group, int depth)
{
    return list_of_group(group, NULL, 0) + each_below(group, depth, count_tree);
}

size_t cgroup_kill(const char *group)
{
    size_t count = count_tree(group, 0);
    if (count == 0)
        return 0;
    if (write_to_group(group, "cgroup.kill", "1"))
        return count;
    write_to_group(group, "pids.max", "0");
    bool stopped = write_to_group(group, "freezer.state", "FROZEN");
    write_to_group(group, "cgroup.freeze", "1");
    count = kill_tree(group, 0);
    if (stopped)
        write_to_group(group, "freezer.state", "THAWED");
    return count;
}

static size_t remove_tree(const char *group, int depth)
{
    each_below(group, depth, remove_tree);
    return rmdir(group) == 0 || errno == ENOENT ? 0 : 1;
}

bool cgroup_remove(const char *group)
{
    return remove_tree(group, 0) == 0;
}
