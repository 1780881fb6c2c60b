/* SPDX-License-Identifier: Apache-2.0 */
/*
 * freehold new: creates a system, and services in it, from templates. All files are first prepared
 * in memory: if one of the new ones exists already, nothing is written. The system file and
 * meson.build belong to the user: a line is added to each, after the one that opens the list, and
 * the new system file is parsed before it replaces the old one.
 */

#define _GNU_SOURCE
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/json.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/develop/template.h"
#include "engine/engines.h"
#include "system/file/file.h"
#include "system/file/yaml.h"

#define FILES_MAX 8
#define FILE_SIZE_MAX ((size_t)1 << 20)
#define SYSTEM_FILE "freehold.yaml"
#define BUILD_FILE "meson.build"

struct file {
    const char *path;
    char *text;   /* malloc'ed */
    bool changes; /* it exists, and this replaces it */
};

struct making {
    struct arena arena;
    struct file files[FILES_MAX];
    size_t count;
    struct name {
        const char *placeholder, *value;
    } names[4];
};

/* ---- Texts ---- */

static char *filled_template(const struct making *making, const char *pattern)
{
    struct text text;
    text_init(&text, FILE_SIZE_MAX);
    while (*pattern) {
        const struct name *name = making->names;
        while (name->placeholder &&
               strncmp(pattern, name->placeholder, strlen(name->placeholder)) != 0)
            name++;
        text_add(&text, name->placeholder ? name->value : (char[2]){*pattern});
        pattern += name->placeholder ? strlen(name->placeholder) : 1;
    }
    char *copy = strdup(text.data ? text.data : "");
    FH_ASSERT(copy != NULL && !text.overflow);
    text_release(&text);
    return copy;
}

static void add_new_file(struct making *making, const char *pattern, const char *path)
{
    const struct template_file *at = templates;
    while (at->name && strcmp(at->name, pattern) != 0)
        at++;
    FH_ASSERT(at->name && making->count < FILES_MAX);
    making->files[making->count++] = (struct file){path, filled_template(making, at->text), false};
}

/* For editors, which find it by the system file's first line; see config.c. */
static void add_schema(struct making *making, const char *path)
{
    json_t *schema = system_file_schema();
    struct text text;
    char *dumped = json_dumps(schema, JSON_INDENT(2));
    text_init(&text, FILE_SIZE_MAX);
    text_printf(&text, "%s\n", dumped);
    char *copy = strdup(text.data);
    FH_ASSERT(copy != NULL && making->count < FILES_MAX && !text.overflow);
    making->files[making->count++] = (struct file){path, copy, false};
    json_text_free(dumped);
    text_release(&text);
    json_decref(schema);
}

static char *read_whole(const char *path)
{
    char *text = NULL;
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && fstat(fd, &status) == 0 && status.st_size < (off_t)FILE_SIZE_MAX &&
        (text = calloc(1, (size_t)status.st_size + 1)) &&
        io_read(fd, text, (size_t)status.st_size) != (ssize_t)status.st_size) {
        free(text);
        text = NULL;
    }
    if (fd >= 0)
        close(fd);
    return text;
}

/* ---- Adding lines to lists ---- */

/* Finds the line of `text` that starts with `begins`, followed by nothing but a comment; returns
 * its end, where the newline is. NULL: there is none. */
static const char *after_line(const char *text, const char *begins)
{
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, begins, strlen(begins)) != 0)
            continue;
        const char *rest = line + strlen(begins);
        rest += strspn(rest, " \t\r");
        if (*rest == '\0' || *rest == '\n' || *rest == '#')
            return strchrnul(rest, '\n');
    }
    return NULL;
}

/* The indentation of the list's first line; the other entries have the same. */
static size_t indentation_of(const char *list)
{
    while (*list == '\n') {
        size_t spaces = strspn(++list, " ");
        if (list[spaces] && list[spaces] != '\n' && list[spaces] != '#')
            return spaces ? spaces : 2;
        list = strchrnul(list, '\n');
    }
    return 2;
}

/* Adds a line to the list in `path` that is opened by the line `begins`. */
static int add_line_to_file(struct making *making, const char *path, const char *begins,
                            const char *line)
{
    char *text = read_whole(path), *changed;
    if (!text)
        return cli_fail(CLI_FAILED, "%s cannot be read: %s", path, strerror(errno));
    const char *after = after_line(text, begins);
    int code = CLI_DONE;
    if (!after)
        code = cli_fail(CLI_FAILED, "%s has no line '%s' with a list below it to add '%s' to", path,
                        begins, line);
    else if (asprintf(&changed, "%.*s\n%*s%s%s", (int)(after - text), text,
                      (int)indentation_of(after), "", line, *after ? after : "\n") < 0)
        code = cli_fail(CLI_FAILED, "no memory");
    else
        making->files[making->count++] = (struct file){path, changed, true};
    free(text);
    return code;
}

/* ---- Writing ---- */

static int none_is_there(const struct making *making)
{
    for (size_t i = 0; i < making->count; i++) {
        if (!making->files[i].changes && access(making->files[i].path, F_OK) == 0)
            return cli_fail(CLI_FAILED, "%s is there already; nothing was written",
                            making->files[i].path);
    }
    return CLI_DONE;
}

static bool make_folders_of(const char *path)
{
    char folder[512];
    for (const char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        snprintf(folder, sizeof folder, "%.*s", (int)(slash - path), path);
        if (mkdir(folder, 0777) != 0 && errno != EEXIST)
            return false;
    }
    return true;
}

static bool write_new_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    bool written = fd >= 0 && io_write(fd, text, strlen(text));
    return (fd < 0 || close(fd) == 0) && written;
}

/* A changed system file is written next to the old one, parsed, and only then replaces it. */
static int replace_file(struct making *making, const struct file *file)
{
    const char *beside = arena_printf(&making->arena, "%s.new", file->path);
    struct findings findings = {0};
    int code = CLI_DONE;
    if (!write_new_file(beside, file->text))
        return cli_fail(CLI_FAILED, "%s cannot be written: %s", beside, strerror(errno));
    if (strcmp(file->path, SYSTEM_FILE) == 0) {
        struct system_file *read = system_file_read_keyless(beside, &findings);
        cli_print_findings(&findings);
        if (!read)
            code = cli_fail(CLI_FAILED, "%s would not be right; it was left as it is", file->path);
        system_file_free(read);
        findings_release(&findings);
    }
    if (code == CLI_DONE && rename(beside, file->path) != 0)
        code = cli_fail(CLI_FAILED, "%s cannot be written: %s", file->path, strerror(errno));
    if (code != CLI_DONE)
        unlink(beside);
    return code;
}

/* New files first, so that a service named in the system file has all of its files. */
static int write_files(struct making *making)
{
    int code = none_is_there(making);
    for (size_t i = 0; code == CLI_DONE && i < making->count; i++) {
        const struct file *file = &making->files[i];
        if (file->changes)
            code = replace_file(making, file);
        else if (!make_folders_of(file->path) || !write_new_file(file->path, file->text))
            code = cli_fail(CLI_FAILED, "%s cannot be written: %s", file->path, strerror(errno));
    }
    return code;
}

static void tell_files(const struct making *making, bool as_json)
{
    json_t *made = json_array(), *changed = json_array();
    for (size_t i = 0; i < making->count; i++) {
        const struct file *file = &making->files[i];
        json_array_append_new(file->changes ? changed : made, json_string(file->path));
        if (!as_json)
            printf("  %s %s\n", file->changes ? "changed" : "made   ", file->path);
    }
    json_t *all = json_pack("{s:o, s:o}", "made", made, "changed", changed);
    if (as_json)
        cli_print_json(all);
    json_decref(all);
}

/* ---- A system ---- */

static int new_system(struct making *making, const char *name, bool as_json)
{
    struct arena *arena = &making->arena;
    making->names[0] = (struct name){"@SYSTEM@", name};
    if (access(name, F_OK) == 0)
        return cli_fail(CLI_FAILED, "%s is there already; nothing was written", name);
    add_new_file(making, "system.yaml", arena_printf(arena, "%s/" SYSTEM_FILE, name));
    add_schema(making, arena_printf(arena, "%s/freehold.schema.json", name));
    add_new_file(making, "meson.build", arena_printf(arena, "%s/" BUILD_FILE, name));
    add_new_file(making, "README.md", arena_printf(arena, "%s/README.md", name));
    add_new_file(making, "gitignore", arena_printf(arena, "%s/.gitignore", name));
    int code = write_files(making);
    if (code != CLI_DONE)
        return code;
    tell_files(making, as_json);
    if (!as_json)
        printf("\nGo on with:\n  cd %s\n  freehold new service notes\n", name);
    return CLI_DONE;
}

/* ---- A service ---- */

static bool ends_with(const char *word, const char *end)
{
    size_t length = strlen(word), end_length = strlen(end);
    return length > end_length + 1 && strcmp(word + length - end_length, end) == 0;
}

/* "note" for "notes", "category" for "categories"; other names stay as they are. */
static const char *one_of(struct arena *arena, const char *name)
{
    int length = (int)strlen(name);
    if (ends_with(name, "ies"))
        return arena_printf(arena, "%.*sy", length - 3, name);
    if (ends_with(name, "sses") || ends_with(name, "xes") || ends_with(name, "ches") ||
        ends_with(name, "shes"))
        return arena_printf(arena, "%.*s", length - 2, name);
    if (ends_with(name, "s") && !ends_with(name, "ss") && !ends_with(name, "us"))
        return arena_printf(arena, "%.*s", length - 1, name);
    return name;
}

/* "OrderLine" for "order_line": the way events are named. */
static const char *event_of(struct arena *arena, const char *one)
{
    char *event = arena_copy(arena, one, strlen(one)), *to = event;
    bool begins = true;
    for (const char *at = one; *at; at++) {
        if (*at != '_')
            *to++ = begins ? (char)toupper((unsigned char)*at) : *at;
        begins = *at == '_';
    }
    *to = '\0';
    return event;
}

static bool is_name_of(const char *name, const char *const *names)
{
    while (*names && strcmp(*names, name) != 0)
        names++;
    return *names != NULL;
}

/* The name of a variable that holds one: "note" for "notes", but not a word with another meaning in
 * C, such as "return" for "returns". */
static const char *variable_of(const char *one)
{
    static const char *const meant[] = {
        "asm",      "auto",   "bool",    "break",  "case",   "char",   "const",    "continue",
        "default",  "do",     "double",  "else",   "enum",   "extern", "false",    "float",
        "for",      "goto",   "if",      "inline", "int",    "linux",  "long",     "register",
        "restrict", "return", "short",   "signed", "sizeof", "static", "struct",   "switch",
        "text",     "true",   "typedef", "typeof", "union",  "unix",   "unsigned", "void",
        "volatile", "while",  NULL};
    return is_name_of(one, meant) ? "one" : one;
}

/* The name also becomes part of C identifiers, and names the table, the program and the folder. */
static int check_service_name(const char *name)
{
    /* Targets of the build, most of them Meson's own, and names that `up` uses. */
    static const char *const taken[] = {
        "benchmark", "build", "clean", "coverage",    "dist", "distcheck", "freehold",  "gateway",
        "install",   "main",  "phony", "reconfigure", "test", "tests",     "uninstall", NULL};
    static const char *const of_servers[] = {
        /* SQLite would accept these */
        "any",    "array",    "both",      "call",  "change", "condition", "databases", "end",
        "grant",  "interval", "keys",      "kill",  "lines",  "load",      "lock",      "loop",
        "only",   "option",   "procedure", "range", "read",   "reads",     "return",    "schemas",
        "signal", "some",     "usage",     "user",  "write",  NULL};
    if (is_name_of(name, taken))
        return cli_fail(CLI_USAGE, "a service can't be named '%s': that name is taken", name);
    if (strchr(name, '-'))
        return cli_fail(CLI_USAGE,
                        "'%s' can't be the name of a service in C; write '_' where '-' stands",
                        name);
    if (sqlite3_keyword_check(name, (int)strlen(name)) || is_name_of(name, of_servers))
        return cli_fail(CLI_USAGE,
                        "'%s' is a word of SQL, and a service's first table has its name; take "
                        "another, such as '%s%s%s'",
                        name, strchr("hsxy", name[strlen(name) - 1]) ? "my_" : "", name,
                        strchr("hsxy", name[strlen(name) - 1]) ? "" : "s");
    return CLI_DONE;
}

/* Migrations for engines other than the embedded one are in a folder of their own. */
static void add_migrations(struct making *making, const char *name)
{
    const char *embedded = engine_embedded()->name;
    for (const struct template_file *at = templates; at->name; at++) {
        const char *slash = strchr(at->name, '/');
        if (!slash)
            continue;
        char *engine = arena_copy(&making->arena, at->name, (size_t)(slash - at->name));
        bool beside = strcmp(engine, embedded) != 0;
        add_new_file(making, at->name,
                     arena_printf(&making->arena, "%s/migrations/%s%s0001_create_%s.sql", name,
                                  beside ? engine : "", beside ? "/" : "", name));
    }
}

static int make_service(struct making *making, const char *name)
{
    struct arena *arena = &making->arena;
    const char *one = one_of(arena, name);
    making->names[0] = (struct name){"@SERVICE@", name};
    making->names[1] = (struct name){"@ONE@", variable_of(one)};
    making->names[2] = (struct name){"@Event@", event_of(arena, one)};
    add_new_file(making, "service.c", arena_printf(arena, "%s/%s.c", name, name));
    add_new_file(making, "service_test.c", arena_printf(arena, "%s/%s_test.c", name, name));
    add_migrations(making, name);
    int code =
        add_line_to_file(making, BUILD_FILE, "services = [", arena_printf(arena, "'%s',", name));
    if (code == CLI_DONE)
        code = add_line_to_file(making, SYSTEM_FILE, "services:",
                                arena_printf(arena, "%s: { program: build/%s }", name, name));
    return code == CLI_DONE ? write_files(making) : code;
}

static int new_service(struct making *making, const char *name, bool as_json)
{
    int code = check_service_name(name);
    if (code == CLI_DONE && access(SYSTEM_FILE, F_OK) != 0)
        code = cli_fail(CLI_USAGE,
                        "there is no " SYSTEM_FILE " here; go into a system's folder, or make one "
                        "with: freehold new system NAME");
    if (code == CLI_DONE)
        code = make_service(making, name);
    if (code != CLI_DONE)
        return code;
    tell_files(making, as_json);
    if (!as_json)
        printf("\nGo on with:\n%s  ninja -C build\n  freehold test\n  freehold up\n",
               access("build/build.ninja", F_OK) == 0 ? "" : "  meson setup build\n");
    return CLI_DONE;
}

/* ---- The command ---- */

static int run_new_command(const struct cli_command *command, char **words, const char **values)
{
    struct making making = {0};
    bool system = strcmp(words[0], "system") == 0;
    bool as_json = cli_value(command, values, "--json") != NULL;
    if (!yaml_is_name(words[1]))
        return cli_fail(
            CLI_USAGE,
            "'%.64s' is not a name for a %s; expected a lower-case letter, then up to 31 "
            "of a-z, 0-9, '_' and '-'",
            words[1], words[0]);
    arena_init(&making.arena, ARENA_SIZE_MAX);
    int code =
        system ? new_system(&making, words[1], as_json) : new_service(&making, words[1], as_json);
    for (size_t i = 0; i < making.count; i++)
        free(making.files[i].text);
    arena_release(&making.arena);
    return code;
}

const struct cli_command cli_new = {
    .name = "new",
    .words = "system|service NAME",
    .words_min = 2,
    .words_max = 2,
    .summary = "Create a system, or a service in it: a page of C and its test",
    .text =
        "  freehold new system NAME     a folder with a system file and a build file\n"
        "  freehold new service NAME    in that folder: its program, table and test\n\n"
        "What is there already is left as it is. Exit codes: 0 done, 1 failed, 2 wrong usage.\n",
    .options = {{"--json", NULL, "print the names of the files"}},
    .run = run_new_command,
};
