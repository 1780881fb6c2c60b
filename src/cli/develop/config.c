/* SPDX-License-Identifier: Apache-2.0 */
/* freehold config: what the system file may contain, for editors. */

#include "cli/cli.h"
#include "system/file/file.h"

static int run_config(const struct cli_command *command, char **words, const char **values)
{
    (void)words; /* "schema", as words.c has checked */
    json_t *schema = system_file_schema();
    if (cli_value(command, values, "--json")) {
        cli_print_json(schema);
    } else {
        json_dumpf(schema, stdout, JSON_INDENT(2));
        printf("\n");
    }
    json_decref(schema);
    return CLI_DONE;
}

const struct cli_command cli_config = {
    .name = "config",
    .words = "schema",
    .words_min = 1,
    .words_max = 1,
    .summary = "The JSON Schema of the system file, for editors",
    .text =
        "Editors with a YAML language server complete and check a system file that begins with\n\n"
        "  # yaml-language-server: $schema=freehold.schema.json\n\n"
        "where that is what this command prints. `new system` writes both.\n",
    .options = {{"--json", NULL, "on one line"}},
    .run = run_config,
};
