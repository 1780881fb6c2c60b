/* SPDX-License-Identifier: Apache-2.0 */
/* Opens a YAML file: a regular file, of bounded size, with one document. Otherwise reports the
 * place of the fault. And finds what is in it by its name, for those that look for one thing. */

#include "system/file/yaml.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"

/* A clearer wording for libyaml's message about a character that can't start a token. */
static const char *explained_problem(const char *problem, int character)
{
    bool no_token = strcmp(problem, "found character that cannot start any token") == 0;
    if (character == '\t' && (no_token || strstr(problem, "violates indentation")))
        return "a tab stands here; YAML takes only spaces before a line's text";
    return no_token ? "no text begins with this character unless it stands in quotes" : problem;
}

/* The place of the byte at `offset`, with columns counted in characters. */
static struct place place_of_byte(const char *path, FILE *stream, size_t offset)
{
    struct place place = {path, 1, 1};
    rewind(stream);
    for (int c; offset > 0 && (c = getc(stream)) != EOF; offset--) {
        place.column = c == '\n' ? 1 : place.column + ((c & 0xc0) != 0x80);
        place.line += c == '\n';
    }
    return place;
}

static int character_at(FILE *stream, const yaml_mark_t *mark)
{
    size_t line = 0, column = 0;
    int c;
    rewind(stream);
    while ((c = getc(stream)) != EOF && (line < mark->line || column < mark->column)) {
        line += c == '\n';
        column = c == '\n' ? 0 : column + ((c & 0xc0) != 0x80);
    }
    return c;
}

static void report_syntax(struct yaml_reader *reader, const yaml_parser_t *parser, FILE *stream)
{
    const yaml_mark_t *mark = &parser->problem_mark;
    struct place place = {reader->path, (int)mark->line + 1, (int)mark->column + 1};
    if (!parser->problem) { /* libyaml tells none where memory ran out */
        findings_error(reader->findings, place, "there is no memory to read it");
        return;
    }
    if (parser->error == YAML_READER_ERROR) {
        findings_error(reader->findings,
                       place_of_byte(reader->path, stream, parser->problem_offset),
                       "not valid UTF-8 text: %s", parser->problem);
        return;
    }
    const char *problem = explained_problem(parser->problem, character_at(stream, mark));
    if (problem != parser->problem || !parser->context)
        findings_error(reader->findings, place, "not valid YAML: %s", problem);
    else if (parser->context_mark.line != mark->line)
        findings_error(reader->findings, place, "not valid YAML: %s, %s that began in line %zu",
                       problem, parser->context, parser->context_mark.line + 1);
    else
        findings_error(reader->findings, place, "not valid YAML: %s %s", problem, parser->context);
}

static bool load_document(struct yaml_reader *reader, yaml_parser_t *parser, FILE *stream)
{
    if (!yaml_parser_load(parser, &reader->document)) {
        report_syntax(reader, parser, stream);
        return false;
    }
    reader->open = true;
    yaml_document_t second;
    if (!yaml_parser_load(parser, &second)) {
        report_syntax(reader, parser, stream);
        return false;
    }
    yaml_node_t *root = yaml_document_get_root_node(&second);
    if (root)
        findings_error(reader->findings, yaml_place(reader, root),
                       "a second YAML document begins here; expected one document in the file");
    yaml_document_delete(&second);
    return !root;
}

static FILE *open_regular(struct yaml_reader *reader, size_t size_max)
{
    struct place whole = {reader->path, 0, 0};
    struct stat status;
    FILE *stream = fopen(reader->path, "re");
    if (!stream || fstat(fileno(stream), &status) != 0) {
        findings_error(reader->findings, whole, "cannot be read: %s", strerror(errno));
    } else if (!S_ISREG(status.st_mode)) {
        findings_error(reader->findings, whole, "is %s; expected the system file itself",
                       S_ISDIR(status.st_mode) ? "a folder" : "no regular file");
    } else if ((size_t)status.st_size > size_max) {
        findings_error(reader->findings, whole, "is larger than %zu KiB", size_max >> 10);
    } else {
        return stream;
    }
    if (stream)
        fclose(stream);
    return NULL;
}

yaml_node_t *yaml_open(struct yaml_reader *reader, const char *path, size_t size_max)
{
    reader->path = path;
    FILE *stream = open_regular(reader, size_max);
    if (!stream)
        return NULL;
    yaml_parser_t parser;
    FH_ASSERT(yaml_parser_initialize(&parser));
    yaml_parser_set_input_file(&parser, stream);
    bool loaded = load_document(reader, &parser, stream);
    yaml_parser_delete(&parser);
    fclose(stream);
    if (!loaded)
        return NULL;
    yaml_node_t *root = yaml_document_get_root_node(&reader->document);
    if (!root)
        findings_error(reader->findings, (struct place){path, 1, 1},
                       "the file is empty; expected at least 'system' and 'services'");
    return root;
}

void yaml_release(struct yaml_reader *reader)
{
    if (reader->open)
        yaml_document_delete(&reader->document);
    reader->open = false;
}

yaml_node_pair_t *yaml_pair(struct yaml_reader *reader, const yaml_node_t *node, const char *name)
{
    if (!node || node->type != YAML_MAPPING_NODE)
        return NULL;
    for (yaml_node_pair_t *pair = node->data.mapping.pairs.start;
         pair < node->data.mapping.pairs.top; pair++) {
        const yaml_node_t *key = yaml_document_get_node(&reader->document, pair->key);
        if (key && key->type == YAML_SCALAR_NODE &&
            strcmp((const char *)key->data.scalar.value, name) == 0)
            return pair;
    }
    return NULL;
}
