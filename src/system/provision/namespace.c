/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Paths are followed here, component by component, and each link on the way is noted: below a cover
 * it is made again, so that a path leads to the same file as before by the same way ($ORIGIN too).
 * What lies in no covered place needs nothing.
 */

#define _GNU_SOURCE
#include "system/provision/namespace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "system/provision/libraries.h"
#include "system/provision/namespace_plan.h"

#define FOLLOWED_MAX 40 /* links in one path, as the kernel has it */

struct planning {
    struct mount_plan *plan;
    const struct namespace_options *options;
    struct fh_error *error;
};

bool namespace_is_below(const char *path, const char *folder)
{
    size_t length = strlen(folder);
    return strncmp(path, folder, length) == 0 && (path[length] == '/' || path[length] == '\0');
}

/* ---- Following paths ---- */

static enum fh_code refuse_overflow(struct fh_error *error, const char *path)
{
    return error_set(error, FH_INVALID, "%.150s needs more than a mount namespace is made for.",
                     path);
}

static enum fh_code note_link(const struct planning *by, const char *path, const char *text)
{
    struct mount_plan *plan = by->plan;
    for (size_t i = 0; i < plan->link_count; i++) {
        if (strcmp(plan->links[i].path, path) == 0)
            return FH_OK;
    }
    if (plan->link_count == NAMESPACE_LINKS_MAX)
        return refuse_overflow(by->error, path);
    plan->links[plan->link_count++] =
        (struct namespace_link){arena_text(&plan->arena, path), arena_text(&plan->arena, text)};
    return FH_OK;
}

static enum fh_code note_directory(const struct planning *by, const char *path)
{
    struct mount_plan *plan = by->plan;
    for (size_t i = 0; i < plan->directory_count; i++) {
        if (strcmp(plan->directories[i], path) == 0)
            return FH_OK;
    }
    if (plan->directory_count == NAMESPACE_DIRECTORIES_MAX)
        return refuse_overflow(by->error, path);
    plan->directories[plan->directory_count++] = arena_text(&plan->arena, path);
    return FH_OK;
}

/* A path that is being followed. */
struct way {
    char done[PATH_MAX]; /* without links; "": the root */
    char rest[PATH_MAX];
    int followed;
};

/* Replaces the link that `way->done` has become, whose folder's length is `parent`, by its text. */
static enum fh_code follow_link(const struct planning *by, struct way *way, size_t parent,
                                const char *text)
{
    char rest[PATH_MAX];
    enum fh_code code = note_link(by, way->done, text);
    int length = snprintf(rest, sizeof rest, "%s/%s", text, way->rest);
    if (code == FH_OK && (length >= (int)sizeof rest || ++way->followed > FOLLOWED_MAX))
        code = error_set_errno(by->error, FH_INVALID, ELOOP, "%.150s leads nowhere", way->done);
    memcpy(way->rest, rest, sizeof rest);
    way->done[text[0] == '/' ? 0 : parent] = '\0';
    return code;
}

static enum fh_code follow_component(const struct planning *by, struct way *way,
                                     const char *component)
{
    char text[PATH_MAX];
    size_t parent = strlen(way->done);
    if (strcmp(component, "..") == 0) {
        /* The folder must be there to be left again. */
        enum fh_code code = parent ? note_directory(by, way->done) : FH_OK;
        char *slash = strrchr(way->done, '/');
        if (slash)
            *slash = '\0';
        return code;
    }
    if (parent + strlen(component) + 2 > sizeof way->done)
        return error_set_errno(by->error, FH_INVALID, ENAMETOOLONG, "%.150s leads nowhere",
                               way->done);
    snprintf(way->done + parent, sizeof way->done - parent, "/%s", component);
    ssize_t length = readlink(way->done, text, sizeof text - 1);
    if (length < 0)
        return errno == EINVAL
                   ? FH_OK
                   : error_set_errno(by->error, errno == ENOENT ? FH_NOT_FOUND : FH_INVALID, errno,
                                     "%.150s can't be read", way->done);
    text[length] = '\0';
    return follow_link(by, way, parent, text);
}

/* Follows an absolute path to what it stands for. */
static enum fh_code follow_path(const struct planning *by, const char *path, char ret[PATH_MAX])
{
    struct way way = {0};
    enum fh_code code = FH_OK;
    if (path[0] != '/' || snprintf(way.rest, sizeof way.rest, "%s", path) >= (int)sizeof way.rest)
        return error_set(by->error, FH_INVALID, "%.150s is not an absolute path.", path);
    while (code == FH_OK && way.rest[0]) {
        char component[PATH_MAX];
        size_t skipped = strspn(way.rest, "/"), length = strcspn(way.rest + skipped, "/");
        memcpy(component, way.rest + skipped, length);
        component[length] = '\0';
        memmove(way.rest, way.rest + skipped + length, strlen(way.rest + skipped + length) + 1);
        if (length && strcmp(component, ".") != 0)
            code = follow_component(by, &way, component);
    }
    snprintf(ret, PATH_MAX, "%s", way.done[0] ? way.done : "/");
    return code;
}

/* ---- What it needs ---- */

static struct namespace_bind *bind_at(struct mount_plan *plan, const char *path)
{
    for (size_t i = 0; i < plan->bind_count; i++) {
        if (strcmp(plan->binds[i].path, path) == 0)
            return &plan->binds[i];
    }
    return NULL;
}

/* FH_NOT_FOUND: there is no such file. */
static enum fh_code need_path(const struct planning *by, const char *path, bool run,
                              struct namespace_bind **ret)
{
    char real[PATH_MAX];
    struct stat status;
    struct mount_plan *plan = by->plan;
    enum fh_code code = follow_path(by, path, real);
    if (code != FH_OK)
        return code;
    if (namespace_is_below(by->options->state, real))
        return error_set(by->error, FH_CONFLICT,
                         "The state folder is in %.150s, which a service may not see.", real);
    struct namespace_bind *bind = bind_at(plan, real);
    if (!bind) {
        if (stat(real, &status) != 0)
            return error_set_errno(by->error, FH_NOT_FOUND, errno, "%.150s can't be read", real);
        if (plan->bind_count == NAMESPACE_BINDS_MAX)
            return refuse_overflow(by->error, path);
        bind = &plan->binds[plan->bind_count++];
        *bind = (struct namespace_bind){.path = arena_text(&plan->arena, real),
                                        .device = status.st_dev,
                                        .inode = status.st_ino,
                                        .folder = S_ISDIR(status.st_mode),
                                        .mount_fd = -1};
    }
    bind->run = bind->run || run;
    if (ret)
        *ret = bind;
    return FH_OK;
}

/* Something that may be missing: then the process itself says what it misses. */
static enum fh_code need_if_there(const struct planning *by, const char *path, bool run)
{
    enum fh_code code = need_path(by, path, run, NULL);
    return code == FH_NOT_FOUND || code == FH_INVALID ? FH_OK : code;
}

static enum fh_code need_folder(const struct planning *by, const char *path)
{
    struct namespace_bind *bind;
    enum fh_code code = need_path(by, path, false, &bind);
    if (code == FH_OK)
        bind->written = true;
    return code == FH_NOT_FOUND ? FH_OK : code;
}

static enum fh_code take_copy(const struct planning *by, struct namespace_bind *bind)
{
    char *text = malloc(NAMESPACE_COPY_SIZE_MAX + 1);
    FH_ASSERT(text != NULL);
    int fd = open(bind->path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    ssize_t length = fd >= 0 ? io_read(fd, text, NAMESPACE_COPY_SIZE_MAX + 1) : -1;
    int number = errno;
    if (fd >= 0)
        close(fd);
    enum fh_code code = FH_OK;
    if (length < 0)
        code = error_set_errno(by->error, FH_INVALID, number, "%.150s can't be read", bind->path);
    else if (length > (ssize_t)NAMESPACE_COPY_SIZE_MAX)
        code = error_set(by->error, FH_INVALID, "%.150s is larger than %zu bytes.", bind->path,
                         NAMESPACE_COPY_SIZE_MAX);
    if (code == FH_OK) {
        bind->copy = arena_copy(&by->plan->arena, text, (size_t)length);
        bind->copy_length = (size_t)length;
    }
    explicit_bzero(text, NAMESPACE_COPY_SIZE_MAX + 1);
    free(text);
    return code;
}

/* Root may read it, and the process's user perhaps may not. */
static enum fh_code need_key(const struct planning *by, const char *path)
{
    struct namespace_bind *bind;
    struct stat status;
    uid_t user = by->options->user;
    enum fh_code code = need_path(by, path, false, &bind);
    if (code == FH_NOT_FOUND || code == FH_INVALID)
        return FH_OK; /* the process says so itself */
    if (code != FH_OK || !user || stat(bind->path, &status) != 0 || !S_ISREG(status.st_mode) ||
        (status.st_mode & S_IROTH) || status.st_uid == user)
        return code;
    return take_copy(by, bind);
}

/* Some programs refuse to run as a user without a name. */
static enum fh_code need_account(const struct planning *by, const char *name)
{
    struct namespace_bind *bind;
    unsigned user = (unsigned)by->options->user;
    enum fh_code code = need_path(by, "/etc/passwd", false, &bind);
    if (code != FH_OK)
        return code;
    bind->copy =
        arena_printf(&by->plan->arena, "%s:x:%u:%u::/:/usr/sbin/nologin\n", name, user, user);
    bind->copy_length = strlen(bind->copy);
    return FH_OK;
}

/* What is needed of a closed folder of libraries is found by itself. */
static enum fh_code need_library(void *context, const char *path)
{
    struct stat status;
    if (stat(path, &status) == 0 && S_ISDIR(status.st_mode) && !(status.st_mode & S_IXOTH))
        return FH_OK;
    enum fh_code code = need_if_there(context, path, true);
    return code == FH_CONFLICT ? FH_OK : code;
}

static enum fh_code need_program(struct planning *by)
{
    const struct namespace_options *options = by->options;
    enum fh_code code = options->program_fd < 0 ? need_path(by, options->program, true, NULL)
                                                : need_if_there(by, options->program, true);
    if (code == FH_NOT_FOUND)
        return error_set(by->error, FH_INVALID, "%.150s is not there.", options->program);
    return code == FH_OK ? libraries_find(options->program, options->program_fd,
                                          options->environment, need_library, by)
                         : code;
}

static enum fh_code plan_needs(struct planning *by)
{
    const struct namespace_options *options = by->options;
    struct namespace_bind *own = NULL;
    enum fh_code code = need_path(by, options->folder, false, &own);
    if (code == FH_OK) {
        own->written = true;
        by->plan->folder = own->path;
        code = need_program(by);
    }
    for (const char *const *path = options->reads; path && *path && code == FH_OK; path++)
        code = need_if_there(by, *path, true);
    for (const char *const *path = options->writes; path && *path && code == FH_OK; path++)
        code = need_folder(by, *path);
    for (const char *const *path = options->keys; path && *path && code == FH_OK; path++)
        code = need_key(by, *path);
    if (code == FH_OK && options->account)
        code = need_account(by, options->account);
    return code;
}

/* ---- What is covered ---- */

/* Covers the topmost folder on the way to `path` that others can't pass. */
static enum fh_code cover_way(const struct planning *by, const char *path)
{
    struct mount_plan *plan = by->plan;
    struct stat status;
    char part[PATH_MAX];
    snprintf(part, sizeof part, "%s", path);
    for (char *slash = strchr(part + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        bool closed = stat(part, &status) != 0 || !(status.st_mode & S_IXOTH);
        for (size_t i = 0; i < plan->cover_count && closed; i++) {
            if (strcmp(plan->covers[i], part) == 0)
                return FH_OK;
        }
        if (closed && plan->cover_count == NAMESPACE_COVERS_MAX)
            return refuse_overflow(by->error, path);
        if (closed) {
            plan->covers[plan->cover_count++] = arena_text(&plan->arena, part);
            return FH_OK;
        }
        *slash = '/';
    }
    return FH_OK;
}

/* The state folder is closed in any case, whatever its mode is while it is being set. */
static enum fh_code cover_state(const struct planning *by)
{
    struct mount_plan *plan = by->plan;
    enum fh_code code = cover_way(by, by->options->state);
    if (code == FH_OK && plan->cover_count == 0)
        plan->covers[plan->cover_count++] = arena_text(&plan->arena, by->options->state);
    return code;
}

static bool is_covered(const struct mount_plan *plan, const char *path)
{
    for (size_t i = 0; i < plan->cover_count; i++) {
        if (strcmp(path, plan->covers[i]) != 0 && namespace_is_below(path, plan->covers[i]))
            return true;
    }
    return false;
}

static bool is_in_a_bind(const struct mount_plan *plan, const char *path, bool itself)
{
    for (size_t i = 0; i < plan->bind_count; i++) {
        const struct namespace_bind *bind = &plan->binds[i];
        if (bind->folder && namespace_is_below(path, bind->path) &&
            (itself || strcmp(path, bind->path) != 0))
            return true;
    }
    return false;
}

/* ---- What is made in it ---- */

/* What is not covered, or in a folder that is mounted, is there already. Copies stay: what they
 * are of can't be read. */
static void drop_binds(struct mount_plan *plan)
{
    size_t kept = 0;
    for (size_t i = 0; i < plan->bind_count; i++) {
        const struct namespace_bind *bind = &plan->binds[i];
        if (bind->copy || (is_covered(plan, bind->path) && !is_in_a_bind(plan, bind->path, false)))
            plan->binds[kept++] = *bind;
    }
    plan->bind_count = kept;
}

static void drop_links(struct mount_plan *plan)
{
    size_t kept = 0;
    for (size_t i = 0; i < plan->link_count; i++) {
        if (is_covered(plan, plan->links[i].path) && !is_in_a_bind(plan, plan->links[i].path, true))
            plan->links[kept++] = plan->links[i];
    }
    plan->link_count = kept;
}

static int compare_texts(const void *one, const void *other)
{
    return strcmp(*(const char *const *)one, *(const char *const *)other);
}

/* The folders on the way to `path`, in the covers. */
static enum fh_code note_folders_of(const struct planning *by, const char *path)
{
    char part[PATH_MAX];
    enum fh_code code = FH_OK;
    snprintf(part, sizeof part, "%s", path);
    for (char *slash = strchr(part + 1, '/'); slash && code == FH_OK;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        code = note_directory(by, part);
        *slash = '/';
    }
    return code;
}

static enum fh_code make_directories(const struct planning *by)
{
    struct mount_plan *plan = by->plan;
    enum fh_code code = FH_OK;
    size_t kept = 0, noted = plan->directory_count;
    for (size_t i = 0; i < noted && code == FH_OK; i++)
        code = note_folders_of(by, plan->directories[i]);
    for (size_t i = 0; i < plan->bind_count && code == FH_OK; i++)
        code = note_folders_of(by, plan->binds[i].path);
    for (size_t i = 0; i < plan->link_count && code == FH_OK; i++)
        code = note_folders_of(by, plan->links[i].path);
    for (size_t i = 0; i < plan->directory_count; i++) {
        const char *path = plan->directories[i];
        if (is_covered(plan, path) && !is_in_a_bind(plan, path, true))
            plan->directories[kept++] = path;
    }
    plan->directory_count = kept;
    qsort(plan->directories, kept, sizeof *plan->directories, compare_texts);
    return code;
}

static enum fh_code cover_all(const struct planning *by)
{
    struct mount_plan *plan = by->plan;
    enum fh_code code = cover_state(by);
    for (size_t i = 0; i < plan->bind_count && code == FH_OK; i++) {
        if (!is_covered(plan, plan->binds[i].path))
            code = cover_way(by, plan->binds[i].path);
    }
    for (size_t i = 0; i < plan->link_count && code == FH_OK; i++) {
        if (!is_covered(plan, plan->links[i].path))
            code = cover_way(by, plan->links[i].path);
    }
    drop_binds(plan);
    drop_links(plan);
    for (size_t i = 0; i < plan->bind_count && code == FH_OK; i++)
        plan->binds[i].copy_path = arena_printf(&plan->arena, "%s/.key-%zu", plan->covers[0], i);
    return code == FH_OK ? make_directories(by) : code;
}

enum fh_code namespace_plan(const struct namespace_options *options, struct mount_plan **ret,
                            struct fh_error *error)
{
    struct mount_plan *plan = calloc(1, sizeof *plan);
    FH_ASSERT(plan != NULL);
    arena_init(&plan->arena, ARENA_SIZE_MAX);
    plan->user = options->user;
    plan->own_user = geteuid();
    plan->own_group = getegid();
    plan->in_user_namespace = plan->own_user != 0;
    struct planning planning = {plan, options, error};
    enum fh_code code = plan_needs(&planning);
    if (code == FH_OK)
        code = cover_all(&planning);
    if (code == FH_OK)
        *ret = plan;
    else
        namespace_free(plan);
    return code;
}

void namespace_free(struct mount_plan *plan)
{
    if (!plan)
        return;
    for (size_t i = 0; i < plan->bind_count; i++) {
        if (plan->binds[i].copy)
            explicit_bzero((void *)(uintptr_t)plan->binds[i].copy, plan->binds[i].copy_length);
    }
    arena_release(&plan->arena);
    free(plan);
}
