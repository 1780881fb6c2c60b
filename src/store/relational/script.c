/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One pass over the text, token by token. A semicolon ends a statement, except inside the body of a
 * trigger, a routine or an event: from BEGIN or CASE to its END. "END IF", "END LOOP" and the like
 * close blocks that are not counted. A quote or comment that is never closed extends to the end of
 * the text: the engine will report it.
 */

#include "store/relational/script.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum token {
    TOKEN_END,
    TOKEN_SPACE,
    TOKEN_COMMENT,
    TOKEN_QUOTED,
    TOKEN_WORD,
    TOKEN_STOP,
    TOKEN_OTHER
};

static bool is_word_character(char c)
{
    return isalnum((unsigned char)c) || c == '_' || (unsigned char)c >= 0x80;
}

/* The length including the closing quote. A quote that is doubled, or escaped where backslashes
 * escape, does not close. */
static size_t quoted_text_length(const char *at, char close, bool backslashes)
{
    size_t i = 1;
    while (at[i]) {
        if (at[i] == '\\' && backslashes && at[i + 1])
            i += 2;
        else if (at[i] != close)
            i++;
        else if (at[i + 1] == close && close != ']')
            i += 2;
        else
            return i + 1;
    }
    return i;
}

static size_t block_comment_length(const char *at, bool nested)
{
    size_t i = 2;
    int depth = 1;
    while (at[i] && depth > 0) {
        if (at[i] == '*' && at[i + 1] == '/') {
            depth--;
            i += 2;
        } else if (nested && at[i] == '/' && at[i + 1] == '*') {
            depth++;
            i += 2;
        } else {
            i++;
        }
    }
    return i;
}

/* $tag$ ... $tag$; 0: this dollar begins no quote (as in $1) */
static size_t dollar_quote_length(const char *at)
{
    size_t tag = 1;
    if (!isdigit((unsigned char)at[1])) {
        while (is_word_character(at[tag]))
            tag++;
    }
    if (at[tag] != '$')
        return 0;
    tag++;
    for (size_t i = tag; at[i]; i++) {
        if (strncmp(at + i, at, tag) == 0)
            return i + tag;
    }
    return strlen(at);
}

static enum token word_token(const char *at, const struct sql_dialect *dialect, size_t *ret_length)
{
    size_t length = 1;
    while (is_word_character(at[length]) || at[length] == '$')
        length++;
    /* E'...' has backslash escapes; other prefixes (x'', b'', U&'') are a word and a quote. */
    bool escapes =
        length == 1 && (*at == 'e' || *at == 'E') && sql_has(dialect, SQL_ESCAPE_STRINGS);
    if (escapes && at[1] == '\'') {
        *ret_length = 1 + quoted_text_length(at + 1, '\'', true);
        return TOKEN_QUOTED;
    }
    *ret_length = length;
    return TOKEN_WORD;
}

/* A comment that contains SQL (for a version of MariaDB) is part of the statement. */
static enum token comment_token(const char *at, const struct sql_dialect *dialect,
                                size_t *ret_length)
{
    *ret_length = block_comment_length(at, sql_has(dialect, SQL_NESTED_COMMENTS));
    bool holds_sql =
        sql_has(dialect, SQL_COMMENTED_SQL) && (at[2] == '!' || (at[2] == 'M' && at[3] == '!'));
    return holds_sql ? TOKEN_OTHER : TOKEN_COMMENT;
}

static bool is_line_comment(const char *at, const struct sql_dialect *dialect)
{
    if (at[0] == '#')
        return sql_has(dialect, SQL_HASH_COMMENTS);
    if (at[0] != '-' || at[1] != '-')
        return false;
    return !sql_has(dialect, SQL_DASHES_AND_BLANK) || !at[2] || isspace((unsigned char)at[2]);
}

static enum token token_at(const char *at, const struct sql_dialect *dialect, size_t *ret_length)
{
    *ret_length = 1;
    if (!*at)
        return TOKEN_END;
    if (isspace((unsigned char)*at))
        return TOKEN_SPACE;
    if (*at == ';')
        return TOKEN_STOP;
    if (is_line_comment(at, dialect)) {
        *ret_length = strcspn(at, "\n");
        return TOKEN_COMMENT;
    }
    if (at[0] == '/' && at[1] == '*')
        return comment_token(at, dialect, ret_length);
    bool backtick = *at == '`' && sql_has(dialect, SQL_BACKTICKS);
    if (*at == '\'' || *at == '"' || backtick) {
        *ret_length = quoted_text_length(at, *at, false); /* MariaDB: NO_BACKSLASH_ESCAPES is set */
        return TOKEN_QUOTED;
    }
    if (*at == '[' && sql_has(dialect, SQL_BRACKETS)) {
        *ret_length = quoted_text_length(at, ']', false);
        return TOKEN_QUOTED;
    }
    if (*at == '$' && sql_has(dialect, SQL_DOLLAR_QUOTES) &&
        (*ret_length = dollar_quote_length(at)) > 0)
        return TOKEN_QUOTED;
    if (is_word_character(*at))
        return word_token(at, dialect, ret_length);
    *ret_length = 1;
    return TOKEN_OTHER;
}

static void word_copy(const char *at, size_t length, char ret[SCRIPT_WORD_SIZE])
{
    size_t kept = length < SCRIPT_WORD_SIZE ? length : SCRIPT_WORD_SIZE - 1;
    for (size_t i = 0; i < kept; i++)
        ret[i] = (char)toupper((unsigned char)at[i]);
    ret[kept] = '\0';
}

static bool is_one_of_words(const char *word, const char *const *words)
{
    for (; *words; words++) {
        if (strcmp(word, *words) == 0)
            return true;
    }
    return false;
}

/* What is known of a statement so far: whether it has a body, and how deeply nested we are. */
struct body {
    int words, depth;
    bool creates, has;
    char last[SCRIPT_WORD_SIZE];
};

static void body_word(struct body *body, const char *word)
{
    static const char *const with_bodies[] = {"TRIGGER", "PROCEDURE", "FUNCTION",
                                              "EVENT",   "PACKAGE",   NULL};
    static const char *const without[] = {"TABLE", "VIEW", "INDEX", "SEQUENCE", NULL};
    static const char *const uncounted[] = {"IF", "LOOP", "WHILE", "REPEAT", "FOR", NULL};
    bool after_end = strcmp(body->last, "END") == 0;
    if (body->words++ == 0)
        body->creates = strcmp(word, "CREATE") == 0;
    else if (body->words == 2 && strcmp(body->last, "BEGIN") == 0 && strcmp(word, "NOT") == 0)
        body->has = true, body->depth = 1; /* BEGIN NOT ATOMIC */
    if (body->creates && is_one_of_words(word, with_bodies))
        body->has = true;
    if (body->has || is_one_of_words(word, without))
        body->creates = false; /* now it is known what it creates */
    if (body->has && strcmp(word, "BEGIN") == 0)
        body->depth++;
    else if (body->has && strcmp(word, "CASE") == 0 && !after_end)
        body->depth++;
    else if (body->depth > 0 && strcmp(word, "END") == 0)
        body->depth--;
    else if (body->has && after_end && is_one_of_words(word, uncounted))
        body->depth++; /* that END closed no counted block */
    memcpy(body->last, word, SCRIPT_WORD_SIZE);
}

struct script script_begin(const char *text, const struct sql_dialect *dialect)
{
    return (struct script){.text = text, .dialect = dialect, .line = 1};
}

static void advance_script(struct script *script, size_t length)
{
    for (size_t i = 0; i < length; i++)
        script->line += script->text[script->at + i] == '\n';
    script->at += length;
}

bool script_next(struct script *script, struct script_statement *ret)
{
    struct body body = {0};
    char word[SCRIPT_WORD_SIZE];
    size_t length;
    *ret = (struct script_statement){.start = script->at};
    for (;;) {
        const char *at = script->text + script->at;
        enum token token = token_at(at, script->dialect, &length);
        bool stop = token == TOKEN_STOP && body.depth == 0;
        if (token == TOKEN_END || (stop && ret->text))
            break;
        if (token == TOKEN_WORD) {
            word_copy(at, length, word);
            body_word(&body, word);
        }
        bool counts = !stop && token != TOKEN_SPACE && token != TOKEN_COMMENT;
        if (counts && token != TOKEN_WORD)
            body.last[0] = '\0';
        if (counts && !ret->text) {
            ret->text = at;
            ret->line = script->line;
        }
        advance_script(script, length);
        if (counts)
            ret->length = (size_t)(script->text + script->at - ret->text);
    }
    if (!ret->text)
        return false;
    if (script->text[script->at] == ';')
        advance_script(script, 1);
    ret->end = script->at;
    ret->number = ++script->number;
    return true;
}

/* The next word of a statement; false: no more. */
static bool next_word(const struct script_statement *statement, const struct sql_dialect *dialect,
                      size_t *at, char ret[SCRIPT_WORD_SIZE])
{
    size_t length;
    while (*at < statement->length) {
        const char *text = statement->text + *at;
        enum token token = token_at(text, dialect, &length);
        *at += length;
        if (token == TOKEN_WORD) {
            word_copy(text, length, ret);
            return true;
        }
    }
    ret[0] = '\0';
    return false;
}

void script_word(const struct script_statement *statement, const struct sql_dialect *dialect, int n,
                 char ret[SCRIPT_WORD_SIZE])
{
    size_t at = 0;
    while (next_word(statement, dialect, &at, ret) && n-- > 0)
        ;
}

bool script_has_word(const struct script_statement *statement, const struct sql_dialect *dialect,
                     const char *word)
{
    char found[SCRIPT_WORD_SIZE];
    size_t at = 0;
    while (next_word(statement, dialect, &at, found)) {
        if (strcmp(found, word) == 0)
            return true;
    }
    return false;
}

char *script_as_postgresql(const struct script_statement *statement,
                           const struct sql_dialect *dialect)
{
    char *copy = strndup(statement->text, statement->length), word[SCRIPT_WORD_SIZE];
    FH_ASSERT(copy != NULL);
    for (size_t at = 0, length; at < statement->length; at += length) {
        const char *text = statement->text + at;
        enum token token = token_at(text, dialect, &length);
        if (dialect->postgresql_grammar)
            continue;
        if (token == TOKEN_QUOTED && (*text == '`' || *text == '['))
            copy[at] = copy[at + length - 1] = '"';
        if (token != TOKEN_WORD)
            continue;
        word_copy(text, length, word);
        if (strcmp(word, "AUTOINCREMENT") == 0 || strcmp(word, "AUTO_INCREMENT") == 0)
            memset(copy + at, ' ', length);
    }
    return copy;
}

bool script_note(const char **at, const char *end, const char **ret, size_t *ret_length)
{
    static const char begins[] = "-- freehold:";
    while (*at < end) {
        const char *line = *at;
        size_t length = strcspn(line, "\n");
        *at = line + length + (line[length] == '\n');
        while (length > 0 && isspace((unsigned char)*line))
            line++, length--;
        size_t prefix = strlen(begins);
        if (length < prefix || strncmp(line, begins, prefix) != 0)
            continue;
        line += prefix, length -= prefix;
        while (length > 0 && isspace((unsigned char)*line))
            line++, length--;
        while (length > 0 && isspace((unsigned char)line[length - 1]))
            length--;
        *ret = line;
        *ret_length = length;
        return true;
    }
    return false;
}
