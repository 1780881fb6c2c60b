/* SPDX-License-Identifier: Apache-2.0 */
/* freehold describe: writes what services promise and expect, for other teams and for later. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "cli/beside.h"
#include "cli/cli.h"
#include "cli/load.h"
#include "system/contract/document.h"

/* Of the whole system, or of one service. False: it has no such service. */
static bool take_descriptions(const struct system_file *file, const char *service,
                              const json_t *descriptions[static SYSTEM_SERVICES_MAX],
                              size_t *ret_count)
{
    *ret_count = 0;
    for (size_t i = 0; i < file->service_count; i++) {
        if (!service || strcmp(file->services[i].name, service) == 0)
            descriptions[(*ret_count)++] = file->services[i].description;
    }
    return *ret_count > 0;
}

static int write_document(const char *path, const struct text *text, size_t count, bool as_json)
{
    if (!path) {
        fwrite(text->data, 1, text->length, stdout);
        return CLI_DONE;
    }
    int code = beside_write(path, text);
    if (code == CLI_DONE && (code = beside_take(path)) != CLI_DONE)
        beside_drop(path);
    if (code == CLI_DONE && as_json) {
        json_t *told = json_pack("{s:s, s:I}", "written", path, "services", (json_int_t)count);
        cli_print_json(told);
        json_decref(told);
    } else if (code == CLI_DONE) {
        cli_line(2, "%s describes %zu %s.", path, count, count == 1 ? "service" : "services");
    }
    return code;
}

/* What can't be read back is not written. */
static int describe_services(struct system_file *file, const char *service, const char *path,
                             bool as_json, struct findings *findings)
{
    const json_t *descriptions[SYSTEM_SERVICES_MAX];
    struct text text;
    size_t count;
    if (!take_descriptions(file, service, descriptions, &count))
        return load_no_service(file, service);
    json_t *document = contract_document(file->name, descriptions, count);
    text_init(&text, TEXT_LENGTH_MAX);
    contract_write(&text, document);
    json_t *read = NULL;
    int code = CLI_FAILED;
    if (text.overflow || text.length > CONTRACT_SIZE_MAX)
        cli_fail(code, "the description has more than %zu MiB: describe fewer services in one",
                 CONTRACT_SIZE_MAX >> 20);
    else if ((read = contract_parse(path ? path : "the description", text.data, text.length,
                                    findings)))
        code = write_document(path, &text, count, as_json);
    json_decref(read);
    text_release(&text);
    json_decref(document);
    return code;
}

static int run_describe(const struct cli_command *command, char **words, const char **values)
{
    struct findings findings = {0};
    struct load_options options = load_options_of(command, values, words[0]);
    options.described_only = true;
    struct system_file *file = load_system(&options, &findings);
    int code = CLI_FAILED;
    if (file)
        code = describe_services(file, words[1], cli_value(command, values, "--out"),
                                 cli_value(command, values, "--json") != NULL, &findings);
    cli_print_findings(&findings);
    system_file_free(file);
    findings_release(&findings);
    return code;
}

const struct cli_command cli_describe = {
    .name = "describe",
    .words = "FILE [SERVICE]",
    .words_min = 1,
    .words_max = 2,
    .summary = "Write down what services promise and expect, for other teams",
    .text = "Routes with bodies and answers, event types with versions and shapes, and what is\n"
            "asked of whom and read of which event: of all services of FILE, or of one. The same\n"
            "programs give the same bytes, without secrets and without paths, so it can be kept\n"
            "with the sources. `check --against` and `check --others` read it, and `events diff`\n"
            "compares two. The system need not run, and what its services expect of others need\n"
            "not be there. Exit codes: 0 done, 1 failed, 2 wrong usage.\n",
    .options = {{"--out", "FILE", "write it there, instead of to standard output"},
                CLI_OPTION_STATE_BESIDE,
                CLI_OPTION_PROFILE,
                CLI_OPTION_PROGRAMS,
                CLI_OPTION_JSON},
    .run = run_describe,
};
