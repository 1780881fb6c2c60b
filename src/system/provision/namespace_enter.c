/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happens in the child, in this order. All that is needed below a cover is opened as a
 * detached mount before anything is covered, and compared with what was found when it was planned,
 * so that a path which leads elsewhere by now is an error. Copies are made in the cover, by root,
 * and given away through their descriptor.
 *
 * open_tree(2), move_mount(2) are Linux 5.2's and mount_setattr(2) is 5.12's, older than Landlock.
 */

#define _GNU_SOURCE
#include "system/provision/namespace.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/io.h"
#include "system/provision/namespace_plan.h"

#define COVER_FLAGS (MS_NOSUID | MS_NODEV | MS_NOEXEC)
#define COVER_OPTIONS "mode=0755,size=16m,nr_inodes=4096"

static bool write_small_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t length = (ssize_t)strlen(text);
    bool written = write(fd, text, (size_t)length) == length;
    int number = errno;
    close(fd);
    errno = number;
    return written;
}

/* "1000 1000 1": this user is itself, and there is no other. snprintf is not async-signal-safe. */
static void map_line(char ret[32], unsigned id)
{
    char digits[12];
    size_t count = 0, at = 0;
    do {
        digits[count++] = (char)('0' + id % 10);
        id /= 10;
    } while (id);
    for (int times = 0; times < 2; times++) {
        for (size_t i = count; i-- > 0;)
            ret[at++] = digits[i];
        ret[at++] = ' ';
    }
    memcpy(ret + at, "1\n", 3);
}

static const char *become_a_user_namespace(uid_t user, gid_t group)
{
    char users[32], groups[32];
    map_line(users, user);
    map_line(groups, group);
    /* Otherwise /proc/self is root's. The program that is run next is as it is anyway. */
    if (prctl(PR_GET_DUMPABLE) != 1)
        prctl(PR_SET_DUMPABLE, 1);
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0)
        return "making a user namespace";
    if (!write_small_file("/proc/self/setgroups", "deny"))
        return "closing the groups of its user namespace";
    if (!write_small_file("/proc/self/uid_map", users) ||
        !write_small_file("/proc/self/gid_map", groups))
        return "mapping its user";
    return NULL;
}

static const char *make_namespaces(const struct mount_plan *plan)
{
    if (plan->in_user_namespace) {
        const char *step = become_a_user_namespace(plan->own_user, plan->own_group);
        if (step)
            return step;
    } else if (unshare(CLONE_NEWNS) != 0) {
        return "making a mount namespace";
    }
    return mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 ? NULL
                                                                : "keeping its mounts private";
}

static bool restrict_mount(int fd, const struct namespace_bind *bind)
{
    struct mount_attr attributes = {.attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
                                                (bind->written ? 0 : MOUNT_ATTR_RDONLY) |
                                                (bind->run ? 0 : MOUNT_ATTR_NOEXEC)};
    return mount_setattr(fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes, sizeof attributes) == 0;
}

static const char *open_binds(struct mount_plan *plan)
{
    struct stat status;
    for (size_t i = 0; i < plan->bind_count; i++) {
        struct namespace_bind *bind = &plan->binds[i];
        if (bind->copy)
            continue;
        bind->mount_fd =
            open_tree(AT_FDCWD, bind->path,
                      OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE | AT_SYMLINK_NOFOLLOW);
        if (bind->mount_fd < 0)
            return "opening what it needs";
        if (fstat(bind->mount_fd, &status) != 0)
            return "looking at what it needs";
        if (status.st_dev != bind->device || status.st_ino != bind->inode) {
            errno = ESTALE;
            return "finding what it needs where it was";
        }
        if (!restrict_mount(bind->mount_fd, bind))
            return "restricting what it needs";
    }
    return NULL;
}

static bool make_file(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static const char *cover_places(const struct mount_plan *plan)
{
    for (size_t i = 0; i < plan->cover_count; i++) {
        if (mount("freehold", plan->covers[i], "tmpfs", COVER_FLAGS, COVER_OPTIONS) != 0)
            return "covering what is closed";
    }
    for (size_t i = 0; i < plan->directory_count; i++) {
        if (mkdir(plan->directories[i], 0755) != 0)
            return "making folders to mount in";
    }
    for (size_t i = 0; i < plan->link_count; i++) {
        if (symlink(plan->links[i].text, plan->links[i].path) != 0)
            return "making links";
    }
    return NULL;
}

static bool make_copy(const char *path, const struct namespace_bind *bind, uid_t user)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0400);
    if (fd < 0)
        return false;
    bool made = io_write(fd, bind->copy, bind->copy_length) && fchown(fd, user, user) == 0;
    int number = errno;
    close(fd);
    errno = number;
    return made;
}

/* A copy below a cover is the file itself; in an open place it is mounted over the original. */
static const char *place_copy(const struct mount_plan *plan, const struct namespace_bind *bind)
{
    for (size_t i = 0; i < plan->cover_count; i++) {
        if (namespace_is_below(bind->path, plan->covers[i]))
            return make_copy(bind->path, bind, plan->user) ? NULL : "copying a key";
    }
    if (!make_copy(bind->copy_path, bind, plan->user))
        return "copying a key";
    int fd = open_tree(AT_FDCWD, bind->copy_path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    bool moved = fd >= 0 && restrict_mount(fd, bind) &&
                 move_mount(fd, "", AT_FDCWD, bind->path, MOVE_MOUNT_F_EMPTY_PATH) == 0;
    int number = errno;
    if (fd >= 0)
        close(fd);
    errno = number;
    return moved ? NULL : "mounting the copy of a key";
}

static const char *place_binds(const struct mount_plan *plan)
{
    for (size_t i = 0; i < plan->bind_count; i++) {
        const struct namespace_bind *bind = &plan->binds[i];
        if (bind->copy) {
            const char *step = place_copy(plan, bind);
            if (step)
                return step;
            continue;
        }
        bool made = bind->folder ? mkdir(bind->path, 0755) == 0 : make_file(bind->path);
        if (!made ||
            move_mount(bind->mount_fd, "", AT_FDCWD, bind->path, MOVE_MOUNT_F_EMPTY_PATH) != 0)
            return "mounting what it needs";
        close(bind->mount_fd);
    }
    return NULL;
}

static const char *finish_covers(const struct mount_plan *plan)
{
    struct mount_attr attributes = {.attr_set = MOUNT_ATTR_RDONLY};
    for (size_t i = 0; i < plan->cover_count; i++) {
        if (mount_setattr(AT_FDCWD, plan->covers[i], 0, &attributes, sizeof attributes) != 0)
            return "making the cover read-only";
    }
    return chdir(plan->folder) == 0 ? NULL : "entering its folder";
}

const char *namespace_enter(const void *argument)
{
    /* The child has this memory to itself: it is a copy of the parent's. */
    struct mount_plan *plan = (struct mount_plan *)(uintptr_t)argument;
    mode_t before = umask(0);
    const char *step = make_namespaces(plan);
    if (!step)
        step = open_binds(plan);
    if (!step)
        step = cover_places(plan);
    if (!step)
        step = place_binds(plan);
    if (!step)
        step = finish_covers(plan);
    umask(before);
    return step;
}

/* ---- Whether it can be done ---- */

struct probe_answer {
    const char *step; /* of this program's text: the same in both processes */
    int number;
};

static void try_in_child(int answer_fd)
{
    static struct mount_plan plan = {.folder = "/", .covers = {"/proc"}, .cover_count = 1};
    plan.own_user = geteuid();
    plan.own_group = getegid();
    plan.in_user_namespace = plan.own_user != 0;
    struct probe_answer answer = {.step = namespace_enter(&plan)};
    answer.number = errno;
    _exit(write(answer_fd, &answer, sizeof answer) == (ssize_t)sizeof answer ? 0 : 1);
}

static bool try_namespaces(char ret_why[static NAMESPACE_WHY_SIZE])
{
    struct probe_answer answer = {"asking the kernel", EIO};
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
        snprintf(ret_why, NAMESPACE_WHY_SIZE, "asking the kernel: %s", strerror(errno));
        return false;
    }
    pid_t pid = fork();
    if (pid == 0)
        try_in_child(ends[1]);
    close(ends[1]);
    bool read_all = pid > 0 && read(ends[0], &answer, sizeof answer) == (ssize_t)sizeof answer;
    close(ends[0]);
    while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
    if (read_all && !answer.step)
        return true;
    snprintf(ret_why, NAMESPACE_WHY_SIZE, "%s: %s", answer.step, strerror(answer.number));
    return false;
}

bool namespace_possible(char ret_why[static NAMESPACE_WHY_SIZE])
{
    static enum { UNTRIED, POSSIBLE, IMPOSSIBLE } known;
    static char why[NAMESPACE_WHY_SIZE];
    if (known == UNTRIED)
        known = try_namespaces(why) ? POSSIBLE : IMPOSSIBLE;
    memcpy(ret_why, why, NAMESPACE_WHY_SIZE);
    return known == POSSIBLE;
}
