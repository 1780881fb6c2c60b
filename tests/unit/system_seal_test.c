/* SPDX-License-Identifier: Apache-2.0 */
/* Sealed backups: what was sealed is opened, and nothing else is: every bit of a file and of its
 * manifest counts, and so do the order of its chunks and their number. */

#define _GNU_SOURCE
#include "../support/harness.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/json.h"
#include "system/backup/backup.h"
#include "system/backup/restore.h"

#define KEY "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define OTHER_KEY "100102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define ROOM (SEAL_CHUNK * 4)

struct place {
    char folder[64];
    int fd;
    struct seal seal;
};

static int make_place(void **state)
{
    struct place *place = calloc(1, sizeof *place);
    assert_non_null(place);
    json_memory_init();
    snprintf(place->folder, sizeof place->folder, "/tmp/seal-XXXXXX");
    assert_non_null(mkdtemp(place->folder));
    place->fd = open(place->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(seal_key_parse(KEY, &place->seal));
    seal_begin(&place->seal);
    *state = place;
    return 0;
}

static int remove_place(void **state)
{
    struct place *place = *state;
    static const char *const names[] = {"plain", "sealed", "opened", "other", NULL};
    for (size_t i = 0; names[i]; i++)
        unlinkat(place->fd, names[i], 0);
    int status = rmdir(place->folder);
    close(place->fd);
    free(place);
    return status;
}

static void put(struct place *place, const char *name, const unsigned char *data, size_t length)
{
    int fd = openat(place->fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, length), length);
    close(fd);
}

static size_t get(struct place *place, const char *name, unsigned char *data)
{
    int fd = openat(place->fd, name, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? -1 : read(fd, data, ROOM);
    assert_true(length >= 0);
    close(fd);
    return (size_t)length;
}

static enum fh_code pass(struct place *place, enum backup_way way, const struct seal *seal,
                         const char *service, const char *from, const char *to)
{
    struct fh_error error;
    struct backup_copying copying = {.way = way, .seal = seal, .service = service};
    return backup_copy(place->fd, from, place->fd, to, &copying, &error);
}

static void fill(unsigned char *data, size_t length)
{
    for (size_t i = 0; i < length; i++)
        data[i] = (unsigned char)(i * 7 + i / 251);
}

static void assert_opens_not(struct place *place, const unsigned char *sealed, size_t length)
{
    put(place, "other", sealed, length);
    assert_int_equal(pass(place, BACKUP_OPEN, &place->seal, "users", "other", "opened"),
                     FH_CONFLICT);
    assert_int_equal(faccessat(place->fd, "opened", F_OK, 0), -1); /* nothing half done stays */
}

static void what_was_sealed_is_opened(void **state)
{
    struct place *place = *state;
    static const size_t lengths[] = {0,
                                     1,
                                     4096,
                                     SEAL_CHUNK - 1,
                                     SEAL_CHUNK,
                                     SEAL_CHUNK + 1,
                                     SEAL_CHUNK * 2,
                                     SEAL_CHUNK * 3 - 17};
    unsigned char *data = malloc(ROOM), *back = malloc(ROOM), *sealed = malloc(ROOM);
    fill(data, ROOM);
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        put(place, "plain", data, lengths[i]);
        assert_int_equal(pass(place, BACKUP_SEAL, &place->seal, "users", "plain", "sealed"), FH_OK);
        assert_int_equal(pass(place, BACKUP_OPEN, &place->seal, "users", "sealed", "opened"),
                         FH_OK);
        assert_int_equal(get(place, "opened", back), lengths[i]);
        assert_memory_equal(back, data, lengths[i]);
        size_t length = get(place, "sealed", sealed);
        assert_true(length > lengths[i]);
        assert_null(lengths[i] < 64 ? NULL : memmem(sealed, length, data, 64));
    }
    free(data);
    free(back);
    free(sealed);
}

static void a_changed_or_missing_byte_is_found(void **state)
{
    struct place *place = *state;
    static unsigned char data[300], sealed[ROOM]; /* as much as `get` may put there */
    fill(data, sizeof data);
    put(place, "plain", data, sizeof data);
    assert_int_equal(pass(place, BACKUP_SEAL, &place->seal, "users", "plain", "sealed"), FH_OK);
    size_t length = get(place, "sealed", sealed);
    for (size_t i = 0; i < length; i++) {
        sealed[i] ^= 0x20;
        assert_opens_not(place, sealed, length);
        sealed[i] ^= 0x20;
        assert_opens_not(place, sealed, i);
    }
    assert_opens_not(place, sealed, length + 1);
}

/* Chunks cut off, left out, repeated, swapped; and one more after the last. */
static void chunks_keep_their_place(void **state)
{
    struct place *place = *state;
    const size_t chunk = SEAL_CHUNK + SEAL_OVERHEAD, header = SEAL_HEADER_LENGTH;
    unsigned char *data = malloc(ROOM), *sealed = malloc(ROOM), *made = malloc(ROOM * 2);
    static const int orders[][5] = {
        {0, 1, -1},       {0, -1},          {-1},    {0, 2, -1},      {1, 2, -1}, {1, 0, 2, -1},
        {0, 0, 1, 2, -1}, {0, 1, 2, 2, -1}, {2, -1}, {0, 1, 2, 0, -1}};
    fill(data, ROOM);
    put(place, "plain", data, SEAL_CHUNK * 3); /* the last is a whole one, too */
    assert_int_equal(pass(place, BACKUP_SEAL, &place->seal, "users", "plain", "sealed"), FH_OK);
    assert_int_equal(get(place, "sealed", sealed), header + 3 * chunk);
    for (size_t i = 0; i < sizeof orders / sizeof *orders; i++) {
        size_t length = header;
        memcpy(made, sealed, header);
        for (int j = 0; j < 5 && orders[i][j] >= 0; j++) {
            memcpy(made + length, sealed + header + (size_t)orders[i][j] * chunk, chunk);
            length += chunk;
        }
        assert_opens_not(place, made, length);
    }
    put(place, "other", sealed, header + 3 * chunk);
    assert_int_equal(pass(place, BACKUP_OPEN, &place->seal, "users", "other", "opened"), FH_OK);
    free(data);
    free(sealed);
    free(made);
}

static void a_file_is_of_one_service_in_one_backup_by_one_key(void **state)
{
    struct place *place = *state;
    struct seal next = place->seal, foreign;
    put(place, "plain", (const unsigned char *)"data", 4);
    assert_int_equal(pass(place, BACKUP_SEAL, &place->seal, "users", "plain", "sealed"), FH_OK);
    assert_int_equal(pass(place, BACKUP_OPEN, &place->seal, "orders", "sealed", "opened"),
                     FH_CONFLICT);
    seal_begin(&next);
    assert_string_not_equal(next.backup, place->seal.backup);
    assert_int_equal(pass(place, BACKUP_OPEN, &next, "users", "sealed", "opened"), FH_CONFLICT);
    assert_true(seal_key_parse(OTHER_KEY, &foreign));
    memcpy(foreign.backup, place->seal.backup, sizeof foreign.backup);
    assert_int_equal(pass(place, BACKUP_OPEN, &foreign, "users", "sealed", "opened"), FH_CONFLICT);
    assert_int_equal(pass(place, BACKUP_OPEN, &place->seal, "users", "plain", "opened"),
                     FH_CONFLICT);
}

static json_t *manifest_of(struct place *place)
{
    json_t *manifest =
        json_pack("{s:i, s:s, s:I, s:s, s:{s:{s:s, s:s, s:s, s:s, s:i, s:I, s:i, s:i, s:i, s:s}}}",
                  "freehold_backup", BACKUP_FORMAT_SEALED, "system", "shop", "taken_ms",
                  (json_int_t)1763737200123, "backup", place->seal.backup, "services", "users",
                  "file", "users.sealed", "model", "relational", "engine", "sqlite", "incarnation",
                  "01aa0000000000000000000000", "position", 7, "taken_ms",
                  (json_int_t)1763737200124, "migration", 3, "rows", 12, "size", 300, "sha256",
                  "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_non_null(manifest);
    seal_manifest(&place->seal, manifest);
    return manifest;
}

/* Every byte of its text: what is still JSON says something else, or the same in other words. */
static void a_manifest_is_what_was_signed(void **state)
{
    struct place *place = *state;
    struct fh_error error;
    json_t *manifest = manifest_of(place), *read;
    struct seal seal, foreign;
    assert_true(seal_key_parse(KEY, &seal));
    assert_int_equal(seal_manifest_check(&seal, manifest, &error), FH_OK);
    assert_string_equal(seal.backup, place->seal.backup);
    assert_true(seal_key_parse(OTHER_KEY, &foreign));
    assert_int_equal(seal_manifest_check(&foreign, manifest, &error), FH_CONFLICT);
    char *text = json_text(manifest);
    int changed = 0;
    for (size_t i = 0; i < strlen(text); i++) {
        text[i] ^= 1;
        if (json_parse(text, strlen(text), &read, &error) == FH_OK) {
            if (!json_equal(read, manifest)) {
                assert_int_equal(seal_manifest_check(&seal, read, &error), FH_CONFLICT);
                changed++;
            }
            json_decref(read);
        }
        text[i] ^= 1;
    }
    assert_true(changed > 100);
    json_object_set_new(manifest, "more", json_true());
    assert_int_equal(seal_manifest_check(&seal, manifest, &error), FH_CONFLICT);
    json_object_del(manifest, "more");
    assert_int_equal(seal_manifest_check(&seal, manifest, &error), FH_OK);
    json_object_del(manifest, "mac");
    assert_int_equal(seal_manifest_check(&seal, manifest, &error), FH_CONFLICT);
    json_text_free(text);
    json_decref(manifest);
}

/* The manifest's own word for it counts: a sealed one that says it is plain does not name its file
 * so. */
static void a_manifest_does_not_turn_from_sealed_to_plain(void **state)
{
    struct place *place = *state;
    struct fh_error error;
    json_t *manifest = manifest_of(place);
    assert_true(backup_is_sealed(manifest));
    json_object_set_new(manifest, "freehold_backup", json_integer(BACKUP_FORMAT));
    assert_false(backup_is_sealed(manifest));
    assert_int_equal(backup_manifest_check(manifest, &error), FH_INVALID);
    assert_non_null(strstr(error.message, "services.users.file"));
    json_decref(manifest);
}

static void what_is_no_key_is_refused(void **state)
{
    (void)state;
    struct seal seal;
    static const char *const texts[] = {"",
                                        "00",
                                        KEY "00",
                                        "g" KEY,
                                        " " KEY,
                                        "00010203 4050607 8090a0b0c0d0e0f101112131415161718191a1b1"
                                        "c1d1e1f1"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_false(seal_key_parse(texts[i], &seal));
}

static void a_full_disk_leaves_no_file(void **state)
{
    struct place *place = *state;
    unsigned char *data = calloc(1, ROOM);
    put(place, "plain", data, ROOM);
    free(data);
    pid_t pid = fork();
    if (pid == 0) {
        struct rlimit limit = {SEAL_CHUNK * 2, SEAL_CHUNK * 2};
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &limit);
        _exit(pass(place, BACKUP_SEAL, &place->seal, "users", "plain", "sealed") == FH_UNAVAILABLE
                  ? 0
                  : 1);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_int_equal(faccessat(place->fd, "sealed", F_OK, 0), -1);
}

/* Puts files into the folder, has what is left removed, and empties the folder. Returns which were
 * kept, a bit for each. */
static unsigned kept_of(struct place *place, const char *const *names, const char *order)
{
    unsigned kept = 0;
    for (size_t i = 0; names[i]; i++)
        put(place, names[i], (const unsigned char *)"x", 1);
    if (order)
        put(place, "restore.json", (const unsigned char *)order, strlen(order));
    restore_remove_left(place->fd);
    assert_int_equal(unlinkat(place->fd, "restore.json", 0), order ? 0 : -1);
    for (size_t i = 0; names[i]; i++)
        kept |= (unlinkat(place->fd, names[i], 0) == 0 ? 1U : 0U) << i;
    return kept;
}

static void what_is_left_is_removed_but_for_what_is_ordered(void **state)
{
    static const char *const names[] = {"store.db",           "backup.json",
                                        "restored.json",      "restore-1.db",
                                        "restore-1.db-wal",   "restore-2.db",
                                        "restore.json.ready", "backup.db",
                                        "backup.db-journal",  NULL};
    struct place *place = *state;
    assert_int_equal(kept_of(place, names, NULL), 0x07);
    assert_int_equal(kept_of(place, names, "{\"freehold\": 1, \"file\": \"restore-1\"}"), 0x1f);
    assert_int_equal(kept_of(place, names, "{\"freehold\": 1}"), 0x3f); /* of which one? */
    assert_int_equal(kept_of(place, names, "\x01"), 0x3f);
}

static void what_is_taken_has_no_name_and_no_link_is_followed(void **state)
{
    struct place *place = *state;
    struct fh_error error;
    struct backup_copying copying = {.way = BACKUP_SEAL, .seal = &place->seal, .service = "users"};
    put(place, "plain", (const unsigned char *)"data", 4);
    assert_int_equal(symlinkat("plain", place->fd, "other"), 0);
    assert_true(backup_take(place->fd, "other", place->fd, "sealed", &copying, &error) != FH_OK);
    assert_int_equal(faccessat(place->fd, "sealed", F_OK, 0), -1);
    assert_int_equal(backup_take(place->fd, "plain", place->fd, "sealed", &copying, &error), FH_OK);
    assert_int_equal(faccessat(place->fd, "plain", F_OK, 0), -1);
    assert_int_equal(pass(place, BACKUP_OPEN, &place->seal, "users", "sealed", "opened"), FH_OK);
}

#define SEAL_TEST(test) cmocka_unit_test_setup_teardown(test, make_place, remove_place)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SEAL_TEST(what_was_sealed_is_opened),
        SEAL_TEST(a_changed_or_missing_byte_is_found),
        SEAL_TEST(chunks_keep_their_place),
        SEAL_TEST(a_file_is_of_one_service_in_one_backup_by_one_key),
        SEAL_TEST(a_manifest_is_what_was_signed),
        SEAL_TEST(a_manifest_does_not_turn_from_sealed_to_plain),
        SEAL_TEST(what_is_no_key_is_refused),
        SEAL_TEST(a_full_disk_leaves_no_file),
        SEAL_TEST(what_is_left_is_removed_but_for_what_is_ordered),
        SEAL_TEST(what_is_taken_has_no_name_and_no_link_is_followed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
