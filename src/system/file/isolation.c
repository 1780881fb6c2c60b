/* SPDX-License-Identifier: Apache-2.0 */
/* What a system file says of the walls around its processes. */

#include "system/file/isolation.h"

#include <unistd.h>

void file_read_isolation(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                         void *into)
{
    static const char *const kinds[] = {"users", "landlock", NULL};
    struct system_file *file = into;
    int kind = yaml_word(reader, node, what, kinds, true);
    if (kind < 0) /* it has been reported */
        return;
    file->users = kind == 0;
    file->namespaces = kind == 0;
    file->isolation_place = yaml_place(reader, node);
}

static void read_visible(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                         void *into)
{
    struct system_service *service = into;
    struct system_path *path = &service->reads[service->read_count];
    path->path = yaml_text(reader, node, what);
    path->place = yaml_place(reader, node);
    service->read_count += path->path != NULL;
}

void file_read_reads(struct yaml_reader *reader, yaml_node_t *node, const char *what, void *into)
{
    ((struct system_service *)into)->read_count = 0; /* a profile's list replaces the service's */
    yaml_read_list(reader, node, what, SYSTEM_READS_MAX, read_visible, into);
}

void file_settle_reads(struct system_file *file, struct system_service *service,
                       struct findings *findings)
{
    for (size_t i = 0; i < service->read_count; i++) {
        struct system_path *path = &service->reads[i];
        if (path->path[0] != '/')
            path->path = arena_printf(&file->arena, "%s/%s", file->folder, path->path);
        if (access(path->path, F_OK) != 0)
            findings_error(findings, path->place, "services.%s.reads: there is no %s",
                           service->name, path->path);
    }
}

/* Also where nothing is said: what the one who runs `up` can give. */
void file_settle_isolation(struct system_file *file, struct findings *findings)
{
    bool said = file->isolation_place.line != 0;
    if (!said) {
        file->users = geteuid() == 0;
        file->namespaces = true;
    } else if (!file->users) {
        findings_warning(findings, file->isolation_place,
                         "'isolation: landlock' WEAKENS THE ISOLATION of processes: %s; remove the "
                         "line unless you are debugging",
                         geteuid() == 0 ? "each runs as root and sees that every file exists"
                                        : "each sees that every file exists");
    }
}
