/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates and keys are read once, when a process starts: later they may be out of its reach.
 */

#define _GNU_SOURCE
#include "http/tls.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"

static enum fh_code read_tls_pem(const char *path, char **ret, struct fh_error *error)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return error_set_errno(error, FH_INVALID, errno, "%s can't be read", path);
    struct text text;
    char buffer[4096];
    size_t got;
    text_init(&text, HTTP_TLS_PEM_SIZE_MAX);
    while ((got = fread(buffer, 1, sizeof buffer, file)) > 0)
        text_append(&text, buffer, got);
    bool whole = !ferror(file) && !text.overflow;
    fclose(file);
    sodium_memzero(buffer, sizeof buffer);
    *ret = text_take(&text);
    if (whole && strstr(*ret, "-----BEGIN "))
        return FH_OK;
    return error_set(error, FH_INVALID, "%s is no PEM file of at most %zu bytes.", path,
                     HTTP_TLS_PEM_SIZE_MAX);
}

static enum fh_code read_pem(const json_t *places, const char *name, char **ret,
                             struct fh_error *error)
{
    const char *path = json_string_at(places, name);
    if (!path)
        return error_set(error, FH_INVALID, "The configuration's \"tls\" has no \"%s\".", name);
    return read_tls_pem(path, ret, error);
}

enum fh_code http_tls_read(const json_t *places, struct http_tls *ret, struct fh_error *error)
{
    *ret = (struct http_tls){0};
    if (!json_is_object(places))
        return FH_OK;
    enum fh_code code = read_pem(places, "certificate", &ret->certificate, error);
    if (code == FH_OK)
        code = read_pem(places, "key", &ret->key, error);
    if (code == FH_OK && json_object_get(places, "ca"))
        code = read_pem(places, "ca", &ret->trusted, error);
    if (code == FH_OK && json_object_get(places, "revoked"))
        code = read_pem(places, "revoked", &ret->revoked, error);
    ret->optional = json_is_true(json_object_get(places, "optional"));
    if (code != FH_OK)
        http_tls_release(ret);
    return code;
}

enum fh_code http_tls_read_trust(const char *ca, const char *certificate, const char *key,
                                 struct http_tls *ret, struct fh_error *error)
{
    *ret = (struct http_tls){0};
    enum fh_code code = read_tls_pem(ca, &ret->trusted, error);
    if (code == FH_OK && *certificate)
        code = read_tls_pem(certificate, &ret->certificate, error);
    if (code == FH_OK && *certificate)
        code = read_tls_pem(key, &ret->key, error);
    if (code != FH_OK)
        http_tls_release(ret);
    return code;
}

void http_tls_release(struct http_tls *tls)
{
    if (tls->key)
        sodium_memzero(tls->key, strlen(tls->key));
    free(tls->trusted);
    free(tls->revoked);
    free(tls->certificate);
    free(tls->key);
    *tls = (struct http_tls){0};
}
