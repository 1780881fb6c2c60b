/* SPDX-License-Identifier: Apache-2.0 */
/* Pure, and without memory of its own: judging reads the words in place. */

#include "call/auth.h"

#include <string.h>

#define LIST_NAMES                                                                                 \
    {                                                                                              \
        {"scopes", "scope:"},                                                                      \
        {                                                                                          \
            "roles", "role:"                                                                       \
        }                                                                                          \
    }

struct auth_word {
    const char *at;
    size_t length;
};

/* False: there is none left. */
static bool next_auth_word(const char **at, struct auth_word *ret)
{
    const char *begin = *at + strspn(*at, " ");
    *ret = (struct auth_word){begin, strcspn(begin, " ")};
    *at = begin + ret->length;
    return ret->length > 0;
}

static bool word_is(const struct auth_word *word, const char *text)
{
    return word->length == strlen(text) && strncmp(word->at, text, word->length) == 0;
}

/* "scope:NAME", "role:NAME": sets the list that must hold NAME, and leaves NAME in `word`. */
static const char *demanded_list(struct auth_word *word)
{
    static const char *const lists[][2] = LIST_NAMES;
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        size_t prefix = strlen(lists[i][1]);
        if (word->length > prefix && strncmp(word->at, lists[i][1], prefix) == 0) {
            word->at += prefix;
            word->length -= prefix;
            return lists[i][0];
        }
    }
    return NULL;
}

enum fh_code auth_check(const char *auth, struct fh_error *error)
{
    struct auth_word word;
    const char *at = auth ? auth : "";
    bool anyone = false, more = false;
    while (next_auth_word(&at, &word)) {
        struct auth_word name = word;
        bool alone = word_is(&word, "anyone");
        if (!alone && !word_is(&word, "user") && !demanded_list(&name))
            return error_set(error, FH_INVALID,
                             "\"%.*s\" is none of FH_ANYONE, FH_USER, FH_SCOPE(\"NAME\") and "
                             "FH_ROLE(\"NAME\"); a name has no blanks.",
                             (int)(word.length < 64 ? word.length : 64), word.at);
        anyone = anyone || alone;
        more = more || !alone;
    }
    return anyone && more ? error_set(error, FH_INVALID, "FH_ANYONE goes with nothing else.")
                          : FH_OK;
}

bool auth_holds(const json_t *identity, const char *name, const char *text, size_t length)
{
    size_t i;
    json_t *one;
    json_array_foreach (json_object_get(identity, name), i, one) {
        if (json_string_length(one) == length && memcmp(json_string_value(one), text, length) == 0)
            return true;
    }
    return false;
}

enum auth_verdict auth_judge(const char *auth, const json_t *identity)
{
    struct auth_word word;
    const char *at = auth ? auth : "";
    if (strcmp(at, "anyone") == 0) /* as most routes have it that are asked often */
        return AUTH_GRANTED;
    if (auth_check(auth, ERROR_UNHEEDED) != FH_OK)
        return AUTH_NOT_GRANTED;
    while (next_auth_word(&at, &word)) {
        if (word_is(&word, "anyone"))
            continue;
        if (!identity)
            return AUTH_USER_MISSING;
        const char *list = demanded_list(&word);
        if (list && !auth_holds(identity, list, word.at, word.length))
            return AUTH_NOT_GRANTED;
    }
    return AUTH_GRANTED;
}

bool auth_is_open(const char *auth)
{
    return auth_judge(auth, NULL) == AUTH_GRANTED;
}

json_t *auth_text(const char *auth)
{
    struct auth_word word;
    const char *at = auth ? auth : "";
    json_t *words = json_string("");
    while (next_auth_word(&at, &word)) {
        const char *before = json_string_value(words);
        json_t *longer =
            json_sprintf("%s%s%.*s", before, *before ? " " : "", (int)word.length, word.at);
        json_decref(words);
        words = longer;
    }
    return words;
}

json_t *auth_demanded(const char *auth, const char *name)
{
    struct auth_word word;
    const char *at = auth ? auth : "";
    json_t *demanded = json_array();
    while (next_auth_word(&at, &word)) {
        const char *list = demanded_list(&word);
        if (list && strcmp(list, name) == 0)
            json_array_append_new(demanded, json_stringn(word.at, word.length));
    }
    return demanded;
}
