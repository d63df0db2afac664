/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note OR MIT */
#ifndef MAP_H
#define MAP_H

#include <linux/ioctl.h>
#include <linux/types.h>

/**
 * DOC: The ioctls of /dev/map
 *
 * mmap(2) on the node maps physical memory: the offset is the physical
 * address. The ioctls tell what can be mapped, and why something cannot. They
 * work on every descriptor of the node, and change nothing.
 *
 * The structures have neither padding nor pointers, and the same layout for
 * 32-bit and for 64-bit programs. All numbers are in the machine's byte order.
 */

/* The version of the ioctls; it grows when the meaning of something changes. */
#define MAP_ABI_VERSION 1

/* The character major number, unless the parameter major says otherwise. */
#define MAP_MAJOR 126

/* The length in bytes of the longest mapping. */
#define MAP_LARGEST 0x100000000ULL

/* In &struct map_check, for a window or a cache type: there is none. */
#define MAP_NONE 0xffffffffU

/**
 * enum map_mode - what can be mapped at all
 * @MAP_MODE_RAW: There are no windows: any memory but the kernel's own.
 * @MAP_MODE_WINDOWS: Only what lies wholly inside one window.
 */
enum map_mode {
	MAP_MODE_RAW = 0,
	MAP_MODE_WINDOWS = 1,
};

/**
 * enum map_cache - how the processor may cache a mapping
 * @MAP_CACHE_UNCACHED: Every load and store goes to the memory, in program
 *	order: x86 UC-, arm64 Device-nGnRnE.
 * @MAP_CACHE_WRITE_COMBINE: Stores may be gathered and come out of order, loads
 *	may be speculative: x86 WC, arm64 Normal non-cacheable.
 * @MAP_CACHE_CACHED: As the memory of any program: x86 WB, arm64 Normal
 *	write-back. Devices may not see what is stored.
 */
enum map_cache {
	MAP_CACHE_UNCACHED = 0,
	MAP_CACHE_WRITE_COMBINE = 1,
	MAP_CACHE_CACHED = 2,
};

/**
 * enum map_window_flags - what else is true of a window
 * @MAP_WINDOW_READ_ONLY: A mapping of it is never writable.
 * @MAP_WINDOW_CLAIMED: The driver has claimed the region, so that no other
 *	driver can.
 * @MAP_WINDOW_RESERVED: One node of /reserved-memory with no-map, which nothing
 *	in the kernel uses, holds all of the window.
 * @MAP_WINDOW_DT: The window comes from the device tree, and goes with its
 *	device. The others come from the module's parameter.
 * @MAP_WINDOW_MEMORY: The administrator declares that all of the window is
 *	memory, so that every load is answered.
 * @MAP_WINDOW_BOOT: The device tree that the kernel was booted with describes
 *	the window, and names its memory by memory-region. With
 *	%MAP_WINDOW_RESERVED, a locked-down kernel maps it, and no others.
 */
enum map_window_flags {
	MAP_WINDOW_READ_ONLY = 1 << 0,
	MAP_WINDOW_CLAIMED = 1 << 1,
	MAP_WINDOW_RESERVED = 1 << 2,
	MAP_WINDOW_DT = 1 << 3,
	MAP_WINDOW_MEMORY = 1 << 4,
	MAP_WINDOW_BOOT = 1 << 5,
};

/**
 * enum map_verdict - whether a mapping is made, and if not, why not
 * @MAP_GRANTED: It is made.
 * @MAP_REFUSED_NOT_CAPABLE: Without windows, opening the node takes
 *	CAP_SYS_RAWIO (EPERM). Only open(2) and the driver's log give this.
 * @MAP_REFUSED_UNALIGNED: The physical address is no multiple of the page size
 *	(EINVAL).
 * @MAP_REFUSED_EMPTY: The length is 0 (EINVAL).
 * @MAP_REFUSED_TOO_LONG: The length, in whole pages, is more than the address
 *	space of the process (ENOMEM).
 * @MAP_REFUSED_WRAPS: The range, in whole pages, ends beyond the highest offset
 *	that mmap(2) takes (EOVERFLOW).
 * @MAP_REFUSED_NOT_WRITABLE: A shared mapping is to be writable, and the
 *	descriptor is not open for writing (EACCES).
 * @MAP_REFUSED_NOT_READABLE: The descriptor is not open for reading (EACCES).
 * @MAP_REFUSED_EXECUTABLE: The mapping is to be executable (EPERM).
 * @MAP_REFUSED_PRIVATE: The mapping is private: what is stored into it would
 *	never reach the memory (EINVAL).
 * @MAP_REFUSED_ADDRESS: The range ends beyond the highest physical address
 *	(EINVAL).
 * @MAP_REFUSED_OUTSIDE: No byte of the range is inside a window (EPERM).
 * @MAP_REFUSED_PARTIAL: The range touches a window, but is not wholly inside
 *	one (EPERM).
 * @MAP_REFUSED_READ_ONLY: The mapping is to be writable, and the window is
 *	read-only (EACCES).
 * @MAP_REFUSED_LOCKED_DOWN: The kernel is locked down, and the range is in no
 *	window with %MAP_WINDOW_BOOT and %MAP_WINDOW_RESERVED (EPERM).
 * @MAP_REFUSED_SYSTEM_RAM: The range holds memory that the kernel uses as its
 *	own (EPERM).
 * @MAP_REFUSED_CACHE_CONFLICT: The kernel cannot give the cache type, as the
 *	memory is mapped elsewhere with another (EAGAIN). Only mmap(2) and the
 *	driver's log give this: nobody can know it beforehand.
 * @MAP_REFUSED_CACHE_TYPE: The machine cannot give the memory the cache type,
 *	whoever asks (EINVAL). Of a window this is known when it is added.
 * @MAP_REFUSED_TOO_LARGE: The length, in whole pages, is more than
 *	%MAP_LARGEST (EINVAL).
 * @MAP_REFUSED_EXCLUSIVE: Without windows: another driver has a part of the
 *	range for itself alone, as /dev/mem would say, or the kernel has it in its
 *	own page tables, as it has pmem (EPERM).
 * @MAP_REFUSED_TOO_MANY: The user has as many mappings as one may have, or all
 *	users together do (ENOMEM). Only mmap(2) and the driver's log give this.
 * @MAP_REFUSED_NO_MEMORY: The kernel has no memory left for the page tables
 *	(ENOMEM). Only mmap(2) and the driver's log give this.
 *
 * When several reasons hold, the one with the smallest number is given.
 */
enum map_verdict {
	MAP_GRANTED = 0,
	MAP_REFUSED_NOT_CAPABLE = 1,
	MAP_REFUSED_UNALIGNED = 2,
	MAP_REFUSED_EMPTY = 3,
	MAP_REFUSED_TOO_LONG = 4,
	MAP_REFUSED_WRAPS = 5,
	MAP_REFUSED_NOT_WRITABLE = 6,
	MAP_REFUSED_NOT_READABLE = 7,
	MAP_REFUSED_EXECUTABLE = 8,
	MAP_REFUSED_PRIVATE = 9,
	MAP_REFUSED_ADDRESS = 10,
	MAP_REFUSED_OUTSIDE = 11,
	MAP_REFUSED_PARTIAL = 12,
	MAP_REFUSED_READ_ONLY = 13,
	MAP_REFUSED_LOCKED_DOWN = 14,
	MAP_REFUSED_SYSTEM_RAM = 15,
	MAP_REFUSED_CACHE_CONFLICT = 16,
	MAP_REFUSED_CACHE_TYPE = 17,
	MAP_REFUSED_TOO_LARGE = 18,
	MAP_REFUSED_EXCLUSIVE = 19,
	MAP_REFUSED_TOO_MANY = 20,
	MAP_REFUSED_NO_MEMORY = 21,
};

/**
 * struct map_info - the driver as a whole
 * @abi_version: %MAP_ABI_VERSION.
 * @mode: One of &enum map_mode.
 * @windows: The number of windows now; 0 in raw mode.
 * @page_size: The page size in bytes.
 * @last_address: The highest physical address that can be mapped.
 */
struct map_info {
	__u32 abi_version;
	__u32 mode;
	__u32 windows;
	__u32 page_size;
	__u64 last_address;
};

/**
 * struct map_window - one window
 * @index: In: which one, from 0 in the order of their addresses.
 * @flags: Bits of &enum map_window_flags. More may be added.
 * @cache: One of &enum map_cache.
 * @reserved: 0.
 * @start: The physical address of the first byte.
 * @length: The length in bytes.
 * @name: The name, followed by NUL bytes up to the end; all NUL if it has none.
 *
 * Only @index is read. The rest is written.
 */
struct map_window {
	__u32 index;
	__u32 flags;
	__u32 cache;
	__u32 reserved;
	__u64 start;
	__u64 length;
	char name[32];
};

/**
 * struct map_check - a question whether a mapping would be made, and the answer
 * @start: In: the physical address of the first byte.
 * @length: In: the length in bytes. It is rounded up to whole pages, as mmap(2)
 *	does.
 * @prot: In: bits of PROT_READ, PROT_WRITE and PROT_EXEC, or 0. Other bits are
 *	EINVAL.
 * @flags: In: MAP_SHARED, MAP_PRIVATE or MAP_SHARED_VALIDATE. Anything else is
 *	EINVAL.
 * @verdict: Out: one of &enum map_verdict. More may be added.
 * @error: Out: the error number that mmap(2) would give; 0 if granted.
 * @window: Out: the index of the window that the range lies in, touches, or is
 *	nearest to. %MAP_NONE if there are no windows, and if the reason has
 *	nothing to do with them.
 * @cache: Out: the cache type of the mapping, one of &enum map_cache; %MAP_NONE
 *	if it is refused.
 * @near_start: Out: the physical address of the first byte of @window; 0 if
 *	there is none.
 * @near_length: Out: the length of @window in bytes; 0 if there is none.
 *
 * The answer is that of mmap(2) on the same descriptor, unless it fails for the
 * sake of the process's other mappings and limits or of the memory's cache
 * type, with ENOMEM or EAGAIN; for what a security module, or the process
 * itself by PR_SET_MDWE, forbids; or, on a processor with the flaw L1TF, because
 * the mapping gives no access and lies above half of the physical addresses.
 */
struct map_check {
	__u64 start;
	__u64 length;
	__u32 prot;
	__u32 flags;
	__u32 verdict;
	__u32 error;
	__u32 window;
	__u32 cache;
	__u64 near_start;
	__u64 near_length;
};

/* The type that all ioctls of the node share. */
#define MAP_IOC_TYPE 0xd7

/* The driver as a whole. */
#define MAP_IOC_INFO _IOR(MAP_IOC_TYPE, 0x00, struct map_info)

/*
 * One window. EINVAL if there is none with this index: devices of the device
 * tree come and go, and their windows with them.
 */
#define MAP_IOC_WINDOW _IOWR(MAP_IOC_TYPE, 0x01, struct map_window)

/*
 * Whether a mapping would be made. EINVAL if @prot or @flags have bits that they
 * do not know; a mapping that is refused is an answer, not an error.
 */
#define MAP_IOC_CHECK _IOWR(MAP_IOC_TYPE, 0x02, struct map_check)

#endif
