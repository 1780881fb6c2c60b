/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A record is replaced by a rename and not synced: after a crash of the machine there is nothing
 * left to find, and the boot's number says so.
 *
 * What a leader started and is not in its cgroup (there is none, or root's services could change
 * it) becomes a child of this process when its own parent ends, and is known as no child that we
 * started, in no session of one that lives. Processes of our own session are not ours to kill: they
 * were started by whoever started us.
 */

#define _GNU_SOURCE
#include "system/supervise/life.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "system/supervise/being.h"
#include "system/supervise/spawn.h"

#define UNFINISHED ".new"

/* ---- Records ---- */

struct record {
    struct being leader;
    char group[CGROUP_PATH_SIZE];
    char folder[4096];
};

static bool record_says(const json_t *json, const char *key, const char *wanted)
{
    const char *text = json_string_at(json, key);
    return text && strcmp(text, wanted) == 0;
}

enum record_found {
    RECORD_NONE, /* that is true of this boot and state folder */
    RECORD_READ,
    RECORD_UNKNOWN /* it can't be read now: there may be a process */
};

static enum record_found read_life(const struct lives *lives, const char *name, struct record *ret)
{
    json_t *json;
    json_int_t pid, start, user;
    *ret = (struct record){0};
    enum fh_code code = state_read_json(lives->folder_fd, name, &json, ERROR_UNHEEDED);
    if (code != FH_OK)
        return code == FH_NOT_FOUND || code == FH_INVALID ? RECORD_NONE : RECORD_UNKNOWN;
    bool good = record_says(json, "boot", lives->boot) &&
                record_says(json, "state", lives->state) && json_integer_at(json, "pid", &pid) &&
                json_integer_at(json, "start", &start) && json_integer_at(json, "user", &user) &&
                pid > 1 && start >= 0 && user >= 0;
    if (good) {
        const char *group = json_string_at(json, "cgroup"),
                   *folder = json_string_at(json, "folder");
        ret->leader = (struct being){
            .pid = (pid_t)pid, .user = (uid_t)user, .start = (unsigned long long)start};
        snprintf(ret->group, sizeof ret->group, "%s", group ? group : "");
        snprintf(ret->folder, sizeof ret->folder, "%s", folder ? folder : "");
    }
    json_decref(json);
    return good ? RECORD_READ : RECORD_NONE;
}

static enum fh_code write_life(const struct lives *lives, const char *name,
                               const struct record *record, struct fh_error *error)
{
    char unfinished[LIFE_NAME_SIZE + sizeof UNFINISHED];
    json_t *json =
        json_pack("{s:i, s:I, s:I, s:s, s:s, s:s}", "pid", (int)record->leader.pid, "start",
                  (json_int_t)record->leader.start, "user", (json_int_t)record->leader.user, "boot",
                  lives->boot, "state", lives->state, "folder", record->folder);
    FH_ASSERT(json != NULL);
    if (*record->group)
        json_object_set_new(json, "cgroup", json_string(record->group));
    char *text = json_text(json);
    snprintf(unfinished, sizeof unfinished, "%s" UNFINISHED, name);
    int fd = openat(lives->folder_fd, unfinished, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool written = fd >= 0 && dprintf(fd, "%s\n", text) == (int)strlen(text) + 1 &&
                   renameat(lives->folder_fd, unfinished, lives->folder_fd, name) == 0;
    int number = errno;
    if (fd >= 0)
        close(fd);
    json_text_free(text);
    json_decref(json);
    return written ? FH_OK
                   : error_set_errno(error, FH_UNAVAILABLE, number,
                                     "The process can't be recorded in " LIVES_FOLDER "/%s", name);
}

/* ---- Opening ---- */

bool lives_are_kept(const struct state *state)
{
    return faccessat(state->folder_fd, LIVES_FOLDER, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* False: it may be told later. Where it never is (ENOENT), all boots are one. */
static bool read_boot(char ret[48])
{
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    bool told = fd >= 0 || errno == ENOENT || errno == EACCES;
    ssize_t length = fd >= 0 ? read(fd, ret, 47) : 0;
    ret[length > 0 ? length : 0] = '\0';
    ret[strcspn(ret, "\n")] = '\0';
    if (fd >= 0)
        close(fd);
    return told;
}

static void name_state(struct lives *lives, const struct stat *status)
{
    snprintf(lives->state, sizeof lives->state, "%llx-%llx", (unsigned long long)status->st_dev,
             (unsigned long long)status->st_ino);
}

size_t lives_see(const struct state *state, void (*see)(void *context, const char *name, pid_t pid),
                 void *context)
{
    struct lives lives = {.folder_fd = openat(state->folder_fd, LIVES_FOLDER,
                                              O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)};
    struct stat status;
    DIR *folder = lives.folder_fd >= 0 ? fdopendir(lives.folder_fd) : NULL;
    const struct dirent *entry;
    size_t count = 0;
    if (!folder || fstat(state->folder_fd, &status) != 0 || !read_boot(lives.boot)) {
        if (folder)
            closedir(folder);
        else if (lives.folder_fd >= 0)
            close(lives.folder_fd);
        return 0;
    }
    name_state(&lives, &status);
    while ((entry = readdir(folder))) {
        struct record record;
        if (entry->d_name[0] == '.')
            continue;
        count++;
        if (read_life(&lives, entry->d_name, &record) == RECORD_READ &&
            being_signal(&record.leader, 0))
            see(context, entry->d_name, record.leader.pid);
    }
    closedir(folder);
    return count;
}

enum fh_code lives_open(struct lives *lives, const struct state *state, enum cgroup_version version,
                        struct fh_error *error)
{
    struct stat status;
    char name[80];
    *lives = (struct lives){.folder_fd = -1};
    if (fstat(state->folder_fd, &status) != 0 ||
        (mkdirat(state->folder_fd, LIVES_FOLDER, 0700) != 0 && errno != EEXIST))
        return error_set_errno(error, FH_UNAVAILABLE, errno,
                               "Cannot make the folder %s/" LIVES_FOLDER, state->folder);
    lives->folder_fd =
        openat(state->folder_fd, LIVES_FOLDER, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (lives->folder_fd < 0 || fchmod(lives->folder_fd, 0700) != 0)
        return error_set_errno(error, FH_UNAVAILABLE, errno,
                               "Cannot open the folder %s/" LIVES_FOLDER, state->folder);
    name_state(lives, &status);
    if (!read_boot(lives->boot))
        return error_set_errno(error, FH_UNAVAILABLE, errno, "The boot's number can't be read");
    snprintf(name, sizeof name, "freehold-%s", lives->state);
    if (version == CGROUP_NONE || !cgroup_make_own(name, version, lives->group))
        *lives->group = '\0';
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    return FH_OK;
}

void lives_close(struct lives *lives)
{
    if (*lives->group)
        cgroup_remove(lives->group); /* unless a life goes on */
    if (lives->folder_fd >= 0)
        close(lives->folder_fd);
    lives->folder_fd = -1;
}

/* ---- Ends ---- */

/* What runs as children of ours that we did not start, and is in no life's cgroup: that one's end
 * takes it. Otherwise a service could hold up another's start by what it leaves. */
static size_t kill_orphans(const struct lives *lives)
{
    size_t count, killed = 0;
    bool whole;
    pid_t own = getpid(), session = getsid(0);
    spawn_reap_orphans();
    struct being *all = being_all(&count, &whole);
    for (size_t i = 0; i < count; i++) {
        if (all[i].parent != own || spawn_is_ours(all[i].pid) || all[i].session == session ||
            spawn_is_ours(all[i].session) ||
            (*lives->group && cgroup_holds(lives->group, all[i].pid)))
            continue;
        killed += being_signal(&all[i], SIGKILL);
    }
    free(all);
    return killed + !whole;
}

/* The session's number is nobody else's while it has members. It may be used again after that: then
 * it is led by the process with that pid or, if that has ended, its members are not in the folder.
 */
static size_t kill_session(const struct record *record)
{
    struct being leader;
    size_t count, killed = 0;
    bool whole;
    if (being_look(record->leader.pid, &leader)) /* not the recorded one, which has ended */
        return 0;
    struct being *all = being_all(&count, &whole);
    for (size_t i = 0; i < count; i++) {
        if (all[i].session == record->leader.pid && all[i].start >= record->leader.start &&
            all[i].user == record->leader.user && being_is_in(&all[i], record->folder))
            killed += being_signal(&all[i], SIGKILL);
    }
    free(all);
    return killed + !whole;
}

/* Those of a leader that lives: they can't be found so surely once it has ended. */
static void kill_descendants(const struct being *leader)
{
    size_t count;
    bool whole;
    struct being *all = being_all(&count, &whole);
    bool *below = calloc(count + 1, sizeof *below), more = true;
    FH_ASSERT(below != NULL);
    while (more) {
        more = false;
        for (size_t i = 0; i < count; i++) {
            bool is = all[i].parent == leader->pid;
            for (size_t j = 0; j < count && !is; j++)
                is = below[j] && all[j].pid == all[i].parent;
            more |= is && !below[i];
            below[i] |= is;
        }
    }
    bool same = being_signal(leader, 0); /* or all of that was another's */
    for (size_t i = 0; i < count; i++) {
        if (same && below[i])
            being_signal(&all[i], SIGKILL);
    }
    free(below);
    free(all);
}

/* With the group that it is in, if that one is of an `up` that was in another place. */
static void remove_group(const struct lives *lives, char *group)
{
    cgroup_remove(group);
    char *slash = strrchr(group, '/');
    if (!slash || slash == group)
        return;
    *slash = '\0';
    if (strcmp(group, lives->group) != 0)
        cgroup_remove(group);
}

static size_t end_recorded(const struct lives *lives, const char *name, bool kill_leader)
{
    struct record record;
    size_t left = 0;
    enum record_found found = read_life(lives, name, &record);
    if (found == RECORD_UNKNOWN)
        return 1;
    if (found == RECORD_READ) {
        if (being_signal(&record.leader, 0)) {
            if (kill_leader && !*record.group)
                kill_descendants(&record.leader);
            if (kill_leader)
                being_signal(&record.leader, SIGKILL);
            return 1;
        }
        left = *record.group ? cgroup_kill(record.group) : kill_session(&record);
    }
    left += kill_orphans(lives);
    if (left == 0) {
        if (*record.group)
            remove_group(lives, record.group);
        unlinkat(lives->folder_fd, name, 0);
    }
    return left;
}

size_t life_end(const struct lives *lives, const struct life *life)
{
    return end_recorded(lives, life->name, false);
}

size_t lives_count(const struct lives *lives, bool kill_them)
{
    size_t count = 0;
    int fd = openat(lives->folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = fd >= 0 ? fdopendir(fd) : NULL;
    const struct dirent *entry;
    if (!folder)
        return 1; /* there may be some */
    while ((entry = readdir(folder))) {
        if (entry->d_name[0] != '.')
            count += end_recorded(lives, entry->d_name, kill_them);
    }
    closedir(folder);
    return count;
}

/* ---- Beginnings ---- */

enum fh_code life_begin(const struct lives *lives, const struct life *life, pid_t pid,
                        struct fh_error *error)
{
    struct record record = {0};
    if (!being_look(pid, &record.leader))
        return error_set(error, FH_UNAVAILABLE, "The process %d is not to be seen in /proc.",
                         (int)pid);
    record.leader.user = life->user ? life->user : geteuid();
    snprintf(record.folder, sizeof record.folder, "%s", life->folder);
    if (*lives->group &&
        (!cgroup_make(lives->group, life->name, record.group) || !cgroup_add(record.group, pid))) {
        cgroup_remove(record.group);
        *record.group = '\0';
    }
    return write_life(lives, life->name, &record, error);
}

bool life_leads(const struct lives *lives, const struct life *life)
{
    struct record record;
    enum record_found found = read_life(lives, life->name, &record);
    return found == RECORD_UNKNOWN || (found == RECORD_READ && being_signal(&record.leader, 0));
}
