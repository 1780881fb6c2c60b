/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the file of a report: its one statement, the notes before it, and its first line of words.
 */

#include "store/relational/report.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "store/relational/script.h"

static const char *const type_names[] = {[REPORT_TEXT] = "text",
                                         [REPORT_INTEGER] = "integer",
                                         [REPORT_NUMBER] = "number",
                                         [REPORT_BOOLEAN] = "boolean"};

const char *report_type_name(enum report_type type)
{
    return type_names[type];
}

const struct report *reports_find(const struct reports *all, const char *name)
{
    for (int i = 0; i < all->count; i++) {
        if (strcmp(all->rows[i].name, name) == 0)
            return &all->rows[i];
    }
    return NULL;
}

void report_release(struct report *report)
{
    relational_reading_release(&report->reading);
    free(report->summary);
    report->summary = NULL;
}

bool report_is_utf8(const char *text)
{
    struct arena *before = json_arena_set(NULL);
    json_t *value = json_string(text);
    json_decref(value);
    json_arena_set(before);
    return value != NULL;
}

static bool __attribute__((format(printf, 3, 4)))
report_unfit(struct report *report, int line, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(report->why, sizeof report->why, format, args);
    va_end(args);
    text_make_plain(report->why, strlen(report->why)); /* it may quote what is cut */
    report->line = line;
    return false;
}

static int report_line_at(const char *text, const char *at)
{
    int line = 1;
    for (; text < at; text++)
        line += *text == '\n';
    return line;
}

/* The next word of a note. */
static size_t report_note_word(const char **at, const char *end, const char **ret)
{
    while (*at < end && isspace((unsigned char)**at))
        ++*at;
    *ret = *at;
    while (*at < end && !isspace((unsigned char)**at))
        ++*at;
    return (size_t)(*at - *ret);
}

static bool is_report_word(const char *word, size_t length, const char *known)
{
    return strlen(known) == length && memcmp(word, known, length) == 0;
}

static int report_type_called(const char *word, size_t length)
{
    for (int i = 0; i < (int)(sizeof type_names / sizeof *type_names); i++) {
        if (is_report_word(word, length, type_names[i]))
            return i;
    }
    return -1;
}

static int report_name_at(const struct report *report, const char *name, size_t length)
{
    for (int i = 0; i < report->reading.count; i++) {
        if (is_report_word(name, length, report->reading.names[i]))
            return i;
    }
    return -1;
}

/* "takes NAME TYPE", or "takes NAME TYPE or null" */
static bool take_report_note(struct report *report, const char *note, size_t length, int line,
                             bool known[static RELATIONAL_NAMES_MAX])
{
    const char *end = note + length, *word, *name;
    size_t word_length = report_note_word(&note, end, &word);
    if (!is_report_word(word, word_length, "takes"))
        return report_unfit(report, line,
                            "nobody knows the note \"%.*s\"; expected \"takes NAME TYPE\"",
                            word_length < 40 ? (int)word_length : 40, word);
    size_t name_length = report_note_word(&note, end, &name);
    int shown = name_length < 40 ? (int)name_length : 40;
    word_length = report_note_word(&note, end, &word);
    int type = report_type_called(word, word_length);
    if (type < 0)
        return report_unfit(report, line,
                            "the type of \"%.*s\" must be text, integer, number or boolean", shown,
                            name);
    word_length = report_note_word(&note, end, &word);
    bool optional = is_report_word(word, word_length, "or");
    if (optional)
        optional = is_report_word(word, report_note_word(&note, end, &word), "null");
    if ((word_length && !optional) || report_note_word(&note, end, &word))
        return report_unfit(report, line, "after the type of \"%.*s\" only \"or null\" may follow",
                            shown, name);
    int at = report_name_at(report, name, name_length);
    if (at < 0)
        return report_unfit(report, line, "its statement does not name :%.*s, which it takes",
                            shown, name);
    if (known[at])
        return report_unfit(report, line, "it takes %.*s twice", shown, name);
    known[at] = true;
    report->types[at] = (enum report_type)type;
    report->optional[at] = optional;
    return true;
}

static bool take_report_notes(struct report *report, const char *text,
                              const struct script_statement *statement)
{
    bool known[RELATIONAL_NAMES_MAX] = {false};
    const char *at = text, *note;
    size_t length;
    while (script_note(&at, statement->text, &note, &length)) {
        if (!take_report_note(report, note, length, report_line_at(text, note), known))
            return false;
    }
    at = statement->text;
    if (script_note(&at, text + strlen(text), &note, &length))
        return report_unfit(report, report_line_at(text, note),
                            "its notes come before its statement");
    for (int i = 0; i < report->reading.count; i++) {
        if (!known[i])
            return report_unfit(report, statement->line,
                                "no note says what :%.64s is; expected \"-- freehold: takes "
                                "%.64s TYPE\" before the statement",
                                report->reading.names[i], report->reading.names[i]);
    }
    return true;
}

static bool line_begins(const char *line, size_t length, const char *words)
{
    return length >= strlen(words) && memcmp(line, words, strlen(words)) == 0;
}

/* The first line of the comments that is no note, nor a licence's. */
static char *report_summary(const char *text, const char *end)
{
    while (text < end) {
        size_t length = strcspn(text, "\r\n");
        const char *line = text;
        text += length + strspn(text + length, "\r\n");
        if (!line_begins(line, length, "--"))
            continue;
        line += 2, length -= 2;
        while (length && isspace((unsigned char)*line))
            line++, length--;
        while (length && isspace((unsigned char)line[length - 1]))
            length--;
        if (length && !line_begins(line, length, "freehold:") &&
            !line_begins(line, length, "SPDX-"))
            return strndup(line, length);
    }
    return NULL;
}

static bool read_report_statement(struct report *report, const struct script_statement *statement,
                                  const struct sql_ops *sql)
{
    struct fh_error error;
    char *text = strndup(statement->text, statement->length);
    FH_ASSERT(text != NULL);
    relational_read(text, sql->list_format, &report->reading);
    free(text);
    if (report->reading.cut_off)
        return report_unfit(report, statement->line,
                            "it is longer than %zu bytes or takes more than %d values",
                            RELATIONAL_SQL_MAX, RELATIONAL_NAMES_MAX);
    if (report->reading.lists)
        return report_unfit(report, statement->line, "a report takes no lists: IN (:name)");
    if (report->reading.control)
        return report_unfit(report, statement->line, "it does something else than to read");
    if (sql->report_fits && sql->report_fits(report->reading.sql, &error) != FH_OK)
        return report_unfit(report, statement->line, "%s", error.message);
    return true;
}

bool report_read(struct report *report, const char *text, const struct sql_ops *sql)
{
    struct script script = script_begin(text, sql->dialect);
    struct script_statement statement, second;
    report->line = 1;
    if (!report_is_utf8(text))
        return report_unfit(report, 1, "it is not UTF-8 text");
    if (!script_next(&script, &statement))
        return report_unfit(report, 1, "there is no statement in it");
    report->line = statement.line;
    report->summary = report_summary(text, statement.text);
    if (script_next(&script, &second))
        return report_unfit(report, second.line, "it is one statement, and this is a second one");
    return read_report_statement(report, &statement, sql) &&
           take_report_notes(report, text, &statement);
}
