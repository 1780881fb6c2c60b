/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Appending to the audit log. Under the lock: the last line is read, whose number and digest the
 * new one goes on from; the new one is written with one call and synced.
 *
 * Killed, or out of space, within the write: the line has no line feed. Where we can, it is cut off
 * at once, else the next append does so, and says how much it was. It was never acknowledged, so
 * its act was not begun. Killed between renaming a full log and making the next: the newest
 * audit.log.N is gone on from.
 *
 * A log whose last line can't be read takes no further entries: who damages it stops operators, and
 * does not make them work unseen.
 */

#define _GNU_SOURCE
#include "system/audit/audit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/crash.h"
#include "base/io.h"
#include "base/json.h"

#define LOCK_NAME "audit.lock"
#define LOCK_MS_MAX 2000
#define LOCK_PAUSE_MS 20
#define NO_LINE "0000000000000000000000000000000000000000000000000000000000000000"

/* Where the chain goes on. */
struct audit_tail {
    int fd; /* audit.log, open for appending */
    off_t size;
    int64_t n;
    char digest[AUDIT_DIGEST_SIZE];
    int64_t dropped;
};

/* ---- Who ---- */

struct audit_who audit_who_of(uid_t uid, pid_t pid)
{
    char path[64], text[32] = "";
    struct audit_who who = {.uid = uid, .login = -1};
    snprintf(path, sizeof path, "/proc/%d/loginuid", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return who;
    ssize_t length = read(fd, text, sizeof text - 1);
    close(fd);
    if (length > 0 && strtoul(text, NULL, 10) != UINT32_MAX) /* which is: nobody logged in */
        who.login = (int64_t)strtoul(text, NULL, 10);
    return who;
}

struct audit_who audit_who_self(void)
{
    return audit_who_of(getuid(), getpid());
}

/* ---- The files ---- */

/* A log that root makes in somebody's state folder is theirs: their `up` appends to it, too. */
static int open_audit_file(int state_fd, const char *name, int flags)
{
    struct stat folder, status;
    int fd = openat(state_fd, name, flags | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0600);
    if (fd < 0)
        return -1;
    if (fstat(fd, &status) != 0 || fstat(state_fd, &folder) != 0)
        goto failed;
    errno = EINVAL;
    if (!S_ISREG(status.st_mode))
        goto failed;
    if (status.st_uid != folder.st_uid && geteuid() == 0 &&
        fchown(fd, folder.st_uid, folder.st_gid) != 0)
        goto failed;
    if ((status.st_mode & 07777) != 0600 && fchmod(fd, 0600) != 0)
        goto failed;
    return fd;

failed:;
    int number = errno;
    close(fd);
    errno = number;
    return -1;
}

enum fh_code audit_lock(int state_fd, int *ret_fd, struct fh_error *error)
{
    *ret_fd = open_audit_file(state_fd, LOCK_NAME, O_RDWR);
    if (*ret_fd < 0)
        return error_set_errno(error, FH_UNAVAILABLE, errno, LOCK_NAME " can't be opened");
    for (int waited_ms = 0; flock(*ret_fd, LOCK_EX | LOCK_NB) != 0; waited_ms += LOCK_PAUSE_MS) {
        if (waited_ms >= LOCK_MS_MAX || (errno != EWOULDBLOCK && errno != EINTR)) {
            close(*ret_fd);
            *ret_fd = -1;
            return error_set(error, FH_UNAVAILABLE,
                             "The audit log is locked by another process: try again.");
        }
        poll(NULL, 0, LOCK_PAUSE_MS);
    }
    return FH_OK;
}

void audit_digest(const char *line, size_t length, char ret[static AUDIT_DIGEST_SIZE])
{
    unsigned char digest[32];
    crypto_generichash(digest, sizeof digest, (const unsigned char *)line, length, NULL, 0);
    sodium_bin2hex(ret, AUDIT_DIGEST_SIZE, digest, sizeof digest);
}

static int compare_numbers(const void *a, const void *b)
{
    int64_t one = *(const int64_t *)a, other = *(const int64_t *)b;
    return (one > other) - (one < other);
}

/* The number of "audit.log.N"; 0: it is no such name. */
static int64_t rotated_number(const char *name)
{
    const char *digits = name + strlen(AUDIT_LOG) + 1;
    if (strncmp(name, AUDIT_LOG ".", strlen(AUDIT_LOG) + 1) != 0 || !*digits || *digits == '0' ||
        strspn(digits, "0123456789") != strlen(digits) || strlen(digits) > 18)
        return 0;
    return strtoll(digits, NULL, 10);
}

enum fh_code audit_rotated(int state_fd, int64_t **ret, size_t *ret_count, struct fh_error *error)
{
    struct dirent *entry;
    size_t capacity = 0;
    int fd = openat(state_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = fd >= 0 ? fdopendir(fd) : NULL;
    *ret = NULL;
    *ret_count = 0;
    if (!folder) {
        int number = errno;
        if (fd >= 0)
            close(fd);
        return error_set_errno(error, FH_UNAVAILABLE, number, "the state folder can't be read");
    }
    while ((entry = readdir(folder))) {
        int64_t number = rotated_number(entry->d_name);
        if (number == 0)
            continue;
        if (*ret_count == capacity) {
            capacity = capacity ? capacity * 2 : 16;
            *ret = realloc(*ret, capacity * sizeof **ret);
            FH_ASSERT(*ret != NULL);
        }
        (*ret)[(*ret_count)++] = number;
    }
    closedir(folder);
    if (*ret_count > 1)
        qsort(*ret, *ret_count, sizeof **ret, compare_numbers);
    return FH_OK;
}

/* ---- The end of the chain ---- */

/* Reads the file's last whole line. False: it has none; then, and else too, *ret_end is where what
 * is whole ends. */
static bool read_last_line(int fd, off_t size, char *buffer, char **ret_line, size_t *ret_length,
                           off_t *ret_end)
{
    size_t wanted = size < AUDIT_LINE_SIZE_MAX * 2 ? (size_t)size : AUDIT_LINE_SIZE_MAX * 2;
    off_t at = size - (off_t)wanted;
    ssize_t got = pread(fd, buffer, wanted, at);
    char *end = got == (ssize_t)wanted ? memrchr(buffer, '\n', wanted) : NULL;
    *ret_end = end ? at + (end - buffer) + 1 : 0;
    if (!end)
        return false;
    char *before = memrchr(buffer, '\n', (size_t)(end - buffer));
    *ret_line = before ? before + 1 : buffer;
    *ret_length = (size_t)(end - *ret_line);
    return before != NULL || at == 0;
}

static enum fh_code refuse_damaged(const char *name, struct fh_error *error)
{
    return error_set(error, FH_INVALID,
                     "The end of %s is damaged; see: freehold audit. Nothing is done unrecorded: "
                     "move the file to a safe place, and try again.",
                     name);
}

/* Goes on from the last whole line of `fd`. */
static enum fh_code take_tail(int fd, off_t size, const char *name, struct audit_tail *tail,
                              off_t *ret_end, struct fh_error *error)
{
    char *buffer = malloc(AUDIT_LINE_SIZE_MAX * 2), *line;
    size_t length;
    json_t *entry = NULL;
    json_int_t n = 0;
    FH_ASSERT(buffer != NULL);
    bool found = read_last_line(fd, size, buffer, &line, &length, ret_end);
    /* Without any line feed it is an entry that was cut short, if it is short enough for one. */
    bool whole = found || (*ret_end == 0 && size < AUDIT_LINE_SIZE_MAX);
    if (found) {
        whole = json_parse(line, length, &entry, ERROR_UNHEEDED) == FH_OK &&
                json_integer_at(entry, "n", &n) && n > 0;
        tail->n = n;
        audit_digest(line, length, tail->digest);
    }
    json_decref(entry);
    free(buffer);
    return whole && size - *ret_end < AUDIT_LINE_SIZE_MAX ? FH_OK : refuse_damaged(name, error);
}

/* The log is new or empty: the chain goes on from the newest one that was renamed. */
static enum fh_code take_rotated_tail(int state_fd, struct audit_tail *tail, struct fh_error *error)
{
    int64_t *numbers;
    size_t count;
    char name[64];
    struct stat status;
    off_t end;
    enum fh_code code = audit_rotated(state_fd, &numbers, &count, error);
    int64_t newest = code == FH_OK && count > 0 ? numbers[count - 1] : 0;
    free(numbers);
    if (code != FH_OK || newest == 0)
        return code;
    snprintf(name, sizeof name, AUDIT_LOG ".%lld", (long long)newest);
    int fd = openat(state_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &status) != 0)
        code = error_set_errno(error, FH_UNAVAILABLE, errno, "%s can't be read", name);
    else
        code = take_tail(fd, status.st_size, name, tail, &end, error);
    if (fd >= 0)
        close(fd);
    return code;
}

/* Cuts off what was not written whole. */
static enum fh_code mend_tail(struct audit_tail *tail, off_t end, struct fh_error *error)
{
    if (end == tail->size)
        return FH_OK;
    tail->dropped = tail->size - end;
    if (ftruncate(tail->fd, end) != 0)
        return error_set_errno(error, FH_UNAVAILABLE, errno, AUDIT_LOG " can't be written");
    tail->size = end;
    return FH_OK;
}

static enum fh_code open_tail(int state_fd, struct audit_tail *tail, struct fh_error *error)
{
    struct stat status;
    off_t end = 0;
    *tail = (struct audit_tail){.digest = NO_LINE};
    tail->fd = open_audit_file(state_fd, AUDIT_LOG, O_RDWR | O_APPEND);
    if (tail->fd < 0 || fstat(tail->fd, &status) != 0)
        return error_set_errno(error, FH_UNAVAILABLE, errno, AUDIT_LOG " can't be opened");
    tail->size = status.st_size;
    enum fh_code code = FH_OK;
    if (tail->size > 0)
        code = take_tail(tail->fd, tail->size, AUDIT_LOG, tail, &end, error);
    if (code == FH_OK)
        code = mend_tail(tail, end, error);
    if (code == FH_OK && tail->size == 0)
        code = take_rotated_tail(state_fd, tail, error);
    return code;
}

static enum fh_code rotate_audit_log(int state_fd, struct audit_tail *tail, struct fh_error *error)
{
    char name[64];
    if (tail->size < AUDIT_SIZE_MAX)
        return FH_OK;
    snprintf(name, sizeof name, AUDIT_LOG ".%lld", (long long)tail->n);
    if (renameat(state_fd, AUDIT_LOG, state_fd, name) != 0)
        return error_set_errno(error, FH_UNAVAILABLE, errno, AUDIT_LOG " can't be renamed");
    CRASH_POINT("audit.rotated");
    close(tail->fd);
    tail->size = 0;
    tail->fd = open_audit_file(state_fd, AUDIT_LOG, O_RDWR | O_APPEND);
    if (tail->fd < 0)
        return error_set_errno(error, FH_UNAVAILABLE, errno, AUDIT_LOG " can't be made");
    return FH_OK;
}

/* ---- Appending ---- */

static enum fh_code write_audit_line(int state_fd, const struct audit_tail *tail, const char *line,
                                     struct fh_error *error)
{
    if (io_write(tail->fd, line, strlen(line)) && fdatasync(tail->fd) == 0 &&
        (tail->size > 0 || fsync(state_fd) == 0))
        return FH_OK;
    int number = errno;
    /* Whether this works or not, nobody acts on the entry. */
    if (ftruncate(tail->fd, tail->size) != 0)
        number = errno;
    return error_set_errno(error, FH_UNAVAILABLE, number,
                           "the audit log can't be written, and nothing is done unrecorded");
}

/* Takes `entry`, and adds what makes it a link of the chain. `act` 0: it begins one. */
static enum fh_code append_entry(int state_fd, json_t *entry, int64_t act, int64_t *ret,
                                 struct fh_error *error)
{
    struct audit_tail tail = {.fd = -1};
    char *text = NULL, *line = NULL;
    int lock_fd;
    enum fh_code code = audit_lock(state_fd, &lock_fd, error);
    if (code == FH_OK)
        code = open_tail(state_fd, &tail, error);
    if (code == FH_OK)
        code = rotate_audit_log(state_fd, &tail, error);
    if (code == FH_OK) {
        *ret = tail.n + 1;
        json_object_set_new(entry, "n", json_integer(*ret));
        json_object_set_new(entry, "act", json_integer(act ? act : *ret));
        json_object_set_new(entry, "previous", json_string(tail.digest));
        if (tail.dropped)
            json_object_set_new(entry, "dropped", json_integer(tail.dropped));
        text = json_text(entry);
        if (strlen(text) >= AUDIT_LINE_SIZE_MAX) { /* a line is read as a whole */
            json_text_free(text);
            json_object_set_new(entry, "with", audit_text("(too long)"));
            text = json_text(entry);
        }
        FH_ASSERT(asprintf(&line, "%s\n", text) > 0);
        code = write_audit_line(state_fd, &tail, line, error);
    }
    free(line);
    json_text_free(text);
    json_decref(entry);
    if (tail.fd >= 0)
        close(tail.fd);
    if (lock_fd >= 0)
        close(lock_fd);
    return code;
}

static int64_t wall_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

enum fh_code audit_begin(int state_fd, const struct audit_act *act, int64_t *ret,
                         struct fh_error *error)
{
    json_t *who = json_pack("{s:I}", "uid", (json_int_t)act->who.uid);
    if (act->who.login >= 0)
        json_object_set_new(who, "login", json_integer(act->who.login));
    json_t *entry = json_pack("{s:I, s:s, s:o, s:o}", "at_ms", (json_int_t)wall_now_ms(), "state",
                              "begun", "what", audit_text(act->what), "who", who);
    FH_ASSERT(entry != NULL);
    if (act->service)
        json_object_set_new(entry, "service", audit_text(act->service));
    if (act->with)
        json_object_set_new(entry, "with", audit_arguments(act->with));
    enum fh_code code = append_entry(state_fd, entry, 0, ret, error);
    if (code == FH_OK)
        CRASH_POINT("audit.begun");
    return code;
}

enum fh_code audit_end(int state_fd, int64_t act, const char *why, struct fh_error *error)
{
    int64_t n;
    json_t *entry = json_pack("{s:I, s:s}", "at_ms", (json_int_t)wall_now_ms(), "state",
                              why ? "failed" : "done");
    FH_ASSERT(entry != NULL);
    if (why)
        json_object_set_new(entry, "why", audit_text(why));
    CRASH_POINT("audit.ends");
    return append_entry(state_fd, entry, act, &n, error);
}
