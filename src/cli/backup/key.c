/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See key.h. The key is in no process list and no environment: a file is read, and a command's
 * output comes by a pipe. The command may ask at the terminal; what it prints besides is not shown.
 */

#define _GNU_SOURCE
#include "cli/backup/key.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/io.h"
#include "base/json.h"
#include "system/file/secret_file.h"

#define WORDS_MAX 17 /* with the NULL */
#define OUTPUT_MAX 1024

static void become_key_command(const json_t *words, int output)
{
    char *arguments[WORDS_MAX] = {0};
    size_t i;
    json_t *word;
    json_array_foreach ((json_t *)(uintptr_t)words, i, word) {
        if (i + 1 < WORDS_MAX)
            arguments[i] = (char *)(uintptr_t)json_string_value(word);
    }
    if (arguments[0] && dup2(output, STDOUT_FILENO) >= 0)
        execv(arguments[0], arguments);
    _exit(127);
}

/* The output's only line in `ret`. */
static bool take_key_line(int fd, char *ret, size_t size)
{
    char buffer[OUTPUT_MAX];
    ssize_t length = io_read(fd, buffer, sizeof buffer);
    bool whole = length < (ssize_t)sizeof buffer;
    while (length > 0 && (buffer[length - 1] == '\n' || buffer[length - 1] == '\r'))
        length--;
    bool taken = whole && length > 0 && (size_t)length < size;
    if (taken) {
        memcpy(ret, buffer, (size_t)length);
        ret[length] = '\0';
    }
    sodium_memzero(buffer, sizeof buffer);
    return taken;
}

static int ask_key_command(const json_t *words, char *ret, size_t size)
{
    int ends[2], status = -1;
    const char *program = json_string_value(json_array_get(words, 0));
    if (!program || pipe2(ends, O_CLOEXEC) != 0)
        return cli_fail(CLI_FAILED, "the key's command can't be run: %s", strerror(errno));
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0)
        become_key_command(words, ends[1]);
    close(ends[1]);
    bool taken = pid > 0 && take_key_line(ends[0], ret, size);
    close(ends[0]);
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (pid < 0 || !WIFEXITED(status) || WEXITSTATUS(status) == 127)
        return cli_fail(CLI_FAILED, "the key's command %s could not be run, or was killed",
                        program);
    if (WEXITSTATUS(status) != 0)
        return cli_fail(CLI_FAILED, "the key's command %s failed with exit code %d", program,
                        WEXITSTATUS(status));
    return taken ? CLI_DONE
                 : cli_fail(CLI_FAILED, "the key's command %s did not print a key of 64 hex digits",
                            program);
}

int backup_key_get(const char *file, const json_t *system, struct backup_key *ret)
{
    struct fh_error error;
    char text[SEAL_KEY_TEXT_SIZE] = "";
    const json_t *said = json_object_get(system, "backup_key");
    const json_t *command = file ? NULL : json_object_get(said, "command");
    int code = CLI_DONE;
    *ret = (struct backup_key){.given = false};
    if (!file)
        file = json_string_at(said, "file");
    if (!file && !command)
        return CLI_DONE;
    if (command)
        code = ask_key_command(command, text, sizeof text);
    else if (secret_file_read(file, text, sizeof text, &error) != FH_OK)
        code = cli_fail(CLI_FAILED, "the backup key: %s", error.message);
    if (code == CLI_DONE && !seal_key_parse(text, &ret->seal))
        code = cli_fail(CLI_FAILED,
                        "the backup key: %s does not give a key: expected 64 hex digits, as "
                        "`openssl rand -hex 32` makes them",
                        command ? json_string_value(json_array_get(command, 0)) : file);
    ret->given = code == CLI_DONE;
    sodium_memzero(text, sizeof text);
    return code;
}

void backup_key_forget(struct backup_key *key)
{
    seal_wipe(&key->seal);
    key->given = false;
}

static int check_sealed(const char *folder, struct backup_key *key, const json_t *manifest)
{
    struct fh_error error;
    if (!key->given)
        return cli_fail(CLI_FAILED,
                        "%s is encrypted: say with --key FILE where its key is, or name it in the "
                        "system file (backup.key) and start the system",
                        folder);
    if (seal_manifest_check(&key->seal, manifest, &error) != FH_OK)
        return cli_fail(CLI_FAILED, "%s/" BACKUP_MANIFEST ": %s", folder, error.message);
    return CLI_DONE;
}

int backup_key_open(const char *folder, struct backup_key *key, bool unsealed, int *ret_fd,
                    json_t **ret_manifest)
{
    struct fh_error error;
    if (backup_open(folder, ret_fd, ret_manifest, &error) != FH_OK)
        return cli_fail(CLI_FAILED, "%s", error.message);
    int code = CLI_DONE;
    if (backup_is_sealed(*ret_manifest))
        code = check_sealed(folder, key, *ret_manifest);
    else if (key->given && !unsealed)
        code = cli_fail(CLI_FAILED,
                        "%s is neither encrypted nor signed, so anybody may have written it, and "
                        "this system's backups have a key: --unsigned accepts it all the same",
                        folder);
    if (code == CLI_DONE)
        return code;
    json_decref(*ret_manifest);
    *ret_manifest = NULL;
    close(*ret_fd);
    return code;
}

struct backup_copying backup_key_reading(const json_t *manifest, const struct backup_key *key)
{
    bool sealed = backup_is_sealed(manifest);
    return (struct backup_copying){.way = sealed ? BACKUP_OPEN : BACKUP_AS_IT_IS,
                                   .seal = sealed ? &key->seal : NULL};
}
