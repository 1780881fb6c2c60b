/* SPDX-License-Identifier: Apache-2.0 */
/* One stage after the other: what a later one would say about a broken earlier one is noise. */

#include "cli/load.h"

#include "system/check.h"
#include "system/describe.h"
#include "system/programs.h"

struct system_file *load_system(const char *path, const char *profile, const char *programs,
                                struct findings *findings)
{
    struct system_file *file = system_file_read(path, profile, findings);
    if (!file)
        return NULL;
    programs_find(file, programs, findings);
    if (findings->errors == 0)
        describe_programs(file, findings);
    if (findings->errors == 0)
        check_system(file, findings);
    if (findings->errors == 0)
        return file;
    system_file_free(file);
    return NULL;
}
