/* SPDX-License-Identifier: Apache-2.0 */
/* System files: any bytes are a system or findings, never neither. */

#define _GNU_SOURCE
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"
#include "system/file/file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_start();
    char path[64];
    int file = memfd_create("system", MFD_CLOEXEC);
    FH_ASSERT(file >= 0 && write(file, data, size) == (ssize_t)size);
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    struct findings findings = {0};
    struct system_file *system = system_file_read(path, NULL, &findings);
    FH_ASSERT(system || findings.errors > 0);
    json_t *said = findings_json(&findings);
    char *text = json_text(said);
    json_text_free(text);
    json_decref(said);
    for (size_t i = 0; system && i < system->composition_count; i++)
        json_decref(system_file_composition(&system->compositions[i]));
    system_file_free(system);
    findings_release(&findings);
    close(file);
    return 0;
}
