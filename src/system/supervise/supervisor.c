/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts of a running system, for everything that changes them. It knows nothing of the changes:
 * what the processes of a part have come to goes to `heed`, which supervise.c has set.
 */

#include "system/supervise/supervisor.h"

#include <stdarg.h>
#include <stdio.h>

void supervisor_say(struct supervisor *supervisor, enum supervise_level level, const char *id,
                    const char *service, const char *format, ...)
{
    va_list args;
    char line[512];
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    supervisor->options->say(supervisor->options->context, level, id, line);
    if (supervisor->control && supervisor->phase >= CLOSING)
        control_progress(supervisor->control, NULL, line);
    else if (supervisor->control && service)
        control_progress(supervisor->control, service, line);
}

void supervisor_tend(struct supervisor *supervisor, struct instances *instances)
{
    if (supervisor->phase == UP)
        supervisor->heed(supervisor, instances, instances_tend(instances));
}

static void tend_due(struct instances *instances)
{
    supervisor_tend(instances->model.owner, instances);
}

struct instances supervisor_instances(const struct supervisor *supervisor,
                                      const struct provision_part *part)
{
    return (struct instances){
        .part = part, .model = supervisor->model, .wanted = 1, .due = tend_due};
}

struct instances *supervisor_server(struct supervisor *supervisor,
                                    const struct provision_part *part, struct fh_error *error)
{
    for (size_t i = 0; i < supervisor->server_count; i++) {
        if (supervisor->servers[i].part == part)
            return &supervisor->servers[i];
    }
    struct instances *server = &supervisor->servers[supervisor->server_count++];
    *server = supervisor_instances(supervisor, part);
    return instances_init(server, error) == FH_OK ? server : NULL;
}
