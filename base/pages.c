#include "base/pages.h"
#include "base/util.h"

#include <link.h>
#include <sys/mman.h>

/* Since Linux 5.18; headers are older than kernels. */
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif

/* Relocations are in segments that can be written to, though after the start they cannot any more. */
static bool is_constant(const ElfW(Phdr) *segment)
{
	return segment->p_type == PT_LOAD && !(segment->p_flags & PF_W);
}

static bool holds(const struct dl_phdr_info *info, const void *function)
{
	uintptr_t offset = (uintptr_t)function - info->dlpi_addr;

	for (unsigned i = 0; i < info->dlpi_phnum; i++)
		if (is_constant(&info->dlpi_phdr[i]) &&
			offset - info->dlpi_phdr[i].p_vaddr < info->dlpi_phdr[i].p_memsz)
			return true;
	return false;
}

static int forget(struct dl_phdr_info *info, size_t size, void *arg)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

	/* The program and the C library go on to be used. */
	if (holds(info, (const void *)pages_forget_libraries) || holds(info, (const void *)madvise))
		return 0;
	for (unsigned i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
		uintptr_t from = info->dlpi_addr + segment->p_vaddr;
		uintptr_t to = (from + segment->p_filesz) / page * page; /* whole pages only */
		void *at = (void *)((from + page - 1) / page * page);

		if (is_constant(segment) && (uintptr_t)at < to &&
			madvise(at, to - (uintptr_t)at, MADV_DONTNEED_LOCKED) < 0)
			(void)madvise(at, to - (uintptr_t)at, MADV_DONTNEED);
	}
	return 0;
}

void pages_forget_libraries(void)
{
	dl_iterate_phdr(forget, NULL);
}
