/* SPDX-License-Identifier: Apache-2.0 */
/*
 * users.json is {"freehold": 1, "first": 2013265920, "count": 4096, "users": {"orders": ...}}. The
 * register is a folder with a file for each block, named by its first number, whose text is the
 * state folder that has it. An entry counts as long as that folder's users.json says the same, so
 * systems that were removed leave nothing behind that matters; their entries are removed when the
 * next block is drawn. The register is locked (flock) from before it is read until users.json is
 * durable.
 *
 * A state folder that was copied has its original's block: the one that is not registered draws
 * another one, and its files are given to the new users. One that was moved, or that came from
 * another machine, is registered anew.
 */

#define _GNU_SOURCE
#include "system/provision/numbers.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/json.h"

#define DRAWS_MAX 256
#define ENTRY_NAME_SIZE 16

struct block {
    json_int_t first, count;
};

static bool block_has(const struct block *block, json_int_t number)
{
    return number >= block->first && number < block->first + block->count;
}

static bool block_of(const json_t *numbers, struct block *ret)
{
    if (!json_integer_at(numbers, "first", &ret->first) ||
        !json_integer_at(numbers, "count", &ret->count))
        return false;
    bool large = ret->count == NUMBERS_BLOCK && ret->first >= NUMBERS_FIRST &&
                 ret->first + ret->count - 1 <= NUMBERS_LAST;
    bool small = ret->count == NUMBERS_SMALL_BLOCK && ret->first >= NUMBERS_SMALL_FIRST &&
                 ret->first + ret->count - 1 <= NUMBERS_SMALL_LAST;
    return large || small;
}

bool numbers_are_ours(uid_t user)
{
    return (user >= NUMBERS_FIRST && user <= NUMBERS_LAST) ||
           (user >= NUMBERS_SMALL_FIRST && user <= NUMBERS_SMALL_LAST) ||
           (user >= NUMBERS_FORMER_FIRST && user <= NUMBERS_FORMER_LAST);
}

/* ---- What others have ---- */

/* Whether a file like /proc/self/uid_map, "inside outside count" a line, maps all of the block. */
static bool is_mapped(const char *path, const struct block *block)
{
    unsigned long long inside, outside, count;
    bool mapped = false;
    FILE *map = fopen(path, "re");
    while (map && !mapped && fscanf(map, "%llu %llu %llu", &inside, &outside, &count) == 3)
        mapped = (unsigned long long)block->first >= inside &&
                 (unsigned long long)(block->first + block->count) <= inside + count;
    if (map)
        fclose(map);
    return mapped;
}

static bool has_account(const struct block *block)
{
    bool has = false;
    FILE *users = fopen("/etc/passwd", "re"), *groups = fopen("/etc/group", "re");
    const struct passwd *user;
    const struct group *group;
    while (users && !has && (user = fgetpwent(users)))
        has = block_has(block, user->pw_uid) || block_has(block, user->pw_gid);
    while (groups && !has && (group = fgetgrent(groups)))
        has = block_has(block, group->gr_gid);
    if (users)
        fclose(users);
    if (groups)
        fclose(groups);
    return has;
}

/* A file like /etc/subuid, "name:first:count" a line: what users' own containers have. */
static bool is_lent(const char *path, const struct block *block)
{
    char *line = NULL;
    size_t size = 0;
    unsigned long long first, count;
    bool lent = false;
    FILE *file = fopen(path, "re");
    while (file && !lent && getline(&line, &size, file) > 0) {
        const char *colon = strchr(line, ':');
        lent = colon && sscanf(colon, ":%llu:%llu", &first, &count) == 2 &&
               first < (unsigned long long)(block->first + block->count) &&
               first + count > (unsigned long long)block->first;
    }
    free(line);
    if (file)
        fclose(file);
    return lent;
}

static bool block_is_free(const struct block *block)
{
    return !has_account(block) && !is_lent("/etc/subuid", block) && !is_lent("/etc/subgid", block);
}

/* ---- The register ---- */

static void entry_name(char ret[ENTRY_NAME_SIZE], const struct block *block)
{
    snprintf(ret, ENTRY_NAME_SIZE, "%lld", (long long)block->first);
}

/* -1: there can be none. Locked. */
static int open_register(void)
{
    char path[] = NUMBERS_REGISTER;
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(path, 0755);
        *slash = '/';
    }
    mkdir(path, 0700);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0 && flock(fd, LOCK_EX) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

/* Who has the block that the entry is of: a state folder, which may be gone. */
static bool read_entry(int register_fd, const char *name, char ret[PATH_MAX])
{
    int fd = state_open_file(register_fd, name, O_RDONLY);
    ssize_t length = fd >= 0 ? io_read(fd, ret, PATH_MAX - 1) : -1;
    if (fd >= 0)
        close(fd);
    if (length <= 0)
        return false;
    ret[length] = '\0';
    return true;
}

/* Whether an entry is of a system that still is there, other than the one of `mine`. */
static bool is_anothers(int register_fd, const char *name, const struct state *mine)
{
    char folder[PATH_MAX];
    struct stat one, other;
    struct block block;
    json_t *numbers = NULL;
    if (!read_entry(register_fd, name, folder))
        return false;
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool same = fstat(fd, &one) == 0 && fstat(mine->folder_fd, &other) == 0 &&
                one.st_dev == other.st_dev && one.st_ino == other.st_ino;
    state_read_json(fd, NUMBERS_FILE, &numbers, ERROR_UNHEEDED);
    bool claims = block_of(numbers, &block) && block.first == strtoll(name, NULL, 10);
    json_decref(numbers);
    close(fd);
    return claims && !same;
}

static bool write_entry(int register_fd, const char *name, const struct state *state)
{
    unlinkat(register_fd, name, 0);
    int fd = state_make_file(register_fd, name, O_WRONLY);
    bool written = fd >= 0 && io_write(fd, state->folder, strlen(state->folder)) && fsync(fd) == 0;
    if (fd >= 0)
        close(fd);
    return written && fsync(register_fd) == 0;
}

static void remove_stale_entries(int register_fd, const struct state *state)
{
    int fd = openat(register_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = fd >= 0 ? fdopendir(fd) : NULL;
    for (const struct dirent *entry; folder && (entry = readdir(folder));) {
        if (entry->d_name[0] != '.' && !is_anothers(register_fd, entry->d_name, state))
            unlinkat(register_fd, entry->d_name, 0);
    }
    if (folder)
        closedir(folder);
}

/* ---- Drawing ---- */

static enum fh_code choose_block(int register_fd, const struct state *state, struct block *ret,
                                 struct fh_error *error)
{
    static const struct {
        json_int_t first, last, count;
    } ranges[] = {{NUMBERS_FIRST, NUMBERS_LAST, NUMBERS_BLOCK},
                  {NUMBERS_SMALL_FIRST, NUMBERS_SMALL_LAST, NUMBERS_SMALL_BLOCK}};
    char name[ENTRY_NAME_SIZE];
    FH_ASSERT(sodium_init() >= 0);
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
        uint32_t blocks = (uint32_t)((ranges[i].last + 1 - ranges[i].first) / ranges[i].count);
        for (int draw = 0; draw < DRAWS_MAX; draw++) {
            *ret = (struct block){ranges[i].first +
                                      (json_int_t)randombytes_uniform(blocks) * ranges[i].count,
                                  ranges[i].count};
            entry_name(name, ret);
            if (is_mapped("/proc/self/uid_map", ret) && is_mapped("/proc/self/gid_map", ret) &&
                block_is_free(ret) && (register_fd < 0 || !is_anothers(register_fd, name, state)))
                return FH_OK;
        }
    }
    return error_set(error, FH_UNSUPPORTED,
                     "There are no free user numbers for the system's processes: %u to %u, or %u "
                     "to %u, must be mapped here (see /proc/self/uid_map), and free; or say "
                     "isolation: landlock.",
                     NUMBERS_FIRST, NUMBERS_LAST, NUMBERS_SMALL_FIRST, NUMBERS_SMALL_LAST);
}

static enum fh_code draw_block(int register_fd, const struct state *state, json_t **ret,
                               bool *ret_registered, struct fh_error *error)
{
    struct block block;
    char name[ENTRY_NAME_SIZE];
    if (register_fd >= 0)
        remove_stale_entries(register_fd, state);
    enum fh_code code = choose_block(register_fd, state, &block, error);
    if (code != FH_OK)
        return code;
    entry_name(name, &block);
    *ret_registered = register_fd >= 0 && write_entry(register_fd, name, state);
    *ret = json_pack("{s:i, s:I, s:I, s:{}}", "freehold", 1, "first", block.first, "count",
                     block.count, "users");
    return numbers_write(state, *ret, error);
}

static enum fh_code check_numbers(const struct state *state, const json_t *numbers,
                                  struct block *ret, struct fh_error *error)
{
    const char *name;
    json_t *number;
    bool good = block_of(numbers, ret) && json_is_object(json_object_get(numbers, "users"));
    json_object_foreach (json_object_get(numbers, "users"), name, number)
        good = good && json_is_integer(number) && block_has(ret, json_integer_value(number));
    return good ? FH_OK
                : error_set(error, FH_INVALID,
                            "%.150s/" NUMBERS_FILE " is damaged; remove it, and new user numbers "
                            "are drawn.",
                            state->folder);
}

enum fh_code numbers_read(const struct state *state, json_t **ret, bool *ret_unregistered,
                          struct fh_error *error)
{
    struct block block;
    char name[ENTRY_NAME_SIZE];
    bool registered = false;
    enum fh_code code = state_read_json(state->folder_fd, NUMBERS_FILE, ret, error);
    bool none = code == FH_NOT_FOUND;
    if (code == FH_OK)
        code = check_numbers(state, *ret, &block, error);
    if (code != FH_OK && !none)
        return code;
    int register_fd = open_register();
    if (!none) {
        entry_name(name, &block);
        none = !is_mapped("/proc/self/uid_map", &block) ||
               (register_fd >= 0 && is_anothers(register_fd, name, state));
    }
    if (none) {
        json_decref(*ret);
        *ret = NULL;
        code = draw_block(register_fd, state, ret, &registered, error);
    } else {
        code = FH_OK;
        registered = register_fd >= 0 && write_entry(register_fd, name, state);
    }
    if (register_fd >= 0)
        close(register_fd);
    *ret_unregistered = !registered;
    return code;
}

/* ---- Names ---- */

static bool number_is_used(const json_t *users, json_int_t number)
{
    const char *name;
    json_t *other;
    json_object_foreach ((json_t *)(uintptr_t)users, name, other) {
        if (json_integer_value(other) == number)
            return true;
    }
    return getpwuid((uid_t)number) || getgrgid((gid_t)number);
}

enum fh_code numbers_add(json_t *numbers, const char *name, struct fh_error *error)
{
    struct block block;
    json_t *users = json_object_get(numbers, "users");
    if (json_object_get(users, name))
        return FH_OK;
    FH_ASSERT(block_of(numbers, &block));
    for (json_int_t number = block.first; number < block.first + block.count; number++) {
        if (number_is_used(users, number))
            continue;
        json_object_set_new(users, name, json_integer(number));
        return FH_OK;
    }
    return error_set(error, FH_UNSUPPORTED,
                     "The system's %lld user numbers are used up; remove names of services that "
                     "are gone from " NUMBERS_FILE " in the state folder.",
                     (long long)block.count);
}

enum fh_code numbers_write(const struct state *state, const json_t *numbers, struct fh_error *error)
{
    return state_write_durable(state->folder_fd, NUMBERS_FILE, numbers, error);
}

uid_t numbers_of(const json_t *numbers, const char *name)
{
    return (uid_t)json_integer_value(json_object_get(json_object_get(numbers, "users"), name));
}
