/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_FILE_EXPOSURE_H
#define SYSTEM_FILE_EXPOSURE_H

/* Who may see measurements and documents, in the system file: exposure, and gateway.inside. */

#include "service/exposure.h"
#include "system/file/yaml.h"

/* For file.c and gateway.c; `into` is a struct system_file. */
yaml_read file_read_exposure, file_read_inside;

#endif
