/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Debian 12's header has Landlock's second version; the bits of later ones are defined here, and
 * the kernel is asked which version it has. What is handled and not allowed by a rule is refused.
 *
 * Besides a service's own files, /dev/urandom must be readable: SQLite seeds itself from it, and
 * without it silently uses the time and the pid. Everything else that a program reads (libraries,
 * configuration) has been read by then; but see PUBLIC_FILES.
 */

#define _GNU_SOURCE
#include "service/confine.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"

#define ACCESS_TRUNCATE (1ULL << 14)      /* from version 3 on */
#define ACCESS_IOCTL_DEV (1ULL << 15)     /* 5 */
#define SCOPE_ABSTRACT_SOCKET (1ULL << 0) /* 6 */
#define SCOPE_SIGNAL (1ULL << 1)

#define ACCESS_FIRST ((LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1) /* all of version 1 */
#define ACCESS_READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define ACCESS_OWN                                                                                 \
    (ACCESS_READ | LANDLOCK_ACCESS_FS_WRITE_FILE | ACCESS_TRUNCATE | LANDLOCK_ACCESS_FS_MAKE_REG | \
     LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR)

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

/* The kernel's struct as of version 6; older kernels accept it if the fields they don't know are
 * 0. */
struct ruleset {
    uint64_t handled_access_fs, handled_access_net, scoped;
};

static int ask_abi(void)
{
    long abi =
        syscall(SYS_landlock_create_ruleset, NULL, (size_t)0, LANDLOCK_CREATE_RULESET_VERSION);
    return abi > 0 ? (int)abi : 0;
}

static uint64_t accesses_of(int abi)
{
    return ACCESS_FIRST | (abi >= 2 ? LANDLOCK_ACCESS_FS_REFER : 0) |
           (abi >= 3 ? ACCESS_TRUNCATE : 0) | (abi >= 5 ? ACCESS_IOCTL_DEV : 0);
}

static enum fh_code allow_path(int ruleset, uint64_t handled, const char *path, uint64_t accesses,
                               struct fh_error *error)
{
    struct stat status;
    struct landlock_path_beneath_attr rule = {.allowed_access = accesses & handled,
                                              .parent_fd = open(path, O_PATH | O_CLOEXEC)};
    bool file =
        rule.parent_fd >= 0 && fstat(rule.parent_fd, &status) == 0 && !S_ISDIR(status.st_mode);
    if (file) /* for a file, folder rights are an error */
        rule.allowed_access &= LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE;
    long result = rule.parent_fd < 0 ? -1
                                     : syscall(SYS_landlock_add_rule, ruleset,
                                               LANDLOCK_RULE_PATH_BENEATH, &rule, 0U);
    int number = errno;
    if (rule.parent_fd >= 0)
        close(rule.parent_fd);
    return result == 0
               ? FH_OK
               : error_set_errno(error, FH_INVALID, number, "%s can't be kept in reach", path);
}

/* 0: not known. */
static int count_threads(void)
{
    int count = 0;
    DIR *folder = opendir("/proc/self/task");
    for (struct dirent *entry; folder && (entry = readdir(folder));)
        count += entry->d_name[0] != '.';
    if (folder)
        closedir(folder);
    return count;
}

static enum fh_code close_in(int ruleset, struct fh_error *error)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
        syscall(SYS_landlock_restrict_self, ruleset, 0U) == 0)
        return FH_OK;
    return error_set_errno(error, FH_UNAVAILABLE, errno, "The process can't be confined");
}

enum fh_code confine(const char *folder, const char *readable, const char *const *also,
                     struct confinement *ret, struct fh_error *error)
{
    *ret = (struct confinement){.abi = ask_abi()};
    int threads = count_threads();
    if (threads != 1)
        return error_set(error, FH_CONFLICT,
                         "The process has %d threads before it is confined, and Landlock would "
                         "confine only this one.",
                         threads);
    if (ret->abi == 0) {
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        return FH_OK;
    }
    struct ruleset attributes = {
        .handled_access_fs = accesses_of(ret->abi),
        .scoped = ret->abi >= 6 ? SCOPE_ABSTRACT_SOCKET | SCOPE_SIGNAL : 0,
    };
    int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attributes, sizeof attributes, 0U);
    if (ruleset < 0)
        return error_set_errno(error, FH_UNAVAILABLE, errno, "Landlock makes no ruleset");
    uint64_t handled = attributes.handled_access_fs;
    enum fh_code code = allow_path(ruleset, handled, "/dev/urandom", ACCESS_READ, error);
    if (code == FH_OK && folder)
        code = allow_path(ruleset, handled, folder, ACCESS_OWN, error);
    if (code == FH_OK && readable)
        code = allow_path(ruleset, handled, readable, ACCESS_READ, error);
    for (; also && *also && code == FH_OK; also++) {
        if (access(*also, F_OK) == 0)
            code = allow_path(ruleset, handled, *also, ACCESS_READ, error);
    }
    if (code == FH_OK && SANITIZED) /* the leak check at the end reads it */
        code = allow_path(ruleset, handled, "/proc", ACCESS_READ, error);
    if (code == FH_OK)
        code = close_in(ruleset, error);
    close(ruleset);
    ret->confined = code == FH_OK;
    return code;
}

/* What client libraries read when they reconnect: name resolution, certificates, and their plugins.
 * All of it is world-readable, except for the keys that the configuration names. */
#define PUBLIC_FILES                                                                               \
    "/usr/lib", "/etc/ssl/certs", "/etc/ssl/openssl.cnf", "/etc/resolv.conf", "/etc/hosts",        \
        "/etc/host.conf", "/etc/nsswitch.conf", "/etc/gai.conf"

static enum fh_code confine_client(const json_t *config, const char *folder, const char *readable,
                                   struct confinement *ret, struct fh_error *error)
{
    const json_t *store = json_object_get(config, "store");
    bool connects = store || json_object_get(config, "outside");
    static const char *const keys[] = {"ca", "certificate", "key"};
    const char *also[] = {PUBLIC_FILES, NULL, NULL, NULL, NULL};
    size_t count = 0;
    while (also[count])
        count++;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const char *path =
            json_string_value(json_object_get(json_object_get(store, "tls"), keys[i]));
        if (path)
            also[count++] = path;
    }
    return confine(folder, readable, connects ? also : NULL, ret, error);
}

enum fh_code confine_by(const json_t *config, const char *folder, const char *readable,
                        struct confinement *ret, struct fh_error *error)
{
    *ret = (struct confinement){0};
    if (json_is_false(json_object_get(config, "confine"))) {
        ret->abi = ask_abi();
        log_warning(
            "confinement-lifted",
            "the configuration lifts the confinement: THIS PROCESS REACHES EVERY FILE OF ITS "
            "USER");
        return FH_OK;
    }
    enum fh_code code = confine_client(config, folder, readable, ret, error);
    if (code == FH_OK && !ret->confined)
        log_warning("confinement-unsupported",
                    "this kernel has no Landlock: the process is not confined");
    return code;
}

const char *const *confine_gaps(int abi)
{
    static const char *const gaps[] = {
        "without Landlock nothing is refused but by the files' modes", /* below 1 */
        "files of others could still be truncated",                    /* below 3 */
        "devices that are open could still be controlled",             /* below 5 */
        "processes of the same user could still be signalled",         /* below 6 */
        "what files there are, and their size and mode, can be seen, and the modes of files of the "
        "same user changed",
        "sockets can be connected to, on the network and in the file system, as far as modes let",
        NULL};
    return gaps + (abi < 1 ? 0 : abi < 3 ? 1 : abi < 5 ? 2 : abi < 6 ? 3 : 4);
}
