/* SPDX-License-Identifier: Apache-2.0 */
/* How the commands print: colours only on a terminal, words of an answer. */

#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base/json.h"
#include "base/terminal.h"
#include "cli/cli.h"

const char *cli_colour(FILE *stream, enum cli_colour colour)
{
    const char *none = getenv("NO_COLOR"), *terminal = getenv("TERM");
    if ((none && *none) || (terminal && strcmp(terminal, "dumb") == 0) || !terminal_shows(stream))
        return "";
    return terminal_colours[colour];
}

int cli_width(FILE *stream)
{
    struct winsize size;
    if (!terminal_shows(stream) || ioctl(terminal_descriptor(stream), TIOCGWINSZ, &size) != 0)
        return 0;
    return size.ws_col ? size.ws_col : 80;
}

void cli_print_json(const json_t *value)
{
    char *text = json_text(value);
    printf("%s\n", text);
    json_text_free(text);
}

const char *cli_person(void)
{
    const struct passwd *user = getpwuid(getuid());
    return user ? user->pw_name : "operator";
}

int64_t cli_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

bool cli_read_number(const char *given, long long most, long long *ret)
{
    char *end;
    if (given[0] < '0' || given[0] > '9')
        return false;
    errno = 0;
    *ret = strtoll(given, &end, 10);
    return !*end && errno == 0 && *ret <= most;
}

bool cli_read_span(const char *given, long long *ret_s)
{
    static const char units[] = "smhd";
    static const long long seconds[] = {1, 60, 3600, 86400};
    char *end;
    errno = 0;
    long long number = strtoll(given, &end, 10);
    const char *unit = *end ? strchr(units, *end) : NULL;
    if (end == given || errno != 0 || !unit || end[1] || number < 0 || number >= 100000)
        return false;
    *ret_s = number * seconds[unit - units];
    return true;
}

void cli_format_span(char *out, size_t size, const json_t *seconds)
{
    long long s = json_integer_value(seconds);
    if (!json_is_integer(seconds))
        snprintf(out, size, "-");
    else if (s < 120)
        snprintf(out, size, "%llds", s);
    else if (s < 7200)
        snprintf(out, size, "%lldm", s / 60);
    else if (s < 172800)
        snprintf(out, size, "%lldh", s / 3600);
    else
        snprintf(out, size, "%lldd", s / 86400);
}

void cli_format_outside(char *out, size_t size, long long topic_s, long long outbox_s,
                        const char *otherwise)
{
    char on_topic[32], in_outbox[32];
    json_t *topic = json_integer(topic_s), *outbox = json_integer(outbox_s);
    cli_format_span(on_topic, sizeof on_topic, topic);
    cli_format_span(in_outbox, sizeof in_outbox, outbox);
    if (topic_s && outbox_s)
        snprintf(out, size, "%s on the topic, %s in the outbox", on_topic, in_outbox);
    else if (topic_s || outbox_s)
        snprintf(out, size, "%s %s", topic_s ? on_topic : in_outbox,
                 topic_s ? "on the topic" : "in the outbox");
    else
        snprintf(out, size, "%s", otherwise);
    json_decref(topic);
    json_decref(outbox);
}

const char *cli_value(const struct cli_command *command, const char **values, const char *option)
{
    for (int i = 0; i < CLI_OPTIONS_MAX && command->options[i].name; i++) {
        if (strcmp(command->options[i].name, option) == 0)
            return values[i];
    }
    abort(); /* a command asks for an option it has not declared */
}

long long cli_number(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

const char *cli_text(const json_t *object, const char *name)
{
    const char *value = json_string_at(object, name);
    return value ? value : "-";
}
