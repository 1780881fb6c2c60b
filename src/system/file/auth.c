/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The system file's gateway.auth: by what the gateway finds out who a client is. It becomes the
 * gateway's own configuration (docs/internals/processes.md), so most of it is read into JSON as it
 * stands; what names a file is read here, so that its faults are found by `check`.
 */

#define _GNU_SOURCE
#include "system/file/auth.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "base/text.h"
#include "gateway/identity/authenticate.h"
#include "gateway/identity/issuer.h"
#include "gateway/identity/key_file.h"
#include "system/file/file.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* What the readers below fill in. */
struct auth_reading {
    struct system_file *file;
    json_t *into;
};

static void set_text(struct yaml_reader *reader, yaml_node_t *node, const char *what, void *into,
                     const char *name)
{
    const char *text = yaml_text(reader, node, what);
    if (text)
        json_object_set_new(((struct auth_reading *)into)->into, name, json_string(text));
}

static void set_integer(struct yaml_reader *reader, yaml_node_t *node, const char *what, void *into,
                        const char *name, int maximum)
{
    int value = 0;
    if (yaml_integer(reader, node, what, 0, maximum, &value))
        json_object_set_new(((struct auth_reading *)into)->into, name, json_integer(value));
}

/* ---- Files ---- */

/* Waits for no FIFO. False with a finding. */
static bool open_named_file(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                            const char *path, int *ret_fd)
{
    struct stat status;
    struct place place = yaml_place(reader, node);
    *ret_fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (*ret_fd < 0 || fstat(*ret_fd, &status) != 0)
        findings_error(reader->findings, place, "%s: %s can't be read: %s", what, path,
                       strerror(errno));
    else if (!S_ISREG(status.st_mode))
        findings_error(reader->findings, place, "%s: %s is not a regular file", what, path);
    else
        return true;
    if (*ret_fd >= 0)
        close(*ret_fd);
    return false;
}

/* Relative paths start at the system file. NULL with a finding. */
static char *read_named_file(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                             const struct system_file *file, const char *path, size_t size_max,
                             size_t *ret_length)
{
    char buffer[4096];
    ssize_t got;
    int fd;
    struct text text;
    if (path[0] != '/')
        path = arena_printf(reader->arena, "%s/%s", file->folder, path);
    if (!open_named_file(reader, node, what, path, &fd))
        return NULL;
    text_init(&text, size_max);
    while ((got = read(fd, buffer, sizeof buffer)) > 0)
        text_append(&text, buffer, (size_t)got);
    int number = errno;
    close(fd);
    *ret_length = text.length;
    if (got == 0 && !text.overflow)
        return text_take(&text);
    if (got < 0)
        findings_error(reader->findings, yaml_place(reader, node), "%s: %s can't be read: %s", what,
                       path, strerror(number));
    else
        findings_error(reader->findings, yaml_place(reader, node),
                       "%s: %s is larger than %zu bytes", what, path, size_max);
    text_release(&text);
    return NULL;
}

/* ---- jwt ---- */

static void check_url(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                      const char *url)
{
    if (url && !issuer_url_is_safe(url))
        findings_error(reader->findings, yaml_place(reader, node),
                       "%s must be a URL that begins with https:// (or http:// with a loopback "
                       "address), and names no user",
                       what);
}

static void read_issuer(struct yaml_reader *reader, yaml_node_t *node, const char *what, void *into)
{
    set_text(reader, node, what, into, "issuer");
}

static void read_audience(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                          void *into)
{
    set_text(reader, node, what, into, "audience");
}

/* Whoever compares a subject with a row's compares the whole of it. */
static void read_subjects(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                          void *into)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:/|";
    const char *prefix = yaml_text(reader, node, what);
    if (prefix && strlen(prefix) <= CLAIMS_PREFIX_LENGTH_MAX &&
        strspn(prefix, allowed) == strlen(prefix))
        json_object_set_new(((struct auth_reading *)into)->into, "subjects", json_string(prefix));
    else if (prefix)
        findings_error(reader->findings, yaml_place(reader, node),
                       "%s must be a prefix of at most %d letters, digits and -_.:/|, such as "
                       "staff/",
                       what, CLAIMS_PREFIX_LENGTH_MAX);
}

static void read_scopes_place(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                              void *into)
{
    set_text(reader, node, what, into, "scopes");
}

static void read_roles_place(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                             void *into)
{
    set_text(reader, node, what, into, "roles");
}

static void read_leeway(struct yaml_reader *reader, yaml_node_t *node, const char *what, void *into)
{
    set_integer(reader, node, what, into, "leeway_s", CLAIMS_LEEWAY_S_MAX);
}

static void read_keys_file(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                           struct auth_reading *reading, const char *path)
{
    struct jwks *jwks;
    struct fh_error error;
    json_t *set = NULL;
    size_t length;
    char *text = read_named_file(reader, node, what, reading->file, path, JWKS_LENGTH_MAX, &length);
    if (!text)
        return;
    if (jwks_parse(text, length, &jwks, &error) != FH_OK) {
        findings_error(reader->findings, yaml_place(reader, node), "%s: %s: %s", what, path,
                       error.message);
    } else {
        if (jwks_fault(jwks))
            findings_warning(reader->findings, yaml_place(reader, node),
                             "%s: %s has a key that is left out: %s", what, path, jwks_fault(jwks));
        jwks_free(jwks);
        json_parse(text, length, &set, ERROR_UNHEEDED);
        json_object_set_new(reading->into, "keys", set);
    }
    free(text);
}

static void read_issuer_keys(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                             void *into)
{
    struct auth_reading *reading = into;
    const char *place = yaml_text(reader, node, what);
    if (!place)
        return;
    json_object_set_new(reading->into, "keys", json_null()); /* given, whatever is wrong with it */
    if (!strstr(place, "://")) {
        read_keys_file(reader, node, what, reading, place);
        return;
    }
    check_url(reader, node, what, place);
    json_object_del(reading->into, "keys");
    json_object_set_new(reading->into, "keys_url", json_string(place));
}

static void read_algorithm(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                           void *into)
{
    const char *words[16] = {NULL};
    size_t count = 0;
    for (const struct jws_algorithm *at = jws_algorithm_next(NULL); at; at = jws_algorithm_next(at))
        words[count++] = at->name;
    int chosen = yaml_word(reader, node, what, words);
    if (chosen >= 0)
        json_array_append_new(into, json_string(words[chosen]));
}

static void read_algorithms_taken(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                                  void *into)
{
    json_t *list = json_array();
    yaml_read_list(reader, node, what, 16, read_algorithm, list);
    json_object_set_new(((struct auth_reading *)into)->into, "algorithms", list);
}

static void read_claim(struct yaml_reader *reader, yaml_node_t *node, const char *what, void *into)
{
    const char *name = yaml_text(reader, node, what);
    if (name)
        json_array_append_new(into, json_string(name));
}

static void read_claims_passed(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                               void *into)
{
    json_t *list = json_array();
    yaml_read_list(reader, node, what, CLAIMS_PASSED_MAX, read_claim, list);
    json_object_set_new(((struct auth_reading *)into)->into, "claims", list);
}

/* Keys that are found by discovery need an issuer that is a URL; and no two may be the same. */
static void check_issuer(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                         const json_t *issuers, const json_t *issuer)
{
    size_t i;
    json_t *other;
    const char *name = json_string_at(issuer, "issuer");
    if (!name)
        return;
    if (!json_object_get(issuer, "keys") && !json_object_get(issuer, "keys_url") &&
        !issuer_url_is_safe(name))
        findings_error(reader->findings, yaml_place(reader, node),
                       "%s: without 'keys' the issuer's keys are found by its URL: 'issuer' must "
                       "begin with https:// (or http:// with a loopback address)",
                       what);
    json_array_foreach (issuers, i, other) {
        if (other != issuer && strcmp(json_string_at(other, "issuer"), name) == 0)
            findings_error(reader->findings, yaml_place(reader, node),
                           "%s: a second issuer '%.200s'", what, name);
    }
}

static void read_jwt_issuer(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                            void *into)
{
    static const struct yaml_key keys[] = {
        {"issuer", read_issuer, true, "the `iss` of its tokens; its keys are found from there"},
        {"audience", read_audience, true, "the `aud` of tokens that are meant for this system"},
        {"subjects", read_subjects, false, "a prefix for its users; needed if there are several"},
        {"keys", read_issuer_keys, false, "a JWK set: a file, or a URL; default: by discovery"},
        {"algorithms", read_algorithms_taken, false, "default: all that are known"},
        {"leeway_s", read_leeway, false, "between its clock and this machine's; default: 60"},
        {"scopes", read_scopes_place, false, "the claim that has them; default: scope"},
        {"roles", read_roles_place, false, "such as realm_access.roles; default: roles"},
        {"claims", read_claims_passed, false, "which are passed on to services; default: none"}};
    struct auth_reading *reading = into;
    struct auth_reading issuer = {.file = reading->file, .into = json_object()};
    yaml_read_mapping(reader, node, what, keys, COUNT(keys), &issuer);
    if (node)
        check_issuer(reader, node, what, reading->into, issuer.into);
    if (json_string_at(issuer.into, "issuer"))
        json_array_append(reading->into, issuer.into);
    json_decref(issuer.into);
}

/* The user 7 of one issuer is not the user 7 of another. So none may make a subject that another
 * makes, whatever its users are called. */
static void check_subjects(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                           const json_t *issuers)
{
    size_t i, j;
    json_t *one, *other;
    json_array_foreach (issuers, i, one) {
        const char *prefix = json_string_at(one, "subjects");
        json_array_foreach (issuers, j, other) { /* two of one name are reported by themselves */
            const char *longer = json_string_at(other, "subjects");
            bool same = strcmp(json_string_at(one, "issuer"), json_string_at(other, "issuer")) == 0;
            if (same || (prefix && longer && strncmp(prefix, longer, strlen(prefix)) != 0))
                continue;
            findings_error(reader->findings, yaml_place(reader, node),
                           "%s: users of '%.100s' could be taken for users of '%.100s'. Give each "
                           "issuer a prefix of its own in 'subjects', such as staff/",
                           what, json_string_at(one, "issuer"), json_string_at(other, "issuer"));
            return;
        }
    }
}

static void read_jwt(struct yaml_reader *reader, yaml_node_t *node, const char *what, void *into)
{
    struct auth_reading *reading = into;
    struct auth_reading list = {.file = reading->file, .into = json_array()};
    yaml_read_list(reader, node, what, AUTHENTICATE_ISSUERS_MAX, read_jwt_issuer, &list);
    if (node)
        check_subjects(reader, node, what, list.into);
    json_object_set_new(reading->into, "jwt", list.into);
}

/* Whoever can write there can give themselves a key. */
static void check_keys_writers(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                               const char *path)
{
    struct stat status;
    if (stat(path, &status) != 0)
        return;
    if (status.st_mode & 0022)
        findings_error(reader->findings, yaml_place(reader, node),
                       "%s: others can change %s, whose mode is %04o: chmod go-w it, and look "
                       "through its keys",
                       what, path, (unsigned)status.st_mode & 0777);
    else if (status.st_uid != 0 && status.st_uid != geteuid())
        findings_error(reader->findings, yaml_place(reader, node),
                       "%s: %s belongs to another user, %u, who can change it: chown it to the one "
                       "who runs up, or to root",
                       what, path, (unsigned)status.st_uid);
}

/* The gateway reads it itself, again and again, so only its path is passed on. */
static void read_keys_of_clients(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                                 void *into)
{
    struct auth_reading *reading = into;
    struct key_set *keys;
    struct fh_error error;
    size_t length;
    const char *path = yaml_text(reader, node, what);
    if (path && path[0] != '/')
        path = arena_printf(reader->arena, "%s/%s", reading->file->folder, path);
    if (path)
        json_object_set_new(reading->into, "keys", json_string(path));
    if (path && access(path, F_OK) != 0 && errno == ENOENT) {
        findings_error(reader->findings, yaml_place(reader, node),
                       "%s: there is no file %s. freehold key new makes it, with a first key", what,
                       path);
        return;
    }
    char *text =
        path ? read_named_file(reader, node, what, reading->file, path, KEY_FILE_SIZE_MAX, &length)
             : NULL;
    if (!text)
        return;
    check_keys_writers(reader, node, what, path);
    if (key_set_parse(text, length, &keys, &error) == FH_OK)
        key_set_free(keys);
    else
        findings_error(reader->findings, yaml_place(reader, node), "%s: %s: %s", what, path,
                       error.message);
    free(text);
}

static void read_forward(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                         void *into)
{
    bool forward = false;
    yaml_bool(reader, node, what, &forward);
    json_object_set_new(((struct auth_reading *)into)->into, "forward", json_boolean(forward));
}

void file_read_auth(struct yaml_reader *reader, yaml_node_t *node, const char *what, void *into)
{
    static const struct yaml_key keys[] = {
        {"jwt", read_jwt, false, "issuers of signed tokens"},
        {"keys", read_keys_of_clients, false, "a file of hashes of API keys"},
        {"forward", read_forward, false, "services get the header Authorization; default: false"}};
    struct system_file *file = into;
    struct auth_reading reading = {.file = file, .into = json_object()};
    yaml_read_mapping(reader, node, what, keys, COUNT(keys), &reading);
    if (node && !json_object_get(reading.into, "jwt") && !json_object_get(reading.into, "keys"))
        findings_error(reader->findings, yaml_place(reader, node),
                       "%s needs 'jwt' or 'keys': without any nobody could log in", what);
    json_decref(file->auth);
    file->auth = reading.into;
}

/* ---- For the command that changes the file of keys ---- */

static yaml_node_t *member_named(struct yaml_reader *reader, yaml_node_t *node, const char *name)
{
    if (!node || node->type != YAML_MAPPING_NODE)
        return NULL;
    for (yaml_node_pair_t *pair = node->data.mapping.pairs.start;
         pair < node->data.mapping.pairs.top; pair++) {
        yaml_node_t *key = yaml_document_get_node(&reader->document, pair->key);
        if (key && key->type == YAML_SCALAR_NODE &&
            strcmp((const char *)key->data.scalar.value, name) == 0)
            return yaml_document_get_node(&reader->document, pair->value);
    }
    return NULL;
}

const char *file_keys_path(const char *path, struct arena *arena, struct findings *findings)
{
    struct yaml_reader reader = {.findings = findings, .arena = arena};
    yaml_node_t *root = yaml_open(&reader, path, SYSTEM_FILE_SIZE_MAX);
    yaml_node_t *gateway = member_named(&reader, root, "gateway");
    yaml_node_t *keys = member_named(&reader, member_named(&reader, gateway, "auth"), "keys");
    const char *named = keys ? yaml_text(&reader, keys, "gateway.auth.keys") : NULL;
    if (root && !keys)
        findings_error(findings, yaml_place(&reader, gateway ? gateway : root),
                       "the system has no file of API keys: name one in gateway.auth.keys, such as "
                       "clients/keys.json");
    char *absolute = named && named[0] != '/' ? realpath(path, NULL) : NULL;
    if (absolute) /* relative paths start where system_file.folder is */
        named = arena_printf(arena, "%.*s%s", (int)(strrchr(absolute, '/') + 1 - absolute),
                             absolute, named);
    free(absolute);
    yaml_release(&reader);
    return named;
}
