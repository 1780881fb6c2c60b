/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file has a place for each process: eight bytes, a count of its notifications. To notify, a
 * process writes its next count there. Every process watches the file (inotify) and reads all
 * places after a write: if another process's place has changed, somebody has notified. So nobody is
 * woken by its own notifications, several at once count as one, and none hides another.
 *
 * A place belongs to the process whose open file has locked those bytes: the kernel frees it
 * however the process dies. The next one to take it continues from the count it finds.
 *
 * Nothing is synced, and nothing depends on the file's content. It may be truncated, overwritten or
 * removed: then some notifications are missed, or one arrives that nobody sent.
 */

#define _GNU_SOURCE
#include "store/notifier.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "store/engine.h"
#include "store/relational/sql.h"
#include "store/store.h"

#define PLACES 128           /* processes of one service at once */
#define NOTICES_SIZE 4096    /* read at once; a notice about a file without a name takes 16 */
#define NOTICES_READS_MAX 16 /* in one turn of the loop: if more is left, it is called again */

struct store_notifier {
    struct world_poll poll; /* inotify's */
    int file;
    int place;
    uint64_t seen[PLACES]; /* including our own */
};

static void notifier_free(struct store_notifier *notifier)
{
    if (notifier->poll.fd >= 0)
        close(notifier->poll.fd);
    if (notifier->file >= 0)
        close(notifier->file);
    free(notifier);
}

/* Places beyond the end of the file have never been written. */
static bool read_counts(const struct store_notifier *notifier, uint64_t counts[static PLACES])
{
    memset(counts, 0, PLACES * sizeof *counts);
    return pread(notifier->file, counts, PLACES * sizeof *counts, 0) >= 0;
}

static bool others_rang(struct store_notifier *notifier)
{
    uint64_t counts[PLACES];
    if (!read_counts(notifier, counts))
        return false;
    counts[notifier->place] = notifier->seen[notifier->place];
    bool rang = memcmp(notifier->seen, counts, sizeof counts) != 0;
    memcpy(notifier->seen, counts, sizeof counts);
    return rang;
}

static void on_notified(struct world_poll *poll, unsigned events)
{
    struct store *store = poll->owner;
    char notices[NOTICES_SIZE] __attribute__((aligned(8)));
    ssize_t got = 1;
    (void)events;
    for (int i = 0; i < NOTICES_READS_MAX && got > 0; i++)
        got = read(poll->fd, notices, sizeof notices);
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
        world_poll_stop(store->world, poll); /* otherwise it would be called for ever */
    if (others_rang(store->notifier))
        store_notify_listeners(store);
}

static bool take_notifier_place(struct store_notifier *notifier)
{
    for (notifier->place = 0; notifier->place < PLACES; notifier->place++) {
        struct flock lock = {.l_type = F_WRLCK,
                             .l_whence = SEEK_SET,
                             .l_start = (off_t)notifier->place * (off_t)sizeof *notifier->seen,
                             .l_len = sizeof *notifier->seen};
        if (fcntl(notifier->file, F_OFD_SETLK, &lock) == 0)
            return true;
    }
    return false;
}

static enum fh_code notifier_prepare(struct store_notifier *notifier, const char *path,
                                     struct fh_error *error)
{
    notifier->file = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
    if (notifier->file < 0)
        return error_set_errno(error, FH_UNAVAILABLE, errno, "%.150s can't be opened", path);
    if (!take_notifier_place(notifier))
        return error_set_errno(error, FH_UNAVAILABLE, errno,
                               "%.150s has no place free, of %d, for one more process", path,
                               PLACES);
    notifier->poll.fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (notifier->poll.fd < 0 || inotify_add_watch(notifier->poll.fd, path, IN_MODIFY) < 0)
        return error_set_errno(error, FH_UNAVAILABLE, errno, "%.150s can't be watched", path);
    if (!read_counts(notifier,
                     notifier->seen)) /* after the watch, so that no write in between is missed */
        return error_set_errno(error, FH_UNAVAILABLE, errno, "%.150s can't be read", path);
    return FH_OK;
}

enum fh_code store_notifier_open(struct store *store, const char *path, struct fh_error *error)
{
    struct store_notifier *notifier = calloc(1, sizeof *notifier);
    FH_ASSERT(notifier != NULL && store->notifier == NULL);
    notifier->file = -1;
    notifier->poll = (struct world_poll){.fd = -1, .ready = on_notified, .owner = store};
    enum fh_code code = notifier_prepare(notifier, path, error);
    if (code != FH_OK) {
        notifier_free(notifier);
        return code;
    }
    store->notifier = notifier;
    world_poll_start(store->world, &notifier->poll, WORLD_READABLE);
    return FH_OK;
}

void store_notifier_notify(struct store *store)
{
    struct store_notifier *notifier = store->notifier;
    if (!notifier)
        return;
    uint64_t *count = &notifier->seen[notifier->place];
    ++*count;
    ssize_t written;
    do
        written = pwrite(notifier->file, count, sizeof *count,
                         (off_t)notifier->place * (off_t)sizeof *notifier->seen);
    while (written < 0 && errno == EINTR); /* a full disk: the others poll, sooner or later */
}

void store_notify_others(struct store *store)
{
    if (engine_can(store->engine, ENGINE_NOTIFIES))
        store->engine->sql->notify_others(store, ERROR_UNHEEDED);
    else
        store_notifier_notify(store);
}

void store_notifier_close(struct store *store)
{
    if (!store->notifier)
        return;
    world_poll_stop(store->world, &store->notifier->poll);
    notifier_free(store->notifier);
    store->notifier = NULL;
}
