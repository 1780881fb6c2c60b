/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process that has the turn locks the file's first byte; those that want it lock the second
 * byte, shared. The locks belong to the open file, so the kernel releases them however a process
 * dies. The first byte says 'u' while somebody has the turn: a process that takes it and finds that
 * knows that the previous holder has died; otherwise it reads the mark that was left. All processes
 * watch the file (inotify); one that wants the turn or gives it back writes the second byte to wake
 * them.
 *
 * The bytes need not survive a crash of the machine: a process that opens a store checks all of it
 * anyway.
 */

#define _GNU_SOURCE
#include "store/turn.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <unistd.h>

#define HAVING 0 /* offsets in the file */
#define WANTING 1
#define MARK 8 /* an int64_t; valid when the first byte says 'c' */
#define UNCLEAN 'u'
#define CLEAN 'c'
#define NOTICES_SIZE 4096
#define NOTICES_READS_MAX 16

struct store_turn {
    struct world *world;
    struct world_poll poll; /* inotify's */
    int file;
    void (*stirred)(void *context);
    void *context;
};

static bool lock_turn_byte(const struct store_turn *turn, short type, off_t byte)
{
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
    return fcntl(turn->file, F_OFD_SETLK, &lock) == 0;
}

/* By another process; our own locks don't count. */
static bool is_locked(const struct store_turn *turn, off_t byte)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
    return fcntl(turn->file, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

/* Writes one byte into a block that the file already has. If it fails, only a hint is lost, see
 * turn.h. */
static bool write_byte(const struct store_turn *turn, off_t byte, char what)
{
    ssize_t written;
    do
        written = pwrite(turn->file, &what, 1, byte);
    while (written < 0 && errno == EINTR);
    return written == 1;
}

static void on_turn_written(struct world_poll *poll, unsigned events)
{
    struct store_turn *turn = poll->owner;
    char notices[NOTICES_SIZE] __attribute__((aligned(8)));
    ssize_t got = 1;
    (void)events;
    for (int i = 0; i < NOTICES_READS_MAX && got > 0; i++)
        got = read(poll->fd, notices, sizeof notices);
    turn->stirred(turn->context);
}

static void watch_turn(struct store_turn *turn, const char *path)
{
    turn->poll.fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (turn->poll.fd >= 0 && inotify_add_watch(turn->poll.fd, path, IN_MODIFY) >= 0)
        return;
    if (turn->poll.fd >= 0)
        close(turn->poll.fd);
    turn->poll.fd = -1;
}

bool store_turn_is_watched(const struct store_turn *turn)
{
    return turn->poll.fd >= 0;
}

static enum fh_code turn_prepare(struct store_turn *turn, const char *path, struct fh_error *error)
{
    char bytes[2];
    turn->file = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
    if (turn->file < 0)
        return error_set_errno(error, FH_UNAVAILABLE, errno, "%.150s can't be opened", path);
    watch_turn(turn, path);
    if (pread(turn->file, bytes, sizeof bytes, 0) == sizeof bytes)
        return FH_OK;
    /* New: write now, so that the file gets its block and later writes need no space. It begins as
     * unclean. */
    if (!write_byte(turn, HAVING, UNCLEAN) || !write_byte(turn, WANTING, 0))
        return error_set_errno(error, FH_UNAVAILABLE, errno, "%.150s can't be written", path);
    return FH_OK;
}

static void turn_free(struct store_turn *turn)
{
    if (turn->poll.fd >= 0)
        close(turn->poll.fd);
    if (turn->file >= 0)
        close(turn->file);
    free(turn);
}

enum fh_code store_turn_open(struct world *world, const char *path, void (*stirred)(void *context),
                             void *context, struct store_turn **ret, struct fh_error *error)
{
    struct store_turn *turn = calloc(1, sizeof *turn);
    FH_ASSERT(turn != NULL);
    *turn = (struct store_turn){.world = world, .file = -1, .stirred = stirred, .context = context};
    turn->poll = (struct world_poll){.fd = -1, .ready = on_turn_written, .owner = turn};
    enum fh_code code = turn_prepare(turn, path, error);
    if (code != FH_OK) {
        turn_free(turn);
        return code;
    }
    if (store_turn_is_watched(turn))
        world_poll_start(world, &turn->poll, WORLD_READABLE);
    *ret = turn;
    return FH_OK;
}

void store_turn_close(struct store_turn *turn)
{
    if (!turn)
        return;
    world_poll_stop(turn->world, &turn->poll);
    lock_turn_byte(turn, F_UNLCK, HAVING);
    lock_turn_byte(turn, F_UNLCK, WANTING);
    write_byte(turn, WANTING, 0);
    turn_free(turn);
}

static int64_t read_mark(const struct store_turn *turn)
{
    char state;
    int64_t mark;
    if (pread(turn->file, &state, 1, HAVING) != 1 || state != CLEAN ||
        pread(turn->file, &mark, sizeof mark, MARK) != sizeof mark || mark < 0)
        return TURN_UNCLEAN; /* what can't be read is not trusted */
    return mark;
}

bool store_turn_take(struct store_turn *turn, int64_t *ret_mark)
{
    if (!lock_turn_byte(turn, F_WRLCK, HAVING))
        return false;
    *ret_mark = read_mark(turn);
    if (*ret_mark == TURN_UNCLEAN || write_byte(turn, HAVING, UNCLEAN))
        return true;
    lock_turn_byte(turn, F_UNLCK, HAVING); /* otherwise our death would go unnoticed */
    return false;
}

void store_turn_give(struct store_turn *turn, int64_t mark)
{
    if (mark != TURN_UNCLEAN && pwrite(turn->file, &mark, sizeof mark, MARK) == sizeof mark)
        write_byte(turn, HAVING, CLEAN);
    lock_turn_byte(turn, F_UNLCK, HAVING);
    write_byte(turn, WANTING, 0);
}

bool store_turn_is_free(const struct store_turn *turn)
{
    return !is_locked(turn, HAVING);
}

void store_turn_want(struct store_turn *turn, bool wants)
{
    lock_turn_byte(turn, wants ? F_RDLCK : F_UNLCK, WANTING);
    if (wants)
        write_byte(turn, WANTING, 0);
}

bool store_turn_is_wanted(const struct store_turn *turn)
{
    return is_locked(turn, WANTING);
}
