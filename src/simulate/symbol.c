/* SPDX-License-Identifier: Apache-2.0 */
/* The loader knows exported functions alone, and handlers are static: so the object file's own
 * table of symbols is read. */

#define _GNU_SOURCE
#include "simulate/symbol.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <gelf.h>
#include <libelf.h>
#include <link.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

/* An executable with fixed addresses is loaded at 0, not where its headers are. */
static uintptr_t load_bias(const struct link_map *map)
{
    return (uintptr_t)map->l_addr;
}

static bool find_symbol_at(Elf *elf, uintptr_t offset, char ret[static SYMBOL_SIZE])
{
    GElf_Shdr header;
    GElf_Sym symbol;
    for (Elf_Scn *section = elf_nextscn(elf, NULL); section; section = elf_nextscn(elf, section)) {
        if (!gelf_getshdr(section, &header) || header.sh_type != SHT_SYMTAB || !header.sh_entsize)
            continue;
        Elf_Data *data = elf_getdata(section, NULL);
        int count = data ? (int)(data->d_size / header.sh_entsize) : 0;
        for (int i = 0; i < count && gelf_getsym(data, i, &symbol); i++) {
            const char *name = elf_strptr(elf, header.sh_link, symbol.st_name);
            if (GELF_ST_TYPE(symbol.st_info) != STT_FUNC || offset < symbol.st_value ||
                offset - symbol.st_value >= symbol.st_size || !name)
                continue;
            snprintf(ret, SYMBOL_SIZE, "%s", name);
            return true;
        }
    }
    return false;
}

static bool find_in_object(const char *path, uintptr_t offset, char ret[static SYMBOL_SIZE])
{
    bool found = false;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || elf_version(EV_CURRENT) == EV_NONE)
        return false;
    Elf *elf = elf_begin(fd, ELF_C_READ, NULL);
    if (elf && elf_kind(elf) == ELF_K_ELF)
        found = find_symbol_at(elf, offset, ret);
    elf_end(elf);
    close(fd);
    return found;
}

static bool find_symbol_name(const void *address, bool own, char ret[static SYMBOL_SIZE])
{
    Dl_info about;
    struct link_map *map = NULL;
    ret[0] = '\0';
    if (!dladdr1(address, &about, (void **)&map, RTLD_DL_LINKMAP) || !map)
        return false;
    bool program = !map->l_name || !*map->l_name;
    if (own && !program)
        return false;
    if (find_in_object(program ? "/proc/self/exe" : about.dli_fname,
                       (uintptr_t)address - load_bias(map), ret))
        return true;
    if (about.dli_sname)
        snprintf(ret, SYMBOL_SIZE, "%s", about.dli_sname);
    return about.dli_sname != NULL;
}

bool symbol_name(const void *address, char ret[static SYMBOL_SIZE])
{
    return find_symbol_name(address, false, ret);
}

bool symbol_name_own(const void *address, char ret[static SYMBOL_SIZE])
{
    return find_symbol_name(address, true, ret);
}
