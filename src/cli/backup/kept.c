/* SPDX-License-Identifier: Apache-2.0 */
/* Shows the user a backup's folder. */

#include "cli/backup/kept.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/json.h"
#include "cli/cli.h"
#include "cli/table.h"

void kept_begin(struct kept_reading *reading, const char *service, bool quiet)
{
    progress_begin(&reading->progress, service, "bytes", 0, quiet);
}

void kept_told(void *context, int64_t done, int64_t total)
{
    struct kept_reading *reading = context;
    reading->progress.total = total;
    progress_reach(&reading->progress, done);
}

void kept_end(struct kept_reading *reading)
{
    progress_end(&reading->progress);
}

void kept_format_time(const json_t *said, char out[static KEPT_TIME_SIZE])
{
    time_t seconds = (time_t)(cli_number(said, "taken_ms") / 1000);
    struct tm parts;
    gmtime_r(&seconds, &parts);
    strftime(out, KEPT_TIME_SIZE, "%Y-%m-%d %H:%M:%S UTC", &parts);
}

void kept_print(const json_t *manifest, const char *folder, bool as_json)
{
    const char *name;
    json_t *said;
    char taken[KEPT_TIME_SIZE];
    if (as_json) {
        json_t *told = json_copy_out(manifest);
        json_object_set_new(told, "folder", json_string(folder));
        cli_print_json(told);
        json_decref(told);
        return;
    }
    kept_format_time(manifest, taken);
    printf("%s holds a backup of %s, taken %s.\n", folder, json_string_at(manifest, "system"),
           taken);
    struct cli_table table;
    table_begin(&table, (const char *const[]){"SERVICE", "MODEL", "FROM", ">ROWS", ">BYTES",
                                              ">POSITION", NULL});
    json_object_foreach (json_object_get(manifest, "services"), name, said) {
        table_cell(&table, "%s", name);
        table_cell(&table, "%s", json_string_at(said, "model"));
        table_cell(&table, "%s", json_string_at(said, "engine"));
        table_cell(&table, "%lld", cli_number(said, "rows"));
        table_cell(&table, "%lld", cli_number(said, "size"));
        table_cell(&table, "%lld", cli_number(said, "position"));
    }
    table_end(&table);
}

void kept_warn_of_unsealed(const char *folder)
{
    cli_note(CLI_YELLOW,
             "It is NEITHER ENCRYPTED NOR SIGNED: whoever can read %s reads all that the stores "
             "hold, and whoever can write there can change it unnoticed. backup.key in the system "
             "file, or --key FILE, names a key.",
             folder);
}

static int check_kept_service(const json_t *manifest, const struct backup_key *key, int folder_fd,
                              const char *service, bool quiet)
{
    struct fh_error error;
    struct kept_reading reading;
    const json_t *said = json_object_get(json_object_get(manifest, "services"), service);
    if (!said)
        return cli_fail(CLI_USAGE, "the backup holds no service '%s'", service);
    struct backup_copying copying = backup_key_reading(manifest, key);
    copying.told = kept_told;
    copying.context = &reading;
    kept_begin(&reading, service, quiet);
    enum fh_code code = backup_check_file(folder_fd, service, said, &copying, &error);
    kept_end(&reading);
    return code == FH_OK ? CLI_DONE : cli_fail(CLI_FAILED, "%s", error.message);
}

int kept_check_files(const json_t *manifest, const struct backup_key *key, int folder_fd,
                     char **words, bool quiet)
{
    const char *name;
    json_t *said;
    int code = CLI_DONE;
    for (char **word = words; *word; word++) {
        int one = check_kept_service(manifest, key, folder_fd, *word, quiet);
        code = one == CLI_DONE ? code : one;
    }
    if (*words)
        return code;
    json_object_foreach (json_object_get(manifest, "services"), name, said) {
        int one = check_kept_service(manifest, key, folder_fd, name, quiet);
        code = one == CLI_DONE ? code : one;
    }
    return code;
}

int kept_check(const char *folder, struct backup_key *key, char **words, bool as_json)
{
    json_t *manifest;
    int folder_fd, code = backup_key_open(folder, key, true, &folder_fd, &manifest);
    if (code != CLI_DONE)
        return code;
    code = kept_check_files(manifest, key, folder_fd, words, as_json);
    if (code == CLI_DONE)
        kept_print(manifest, folder, as_json);
    if (code == CLI_DONE && !backup_is_sealed(manifest))
        kept_warn_of_unsealed(folder);
    if (code == CLI_DONE && !as_json)
        printf("Its files are as they were when it was made%s.\n",
               backup_is_sealed(manifest) ? ", signed with this key" : "");
    json_decref(manifest);
    close(folder_fd);
    return code;
}
