/* SPDX-License-Identifier: Apache-2.0 */
/* Finding the running system and talking to its `up`. */

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <pwd.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/json.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/killed.h"
#include "system/supervise/control.h"
#include "system/provision/keys.h"

/* Longest time between two lines of an answer: when stopping, a service's grace. */
#define ANSWER_MS_MAX 30000 /* for a busy machine; a stopped process (SIGSTOP) never answers */
#define STOP_ANSWER_MS_MAX 30000
#define CONTROL_TRIES 3
#define CLI_UNANSWERED (-1) /* here alone */
#define CLI_REFUSED (-2)

const char *cli_default_state(struct arena *arena, const char *file_folder, const char *system)
{
    return arena_printf(arena, "%s/.freehold/%s", file_folder, system);
}

bool cli_is_running(const struct state *state)
{
    int fd;
    if (state_control_connect(state, &fd, ERROR_UNHEEDED) != FH_OK)
        return false;
    close(fd);
    return true;
}

enum wanted_systems { IS_THERE, IS_RUNNING, WAS_KILLED };

static bool is_wanted(enum wanted_systems wanted, const struct state *state)
{
    return wanted == IS_THERE ||
           (wanted == IS_RUNNING ? cli_is_running(state) : killed_is_left(state));
}

/* Finds the systems in ./.freehold; *ret: the last one's state. */
static int find_systems(enum wanted_systems wanted, struct state *ret, struct text *names)
{
    DIR *folder = opendir(".freehold");
    struct dirent *entry;
    int count = 0;
    while (folder && (entry = readdir(folder))) {
        char path[300];
        struct state state;
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, ".freehold/%s", entry->d_name);
        if (state_open(&state, path, ERROR_UNHEEDED) != FH_OK)
            continue;
        if (!is_wanted(wanted, &state)) {
            state_close(&state);
            continue;
        }
        text_printf(names, "%s%s", count ? ", " : "", entry->d_name);
        if (count++)
            state_close(ret);
        *ret = state;
    }
    if (folder)
        closedir(folder);
    return count;
}

/* The state folder that --state names. */
static int open_named(const char *folder, struct state *state)
{
    struct fh_error error;
    struct stat status;
    enum fh_code code = state_open(state, folder, &error);
    if (code == FH_OK)
        return CLI_DONE;
    if (code == FH_NOT_FOUND)
        return cli_fail(CLI_NOT_RUNNING, "there is no state folder %s", folder);
    const struct passwd *owner =
        stat(folder, &status) == 0 && status.st_uid != geteuid() ? getpwuid(status.st_uid) : NULL;
    if (owner)
        return cli_fail(CLI_FAILED,
                        "%s The state folder is %s's: run the command as that user, as with "
                        "sudo -u %s",
                        error.message, owner->pw_name, owner->pw_name);
    if (strcmp(error.native, "EACCES") ==
        0) /* a folder above it is closed: whose it is, is unknown */
        return cli_fail(CLI_FAILED, "%s Run the command as the user who started the system",
                        error.message);
    return cli_fail(CLI_FAILED, "%s", error.message);
}

static int tell_none_running(void)
{
    struct state state;
    struct text names;
    text_init(&names, 1024);
    int count = find_systems(WAS_KILLED, &state, &names);
    int code = count == 1 ? killed_tell(&state) : CLI_NOT_RUNNING;
    if (count == 0)
        cli_fail(code, "no system is running below ./.freehold; name the state folder with "
                       "--state, as up printed it, or start one with: freehold up FILE");
    else if (count > 1)
        cli_fail(code,
                 "no system is running below ./.freehold; the ups of several were killed (%s): "
                 "choose one with --state .freehold/NAME",
                 names.data);
    if (count)
        state_close(&state);
    text_release(&names);
    return code;
}

int cli_find_state(const char *folder, struct state *state)
{
    if (folder) {
        int code = open_named(folder, state);
        if (code != CLI_DONE)
            return code;
        if (cli_is_running(state))
            return CLI_DONE;
        code = killed_is_left(state)
                   ? killed_tell(state)
                   : cli_fail(CLI_NOT_RUNNING,
                              "no system is running with the state folder %s; start it with: "
                              "freehold up FILE --state %s",
                              folder, folder);
        state_close(state);
        return code;
    }
    struct text names;
    text_init(&names, 1024);
    int count = find_systems(IS_RUNNING, state, &names);
    int code = CLI_DONE;
    if (count == 0)
        code = tell_none_running();
    else if (count > 1) {
        state_close(state);
        code = cli_fail(CLI_USAGE,
                        "several systems are running here (%s); choose one with --state "
                        ".freehold/NAME",
                        names.data);
    }
    text_release(&names);
    return code;
}

bool cli_find_killed(const char *folder, struct state *state)
{
    struct text names;
    if (folder) {
        if (state_open(state, folder, ERROR_UNHEEDED) != FH_OK)
            return false;
        bool left = !cli_is_running(state) && killed_is_left(state);
        if (!left)
            state_close(state);
        return left;
    }
    text_init(&names, 1024);
    int running = find_systems(IS_RUNNING, state, &names);
    if (running)
        state_close(state);
    int killed = running ? 0 : find_systems(WAS_KILLED, state, &names);
    if (killed > 1)
        state_close(state);
    text_release(&names);
    return killed == 1;
}

int cli_open_state(const char *folder, struct state *state)
{
    struct text running, all;
    if (folder)
        return open_named(folder, state);
    text_init(&running, 1024);
    text_init(&all, 1024);
    int code = CLI_DONE, count = find_systems(IS_RUNNING, state, &running);
    if (count == 0)
        count = find_systems(IS_THERE, state, &all);
    if (count == 0)
        code = cli_fail(CLI_NOT_RUNNING,
                        "there is no system below ./.freehold; name the state folder with --state, "
                        "as up printed it");
    else if (count > 1) {
        state_close(state);
        code = cli_fail(CLI_USAGE,
                        "there are several systems here (%s); choose one with --state "
                        ".freehold/NAME",
                        running.length ? running.data : all.data);
    }
    text_release(&running);
    text_release(&all);
    return code;
}

/* Reads the next line into `line`, without its newline. False at the end, or after too long a
 * silence. */
static bool read_answer_line(int fd, int timeout_ms, struct text *line, struct text *ahead)
{
    for (;;) {
        char *newline = ahead->data ? memchr(ahead->data, '\n', ahead->length) : NULL;
        if (newline) {
            size_t length = (size_t)(newline - ahead->data);
            text_clear(line);
            text_append(line, ahead->data, length);
            memmove(ahead->data, newline + 1, ahead->length - length); /* including the NUL */
            ahead->length -= length + 1;
            return true;
        }
        char buffer[4096];
        struct pollfd wait = {fd, POLLIN, 0};
        if (poll(&wait, 1, timeout_ms) <= 0)
            return false;
        ssize_t length = read(fd, buffer, sizeof buffer);
        if (length <= 0)
            return false;
        text_append(ahead, buffer, (size_t)length);
        if (ahead->overflow)
            return false;
    }
}

/* Sends it and passes each line of the answer to `take`. True: there was an answer. *refused: it is
 * that the key is another, and was not passed on. */
static bool converse_with_up(int fd, const json_t *request, int timeout_ms,
                             void (*take)(void *context, const json_t *line), void *context,
                             bool *refused)
{
    struct text line, ahead;
    bool answered = false;
    char *text = json_text(request);
    text_init(&line, STATE_JSON_SIZE_MAX);
    text_init(&ahead, STATE_JSON_SIZE_MAX);
    text_printf(&line, "%s\n", text);
    json_text_free(text);
    if (io_write(fd, line.data, line.length)) {
        while (read_answer_line(fd, timeout_ms, &line, &ahead)) {
            json_t *value;
            if (json_parse(line.data, line.length, &value, ERROR_UNHEEDED) != FH_OK)
                break;
            answered = true;
            *refused = json_is_true(json_at(value, "refused"));
            if (!*refused)
                take(context, value);
            json_decref(value);
        }
    }
    text_release(&line);
    text_release(&ahead);
    return answered;
}

/* *again: where others crowd the socket, `up` may close a connection before it has read the
 * request; and the keys may be replaced between our reading and its. */
static int request_once(const struct state *state, json_t *request, int timeout_ms,
                        void (*take)(void *context, const json_t *line), void *context, bool *again)
{
    int fd, code = CLI_DONE;
    char byte;
    bool refused = false;
    struct fh_error error;
    json_t *keys;
    *again = false;
    if (state_control_connect(state, &fd, ERROR_UNHEEDED) != FH_OK)
        return CLI_NOT_RUNNING;
    if (keys_read(state, &keys, &error) == FH_OK) {
        const char *key = keys_of_up(keys);
        json_object_set_new(request, "key", json_string(key ? key : ""));
        json_decref(keys);
        if (!converse_with_up(fd, request, timeout_ms, take, context, &refused)) {
            *again = recv(fd, &byte, 1, MSG_DONTWAIT) == 0;
            code = CLI_UNANSWERED;
        } else if (refused) {
            *again = true;
            code = CLI_REFUSED;
        }
    } else {
        code = cli_fail(CLI_FAILED, "%s", error.message);
    }
    close(fd);
    return code;
}

int cli_control_request(const struct state *state, json_t *request, int timeout_ms,
                        void (*take)(void *context, const json_t *line), void *context)
{
    bool again = true;
    int code = CLI_UNANSWERED;
    for (int tries = 0; tries < CONTROL_TRIES && again; tries++)
        code = request_once(state, request, timeout_ms, take, context, &again);
    json_decref(request);
    if (code == CLI_REFUSED)
        return cli_fail(CLI_FAILED, "up refuses the key in %s/" KEYS_FILE, state->folder);
    return code == CLI_UNANSWERED
               ? cli_fail(CLI_FAILED, "up is there, but does not answer; is it stopped?")
               : code;
}

int cli_control(const struct state *state, const char *command,
                void (*take)(void *context, const json_t *line), void *context)
{
    return cli_control_request(state, json_pack("{s:s}", "command", command),
                               strcmp(command, "stop") == 0 ? STOP_ANSWER_MS_MAX : ANSWER_MS_MAX,
                               take, context);
}

static void keep_status(void *context, const json_t *line)
{
    json_t **status = context;
    if (!*status)
        *status = json_copy_out(line);
}

int cli_control_status(const struct state *state, json_t **ret)
{
    int code = cli_control(state, "status", keep_status, ret);
    if (code == CLI_NOT_RUNNING)
        cli_fail(code, "the system has just stopped");
    return code;
}
