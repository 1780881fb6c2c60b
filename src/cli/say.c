/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a command says besides its answer. All of it passes here, and nothing else in this layer
 * writes to standard error (tidy checks it): so no message is wider than the terminal, and with
 * --json none is plain text. It is then kept, and printed as one object when the command ends.
 */

#define _GNU_SOURCE
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/json.h"
#include "cli/cli.h"

#define INDENT 2

static json_t *held; /* NULL: everything is printed at once; else "messages", "findings", "notes" */

void cli_say_json(void)
{
    if (!held)
        held = json_object();
}

/* ---- Wrapping ---- */

/* How many columns: of a character of several bytes the first counts, of a colour (cli_colour)
 * nothing. */
static int columns_of(const char *text, size_t length)
{
    int columns = 0;
    for (size_t i = 0; i < length; i++) {
        const char *end = text[i] == '\x1b' ? memchr(text + i, 'm', length - i) : NULL;
        if (end)
            i = (size_t)(end - text);
        else
            columns += ((unsigned char)text[i] & 0xc0) != 0x80;
    }
    return columns;
}

void cli_wrap(FILE *stream, int width, int column, int indent, const char *text)
{
    bool begins = true; /* no space before the first word of a line */
    while (*text) {
        size_t spaces = strspn(text, " "), length = strcspn(text + spaces, " \n");
        int word = columns_of(text + spaces, length);
        if (length && width && !begins && column + (int)spaces + word > width) {
            fprintf(stream, "\n%*s", indent, "");
            column = indent;
        } else {
            fprintf(stream, "%*s", (int)spaces, "");
            column += (int)spaces;
        }
        fprintf(stream, "%.*s", (int)length, text + spaces);
        column += word;
        begins = begins && length == 0;
        text += spaces + length;
        if (*text == '\n') {
            fputc('\n', stream);
            text++;
            column = 0;
            begins = true;
        }
    }
}

void cli_line(int indent, const char *format, ...)
{
    char *line = NULL;
    va_list args;
    va_start(args, format);
    FH_ASSERT(vasprintf(&line, format, args) >= 0);
    va_end(args);
    cli_wrap(stdout, cli_width(stdout), 0, indent, line);
    printf("\n");
    free(line);
}

/* ---- Saying ---- */

static void hold_back(const char *kind, json_t *what)
{
    json_t *all = json_object_get(held, kind);
    if (!all) {
        all = json_array();
        json_object_set_new(held, kind, all);
    }
    FH_ASSERT(json_array_append_new(all, what) == 0);
}

int cli_fail(int code, const char *format, ...)
{
    va_list args;
    char *text, *spaced;
    va_start(args, format);
    FH_ASSERT(vasprintf(&text, format, args) >= 0);
    va_end(args);
    if (held) {
        hold_back("messages", json_string_lossy(text));
    } else {
        FH_ASSERT(asprintf(&spaced, " %s", text) >= 0);
        fprintf(stderr, "%sfreehold:%s", cli_colour(stderr, CLI_RED),
                cli_colour(stderr, CLI_PLAIN));
        cli_wrap(stderr, cli_width(stderr), (int)sizeof "freehold:" - 1, INDENT, spaced);
        fprintf(stderr, "\n");
        free(spaced);
    }
    free(text);
    return code;
}

void cli_note(enum cli_colour colour, const char *format, ...)
{
    va_list args;
    char *text;
    va_start(args, format);
    FH_ASSERT(vasprintf(&text, format, args) >= 0);
    va_end(args);
    size_t indent = strspn(text, " ");
    if (held) {
        hold_back("notes", json_string_lossy(text + indent));
    } else {
        fprintf(stderr, "%s", cli_colour(stderr, colour));
        cli_wrap(stderr, cli_width(stderr), 0, (int)indent + INDENT, text);
        fprintf(stderr, "%s\n", cli_colour(stderr, CLI_PLAIN));
    }
    free(text);
}

static void say_finding(const struct finding *finding)
{
    char *place = NULL, *text;
    const struct place *at = &finding->place;
    if (at->file && at->line)
        FH_ASSERT(asprintf(&place, "%s:%d:%d: ", at->file, at->line, at->column) >= 0);
    else if (at->file)
        FH_ASSERT(asprintf(&place, "%s: ", at->file) >= 0);
    const char *kind = finding->warning ? "warning:" : "error:";
    FH_ASSERT(asprintf(&text, " %s", finding->message) >= 0);
    fprintf(stderr, "%s%s%s%s", place ? place : "",
            cli_colour(stderr, finding->warning ? CLI_YELLOW : CLI_RED), kind,
            cli_colour(stderr, CLI_PLAIN));
    cli_wrap(stderr, cli_width(stderr),
             (place ? columns_of(place, strlen(place)) : 0) + (int)strlen(kind), INDENT, text);
    fprintf(stderr, "\n");
    free(place);
    free(text);
}

void cli_print_findings(const struct findings *findings)
{
    if (held) {
        json_t *all = findings_json(findings);
        if (findings->count)
            json_object_set(held, "findings", all);
        json_decref(all);
        return;
    }
    for (size_t i = 0; i < findings->count; i++)
        say_finding(&findings->items[i]);
    size_t all = findings->errors + findings->warnings;
    if (all > findings->count)
        cli_note(CLI_PLAIN, "... and %zu more", all - findings->count);
}

/* ---- The end ---- */

/* The first message is what was wrong; what follows it is what came of that. */
static json_t *error_of(int code, json_t *messages)
{
    const char *message = json_string_value(json_array_get(messages, 0));
    json_t *error =
        json_pack("{s:i, s:s}", "exit", code, "message", message ? message : "see \"findings\"");
    json_array_remove(messages, 0);
    if (json_array_size(messages))
        json_object_set(error, "more", messages);
    return error;
}

int cli_end(int code)
{
    json_t *messages = json_object_get(held, "messages");
    if (!held || json_object_size(held) == 0)
        return code;
    json_t *told = json_object(), *findings = json_object_get(held, "findings");
    if (messages || (findings && code != CLI_DONE))
        json_object_set_new(told, "error", error_of(code, messages));
    json_object_del(held, "messages");
    json_object_update(told, held);
    char *text = json_text(told);
    fflush(stdout);
    fprintf(stderr, "%s\n", text);
    json_text_free(text);
    json_decref(told);
    json_object_clear(held);
    return code;
}

/* ---- Asking ---- */

bool cli_can_ask(void)
{
    return !held && isatty(STDIN_FILENO);
}

bool cli_confirms(const char *format, ...)
{
    va_list args;
    char *text, line[16] = "";
    va_start(args, format);
    FH_ASSERT(vasprintf(&text, format, args) >= 0);
    va_end(args);
    cli_wrap(stderr, cli_width(stderr), 0, 0, text);
    fprintf(stderr, " [y/N] ");
    free(text);
    return fgets(line, sizeof line, stdin) && (line[0] == 'y' || line[0] == 'Y');
}
