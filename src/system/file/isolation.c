/* SPDX-License-Identifier: Apache-2.0 */
/* What a system file says of the walls around its processes. */

#include "system/file/isolation.h"

#include <unistd.h>

void file_read_isolation(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                         void *into)
{
    static const char *const kinds[] = {"users", "landlock", NULL};
    struct system_file *file = into;
    bool users = yaml_word(reader, node, what, kinds) == 0;
    file->users = users;
    file->namespaces = users;
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
                         "'isolation: landlock' TAKES A WALL AWAY: %s; leave the line out, except "
                         "to look for a fault",
                         geteuid() == 0
                             ? "every process runs as root, and sees all files that there are"
                             : "every process sees all files that there are");
    }
}
