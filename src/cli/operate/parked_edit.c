/* SPDX-License-Identifier: Apache-2.0 */
/*
 * freehold parked edit: changes the data of the first event of a key, in an editor or with --data.
 * The service checks the new data and keeps the old.
 *
 * Only its owner can read the file that the editor gets. It is removed once the change is made, or
 * given up; if the change is refused, the file stays and its name is printed, so nobody has to type
 * it again.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/json.h"
#include "cli/data.h"
#include "cli/operate/parked.h"

#define PATH_SIZE 512

/* ---- The editor ---- */

static const char *chosen_editor(void)
{
    const char *chosen = getenv("VISUAL");
    if (!chosen || !*chosen)
        chosen = getenv("EDITOR");
    return chosen && *chosen ? chosen : "vi";
}

static int write_file(char path[static PATH_SIZE], const json_t *data)
{
    const char *folder = getenv("TMPDIR");
    snprintf(path, PATH_SIZE, "%s/freehold-parked-XXXXXX.json",
             folder && *folder ? folder : "/tmp");
    int fd = mkostemps(path, (int)strlen(".json"), O_CLOEXEC); /* mode 0600 */
    if (fd < 0)
        return cli_fail(CLI_FAILED, "no file can be made in %s: %s", folder ? folder : "/tmp",
                        strerror(errno));
    bool written = json_dumpfd(data, fd, JSON_INDENT(2)) == 0 && write(fd, "\n", 1) == 1;
    if (close(fd) == 0 && written)
        return CLI_DONE;
    unlink(path);
    return cli_fail(CLI_FAILED, "%s can't be written", path);
}

/* As in git: EDITOR may contain arguments of its own. */
static int run_editor(const char *path)
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        char command[PATH_SIZE];
        snprintf(command, sizeof command, "%s \"$1\"", chosen_editor());
        execl("/bin/sh", "sh", "-c", command, "sh", path, (char *)NULL);
        _exit(127);
    }
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return CLI_DONE;
    return cli_fail(CLI_FAILED, "the editor '%s' failed; EDITOR names another one",
                    chosen_editor());
}

/* *ret: the edited data, NULL if they equal `data`. The file stays. */
static int edit_file(const char *path, const json_t *data, json_t **ret)
{
    struct fh_error error;
    struct text text;
    int code = run_editor(path);
    text_init(&text, CLI_DATA_SIZE_MAX);
    if (code == CLI_DONE)
        code = data_read_file(path, &text);
    if (code == CLI_DONE &&
        json_parse(text.data ? text.data : "", text.length, ret, &error) != FH_OK)
        code = cli_fail(CLI_FAILED, "%s: %s", path, error.message);
    if (code == CLI_DONE && json_equal(*ret, data)) {
        json_decref(*ret);
        *ret = NULL;
    }
    text_release(&text);
    return code;
}

/* ---- The change ---- */

static int change_parked(struct cli_operator *asking, char **words, const json_t *first,
                         json_t *data, bool as_json)
{
    json_t *wanted =
        json_pack("{s:s, s:s, s:O, s:O, s:s}", "source", words[2], "key", words[3], "position",
                  json_object_get(first, "position"), "data", data, "by", cli_person());
    return parked_retried(asking, words, "/_freehold/parked/edit", wanted, as_json);
}

static int edit_by_hand(struct cli_operator *asking, char **words, const json_t *first,
                        bool as_json)
{
    char path[PATH_SIZE];
    json_t *data = NULL;
    const json_t *before = json_at(first, "event.data");
    if (!cli_can_ask())
        return cli_fail(CLI_USAGE, "there is no terminal for an editor: give the data with --data");
    int code = write_file(path, before);
    if (code != CLI_DONE)
        return code;
    code = edit_file(path, before, &data);
    if (code == CLI_DONE && !data) {
        unlink(path);
        return cli_fail(CLI_FAILED, "nothing was changed");
    }
    if (code == CLI_DONE)
        code = change_parked(asking, words, first, data, as_json);
    json_decref(data);
    if (code == CLI_DONE)
        unlink(path);
    else
        cli_note(CLI_PLAIN,
                 "What was written is in %s; to give it again:\n"
                 "  freehold parked edit %s %s %s --data @%s",
                 path, words[1], words[2], words[3], path);
    return code;
}

int parked_edit_run(struct cli_operator *asking, char **words, const char *given, bool as_json)
{
    json_t *body, *data = NULL;
    struct text text;
    text_init(&text, CLI_DATA_SIZE_MAX);
    int code = given ? data_read(given, &text, &data) : CLI_DONE;
    text_release(&text);
    if (code != CLI_DONE)
        return code;
    json_t *key = json_pack("{s:s, s:s}", "source", words[2], "key", words[3]);
    code = cli_operator_ask(asking, words[1], "GET", "/_freehold/parked?source={source}&key={key}",
                            key, &body);
    if (code == CLI_DONE) {
        const json_t *first = json_array_get(json_object_get(body, "events"), 0);
        code = data ? change_parked(asking, words, first, data, as_json)
                    : edit_by_hand(asking, words, first, as_json);
        json_decref(body);
    }
    json_decref(data);
    return code;
}
