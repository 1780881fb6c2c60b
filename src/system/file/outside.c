/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See outside.h. The files of keys are read once the profile is chosen: those that it replaces need
 * not be there; and again by an upgrade. Their text goes into the service's own configuration,
 * since a confined process can't read them.
 */

#include "system/file/outside.h"

#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "call/webhook.h"
#include "http/outside.h"
#include "system/file/secret_file.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static struct system_outside *outside_of(void *service)
{
    return &((struct system_service *)service)->outside;
}

void file_read_outside(struct yaml_reader *reader, yaml_node_t *node, const char *what, void *into)
{
    /* Only public Internet addresses, or also this machine and its network. */
    static const char *const kinds[] = {"public", "anywhere", NULL};
    outside_of(into)->anywhere = yaml_word(reader, node, what, kinds, true) == 1;
}

static void read_outside_port(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                              void *into)
{
    struct system_outside *outside = outside_of(into);
    int port;
    if (yaml_integer(reader, node, what, 1, UINT16_MAX, &port))
        outside->ports[outside->port_count++] = port;
}

void file_read_outside_ports(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                             void *into)
{
    outside_of(into)->port_count = 0; /* a profile's list replaces it */
    yaml_read_list(reader, node, what, SYSTEM_OUTSIDE_PORTS_MAX, read_outside_port, into);
}

void file_read_outside_http(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                            void *into)
{
    yaml_bool(reader, node, what, &outside_of(into)->http);
}

/* ---- Hosts ---- */

static const char *read_pattern(struct yaml_reader *reader, yaml_node_t *node, const char *what)
{
    const char *pattern = yaml_text(reader, node, what);
    if (!pattern || outside_is_pattern(pattern))
        return pattern;
    findings_error(reader->findings, yaml_place(reader, node),
                   "%s: '%.64s' is not a host; expected one in lower case without a port, such as "
                   "hooks.example.com, or *.example.com, or * for all",
                   what, pattern);
    return NULL;
}

static void read_outside_host(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                              void *into)
{
    const char *pattern = read_pattern(reader, node, what);
    if (pattern)
        json_array_append_new(outside_of(into)->hosts, json_string(pattern));
}

void file_read_outside_hosts(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                             void *into)
{
    json_decref(outside_of(into)->hosts);
    outside_of(into)->hosts = json_array();
    yaml_read_list(reader, node, what, OUTSIDE_HOSTS_MAX, read_outside_host, into);
}

/* ---- Keys ---- */

static void read_key_host(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                          void *into)
{
    ((struct system_outside_key *)into)->host = read_pattern(reader, node, what);
}

static void read_key_file(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                          void *into)
{
    struct system_outside_key *key = into;
    const char *path = yaml_text(reader, node, what);
    if (!path)
        return;
    key->files[key->file_count] = path;
    key->places[key->file_count++] = yaml_place(reader, node);
}

static void read_key_files(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                           void *into)
{
    yaml_read_list(reader, node, what, WEBHOOK_KEYS_MAX, read_key_file, into);
}

static void read_keys_of_host(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                              void *into)
{
    static const struct yaml_key keys[] = {
        {"host", read_key_host, true,
         "the host whose webhooks are signed with these keys; *: all hosts"},
        {"files", read_key_files, true,
         "files with one key each, whsec_... or whsk_...; each adds a signature"}};
    struct system_outside *outside = outside_of(into);
    struct system_outside_key *key = &outside->keys[outside->key_count++];
    *key = (struct system_outside_key){.host = NULL};
    yaml_read_mapping(reader, node, what, keys, COUNT(keys), key);
}

void file_read_outside_keys(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                            void *into)
{
    outside_of(into)->key_count = 0;
    yaml_read_list(reader, node, what, SYSTEM_OUTSIDE_KEYS_MAX, read_keys_of_host, into);
}

/* A secret that several receivers share lets each of them pose as this system to the others. */
static bool check_key_kind(const struct system_service *service,
                           const struct system_outside_key *key, size_t at, const char *path,
                           const char *text, struct findings *findings)
{
    enum webhook_kind kind = webhook_key_kind(text);
    if (kind == WEBHOOK_NO_KEY)
        findings_error(findings, key->places[at],
                       "services.%s.outside_keys: %s holds no key for webhooks; expected whsec_ "
                       "and the base64 of 24 to 64 bytes, or whsk_ and that of an Ed25519 key",
                       service->name, path);
    else if (kind == WEBHOOK_SHARED && outside_is_wide(key->host))
        findings_error(findings, key->places[at],
                       "services.%s.outside_keys: %s holds a shared secret (whsec_), with which "
                       "each receiver could pose as this system to the others that '%s' stands "
                       "for: name one host, or sign with a private key (whsk_)",
                       service->name, path, key->host);
    else
        return true;
    return false;
}

static json_t *read_key_texts(const struct system_file *file, const struct system_service *service,
                              const struct system_outside_key *key, struct findings *findings)
{
    json_t *texts = json_array();
    for (size_t i = 0; i < key->file_count; i++) {
        char text[WEBHOOK_KEY_LENGTH_MAX + 1], path[PATH_MAX];
        struct fh_error error = {0};
        bool absolute = key->files[i][0] == '/';
        snprintf(path, sizeof path, "%s%s%s", absolute ? "" : file->folder, absolute ? "" : "/",
                 key->files[i]);
        if (secret_file_read(path, text, sizeof text, &error) != FH_OK)
            findings_error(findings, key->places[i], "services.%s.outside_keys: %s", service->name,
                           error.message);
        else if (check_key_kind(service, key, i, path, text, findings))
            json_array_append_new(texts, json_string(text));
        sodium_memzero(text, sizeof text);
    }
    return texts;
}

void file_settle_outside(const struct system_file *file, struct system_service *service,
                         struct findings *findings)
{
    struct system_outside *outside = &service->outside;
    size_t errors = findings->errors;
    if (file->keyless)
        return;
    json_t *signing = json_array();
    for (size_t i = 0; i < outside->key_count; i++) {
        const struct system_outside_key *key = &outside->keys[i];
        if (key->host) /* otherwise there is a finding already */
            json_array_append_new(signing, json_pack("{s:s, s:o}", "host", key->host, "keys",
                                                     read_key_texts(file, service, key, findings)));
    }
    if (findings->errors > errors) {
        json_decref(signing);
        return;
    }
    json_decref(outside->signing);
    outside->signing = signing;
}

void file_outside_release(struct system_outside *outside)
{
    json_decref(outside->hosts);
    json_decref(outside->signing);
}
