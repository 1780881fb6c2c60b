/* SPDX-License-Identifier: Apache-2.0 */
/* An `up` of the versions that locked wrote the pid after the start: if killed in between, it left
 * an empty file with a lock. And since the process inherited the file open for writing, it could
 * name another process there, which root would then kill. So a pid is only believed if that process
 * holds the lock, and runs in the folder: a descriptor can be sent to another process. */

#define _GNU_SOURCE
#include "system/provision/instance.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "system/provision/state.h"

void instance_file(char ret[INSTANCE_FILE_SIZE], const char *stem, int instance, const char *end)
{
    if (instance)
        snprintf(ret, INSTANCE_FILE_SIZE, "%s-%d%s", stem, instance, end);
    else
        snprintf(ret, INSTANCE_FILE_SIZE, "%s%s", stem, end);
}

/* Whether it holds the lock through this descriptor: proc_pid_fdinfo(5). */
static bool is_locked_by(const char *pid, const char *descriptor)
{
    char path[80], line[160];
    bool locked = false;
    snprintf(path, sizeof path, "/proc/%.20s/fdinfo/%.20s", pid, descriptor);
    FILE *file = fopen(path, "re");
    while (file && !locked && fgets(line, sizeof line, file))
        locked = strncmp(line, "lock:", 5) == 0 && strstr(line, "FLOCK");
    if (file)
        fclose(file);
    return locked;
}

static bool runs_in(const char *pid, int folder_fd)
{
    char path[80];
    struct stat where, folder;
    snprintf(path, sizeof path, "/proc/%.20s/cwd", pid);
    return stat(path, &where) == 0 && fstat(folder_fd, &folder) == 0 &&
           where.st_dev == folder.st_dev && where.st_ino == folder.st_ino;
}

static bool process_holds(const char *pid, int folder_fd, const struct stat *wanted)
{
    char path[80];
    struct stat found;
    bool held = false;
    if (!runs_in(pid, folder_fd))
        return false;
    snprintf(path, sizeof path, "/proc/%.20s/fd", pid);
    DIR *descriptors = opendir(path);
    const struct dirent *entry;
    while (descriptors && !held && (entry = readdir(descriptors))) {
        held = fstatat(dirfd(descriptors), entry->d_name, &found, 0) == 0 &&
               found.st_dev == wanted->st_dev && found.st_ino == wanted->st_ino &&
               is_locked_by(pid, entry->d_name);
    }
    if (descriptors)
        closedir(descriptors);
    return held;
}

/* -1: not found. Tries `said` first. */
static pid_t holder_of(int folder_fd, int fd, pid_t said)
{
    struct stat wanted;
    char text[16];
    if (fstat(fd, &wanted) != 0)
        return -1;
    snprintf(text, sizeof text, "%d", (int)said);
    if (said > 0 && process_holds(text, folder_fd, &wanted))
        return said;
    pid_t pid = -1;
    DIR *processes = opendir("/proc");
    const struct dirent *entry;
    while (processes && pid < 0 && (entry = readdir(processes))) {
        pid_t one = (pid_t)strtol(entry->d_name, NULL, 10); /* 0: not a process */
        if (one > 0 && one != getpid() && process_holds(entry->d_name, folder_fd, &wanted))
            pid = one;
    }
    if (processes)
        closedir(processes);
    return pid;
}

pid_t instance_survivor(int folder_fd, int instance)
{
    char text[32] = "", name[INSTANCE_FILE_SIZE];
    pid_t pid = 0;
    instance_file(name, "pid", instance, "");
    int fd = openat(folder_fd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return 0;
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        ssize_t length = pread(fd, text, sizeof text - 1, 0);
        pid = holder_of(folder_fd, fd, length > 1 ? (pid_t)strtol(text, NULL, 10) : 0);
    }
    close(fd);
    return pid > 0 || pid == -1 ? pid : 0;
}

enum fh_code instance_configure(int folder_fd, const char *stem, int instance,
                                struct fh_error *error)
{
    char name[INSTANCE_FILE_SIZE], number[16];
    json_t *config;
    instance_file(name, stem, 0, ".json");
    enum fh_code code = state_read_json(folder_fd, name, &config, error);
    if (code != FH_OK)
        return code;
    snprintf(number, sizeof number, "%d", instance);
    json_object_set_new(config, "instance", json_string(number));
    instance_file(name, stem, instance, ".json");
    code = state_write_json(folder_fd, name, config, error);
    json_decref(config);
    return code;
}
