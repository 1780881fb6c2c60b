/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptions of contracts, two of them in a line each: any bytes are services or a finding, and
 * what is said of them is text. What was read is written in a form that stays as it is, and differs
 * from itself only where nothing says how a shape goes on. */

#include <stdio.h>

#include "fuzz.h"
#include "system/contract/changes.h"
#include "system/contract/document.h"

static json_t *services_read(const char *text)
{
    struct findings findings = {0};
    json_t *services = contract_parse("fuzz", text, strlen(text), &findings);
    FH_ASSERT((services != NULL) == (findings.errors == 0));
    json_t *said = findings_json(&findings);
    char *printed = json_text(said);
    FH_ASSERT(!strpbrk(printed, "\033\a\n"));
    json_text_free(printed);
    json_decref(said);
    findings_release(&findings);
    return services;
}

static struct text written(const json_t *service)
{
    struct text text;
    json_t *document = contract_document("fuzz", &service, 1);
    text_init(&text, TEXT_LENGTH_MAX);
    contract_write(&text, document);
    json_decref(document);
    return text;
}

static void check_service(const char *name, const json_t *service)
{
    struct text text = written(service);
    json_t *read = services_read(text.data), *found = json_array(), *change;
    size_t i;
    FH_ASSERT(read != NULL);
    struct text again = written(json_object_get(read, name));
    FH_ASSERT(strcmp(text.data, again.data) == 0);
    changes_of_service(found, name, service, service);
    json_array_foreach (found, i, change)
        FH_ASSERT(strcmp(json_string_at(change, "rule"), "untold") == 0);
    json_decref(found);
    json_decref(read);
    text_release(&again);
    text_release(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_start();
    char *first = fuzz_take(&data, &size, '\n'), *second = fuzz_rest(&data, &size);
    json_t *old = services_read(first), *now = services_read(second), *service;
    json_t *found = json_array();
    const char *name;
    json_object_foreach (old, name, service) {
        check_service(name, service);
        changes_of_service(found, name, service, json_object_get(now, name));
    }
    char *printed = json_text(found);
    json_text_free(printed);
    json_decref(found);
    json_decref(old);
    json_decref(now);
    free(first);
    free(second);
    return 0;
}
