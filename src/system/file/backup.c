/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See backup.h. Only where the key is gets into the state folder (system.json), never the key. A
 * file that is there is read, so that a wrong one is found before the day on which a backup is
 * needed; one that is not may be on a disk that is kept elsewhere. The command is not run here.
 */

#include "system/file/backup.h"

#include <sodium.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "system/backup/seal.h"
#include "system/file/file.h"
#include "system/file/secret_file.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define KEY_COMMAND_WORDS_MAX 16

static void check_backup_key(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                             const char *path)
{
    struct fh_error error = {0};
    struct seal seal;
    char text[SEAL_KEY_TEXT_SIZE];
    struct place place = yaml_place(reader, node);
    if (access(path, F_OK) != 0)
        findings_warning(reader->findings, place,
                         "%s: %s does not exist now; backing up and restoring need it", what, path);
    else if (secret_file_read(path, text, sizeof text, &error) != FH_OK)
        findings_error(reader->findings, place, "%s: %s", what, error.message);
    else if (!seal_key_parse(text, &seal))
        findings_error(reader->findings, place,
                       "%s: %s holds no key for backups; expected 64 hex digits, as `openssl rand "
                       "-hex 32` makes them",
                       what, path);
    sodium_memzero(text, sizeof text);
    seal_wipe(&seal);
}

static void read_backup_key_file(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                                 void *into)
{
    struct system_file *file = into;
    const char *path = yaml_text(reader, node, what);
    if (!path)
        return;
    if (path[0] != '/')
        path = arena_printf(reader->arena, "%s/%s", file->folder, path);
    if (!file->keyless)
        check_backup_key(reader, node, what, path);
    json_object_set_new(file->backup_key, "file", json_string(path));
}

static void read_backup_key_word(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                                 void *into)
{
    const char *word = yaml_text(reader, node, what);
    if (word)
        json_array_append_new(into, json_string(word));
}

static void read_backup_key_command(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                                    void *into)
{
    struct system_file *file = into;
    json_t *words = json_array();
    yaml_read_list(reader, node, what, KEY_COMMAND_WORDS_MAX, read_backup_key_word, words);
    json_object_set_new(file->backup_key, "command", words);
    const char *program = json_string_value(json_array_get(words, 0));
    if (program && program[0] != '/')
        findings_error(reader->findings, yaml_place(reader, node),
                       "%s: the program must be an absolute path, such as /usr/bin/pass", what);
}

static void read_backup_key(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                            void *into)
{
    static const struct yaml_key keys[] = {
        {"file", read_backup_key_file, false,
         "a file with 64 hex digits, which only its owner can read"},
        {"command", read_backup_key_command, false,
         "a program that prints the key, and its arguments"}};
    struct system_file *file = into;
    size_t errors = reader->findings->errors;
    json_decref(file->backup_key);
    file->backup_key = json_object();
    yaml_read_mapping(reader, node, what, keys, COUNT(keys), file);
    if (!reader->schema && reader->findings->errors == errors &&
        json_object_size(file->backup_key) != 1)
        findings_error(reader->findings, yaml_place(reader, node),
                       "%s: expected either a file or a command", what);
}

void file_read_backup(struct yaml_reader *reader, yaml_node_t *node, const char *what, void *into)
{
    static const struct yaml_key keys[] = {
        {"key", read_backup_key, true, "the key that backups are encrypted and signed with"}};
    yaml_read_mapping(reader, node, what, keys, COUNT(keys), into);
}
