/* SPDX-License-Identifier: Apache-2.0 */
/* A listener that is inside must not be reached from outside: it has an address of its own, of this
 * machine or of a private network, never all of them. */

#include "system/file/exposure.h"

#include "http/public.h"
#include "system/file/address.h"
#include "system/file/file.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static void read_exposed(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                         enum exposure *into)
{
    int chosen = yaml_word(reader, node, what, exposure_words, true);
    if (chosen >= 0)
        *into = (enum exposure)chosen;
}

static void read_exposed_metrics(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                                 void *into)
{
    read_exposed(reader, node, what, (enum exposure *)into + EXPOSED_METRICS);
}

static void read_exposed_docs(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                              void *into)
{
    read_exposed(reader, node, what, (enum exposure *)into + EXPOSED_DOCS);
}

static void read_exposed_openapi(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                                 void *into)
{
    read_exposed(reader, node, what, (enum exposure *)into + EXPOSED_OPENAPI);
}

static void read_exposed_asyncapi(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                                  void *into)
{
    read_exposed(reader, node, what, (enum exposure *)into + EXPOSED_ASYNCAPI);
}

static bool sees_less(enum exposure one, enum exposure than)
{
    static const int seen[] = {[EXPOSURE_OFF] = 0, [EXPOSURE_INSIDE] = 1, [EXPOSURE_PUBLIC] = 2};
    return seen[one] < seen[than];
}

static void read_gateway_exposure(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                                  void *into)
{
    static const struct yaml_key keys[] = {
        {"metrics", read_exposed_metrics, false, "/metrics"},
        {"docs", read_exposed_docs, false, "/docs, the page of the two documents"},
        {"openapi", read_exposed_openapi, false, "/openapi.json"},
        {"asyncapi", read_exposed_asyncapi, false, "/asyncapi.json"}};
    enum exposure *exposures = ((struct system_file *)into)->gateway_exposure;
    yaml_read_mapping(reader, node, what, keys, COUNT(keys), exposures);
    for (int i = EXPOSED_OPENAPI; node && i <= EXPOSED_ASYNCAPI; i++) {
        if (sees_less(exposures[i], exposures[EXPOSED_DOCS]))
            findings_error(reader->findings, yaml_place(reader, node),
                           "%s: docs is %s and %s is %s, but the page reads that document: whoever "
                           "sees the page must see it, too",
                           what, exposure_words[exposures[EXPOSED_DOCS]], exposed_words[i],
                           exposure_words[exposures[i]]);
    }
}

static void read_service_exposure(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                                  void *into)
{
    static const struct yaml_key keys[] = {
        {"metrics", read_exposed_metrics, false, "/metrics"},
        {"openapi", read_exposed_openapi, false, "/openapi.json, with all its routes"},
        {"asyncapi", read_exposed_asyncapi, false, "/asyncapi.json"}};
    yaml_read_mapping(reader, node, what, keys, COUNT(keys),
                      ((struct system_file *)into)->service_exposure);
}

void file_read_exposure(struct yaml_reader *reader, yaml_node_t *node, const char *what, void *into)
{
    static const struct yaml_key keys[] = {
        {"gateway", read_gateway_exposure, false, "the gateway's; default: inside"},
        {"services", read_service_exposure, false,
         "those at services' own ports; default: inside"}};
    yaml_read_mapping(reader, node, what, keys, COUNT(keys), into);
}

void file_read_inside(struct yaml_reader *reader, yaml_node_t *node, const char *what, void *into)
{
    struct system_file *file = into;
    struct sockaddr_storage address;
    socklen_t length;
    struct fh_error error;
    const char *inside = yaml_text(reader, node, what);
    if (!inside)
        return;
    if (address_parse(inside, &address, &length, &error) != FH_OK)
        findings_error(reader->findings, yaml_place(reader, node),
                       "%s '%.64s' is not an address. %s", what, inside, error.message);
    else if (address_is_any(&address) || http_is_public((const struct sockaddr *)&address))
        findings_error(reader->findings, yaml_place(reader, node),
                       "%s '%.64s' is reached from outside, too: expected an address of this "
                       "machine or of a private network, such as 127.0.0.1:9464",
                       what, inside);
    else
        file->inside = inside;
}
