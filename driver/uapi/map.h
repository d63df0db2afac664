/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note OR MIT */
#ifndef MAP_H
#define MAP_H

#include <linux/ioctl.h>
#include <linux/types.h>

/**
 * DOC: The ioctls of /dev/map
 *
 * mmap(2) on /dev/map maps physical memory; the offset is the physical address.
 * Every window also has a node of its own, /dev/map1 and so on. There the offset
 * is the distance from the start of the window, and the window is all there is.
 *
 * The first three ioctls report what can be mapped, and why something cannot.
 * They work on every descriptor of a node and have no side effects. Those for
 * interrupts are described below. On the node of a window that was removed all of
 * them fail with ENODEV.
 *
 * The structures have neither padding nor pointers, and the same layout for
 * 32-bit and 64-bit programs. All numbers are in native byte order.
 */

/*
 * The version of the ioctls. 1 had no interrupts: their ioctls were ENOTTY. 2 had
 * another MAP_IOC_INFO, without the number of changes.
 */
#define MAP_ABI_VERSION 3

/* The character major number, unless the parameter major overrides it. */
#define MAP_MAJOR 126

/* The length in bytes of the longest mapping. */
#define MAP_LARGEST 0x100000000ULL

/* In &struct map_check, for a window or a cache type: none. */
#define MAP_NONE 0xffffffffU

/**
 * enum map_mode - the memory that can be mapped
 * @MAP_MODE_RAW: There are no windows: everything but System RAM.
 * @MAP_MODE_WINDOWS: Only ranges wholly inside one window.
 * @MAP_MODE_WINDOW: Only ranges wholly inside the window of this node, in which
 *	offset 0 is its first byte.
 */
enum map_mode {
	MAP_MODE_RAW = 0,
	MAP_MODE_WINDOWS = 1,
	MAP_MODE_WINDOW = 2,
};

/**
 * enum map_cache - the cache type of a mapping
 * @MAP_CACHE_UNCACHED: Every access reaches the memory, in program order: x86
 *	UC-, arm64 Device-nGnRnE.
 * @MAP_CACHE_WRITE_COMBINE: Stores may be combined and reordered, and loads may
 *	be speculative: x86 WC, arm64 Normal Non-cacheable.
 * @MAP_CACHE_CACHED: As for ordinary memory: x86 WB, arm64 Normal Write-Back.
 *	Devices may not see stores.
 */
enum map_cache {
	MAP_CACHE_UNCACHED = 0,
	MAP_CACHE_WRITE_COMBINE = 1,
	MAP_CACHE_CACHED = 2,
};

/**
 * enum map_window_flags - properties of a window
 * @MAP_WINDOW_READ_ONLY: Mappings are never writable.
 * @MAP_WINDOW_CLAIMED: The driver has claimed the region, so no other driver
 *	can.
 * @MAP_WINDOW_RESERVED: All of the window lies in one no-map node of
 *	/reserved-memory that nothing in the kernel uses.
 * @MAP_WINDOW_DT: The window comes from the device tree and is removed with its
 *	device. Windows with neither this flag nor %MAP_WINDOW_RUN_TIME come
 *	from the module parameter.
 * @MAP_WINDOW_MEMORY: The administrator declares that all of the window is
 *	memory, so every load completes.
 * @MAP_WINDOW_BOOT: The boot device tree describes the window and refers to its
 *	memory by memory-region. A locked-down kernel maps only windows with
 *	this flag and %MAP_WINDOW_RESERVED.
 * @MAP_WINDOW_RUN_TIME: The window was added at run time, and may be removed at
 *	any time.
 * @MAP_WINDOW_NOT_HUGE: Mappings have no huge pages, so no access to them takes
 *	a page fault.
 */
enum map_window_flags {
	MAP_WINDOW_READ_ONLY = 1 << 0,
	MAP_WINDOW_CLAIMED = 1 << 1,
	MAP_WINDOW_RESERVED = 1 << 2,
	MAP_WINDOW_DT = 1 << 3,
	MAP_WINDOW_MEMORY = 1 << 4,
	MAP_WINDOW_BOOT = 1 << 5,
	MAP_WINDOW_RUN_TIME = 1 << 6,
	MAP_WINDOW_NOT_HUGE = 1 << 7,
};

/* The largest number of interrupts of a window. */
#define MAP_IRQS 16

/**
 * enum map_irq_flags - properties of an interrupt
 * @MAP_IRQ_LEVEL: It is level-triggered, or its trigger is unknown. The driver
 *	masks it when it comes, until a program unmasks it. Any other interrupt
 *	is edge-triggered, and is counted but not masked when it comes.
 * @MAP_IRQ_MASKED: It is masked now.
 * @MAP_IRQ_EVENTFD: An eventfd is set.
 */
enum map_irq_flags {
	MAP_IRQ_LEVEL = 1 << 0,
	MAP_IRQ_MASKED = 1 << 1,
	MAP_IRQ_EVENTFD = 1 << 2,
};

/**
 * enum map_verdict - whether a mapping is granted, and if not, the reason
 * @MAP_GRANTED: The mapping is granted.
 * @MAP_REFUSED_NOT_CAPABLE: Without windows, opening the node requires
 *	CAP_SYS_RAWIO (EPERM). Only open(2) and the log of the driver report
 *	this.
 * @MAP_REFUSED_UNALIGNED: The physical address is not a multiple of the page
 *	size (EINVAL).
 * @MAP_REFUSED_EMPTY: The length is 0 (EINVAL).
 * @MAP_REFUSED_TOO_LONG: The length, in whole pages, exceeds the address space
 *	of the process (ENOMEM).
 * @MAP_REFUSED_WRAPS: The range, in whole pages, ends beyond the highest offset
 *	of mmap(2) (EOVERFLOW).
 * @MAP_REFUSED_NOT_WRITABLE: A writable shared mapping of a descriptor that is
 *	not open for writing (EACCES).
 * @MAP_REFUSED_NOT_READABLE: The descriptor is not open for reading (EACCES).
 * @MAP_REFUSED_EXECUTABLE: An executable mapping (EPERM).
 * @MAP_REFUSED_PRIVATE: A private mapping: stores would never reach the memory
 *	(EINVAL).
 * @MAP_REFUSED_ADDRESS: The range ends beyond the highest physical address
 *	(EINVAL).
 * @MAP_REFUSED_OUTSIDE: No byte of the range is inside a window (EPERM).
 * @MAP_REFUSED_PARTIAL: The range overlaps a window but is not wholly inside a
 *	single window (EPERM).
 * @MAP_REFUSED_READ_ONLY: A writable mapping of a read-only window (EACCES).
 * @MAP_REFUSED_LOCKED_DOWN: The kernel is locked down, and the range is not in
 *	a window with %MAP_WINDOW_BOOT and %MAP_WINDOW_RESERVED (EPERM).
 * @MAP_REFUSED_SYSTEM_RAM: The range contains System RAM (EPERM).
 * @MAP_REFUSED_CACHE_CONFLICT: The memory is already mapped with a conflicting
 *	cache type (EAGAIN). Only mmap(2) and the log of the driver report
 *	this, because it cannot be known beforehand.
 * @MAP_REFUSED_CACHE_TYPE: The machine cannot map the memory with the cache
 *	type at all (EINVAL). For a window this is checked when it is added.
 * @MAP_REFUSED_TOO_LARGE: The length, in whole pages, exceeds %MAP_LARGEST
 *	(EINVAL).
 * @MAP_REFUSED_EXCLUSIVE: Without windows: another driver has exclusive use of
 *	part of the range, for which /dev/mem would refuse it, too, or the
 *	kernel has it in its own page tables, as it has pmem (EPERM).
 * @MAP_REFUSED_TOO_MANY: The user, or all users together, have reached the
 *	limit on mappings (ENOMEM). Only mmap(2) and the log of the driver
 *	report this.
 * @MAP_REFUSED_NO_MEMORY: The kernel has no memory left for the page tables
 *	(ENOMEM). Only mmap(2) and the log of the driver report this.
 * @MAP_REFUSED_GONE: The window of this node was removed (ENODEV).
 * @MAP_REFUSED_NOT_MEMORY: The window is not known to be memory, so it can be
 *	mapped but not be read or written (ENXIO). Only read(2), write(2) and
 *	the log of the driver report this.
 *
 * If several reasons apply, the one with the smallest number is reported.
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
	MAP_REFUSED_GONE = 22,
	MAP_REFUSED_NOT_MEMORY = 23,
};

/**
 * struct map_info - the state of the driver
 * @abi_version: %MAP_ABI_VERSION.
 * @mode: One of &enum map_mode.
 * @windows: The current number of windows; 0 in raw mode, 1 on the node of a
 *	window.
 * @page_size: The page size in bytes.
 * @last_address: The highest physical address that can be mapped.
 * @changes: How often windows were added or removed since the driver was loaded;
 *	0 on the node of a window. A list of windows is whole if this was the
 *	same before it was read and after.
 */
struct map_info {
	__u32 abi_version;
	__u32 mode;
	__u32 windows;
	__u32 page_size;
	__u64 last_address;
	__u64 changes;
};

/**
 * struct map_window - one window
 * @index: In: the index of the window, from 0 in the order of addresses.
 * @flags: Bits of &enum map_window_flags. More may be added.
 * @cache: One of &enum map_cache.
 * @minor: The minor number of the window's own node; 0 if it has none.
 * @start: The physical address of the first byte.
 * @length: The length in bytes.
 * @name: The name, padded with NUL bytes; all NUL if the window has no name.
 *
 * Only @index is read. The other fields are written.
 */
struct map_window {
	__u32 index;
	__u32 flags;
	__u32 cache;
	__u32 minor;
	__u64 start;
	__u64 length;
	char name[32];
};

/**
 * struct map_check - the query whether a mapping would be granted
 * @start: In: the offset of the first byte in the node: its physical address, or
 *	on the node of a window its distance from the start of the window.
 * @length: In: the length in bytes. It is rounded up to whole pages, as in
 *	mmap(2).
 * @prot: In: bits of PROT_READ, PROT_WRITE and PROT_EXEC, or 0. Other bits are
 *	EINVAL.
 * @flags: In: MAP_SHARED, MAP_PRIVATE or MAP_SHARED_VALIDATE. Anything else is
 *	EINVAL.
 * @verdict: Out: one of &enum map_verdict. More may be added.
 * @error: Out: the errno of the mmap(2) call; 0 if granted.
 * @window: Out: the index of the window that contains the range, overlaps it,
 *	or is nearest to it. %MAP_NONE if there are no windows or the reason is
 *	unrelated to windows.
 * @cache: Out: the cache type of the mapping, one of &enum map_cache; %MAP_NONE
 *	if it is refused.
 * @near_start: Out: the physical address of the first byte of @window; 0 if
 *	there is none.
 * @near_length: Out: the length of @window in bytes; 0 if there is none.
 *
 * mmap(2) on the same descriptor has the same result, except that it may fail
 *
 * - with ENOMEM or EAGAIN because of other mappings and limits of the process
 *   or a conflicting cache type;
 * - because a security module, or PR_SET_MDWE of the process, forbids it;
 * - on a processor affected by L1TF, if the mapping permits no access and lies
 *   above half of the physical address space.
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

/**
 * struct map_irq - one interrupt of a window
 * @index: In: the index of the interrupt, from 0 in the order of the device
 *	tree.
 * @flags: Out: bits of &enum map_irq_flags. More may be added.
 * @count: Out: how often the interrupt has come since the window was added.
 * @name: Out: the name from the property interrupt-names, padded with NUL bytes;
 *	all NUL if there is none.
 */
struct map_irq {
	__u32 index;
	__u32 flags;
	__u64 count;
	char name[32];
};

/**
 * struct map_irq_wait - waiting for interrupts
 * @interrupts: In: bits of the interrupts to wait for: 1 << index. Out: those
 *	that have come.
 * @flags: In: 0.
 * @timeout: In: the longest time to wait in nanoseconds; 0 does not wait, and a
 *	negative number waits for ever.
 * @counts: Out: for each interrupt that has come, by its index, how often since
 *	this open file took its count last, or was opened; 0 for the others.
 */
struct map_irq_wait {
	__u32 interrupts;
	__u32 flags;
	__s64 timeout;
	__u64 counts[MAP_IRQS];
};

/**
 * struct map_irq_mask - interrupts to mask or to unmask
 * @interrupts: In: bits of the interrupts: 1 << index.
 * @masked: In: 1 masks them, 0 unmasks them.
 */
struct map_irq_mask {
	__u32 interrupts;
	__u32 masked;
};

/**
 * struct map_irq_eventfd - the eventfd of an interrupt
 * @index: In: the index of the interrupt.
 * @fd: In: the descriptor of the eventfd; -1 takes it away.
 */
struct map_irq_eventfd {
	__u32 index;
	__s32 fd;
};

/* The type of all ioctls of the node. */
#define MAP_IOC_TYPE 0xd7

/* Reports the state of the driver. */
#define MAP_IOC_INFO _IOR(MAP_IOC_TYPE, 0x00, struct map_info)

/*
 * Reports one window. EINVAL if there is no window with this index. Windows of
 * the device tree come and go with their devices, and others at run time.
 */
#define MAP_IOC_WINDOW _IOWR(MAP_IOC_TYPE, 0x01, struct map_window)

/*
 * Reports whether a mapping would be granted. EINVAL if @prot or @flags has
 * unknown bits. A refusal is reported in the structure, not as an error.
 */
#define MAP_IOC_CHECK _IOWR(MAP_IOC_TYPE, 0x02, struct map_check)

/**
 * DOC: Interrupts
 *
 * A window of the device tree may have interrupts, on its own node: there the
 * following ioctls work, since version 2. On /dev/map they fail with ENOTTY.
 *
 * The first open(2) of the node finds all interrupts masked, and the last close
 * masks them again and takes the eventfds away. A level-triggered interrupt is
 * masked by the driver each time it comes: the program handles the device, so
 * that it no longer asserts the line, and then unmasks the interrupt. An
 * edge-triggered interrupt that comes while it is masked is delivered when it is
 * unmasked.
 *
 * A count is that of the calls of the handler. A controller keeps one edge of a
 * line that is not handled yet; and where handlers are threads, with the parameter
 * threadirqs of the kernel or PREEMPT_RT, edges that come before it runs are one.
 *
 * Every open file takes counts of its own. poll(2) reports POLLIN if an interrupt
 * has come that this file has not taken, POLLOUT always, because write(2) does not
 * wait, and POLLERR and POLLHUP once the window is gone. A descriptor that was
 * duplicated or inherited is the same open file.
 */

/* Reports one interrupt. EINVAL if there is no interrupt with this index. */
#define MAP_IOC_IRQ _IOWR(MAP_IOC_TYPE, 0x03, struct map_irq)

/*
 * Waits until one of the interrupts has come since this file took it last, and
 * takes the counts. ETIMEDOUT if none has come in time; EINVAL if @interrupts is
 * 0 or names one that does not exist, or @flags is not 0; ENODEV if the window is
 * gone, also if it goes during the wait. A signal is EINTR if the timeout is
 * finite; otherwise the call is restarted if the signal's action permits it. The
 * freezer of a cgroup and a debugger that stops the process are as a signal; a
 * suspend of the machine is none, and its time does not count.
 */
#define MAP_IOC_IRQ_WAIT _IOWR(MAP_IOC_TYPE, 0x04, struct map_irq_wait)

/*
 * Masks or unmasks interrupts, all of those named or none. EACCES if the
 * descriptor is not open for writing; EINVAL if @interrupts is 0 or names one
 * that does not exist, or @masked is neither 0 nor 1; EALREADY if one of them is
 * masked, or unmasked, already.
 */
#define MAP_IOC_IRQ_MASK _IOW(MAP_IOC_TYPE, 0x05, struct map_irq_mask)

/*
 * Sets an eventfd that is signalled once for each interrupt, or takes it away.
 * When the window goes, it is signalled once more. EACCES if the descriptor is
 * not open for writing; EINVAL if there is no interrupt with this index, or @fd
 * is no eventfd; EBADF if @fd is no descriptor; EBUSY if another open file has
 * set one.
 */
#define MAP_IOC_IRQ_EVENTFD _IOW(MAP_IOC_TYPE, 0x06, struct map_irq_eventfd)

#endif
