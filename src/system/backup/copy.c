/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file's bytes on their way into a backup or out of it: as they are, sealed, or opened. The sum
 * is always that of the file in the backup, and of all of it: where something of a sealed file
 * can't be opened the rest is still read, so that its size and sum are known.
 *
 * Reading goes one chunk ahead: only who knows that nothing follows knows which chunk is the last.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "system/backup/backup.h"

#define COPY_SIZE ((size_t)1 << 20) /* as it is */

struct pass {
    struct backup_copying *copying;
    int from, to;
    int failed;   /* an errno value */
    bool spoiled; /* what is opened was not sealed so */
    crypto_hash_sha256_state sum;
    struct seal_stream stream;
    int64_t read, of;
};

/* As much as there is, up to `size`. */
static size_t read_chunk(struct pass *pass, unsigned char *buffer, size_t size)
{
    ssize_t got = pass->failed ? 0 : io_read(pass->from, buffer, size);
    size_t length = got > 0 ? (size_t)got : 0;
    if (got < 0)
        pass->failed = errno;
    pass->read += (int64_t)length;
    if (pass->copying->told && length > 0)
        pass->copying->told(pass->copying->context, pass->read, pass->of);
    return length;
}

static void put_chunk(struct pass *pass, const unsigned char *data, size_t length)
{
    if (!pass->failed && !pass->spoiled && pass->to >= 0 && !io_write(pass->to, data, length))
        pass->failed = errno;
}

static void add_to_sum(struct pass *pass, const unsigned char *data, size_t length)
{
    crypto_hash_sha256_update(&pass->sum, data, length);
    pass->copying->size += (int64_t)length;
}

static void begin_pass(struct pass *pass)
{
    unsigned char header[SEAL_HEADER_LENGTH] = {0};
    const struct backup_copying *copying = pass->copying;
    if (copying->way == BACKUP_SEAL) {
        seal_stream_begin(&pass->stream, copying->seal, copying->service, false, header);
        add_to_sum(pass, header, sizeof header);
        put_chunk(pass, header, sizeof header);
    } else if (copying->way == BACKUP_OPEN) {
        size_t length = read_chunk(pass, header, sizeof header);
        add_to_sum(pass, header, length);
        pass->spoiled =
            length < sizeof header ||
            !seal_stream_begin(&pass->stream, copying->seal, copying->service, true, header);
    }
}

static void pass_chunk(struct pass *pass, const unsigned char *in, size_t length, bool last,
                       unsigned char *out)
{
    size_t made = length;
    if (pass->copying->way != BACKUP_SEAL)
        add_to_sum(pass, in, length);
    if (pass->copying->way == BACKUP_AS_IT_IS) {
        put_chunk(pass, in, length);
        return;
    }
    if (pass->spoiled || !seal_stream_chunk(&pass->stream, in, length, last, out, &made)) {
        pass->spoiled = true;
        return;
    }
    if (pass->copying->way == BACKUP_SEAL)
        add_to_sum(pass, out, made);
    put_chunk(pass, out, made);
}

static size_t way_chunk_size(enum backup_way way)
{
    if (way == BACKUP_AS_IT_IS)
        return COPY_SIZE;
    return way == BACKUP_SEAL ? SEAL_CHUNK : SEAL_CHUNK + SEAL_OVERHEAD;
}

enum fh_code backup_pass(int from, int to, struct backup_copying *copying, struct fh_error *error)
{
    struct stat status = {.st_size = 0};
    fstat(from, &status);
    struct pass pass = {.copying = copying, .from = from, .to = to, .of = status.st_size};
    unsigned char sum[crypto_hash_sha256_BYTES];
    size_t room = way_chunk_size(copying->way), length;
    unsigned char *buffers = malloc(room * 2 + SEAL_CHUNK + SEAL_OVERHEAD);
    FH_ASSERT(buffers != NULL);
    unsigned char *now = buffers, *ahead = buffers + room, *out = buffers + room * 2;
    copying->size = 0;
    crypto_hash_sha256_init(&pass.sum);
    begin_pass(&pass);
    length = read_chunk(&pass, now, room);
    for (bool last = false; !last && !pass.failed;) {
        unsigned char *other = now;
        size_t next = length == room ? read_chunk(&pass, ahead, room) : 0;
        last = next == 0;
        pass_chunk(&pass, now, length, last, out);
        now = ahead;
        ahead = other;
        length = next;
    }
    crypto_hash_sha256_final(&pass.sum, sum);
    sodium_bin2hex(copying->sum, sizeof copying->sum, sum, sizeof sum);
    sodium_memzero(&pass.stream, sizeof pass.stream);
    sodium_memzero(buffers, room * 2 + SEAL_CHUNK + SEAL_OVERHEAD);
    free(buffers);
    if (pass.failed)
        return error_set_errno(error, FH_UNAVAILABLE, pass.failed, "it can't be read or written");
    if (pass.spoiled)
        return error_set(error, FH_CONFLICT,
                         "It was not sealed with this key for this backup, or was changed since.");
    return FH_OK;
}
