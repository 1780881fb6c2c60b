/* SPDX-License-Identifier: Apache-2.0 */
/*
 * freehold key: makes, lists and revokes API keys. The file of keys is all there is: a running `up`
 * gives it to its gateway again when it has changed (system/provision/client_keys_copy.h), so
 * nothing is asked of a running system.
 *
 * A key is stored before it is shown: one that was shown and is not stored would be worth nothing,
 * one that was stored and could not be shown can be revoked.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/json.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/table.h"
#include "gateway/identity/claims.h"
#include "system/file/auth.h"
#include "system/provision/client_keys.h"

_Static_assert(KEY_FILE_RANDOM_SIZE == crypto_auth_KEYBYTES, "libsodium makes keys of this size");

#define DAY_S 86400LL
#define TIME_SIZE 32

/* ---- Which file ---- */

/* Opens the file of --keys, or the one that the system file names. */
static int open_client_keys(const struct cli_command *command, const char **values,
                            struct client_keys *keys)
{
    const char *given = cli_value(command, values, "--keys");
    const char *system = cli_value(command, values, "--file");
    struct findings findings = {0};
    struct fh_error error = {0};
    struct arena arena;
    int code = CLI_FAILED;
    if (given && system)
        return cli_fail(CLI_USAGE, "--keys and --file both say which file: give one of them");
    arena_init(&arena, ARENA_SIZE_MAX);
    if (!given)
        given = file_keys_path(system ? system : CLI_SYSTEM_FILE, &arena, &findings);
    if (!given)
        cli_print_findings(&findings);
    else if (client_keys_open(keys, given, &error) == FH_OK)
        code = CLI_DONE;
    else
        cli_fail(CLI_FAILED, "%s", error.message);
    findings_release(&findings);
    arena_release(&arena);
    return code;
}

/* ---- What a key is for ---- */

static bool names_word(const json_t *list, const char *word, size_t length)
{
    size_t i;
    json_t *one;
    json_array_foreach (list, i, one) {
        if (json_string_length(one) == length && memcmp(json_string_value(one), word, length) == 0)
            return true;
    }
    return false;
}

/* "stock:read stock:write": words with blanks or commas between them. NULL: it has been reported.
 */
static json_t *read_words(const char *option, const char *given)
{
    json_t *list = json_array();
    for (const char *at = given ? given : ""; *(at += strspn(at, " ,"));) {
        size_t length = strcspn(at, " ,");
        for (size_t i = 0; i < length; i++) {
            if ((unsigned char)at[i] < ' ' || at[i] == 0x7f)
                length = CLAIMS_WORD_LENGTH_MAX + 1;
        }
        if (length > CLAIMS_WORD_LENGTH_MAX || json_array_size(list) == CLAIMS_WORDS_MAX) {
            json_decref(list);
            cli_fail(CLI_USAGE,
                     "%s takes at most %d words of at most %d bytes each, with blanks between "
                     "them and without control characters",
                     option, CLAIMS_WORDS_MAX, CLAIMS_WORD_LENGTH_MAX);
            return NULL;
        }
        if (!names_word(list, at, length)) {
            json_t *word = json_stringn(at, length);
            if (!word) {
                json_decref(list);
                cli_fail(CLI_USAGE, "%s has a word that is not UTF-8", option);
                return NULL;
            }
            json_array_append_new(list, word);
        }
        at += length;
    }
    return list;
}

/* "90d" from now, or "2027-01-31T00:00:00Z", or "2027-01-31". False: it is no time to come. */
static bool read_expiry_option(const char *given, char ret[static TIME_SIZE])
{
    struct tm parts = {0};
    char *end;
    time_t now = (time_t)(cli_now_ms() / 1000), then = 0;
    errno = 0;
    long long days = strtoll(given, &end, 10);
    if (end != given && strcmp(end, "d") == 0 && !errno && days > 0 && days <= 36500) {
        then = now + (time_t)(days * DAY_S);
    } else {
        const char *rest = strptime(given, "%Y-%m-%dT%H:%M:%SZ", &parts);
        if (!rest) {
            parts = (struct tm){0};
            rest = strptime(given, "%Y-%m-%d", &parts);
        }
        if (!rest || *rest)
            return false;
        int day = parts.tm_mday;
        then = timegm(&parts);
        if (parts.tm_mday != day) /* the 31st of November */
            return false;
    }
    return then > now && strftime(ret, TIME_SIZE, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&then, &parts));
}

/* The entry of the file but for its hash. NULL: what is wrong has been reported. */
static json_t *read_listed_key(const struct cli_command *command, const char **values)
{
    const char *subject = cli_value(command, values, "--subject");
    const char *expires = cli_value(command, values, "--expires");
    char time[TIME_SIZE];
    if (!subject) {
        cli_fail(CLI_USAGE, "new needs --subject NAME, the user that the key acts as");
        return NULL;
    }
    json_t *name = json_string(subject);
    bool sound = name && strlen(subject) <= CLAIMS_SUBJECT_LENGTH_MAX;
    for (const char *at = subject; *at; at++)
        sound = sound && (unsigned char)*at >= ' ' && *at != 0x7f;
    if (!sound || (expires && !read_expiry_option(expires, time))) {
        json_decref(name);
        if (sound)
            cli_fail(CLI_USAGE,
                     "--expires '%s' is not a time in the future; expected a number of days such "
                     "as 90d, or "
                     "a time in UTC such as 2027-01-31 or 2027-01-31T12:00:00Z",
                     expires);
        else
            cli_fail(CLI_USAGE,
                     "--subject takes at most %d bytes of UTF-8 without control "
                     "characters",
                     CLAIMS_SUBJECT_LENGTH_MAX);
        return NULL;
    }
    json_t *scopes = read_words("--scopes", cli_value(command, values, "--scopes"));
    json_t *roles = scopes ? read_words("--roles", cli_value(command, values, "--roles")) : NULL;
    if (!roles) {
        json_decref(scopes);
        json_decref(name);
        return NULL;
    }
    return json_pack("{s:o, s:o, s:o, s:s*}", "subject", name, "scopes", scopes, "roles", roles,
                     "expires", expires ? time : NULL);
}

/* ---- new ---- */

/* What is shown of a key: its hash is no secret, but nobody needs it. New reference. */
static json_t *shown_key(const json_t *entry)
{
    json_t *shown = json_copy((json_t *)(uintptr_t)entry);
    json_object_set_new(shown, "id",
                        json_stringn(json_string_at(entry, "hash"), CLIENT_KEY_ID_LENGTH));
    json_object_del(shown, "hash");
    return shown;
}

/* What was made, to whoever asked: the key on standard output, and nowhere else. */
static int show_new_key(const struct client_keys *keys, const char *key, const char *hash,
                        const json_t *entry, bool as_json)
{
    const char *expires = json_string_at(entry, "expires");
    if (as_json) {
        json_t *made = shown_key(entry);
        json_object_set_new(made, "key", json_string(key));
        cli_print_json(made);
        json_decref(made);
    } else {
        printf("%s\n", key);
    }
    if (fflush(stdout) != 0 || ferror(stdout))
        return cli_fail(CLI_FAILED,
                        "the key could not be shown, but is in %s: freehold key revoke %.*s",
                        keys->path, CLIENT_KEY_ID_LENGTH, hash);
    if (!as_json)
        cli_note(CLI_PLAIN,
                 "This is the only time that the key is shown. Its id is %.*s, it acts as %s, and "
                 "%s%s.",
                 CLIENT_KEY_ID_LENGTH, hash, json_string_at(entry, "subject"),
                 expires ? "ends at " : "does not expire", expires ? expires : "");
    return CLI_DONE;
}

static int make_key(struct client_keys *keys, json_t *entry, bool as_json)
{
    char key[KEY_FILE_KEY_LENGTH + 1], hash[KEY_FILE_HASH_SIZE];
    unsigned char random[KEY_FILE_RANDOM_SIZE];
    struct fh_error error = {0};
    crypto_auth_keygen(random);
    key_of_random(random, key);
    sodium_memzero(random, sizeof random);
    key_hash(key, hash);
    json_object_set_new(entry, "hash", json_string(hash));
    json_array_append(keys->keys, entry);
    int code = client_keys_save(keys, &error) == FH_OK
                   ? show_new_key(keys, key, hash, entry, as_json)
                   : cli_fail(CLI_FAILED, "%s", error.message);
    sodium_memzero(key, sizeof key);
    return code;
}

/* ---- list ---- */

static void add_words(struct text *text, const json_t *entry, const char *name)
{
    size_t i;
    json_t *word;
    json_array_foreach (json_object_get(entry, name), i, word)
        text_printf(text, "%s%s", i ? " " : "", json_string_value(word));
    if (!json_array_size(json_object_get(entry, name)))
        text_add(text, "-");
}

static void print_client_keys(const json_t *keys)
{
    struct cli_table table;
    size_t i;
    json_t *entry;
    table_begin(&table, (const char *const[]){"ID", "EXPIRES", "SUBJECT", "SCOPES; ROLES", NULL});
    json_array_foreach (keys, i, entry) {
        struct text rights;
        text_init(&rights, TEXT_LENGTH_MAX);
        add_words(&rights, entry, "scopes");
        text_add(&rights, "; ");
        add_words(&rights, entry, "roles");
        table_cell(&table, "%.*s", CLIENT_KEY_ID_LENGTH, json_string_at(entry, "hash"));
        table_cell(&table, "%s", cli_text(entry, "expires"));
        table_cell(&table, "%s", cli_text(entry, "subject"));
        table_cell(&table, "%s", rights.data);
        text_release(&rights);
    }
    table_end(&table);
}

static int list_client_keys(const struct client_keys *keys, bool as_json)
{
    size_t i;
    json_t *entry;
    if (as_json) {
        json_t *list = json_array(), *all = json_object();
        json_array_foreach (keys->keys, i, entry)
            json_array_append_new(list, shown_key(entry));
        json_object_set_new(all, "keys", list);
        cli_print_json(all);
        json_decref(all);
        return CLI_DONE;
    }
    if (!json_array_size(keys->keys)) {
        printf("There are no keys in %s.\n", keys->path);
        return CLI_DONE;
    }
    print_client_keys(keys->keys);
    return CLI_DONE;
}

/* ---- revoke ---- */

/* The number of the one key that an id names. CLI_DONE, or the exit code after saying what is
 * wrong.
 */
static int find_named_key(const struct client_keys *keys, const char *id, size_t *ret)
{
    size_t length = strlen(id);
    if (strncmp(id, KEY_FILE_PREFIX, strlen(KEY_FILE_PREFIX)) == 0)
        return cli_fail(CLI_USAGE, "revoke takes ids, as list shows them, and no keys: other users "
                                   "of this machine can read what a command is given");
    if (length < CLIENT_KEY_ID_LENGTH_MIN || strspn(id, "0123456789abcdef") != length)
        return cli_fail(CLI_USAGE,
                        "'%s' is not the id of a key; expected at least %d of its digits, as "
                        "list shows them",
                        id, CLIENT_KEY_ID_LENGTH_MIN);
    size_t count = client_keys_find(keys, id, ret);
    if (count == 0)
        return cli_fail(CLI_FAILED, "%s has no key %s", keys->path, id);
    if (count > 1)
        return cli_fail(CLI_FAILED, "%s has %zu keys whose ids begin with %s: give more digits",
                        keys->path, count, id);
    return CLI_DONE;
}

/* All of them, or none. */
static int revoke_keys(struct client_keys *keys, char **ids, bool as_json)
{
    struct fh_error error = {0};
    json_t *revoked = json_array();
    size_t number, i;
    json_t *entry;
    int code = CLI_DONE;
    for (char **id = ids; *id; id++) {
        code = find_named_key(keys, *id, &number);
        if (code != CLI_DONE)
            break;
        json_array_append_new(revoked, shown_key(json_array_get(keys->keys, number)));
        json_array_remove(keys->keys, number);
    }
    if (code == CLI_DONE && client_keys_save(keys, &error) != FH_OK)
        code = cli_fail(CLI_FAILED, "%s", error.message);
    if (code == CLI_DONE && as_json) {
        json_t *all = json_pack("{s:O}", "revoked", revoked);
        cli_print_json(all);
        json_decref(all);
    } else if (code == CLI_DONE) {
        json_array_foreach (revoked, i, entry)
            printf("revoked %s of %s\n", cli_text(entry, "id"), cli_text(entry, "subject"));
    }
    json_decref(revoked);
    return code;
}

/* ---- The command ---- */

/* CLI_DONE, or a usage error, which has been reported. */
static int check_key_form(const struct cli_command *command, char **words, const char **values)
{
    static const char *const of_new[] = {"--subject", "--scopes", "--roles", "--expires"};
    bool makes = strcmp(words[0], "new") == 0, revokes = strcmp(words[0], "revoke") == 0;
    for (size_t i = 0; !makes && i < sizeof of_new / sizeof *of_new; i++) {
        if (cli_value(command, values, of_new[i]))
            return cli_fail(CLI_USAGE, "only new takes %s", of_new[i]);
    }
    if (revokes && !words[1])
        return cli_fail(CLI_USAGE, "usage: freehold key revoke ID ...");
    if (!revokes && words[1])
        return cli_fail(CLI_USAGE, "%s does not expect '%s'; usage: freehold key %s", words[0],
                        words[1], command->words);
    return CLI_DONE;
}

static int run_key_command(const struct cli_command *command, char **words, const char **values)
{
    struct client_keys keys;
    json_t *entry = NULL;
    bool as_json = cli_value(command, values, "--json") != NULL;
    bool makes = strcmp(words[0], "new") == 0;
    FH_ASSERT(sodium_init() >= 0);
    int code = check_key_form(command, words, values);
    if (code == CLI_DONE && makes && !(entry = read_listed_key(command, values)))
        code = CLI_USAGE;
    if (code == CLI_DONE)
        code = open_client_keys(command, values, &keys);
    if (code != CLI_DONE) {
        json_decref(entry);
        return code;
    }
    if (makes)
        code = make_key(&keys, entry, as_json);
    else if (strcmp(words[0], "list") == 0)
        code = list_client_keys(&keys, as_json);
    else
        code = revoke_keys(&keys, words + 1, as_json);
    json_decref(entry);
    client_keys_close(&keys);
    return code;
}

const struct cli_command cli_key = {
    .name = "key",
    .words = "new|list|revoke [ID ...]",
    .words_min = 1,
    .words_max = CLI_WORDS_MAX,
    .summary = "API keys of programs that are clients: new, list, revoke",
    .text =
        "  freehold key new --subject NAME    makes a key, and prints it, once\n"
        "  freehold key list                  the keys there are, by their ids\n"
        "  freehold key revoke ID ...         ends them\n\n"
        "They are in the file that gateway.auth.keys names in the system file, which has their\n"
        "hashes alone. A running gateway sees a change within about two seconds.\n"
        "Exit codes: 0 done, 1 failed, 2 wrong usage.\n",
    .options = {{"--subject", "NAME", "new: the user that the key acts as"},
                {"--scopes", "WORDS", "new: what it may do, such as \"stock:read stock:write\""},
                {"--roles", "WORDS", "new: its roles, such as staff"},
                {"--expires", "TIME", "new: 90d from now, or 2027-01-31; default: never"},
                {"--file", "FILE", "the system file; default: freehold.yaml"},
                {"--keys", "FILE", "the file of keys itself, instead of the system file"},
                CLI_OPTION_JSON},
    .run = run_key_command,
};
