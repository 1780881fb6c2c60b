/* SPDX-License-Identifier: Apache-2.0 */
/* The TLS settings of a link, and the messages when it fails. */

#include "store/tls.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"

bool store_is_here(const char *host)
{
    return host[0] == '/' || strcmp(host, "localhost") == 0 || strcmp(host, "::1") == 0 ||
           strncmp(host, "127.", 4) == 0;
}

/* ---- settings ---- */

json_t *store_tls_json(const json_t *said, const char *host)
{
    json_t *tls = said ? json_deep_copy(said)
                       : json_pack("{s:s}", "mode", store_is_here(host) ? "off" : "verify");
    const char *mode = json_string_at(tls, "mode");
    if (mode && strcmp(mode, "verify") == 0 && !json_object_get(tls, "ca"))
        json_object_set_new(tls, "ca", json_string(STORE_TLS_CA));
    return tls;
}

static enum fh_code copy_tls_text(const json_t *server, const char *path, const char *otherwise,
                                  char *ret, size_t size, struct fh_error *error)
{
    const char *text = json_string_at(server, path);
    if (!text || !text[0])
        text = otherwise;
    if (strlen(text) >= size)
        return error_set(error, FH_INVALID,
                         "\"%s\" of the configuration's \"store\" is longer than %zu bytes.", path,
                         size - 1);
    memcpy(ret, text, strlen(text) + 1);
    return FH_OK;
}

enum fh_code store_tls_read(const json_t *server, struct store_tls *ret, struct fh_error *error)
{
    const char *mode = json_string_at(server, "tls.mode"), *host = json_string_at(server, "host");
    if (!mode)
        mode = !host || store_is_here(host) ? "off" : "verify";
    *ret = (struct store_tls){.verify = strcmp(mode, "verify") == 0};
    if (!ret->verify && strcmp(mode, "off") != 0)
        return error_set(error, FH_INVALID,
                         "\"tls.mode\" of the configuration's \"store\" is \"%.20s\"; expected "
                         "\"verify\" or \"off\".",
                         mode);
    enum fh_code code =
        copy_tls_text(server, "tls.ca", STORE_TLS_CA, ret->ca, sizeof ret->ca, error);
    if (code == FH_OK)
        code = copy_tls_text(server, "tls.certificate", "", ret->certificate,
                             sizeof ret->certificate, error);
    if (code == FH_OK)
        code = copy_tls_text(server, "tls.key", "", ret->key, sizeof ret->key, error);
    if (code == FH_OK && !ret->certificate[0] != !ret->key[0])
        code = error_set(error, FH_INVALID,
                         "\"tls\" of the configuration's \"store\" has one of certificate and key; "
                         "they go together.");
    return code;
}

/* ---- what went wrong ---- */

enum store_tls_fault store_tls_said(const struct store_tls_words *known, const char *said)
{
    while (known->words && !strstr(said, known->words))
        known++;
    return known->fault;
}

bool store_tls_failed(const char *host, enum store_tls_fault fault, struct fh_error *error)
{
    switch (fault) {
    case STORE_TLS_PLAIN:
        error_set(error, FH_UNAVAILABLE,
                  "The store's server %.64s takes no TLS: give it a certificate, or say tls: "
                  "{ mode: off } where the way to it is safe.",
                  host);
        break;
    case STORE_TLS_OTHER_HOST:
        error_set(error, FH_UNAVAILABLE,
                  "The store's server %.64s has a certificate of another host: it must name the "
                  "host by which it is reached.",
                  host);
        break;
    case STORE_TLS_EXPIRED:
        error_set(error, FH_UNAVAILABLE,
                  "The certificate of the store's server %.64s has expired: it must be renewed.",
                  host);
        break;
    case STORE_TLS_OTHER_AUTHORITY:
        error_set(error, FH_UNAVAILABLE,
                  "The certificate of the store's server %.64s is not of an authority in tls.ca, "
                  "or not valid at this time.",
                  host);
        break;
    case STORE_TLS_UNKNOWN_CLIENT:
        error_set(error, FH_UNAVAILABLE,
                  "The store's server %.64s wants a certificate of the service that it knows: "
                  "name it in tls.certificate, and its key in tls.key.",
                  host);
        break;
    case STORE_TLS_WEAK:
        error_set(
            error, FH_UNAVAILABLE,
            "The store's server %.64s offers no TLS that is good enough: expected 1.3, or 1.2 "
            "with ECDHE and AES-GCM or ChaCha20-Poly1305.",
            host);
        break;
    case STORE_TLS_HUNG_UP:
        error_set(error, FH_UNAVAILABLE,
                  "The store's server %.64s takes no TLS (then say tls: { mode: off }), or wants a "
                  "certificate of the service that it knows (tls.certificate).",
                  host);
        break;
    case STORE_TLS_UNKNOWN:
        return false;
    }
    snprintf(error->native, sizeof error->native, STORE_TLS_NATIVE);
    return true;
}

bool store_tls_is_failure(const struct fh_error *error)
{
    return strcmp(error->native, STORE_TLS_NATIVE) == 0;
}
