/* SPDX-License-Identifier: Apache-2.0 */
/* The ELF symbol tables of what is loaded: elf(5). Whatever in them points outside the file is
 * taken for absent. */

#define _GNU_SOURCE
#include "base/symbol.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MODULES_MAX 32
#define NAME_LENGTH_MAX 48
#define FUNCTION_LENGTH_MAX 96

struct module {
    char name[NAME_LENGTH_MAX + 1];
    uintptr_t base, first, last; /* `last`: behind it */
    const ElfW(Sym) * symbols;   /* NULL: not known */
    size_t symbol_count;
    const char *strings;
    size_t strings_size;
};

static struct module modules[MODULES_MAX];
static int module_count;

/* ---- reading a file ---- */

static bool part_is_inside(size_t size, uint64_t offset, uint64_t length)
{
    return offset <= size && length <= size - offset;
}

static bool is_elf_file(const char *file, size_t size)
{
    ElfW(Ehdr) head;
    if (size < sizeof head)
        return false;
    memcpy(&head, file, sizeof head);
    return memcmp(head.e_ident, ELFMAG, SELFMAG) == 0 &&
           head.e_ident[EI_CLASS] == (sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32) &&
           head.e_shentsize == sizeof(ElfW(Shdr)) && head.e_shoff % _Alignof(ElfW(Shdr)) == 0 &&
           part_is_inside(size, head.e_shoff, (uint64_t)head.e_shnum * sizeof(ElfW(Shdr)));
}

/* The whole table (.symtab) if there is one, else that of what is exported (.dynsym). */
static void take_symbols(struct module *module, const char *file, size_t size)
{
    if (!is_elf_file(file, size))
        return;
    const ElfW(Ehdr) *head = (const void *)file;
    const ElfW(Shdr) *sections = (const void *)(file + head->e_shoff);
    for (unsigned i = 0; i < head->e_shnum; i++) {
        const ElfW(Shdr) *section = &sections[i];
        bool whole = section->sh_type == SHT_SYMTAB;
        if ((!whole && (section->sh_type != SHT_DYNSYM || module->symbols)) ||
            section->sh_link >= head->e_shnum || section->sh_entsize != sizeof(ElfW(Sym)) ||
            section->sh_offset % _Alignof(ElfW(Sym)) != 0 ||
            !part_is_inside(size, section->sh_offset, section->sh_size))
            continue;
        const ElfW(Shdr) *strings = &sections[section->sh_link];
        if (!part_is_inside(size, strings->sh_offset, strings->sh_size))
            continue;
        module->symbols = (const void *)(file + section->sh_offset);
        module->symbol_count = section->sh_size / sizeof(ElfW(Sym));
        module->strings = file + strings->sh_offset;
        module->strings_size = strings->sh_size;
    }
}

static void map_symbols(struct module *module, const char *path)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0) {
        size_t size = (size_t)status.st_size;
        void *file = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (file != MAP_FAILED)
            take_symbols(module, file, size);
    }
    close(fd);
}

static int note_module(struct dl_phdr_info *info, size_t size, void *unused)
{
    (void)size, (void)unused;
    if (module_count == MODULES_MAX)
        return 1;
    struct module *module = &modules[module_count];
    *module = (struct module){.base = info->dlpi_addr, .first = UINTPTR_MAX};
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        if (part->p_type != PT_LOAD)
            continue;
        uintptr_t first = info->dlpi_addr + part->p_vaddr;
        if (first < module->first)
            module->first = first;
        if (first + part->p_memsz > module->last)
            module->last = first + part->p_memsz;
    }
    bool is_program = module_count == 0;
    const char *path = is_program ? "/proc/self/exe" : info->dlpi_name;
    const char *slash = strrchr(info->dlpi_name, '/');
    const char *name = is_program ? program_invocation_short_name
                       : slash    ? slash + 1
                                  : info->dlpi_name;
    snprintf(module->name, sizeof module->name, "%.*s", NAME_LENGTH_MAX, name);
    if (path[0] == '/') /* not the kernel's own */
        map_symbols(module, path);
    module_count++;
    return 0;
}

void symbols_init(void)
{
    if (module_count == 0)
        dl_iterate_phdr(note_module, NULL);
}

/* ---- looking up ---- */

static const struct module *module_of(uintptr_t address)
{
    for (int i = 0; i < module_count; i++) {
        if (address >= modules[i].first && address < modules[i].last)
            return &modules[i];
    }
    return NULL;
}

/* The function that holds the address; NULL: none is known. */
static const char *function_of(const struct module *module, uintptr_t address, uintptr_t *ret_from)
{
    for (size_t i = 0; i < module->symbol_count; i++) {
        const ElfW(Sym) *symbol = &module->symbols[i];
        uintptr_t from = module->base + symbol->st_value;
        if ((symbol->st_info & 15) != STT_FUNC || symbol->st_shndx == SHN_UNDEF || address < from ||
            address - from >= (symbol->st_size ? symbol->st_size : 1) ||
            symbol->st_name >= module->strings_size)
            continue;
        const char *name = module->strings + symbol->st_name;
        *ret_from = from;
        return memchr(name, '\0', module->strings_size - symbol->st_name) ? name : NULL;
    }
    return NULL;
}

/* snprintf may take locks. */
static size_t put_text(char *out, size_t at, const char *text, size_t length_max)
{
    for (size_t i = 0; text[i] && i < length_max && at < SYMBOL_SIZE - 1; i++)
        out[at++] = text[i];
    return at;
}

static size_t put_hex(char *out, size_t at, uintptr_t number)
{
    char digits[2 * sizeof number + 1];
    size_t begin = sizeof digits - 1;
    digits[begin] = '\0';
    do {
        digits[--begin] = "0123456789abcdef"[number & 15];
        number >>= 4;
    } while (number);
    return put_text(out, put_text(out, at, "0x", 2), digits + begin, sizeof digits);
}

const char *symbol_place(const void *address, char out[static SYMBOL_SIZE])
{
    uintptr_t at = (uintptr_t)address, from = 0;
    const struct module *module = module_of(at);
    const char *function = module ? function_of(module, at, &from) : NULL;
    size_t used = 0;
    if (function) {
        used = put_text(out, used, function, FUNCTION_LENGTH_MAX);
        used = put_hex(out, put_text(out, used, "+", 1), at - from);
        used = put_text(out, used, " (", 2);
    }
    if (module) {
        used = put_text(out, used, module->name, NAME_LENGTH_MAX);
        used = put_hex(out, put_text(out, used, "+", 1), at - module->base);
    } else {
        used = put_hex(out, used, at);
    }
    if (function)
        used = put_text(out, used, ")", 1);
    out[used] = '\0';
    return out;
}

const char *symbol_name(const void *address, char out[static SYMBOL_SIZE])
{
    uintptr_t from;
    const struct module *module = module_of((uintptr_t)address);
    const char *function = module ? function_of(module, (uintptr_t)address, &from) : NULL;
    if (!function)
        return symbol_place(address, out);
    out[put_text(out, 0, function, FUNCTION_LENGTH_MAX)] = '\0';
    return out;
}

bool symbol_name_own(const void *address, char out[static SYMBOL_SIZE])
{
    uintptr_t from;
    const struct module *module = module_of((uintptr_t)address);
    bool own = module && module == &modules[0]; /* the loader names the program first */
    const char *function = own ? function_of(module, (uintptr_t)address, &from) : NULL;
    out[put_text(out, 0, function ? function : "", FUNCTION_LENGTH_MAX)] = '\0';
    return function != NULL;
}
