// SPDX-License-Identifier: GPL-2.0
/*
 * What the kernel defines as macros, as inline functions or by configuration,
 * and bindgen therefore cannot see. There are no decisions here.
 */

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/capability.h>
#include <linux/cdev.h>
#include <linux/fs.h>
#include <linux/ioport.h>
#include <linux/mm.h>
#include <linux/mod_devicetable.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/of.h>
#include <linux/of_address.h>
#include <linux/of_reserved_mem.h>
#include <linux/pgtable.h>
#include <linux/ratelimit.h>
#include <linux/sched.h>
#include <linux/security.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/sysfs.h>

#if defined(CONFIG_X86)
#include <asm/processor.h>
#elif defined(CONFIG_ARM64)
#include <asm/cpufeature.h>
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

/*
 * A page that can be written to counts as written to from the beginning. Else
 * an arm64 processor that leaves that to the kernel takes a fault at the first
 * store into each page.
 */
pgprot_t map_pgprot_dirty(pgprot_t prot)
{
#ifdef CONFIG_ARM64
	if (pgprot_val(prot) & PTE_WRITE)
		return __pgprot((pgprot_val(prot) | PTE_DIRTY) & ~PTE_RDONLY);
#endif
	return prot;
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

/* The highest physical address that the processor takes in a page table. */
phys_addr_t map_last_phys_addr(void)
{
#if defined(CONFIG_X86)
	return BIT_ULL(boot_cpu_data.x86_phys_bits) - 1;
#elif defined(CONFIG_ARM64)
	/* The entry has room for more: at a higher address the process dies. */
	u64 features = read_sanitised_ftr_reg(SYS_ID_AA64MMFR0_EL1);
	unsigned int range = cpuid_feature_extract_unsigned_field(
		features, ID_AA64MMFR0_EL1_PARANGE_SHIFT);
	u64 last = BIT_ULL(id_aa64mmfr0_parange_to_phys_shift(range)) - 1;

	return min(last, PHYS_MASK);
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

/* What udev loads the module for; tree.rs has the same for the driver. */
static const struct of_device_id map_tree_ids[] = {
	{ .compatible = "map,windows" },
	{}
};
MODULE_DEVICE_TABLE(of, map_tree_ids);

/* Whether the device tree has an enabled node whose children are windows. */
bool map_tree_has_windows(void)
{
	struct device_node *np;

	for_each_matching_node(np, map_tree_ids) {
		if (of_device_is_available(np)) {
			of_node_put(np);
			return true;
		}
	}
	return false;
}

/*
 * The memory of one of the nodes in /reserved-memory that the kernel keeps out
 * of its page tables, counted from 0; false if there are no more of them.
 */
bool map_tree_reserved(unsigned int index, u64 *start, u64 *length)
{
	struct device_node *parent __free(device_node) =
		of_find_node_by_path("/reserved-memory");

	for_each_available_child_of_node_scoped(parent, np) {
		struct reserved_mem *memory = of_reserved_mem_lookup(np);

		if (!memory || !of_property_read_bool(np, "no-map") || index--)
			continue;
		*start = memory->base;
		*length = memory->size;
		return true;
	}
	return false;
}

/*
 * The value of a property; false if the node does not have it. It lives as long
 * as the node: one that is replaced is kept.
 */
bool map_tree_property(const struct fwnode_handle *fwnode, const char *name,
		       const void **value, size_t *length)
{
	struct property *property =
		of_find_property(to_of_node(fwnode), name, NULL);

	if (!property)
		return false;
	*value = property->value;
	*length = property->length;
	return true;
}

/*
 * How many regions the property memory-region of a node names, and where the
 * only one is; negative, or 0, if it is none that the kernel has reserved.
 */
int map_tree_memory_region(const struct fwnode_handle *fwnode, u64 *start,
			   u64 *length)
{
	struct device_node *np = to_of_node(fwnode);
	struct resource region;
	int count = of_reserved_mem_region_count(np);

	if (count == 1) {
		int error = of_reserved_mem_region_to_resource(np, 0, &region);

		if (error)
			return error;
		*start = region.start;
		*length = resource_size(&region);
	}
	return count;
}

/*
 * Whether the property reg of a node names one region (1) or more (2), and where
 * the first is for the processor; negative if it is no memory address.
 */
int map_tree_reg(const struct fwnode_handle *fwnode, u64 *start, u64 *length)
{
	struct device_node *np = to_of_node(fwnode);
	struct resource region;
	u64 next, size;
	int error = of_address_to_resource(np, 0, &region);

	if (error)
		return error;
	if (resource_type(&region) != IORESOURCE_MEM)
		return -EINVAL;
	*start = region.start;
	*length = resource_size(&region);
	return of_property_read_reg(np, 1, &next, &size) ? 1 : 2;
}
