// SPDX-License-Identifier: GPL-2.0
/*
 * What the kernel defines as macros, as inline functions or by configuration,
 * and bindgen therefore cannot see. There are no decisions here.
 */

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/capability.h>
#include <linux/cdev.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/moduleparam.h>
#include <linux/pgtable.h>
#include <linux/ratelimit.h>
#include <linux/sched.h>
#include <linux/security.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/sysfs.h>

#ifdef CONFIG_X86
#include <asm/processor.h>
#endif

#include "core/include/map.h"
#include "shim.h"

/*
 * The parameter "windows", as it was given. A charp would be limited to 1024
 * characters, too few for 64 windows with names.
 */
static char *windows;

static int windows_set(const char *val, const struct kernel_param *kp)
{
	if (windows) {
		pr_err("windows= is given twice; separate the windows of one list with commas\n");
		return -EINVAL;
	}
	/* The kernel frees the arguments before the module is initialized. */
	windows = kstrdup(val, GFP_KERNEL);
	return windows ? 0 : -ENOMEM;
}

static void windows_free(void *arg)
{
	kfree(windows);
}

static int windows_get(char *buffer, const struct kernel_param *kp)
{
	return sysfs_emit(buffer, "%s\n", windows ?: "");
}

static const struct kernel_param_ops windows_ops = {
	.set = windows_set,
	.get = windows_get,
	.free = windows_free,
};

module_param_cb(windows, &windows_ops, NULL, 0444);
MODULE_PARM_DESC(windows,
		 "What may be mapped: [NAME@]START+SIZE[:OPTION]...,...; without it all but System RAM, for CAP_SYS_RAWIO");

static unsigned int major = MAP_MAJOR;
module_param(major, uint, 0444);
MODULE_PARM_DESC(major, "Character major number; 0 lets the kernel choose one");

unsigned int map_major(void)
{
	return major;
}

const char *map_windows(size_t *length)
{
	*length = windows ? strlen(windows) : 0;
	return windows;
}

/* The field is in an anonymous union, whose place differs between kernels. */
struct cdev *map_inode_cdev(struct inode *inode)
{
	return inode->i_cdev;
}

bool map_capable_rawio(void)
{
	return capable(CAP_SYS_RAWIO);
}

/* Also leaves a line in the log that names the process. */
bool map_locked_down(void)
{
	return security_locked_down(LOCKDOWN_DEV_MEM) != 0;
}

pgprot_t map_pgprot_noncached(pgprot_t prot)
{
	return pgprot_noncached(prot);
}

pgprot_t map_pgprot_writecombine(pgprot_t prot)
{
	return pgprot_writecombine(prot);
}

/* Whether two page protections mean the same cache type. */
bool map_same_cache(pgprot_t one, pgprot_t other)
{
#if defined(CONFIG_X86)
	return !((pgprot_val(one) ^ pgprot_val(other)) & _PAGE_CACHE_MASK);
#elif defined(CONFIG_ARM64)
	return !((pgprot_val(one) ^ pgprot_val(other)) & PTE_ATTRINDX_MASK);
#else
	/* The others give what they are asked for. */
	return true;
#endif
}

/* The highest physical address that fits into a page table entry. */
phys_addr_t map_last_phys_addr(void)
{
#if defined(CONFIG_X86)
	return BIT_ULL(boot_cpu_data.x86_phys_bits) - 1;
#elif defined(PHYS_MASK)
	return PHYS_MASK;
#else
	return PHYS_ADDR_MAX;
#endif
}

/* The size of the address space of the process that is in the kernel now. */
unsigned long map_task_size(void)
{
	return TASK_SIZE;
}

/*
 * The process that is in the kernel now. This is asked in C because bindgen
 * loses the alignment of an empty structure, and without CONFIG_SCHEDSTATS
 * task_struct has one before this field.
 */
pid_t map_current_pid(void)
{
	return task_tgid_nr(current);
}

/* Its name. */
void map_current_comm(char comm[TASK_COMM_LEN])
{
	strscpy_pad(comm, current->comm, TASK_COMM_LEN);
}

/* Whether one more line about a refusal may go to the log now. */
bool map_may_log(void)
{
	static DEFINE_RATELIMIT_STATE(state, DEFAULT_RATELIMIT_INTERVAL,
				      DEFAULT_RATELIMIT_BURST);

	return __ratelimit(&state);
}
