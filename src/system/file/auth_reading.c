/* SPDX-License-Identifier: Apache-2.0 */
/* What issuers of tokens and those who introspect them have in common in the system file. */

#include "system/file/auth_reading.h"

#include <string.h>

#include "base/json.h"
#include "gateway/identity/claims.h"
#include "gateway/identity/issuer.h"

void auth_set_text(struct yaml_reader *reader, yaml_node_t *node, const char *what, void *into,
                   const char *name)
{
    const char *text = yaml_text(reader, node, what);
    if (text)
        json_object_set_new(((struct auth_reading *)into)->into, name, json_string(text));
}

void auth_set_integer(struct yaml_reader *reader, yaml_node_t *node, const char *what, void *into,
                      const char *name, int minimum, int maximum)
{
    int value = 0;
    if (yaml_integer(reader, node, what, minimum, maximum, &value))
        json_object_set_new(((struct auth_reading *)into)->into, name, json_integer(value));
}

/* ---- jwt ---- */

void auth_check_url(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                    const char *url)
{
    if (url && !issuer_url_is_safe(url))
        findings_error(reader->findings, yaml_place(reader, node),
                       "%s must be a URL that begins with https:// (or http:// with a loopback "
                       "address), and names no user",
                       what);
}

/* Whoever compares a subject with a row's compares the whole of it. */
void auth_read_subjects(struct yaml_reader *reader, yaml_node_t *node, const char *what, void *into)
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

void auth_read_scopes_place(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                            void *into)
{
    auth_set_text(reader, node, what, into, "scopes");
}

void auth_read_roles_place(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                           void *into)
{
    auth_set_text(reader, node, what, into, "roles");
}

void auth_read_leeway(struct yaml_reader *reader, yaml_node_t *node, const char *what, void *into)
{
    auth_set_integer(reader, node, what, into, "leeway_s", 0, CLAIMS_LEEWAY_S_MAX);
}

static void read_claim(struct yaml_reader *reader, yaml_node_t *node, const char *what, void *into)
{
    const char *name = yaml_text(reader, node, what);
    if (name)
        json_array_append_new(into, json_string(name));
}

void auth_read_claims_passed(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                             void *into)
{
    json_t *list = json_array();
    yaml_read_list(reader, node, what, CLAIMS_PASSED_MAX, read_claim, list);
    json_object_set_new(((struct auth_reading *)into)->into, "claims", list);
}
