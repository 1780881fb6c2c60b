/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_BACKUP_SEAL_H
#define SYSTEM_BACKUP_SEAL_H

/*
 * Backups that are encrypted and signed (format 2), so that whoever keeps them can neither read nor
 * change them. From the one key, 32 bytes, others are derived (keyed BLAKE2b):
 *
 *  - for each file of each backup one of its own, from the backup's id, which is random, and the
 *    service's name: so no file passes for another service's, or for another backup's;
 *  - one for the manifest: its "mac" is keyed BLAKE2b over the rest of it, as compact JSON with
 *    sorted names. It names each file's size and checksum, and so signs all of the backup.
 *
 * A sealed file is SEAL_MAGIC, libsodium's secretstream header, and chunks of SEAL_CHUNK bytes of
 * the file, each with SEAL_OVERHEAD more (XChaCha20-Poly1305). A chunk can't be changed, left out,
 * repeated or moved; the last one, which may be shorter, is marked as such, so that none can be cut
 * off, and nothing follows it. Neither file nor key is ever whole in another place: chunks go
 * through memory one by one.
 *
 * Not hidden: the manifest (names of services, engines, counts, times) and the files' sizes.
 */

#include <jansson.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

#define SEAL_KEY_BYTES 32
#define SEAL_KEY_TEXT_SIZE (SEAL_KEY_BYTES * 2 + 1) /* in hex, with the NUL */
#define SEAL_ID_SIZE 33                             /* 16 bytes in hex, with the NUL */
#define SEAL_MAC_SIZE 65
#define SEAL_MAGIC "freehold-backup\n"
#define SEAL_MAGIC_LENGTH 16
#define SEAL_HEADER_LENGTH                                                                         \
    (SEAL_MAGIC_LENGTH + (size_t)crypto_secretstream_xchacha20poly1305_HEADERBYTES)
#define SEAL_CHUNK ((size_t)256 << 10)
#define SEAL_OVERHEAD ((size_t)crypto_secretstream_xchacha20poly1305_ABYTES)

struct seal {
    unsigned char key[SEAL_KEY_BYTES];
    char backup[SEAL_ID_SIZE]; /* the backup's id */
};

/* False: the text is no key, 64 hex digits. */
bool seal_key_parse(const char *text, struct seal *ret);
/* Gives a new backup its id. */
void seal_begin(struct seal *seal);
void seal_wipe(struct seal *seal); /* forgets the key */

/* Signs the manifest, which has the backup's id as "backup": adds its "mac". */
void seal_manifest(const struct seal *seal, json_t *manifest);
/* Takes the backup's id from a manifest whose "mac" is right. FH_CONFLICT: it is not: another key
 * signed it, or it was changed. */
enum fh_code seal_manifest_check(struct seal *seal, const json_t *manifest, struct fh_error *error);

/* One file that is being sealed or opened, chunk by chunk. */
struct seal_stream {
    crypto_secretstream_xchacha20poly1305_state state;
    bool opening, ended;
};
/* `header` is written when sealing, read when opening. False: it is no header. */
bool seal_stream_begin(struct seal_stream *stream, const struct seal *seal, const char *service,
                       bool opening, unsigned char header[static SEAL_HEADER_LENGTH]);
/* From `in` to `out`, which has room for SEAL_OVERHEAD more when sealing. `last`: nothing follows.
 * False: the chunk is not the next one of this file, or is not the last one as `last` says. */
bool seal_stream_chunk(struct seal_stream *stream, const unsigned char *in, size_t length,
                       bool last, unsigned char *out, size_t *ret_length);

#endif
