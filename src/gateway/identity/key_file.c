/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file is read as a whole and takes effect as a whole. One with a fault changes nothing: the
 * former keys stay, and the log says what is wrong. So does a file that is missing, for a moment
 * between two of an editor's steps; to withdraw all keys, leave an empty list.
 *
 * A file has changed if its number, size or time of change has. Reading blocks, so that is done off
 * the loop.
 */

#define _GNU_SOURCE
#include "gateway/identity/key_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/io.h"
#include "base/json.h"
#include "base/log.h"
#include "base/map.h"
#include "gateway/identity/claims.h"
#include "gateway/identity/strict.h"

#define HASH_SIZE 32

_Static_assert(KEY_FILE_HASH_SIZE == 2 * HASH_SIZE + 1, "a hash is hex digits and a NUL");
_Static_assert(KEY_FILE_KEY_LENGTH + 1 ==
                   sizeof KEY_FILE_PREFIX - 1 +
                       sodium_base64_ENCODED_LEN(KEY_FILE_RANDOM_SIZE,
                                                 sodium_base64_VARIANT_URLSAFE_NO_PADDING),
               "a key is its prefix and random bytes in base64url");

struct key_set {
    struct map keys; /* identities (json_t) by hash */
};

struct key_file {
    struct world *world;
    struct key_look look;
    struct key_set *keys;
    uint64_t generation;
    struct world_timer timer;
    bool faulty; /* as the log was told */
};

/* ---- What it says ---- */

static bool is_grant_list(const json_t *list)
{
    size_t i;
    json_t *word;
    if (!list)
        return true;
    if (!json_is_array(list) || json_array_size(list) > CLAIMS_WORDS_MAX)
        return false;
    json_array_foreach (list, i, word) {
        const char *text = json_string_value(word);
        size_t length = text ? strlen(text) : 0;
        for (size_t at = 0; at < length; at++) {
            if ((unsigned char)text[at] <= ' ' || text[at] == 0x7f)
                return false;
        }
        if (!length || length > CLAIMS_WORD_LENGTH_MAX)
            return false;
    }
    return true;
}

static bool is_subject_text(const char *text)
{
    size_t length = text ? strlen(text) : 0;
    for (size_t i = 0; i < length; i++) {
        if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
            return false;
    }
    return length > 0 && length <= CLAIMS_SUBJECT_LENGTH_MAX;
}

/* "2027-01-31T00:00:00Z". */
static bool read_expiry(const json_t *value, int64_t *ret)
{
    struct tm parts = {0};
    const char *text = json_string_value(value);
    const char *end = text ? strptime(text, "%Y-%m-%dT%H:%M:%SZ", &parts) : NULL;
    if (!end || *end)
        return false;
    *ret = (int64_t)timegm(&parts);
    return *ret > 0;
}

static bool is_key_hash(const char *text)
{
    return text && strlen(text) == KEY_FILE_HASH_SIZE - 1 &&
           strspn(text, "0123456789abcdef") == KEY_FILE_HASH_SIZE - 1;
}

/* NULL: an identity; otherwise what is wrong with the entry. */
static const char *read_key_entry(const json_t *entry, json_t **ret)
{
    const char *name, *subject = json_string_at(entry, "subject");
    json_t *value, *scopes = json_object_get(entry, "scopes"),
                   *roles = json_object_get(entry, "roles"),
                   *expires = json_object_get(entry, "expires");
    int64_t expires_s = 0;
    json_object_foreach ((json_t *)(uintptr_t)entry, name, value) {
        static const char *const known[] = {"hash", "subject", "scopes", "roles", "expires"};
        size_t i = 0;
        while (i < sizeof known / sizeof *known && strcmp(known[i], name) != 0)
            i++;
        if (i == sizeof known / sizeof *known)
            return "has a member other than hash, subject, scopes, roles and expires";
    }
    if (!is_key_hash(json_string_at(entry, "hash")))
        return "has no \"hash\" of 64 lower-case hex digits";
    if (!is_subject_text(subject))
        return "has no \"subject\" of 1 to 255 bytes";
    if (!is_grant_list(scopes) || !is_grant_list(roles))
        return "has \"scopes\" or \"roles\" that are no list of words";
    if (expires && !read_expiry(expires, &expires_s))
        return "has an \"expires\" that is not a time such as 2027-01-31T00:00:00Z";
    *ret = json_pack("{s:s, s:s}", "sub", subject, "via", "key");
    FH_ASSERT(*ret != NULL);
    if (expires)
        json_object_set_new(*ret, "exp", json_integer(expires_s));
    json_object_set_new(*ret, "scopes", scopes ? json_copy_all(scopes) : json_array());
    json_object_set_new(*ret, "roles", roles ? json_copy_all(roles) : json_array());
    return NULL;
}

static enum fh_code read_key_entries(const json_t *list, struct key_set *set,
                                     struct fh_error *error)
{
    size_t i;
    json_t *entry, *identity;
    if (!json_is_array(list) || json_array_size(list) > KEY_FILE_KEYS_MAX)
        return error_set(error, FH_INVALID, "\"keys\" must be a list of at most %d keys.",
                         KEY_FILE_KEYS_MAX);
    json_array_foreach (list, i, entry) {
        const char *wrong = read_key_entry(entry, &identity);
        const char *hash = json_string_at(entry, "hash");
        if (wrong)
            return error_set(error, FH_INVALID, "/keys/%zu %s.", i, wrong);
        if (map_get(&set->keys, hash)) {
            json_decref(identity);
            return error_set(error, FH_INVALID, "/keys/%zu has the hash of an earlier one.", i);
        }
        map_put(&set->keys, hash, identity);
    }
    return FH_OK;
}

enum fh_code key_set_parse(const char *text, size_t length, struct key_set **ret,
                           struct fh_error *error)
{
    json_t *whole;
    *ret = NULL;
    enum fh_code code = strict_object(text, length, &whole, error);
    if (code != FH_OK)
        return code;
    struct key_set *set = calloc(1, sizeof *set);
    FH_ASSERT(set != NULL);
    map_init(&set->keys);
    code = read_key_entries(json_object_get(whole, "keys"), set, error);
    json_decref(whole);
    if (code == FH_OK)
        *ret = set;
    else
        key_set_free(set);
    return code;
}

void key_set_free(struct key_set *set)
{
    struct map_entry *entry = NULL;
    void *identity;
    if (!set)
        return;
    while (map_next(&set->keys, &entry, NULL, &identity))
        json_decref(identity);
    map_release(&set->keys);
    free(set);
}

void key_of_random(const unsigned char random[static KEY_FILE_RANDOM_SIZE],
                   char ret[static KEY_FILE_KEY_LENGTH + 1])
{
    const size_t prefix = strlen(KEY_FILE_PREFIX);
    snprintf(ret, KEY_FILE_KEY_LENGTH + 1, "%s", KEY_FILE_PREFIX);
    sodium_bin2base64(ret + prefix, KEY_FILE_KEY_LENGTH + 1 - prefix, random, KEY_FILE_RANDOM_SIZE,
                      sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}

void key_hash(const char *key, char ret[static KEY_FILE_HASH_SIZE])
{
    unsigned char hash[HASH_SIZE];
    crypto_generichash(hash, sizeof hash, (const unsigned char *)key, strlen(key), NULL, 0);
    sodium_bin2hex(ret, KEY_FILE_HASH_SIZE, hash, sizeof hash);
}

json_t *key_set_find(const struct key_set *set, const char *key)
{
    char name[KEY_FILE_HASH_SIZE];
    if (strlen(key) != KEY_FILE_KEY_LENGTH)
        return NULL;
    key_hash(key, name);
    const json_t *identity = map_get(&set->keys, name);
    return identity ? json_copy_all(identity) : NULL;
}

/* ---- The file ---- */

static bool is_same_file(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size &&
           a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

void key_file_look(void *owner)
{
    struct key_look *look = owner;
    struct stat status;
    look->changed = false;
    look->number = 0;
    int fd = open(look->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &status) != 0) {
        look->number = errno;
    } else if (!S_ISREG(status.st_mode)) {
        look->number = EINVAL;
    } else if (!is_same_file(&status, &look->seen)) {
        text_clear(&look->text);
        bool read_all = io_read_text(fd, &look->text);
        look->number = !read_all ? errno : look->text.overflow ? EFBIG : 0;
        look->changed = look->number == 0;
        if (read_all) /* otherwise it is tried again */
            look->seen = status;
    }
    if (fd >= 0)
        close(fd);
}

void key_look_forget(struct key_look *look)
{
    memset(&look->seen, 0, sizeof look->seen);
}

/* FH_OK: the keys are those of the file. */
static enum fh_code take_key_look(struct key_file *file, struct fh_error *error)
{
    struct key_look *look = &file->look;
    struct key_set *keys;
    if (look->number)
        return error_set_errno(error, FH_INVALID, look->number, "%s can't be read", look->path);
    if (!look->changed)
        return FH_OK;
    struct fh_error fault = {0};
    if (key_set_parse(look->text.data ? look->text.data : "", look->text.length, &keys, &fault) !=
        FH_OK)
        return error_set(error, FH_INVALID, "%.100s: %.140s", look->path, fault.message);
    key_set_free(file->keys);
    file->keys = keys;
    file->generation++;
    file->faulty = false;
    return FH_OK;
}

static void schedule_key_look(struct key_file *file)
{
    world_timer_start(file->world, &file->timer, world_in_ms(file->world, KEY_FILE_LOOK_MS));
}

static void run_key_look(void *argument)
{
    struct key_file *file = argument;
    struct fh_error error = {0};
    uint64_t before = file->generation;
    world_blocking(file->world, key_file_look, &file->look);
    bool failed = take_key_look(file, &error) != FH_OK;
    if (failed && (!file->faulty || file->look.changed))
        log_error("key-file-faulty", "%s The former keys stay.", error.message);
    file->faulty = failed || (file->faulty && before == file->generation);
    if (before != file->generation)
        log_info("key-file-read", "%s has changed: it has %zu keys.", file->look.path,
                 file->keys->keys.count);
    text_release(&file->look.text);
    text_init(&file->look.text, KEY_FILE_SIZE_MAX);
    schedule_key_look(file);
}

static void on_look_due(struct world_timer *timer)
{
    struct key_file *file = timer->owner;
    if (!fiber_start(file->world->fibers, run_key_look, file))
        schedule_key_look(file);
}

enum fh_code key_file_new(struct world *world, const char *path, struct key_file **ret,
                          struct fh_error *error)
{
    struct key_file *file = calloc(1, sizeof *file);
    FH_ASSERT(file != NULL);
    *ret = NULL;
    file->world = world;
    file->look.path = path;
    file->timer = (struct world_timer){.fire = on_look_due, .owner = file};
    text_init(&file->look.text, KEY_FILE_SIZE_MAX);
    key_file_look(&file->look); /* nothing is served yet: it may block */
    enum fh_code code = take_key_look(file, error);
    if (code != FH_OK) {
        key_file_free(file);
        return code;
    }
    schedule_key_look(file);
    *ret = file;
    return FH_OK;
}

void key_file_free(struct key_file *file)
{
    if (!file)
        return;
    world_timer_stop(file->world, &file->timer);
    text_release(&file->look.text);
    key_set_free(file->keys);
    free(file);
}

const struct key_set *key_file_keys(const struct key_file *file)
{
    return file->keys;
}

const uint64_t *key_file_generation(const struct key_file *file)
{
    return &file->generation;
}
