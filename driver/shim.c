// SPDX-License-Identifier: GPL-2.0
/*
 * Wrappers for what the kernel defines as macros, inline functions or by
 * configuration, which bindgen does not cover. They make no decisions.
 */

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/capability.h>
#include <linux/cc_platform.h>
#include <linux/cred.h>
#include <linux/debugfs.h>
#include <linux/device.h>
#include <linux/eventfd.h>
#include <linux/fs.h>
#include <linux/fs_context.h>
#include <linux/hrtimer.h>
#include <linux/huge_mm.h>
#include <linux/interrupt.h>
#include <linux/io.h>
#include <linux/ioport.h>
#include <linux/irq.h>
#include <linux/irqdomain.h>
#include <linux/memory.h>
#include <linux/mm.h>
#include <linux/mod_devicetable.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/mount.h>
#include <linux/notifier.h>
#include <linux/of.h>
#include <linux/of_address.h>
#include <linux/of_irq.h>
#include <linux/of_reserved_mem.h>
#include <linux/page_table_check.h>
#include <linux/pci.h>
#include <linux/personality.h>
#include <linux/pgtable.h>
#include <linux/poll.h>
#include <linux/pseudo_fs.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/security.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/sysfs.h>
#include <linux/timekeeping.h>
#include <linux/uidgid.h>
#include <linux/uio.h>
#include <linux/user_namespace.h>
#include <linux/vmalloc.h>
#include <linux/wait.h>

#if defined(CONFIG_X86)
#include <asm/e820/api.h>
#include <asm/memtype.h>
#include <asm/processor.h>
#elif defined(CONFIG_ARM64)
#include <asm/cpufeature.h>
#endif

#include "uapi/map.h"
#include "shim.h"

/*
 * The value of the parameter "windows". A charp is limited to 1024 characters,
 * too few for 64 windows with names.
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

/* A sysfs file has at most a page. A longer list is cut between two windows. */
static int windows_get(char *buffer, const struct kernel_param *kp)
{
	static const char more[] = ",...";
	int length = windows ? strlen(windows) : 0;
	int room = PAGE_SIZE - sizeof("\n");

	if (length <= room)
		return sysfs_emit(buffer, "%s\n", windows ?: "");
	for (length = room - strlen(more); length; length--)
		if (windows[length] == ',')
			break;
	return sysfs_emit(buffer, "%.*s%s\n", length, windows, more);
}

static const struct kernel_param_ops windows_ops = {
	.set = windows_set,
	.get = windows_get,
	.free = windows_free,
};

/*
 * A locked-down kernel rejects a hardware parameter, because the signature of a
 * module does not cover its arguments. Only root may read it, because it has
 * physical addresses, as /proc/iomem.
 */
__module_param_call(MODULE_PARAM_PREFIX, windows, &windows_ops, NULL, 0400, -1,
		    KERNEL_PARAM_FL_HWPARAM | (hwparam_iomem & 0));
__MODULE_PARM_TYPE(windows, "iomem");
MODULE_PARM_DESC(windows,
		 "Windows that may be mapped: [NAME@]START+SIZE[:OPTION]...,...; default: everything but System RAM, with CAP_SYS_RAWIO");

static unsigned int major = MAP_MAJOR;
module_param(major, uint, 0444);
MODULE_PARM_DESC(major, "Character major number; 0 lets the kernel choose one");

/* Whether a mapping in raw mode may have huge pages; a window has an option. */
static bool huge = true;

static int huge_set(const char *val, const struct kernel_param *kp)
{
	static const char *const words[] = { "never", "auto" };
	int word = match_string(words, ARRAY_SIZE(words), val);

	if (word < 0) {
		pr_err("huge=%s: write huge=auto or huge=never\n", val);
		return word;
	}
	huge = word;
	return 0;
}

static int huge_get(char *buffer, const struct kernel_param *kp)
{
	return sysfs_emit(buffer, "%s\n", huge ? "auto" : "never");
}

static const struct kernel_param_ops huge_ops = {
	.set = huge_set,
	.get = huge_get,
};

module_param_cb(huge, &huge_ops, NULL, 0444);
MODULE_PARM_DESC(huge,
		 "Huge pages in mappings without windows: auto (default) or never; a window has the option huge=");

bool map_huge(void)
{
	return huge;
}

/* module! of the kernel crate knows no version. */
MODULE_VERSION(MAP_VERSION);

unsigned int map_major(void)
{
	return major;
}

const char *map_windows(size_t *length)
{
	*length = windows ? strlen(windows) : 0;
	return windows;
}

bool map_capable_rawio(void)
{
	return capable(CAP_SYS_RAWIO);
}

/* If the kernel is locked down, this also logs a line with the process name. */
bool map_locked_down(void)
{
	return security_locked_down(LOCKDOWN_DEV_MEM) != 0;
}

/*
 * Fails if the memory of this machine is encrypted, or shared with its host page
 * by page. What a mapping of physical memory shows then depends on address bits
 * that this driver does not know. (The crate `kernel` of Linux 7.2 lacks this
 * error number.)
 */
int map_check_encryption(void)
{
	return cc_platform_has(CC_ATTR_MEM_ENCRYPT) ? -EOPNOTSUPP : 0;
}

/*
 * The access mode of a file, and whether the kernel adds PROT_EXEC to PROT_READ
 * when the current process maps it. Access mode 3 is neither readable nor
 * writable, which f_flags does not show.
 */
unsigned int map_caller(const struct file *file)
{
	const struct vfsmount *mnt = file->f_path.mnt;
	bool noexec = (mnt->mnt_flags & MNT_NOEXEC) ||
		      (mnt->mnt_sb->s_iflags & SB_I_NOEXEC);
	unsigned int caller = 0;

	if (file->f_mode & FMODE_READ)
		caller |= MAP_CALLER_READABLE;
	if (file->f_mode & FMODE_WRITE)
		caller |= MAP_CALLER_WRITABLE;
	if ((current->personality & READ_IMPLIES_EXEC) && !noexec)
		caller |= MAP_CALLER_READ_IMPLIES_EXEC;
	return caller;
}

/*
 * Whether a VMA is shared, also if only for reading. (In the crate `kernel` of
 * Linux 7.2, MAYSHARE has the value of VM_MAYEXEC.)
 */
bool map_is_shared(const struct vm_area_struct *vma)
{
	return vma->vm_flags & VM_MAYSHARE;
}

/* Clears VM_EXEC and VM_MAYEXEC of a VMA that is being set up. */
void map_clear_exec(struct vm_area_struct *vma)
{
	vm_flags_clear(vma, VM_EXEC | VM_MAYEXEC);
	vma->vm_page_prot = vm_get_page_prot(vma->vm_flags);
}

/* Unmaps all pages of a VMA, which must be a PFN mapping. */
void map_zap(struct vm_area_struct *vma)
{
	zap_special_vma_range(vma, vma->vm_start, vma->vm_end - vma->vm_start);
}

/* Marks a VMA that is being set up as one that remap_pfn_range() has filled. */
void map_set_pfn_map(struct vm_area_struct *vma)
{
	vm_flags_set(vma, VM_IO | VM_PFNMAP | VM_DONTEXPAND | VM_DONTDUMP);
}

/*
 * The size in bytes of the huge pages that can map memory without struct pages;
 * 0 if the kernel has none. Larger ones, of 1 GiB, exist, but Linux 7.3 cannot
 * move them: for a mremap() to another alignment, get_old_pud() takes one for
 * a bad entry, and clears it without a flush of the TLB.
 */
u64 map_huge_page_size(void)
{
	return IS_ENABLED(CONFIG_ARCH_SUPPORTS_PMD_PFNMAP) ? PMD_SIZE : 0;
}

struct vm_area_struct *map_fault_vma(const struct vm_fault *vmf,
				     unsigned long *address)
{
	*address = vmf->address;
	return vmf->vma;
}

/*
 * Maps the huge page of this order at a fault, writable and dirty if the VMA is
 * writable, so that the first store takes no second fault.
 */
unsigned int map_fault_insert_huge(struct vm_fault *vmf, unsigned int order,
				   unsigned long pfn)
{
#ifdef CONFIG_ARCH_SUPPORTS_PMD_PFNMAP
	pmd_t pmd;

	/* For a larger page there is no table with an entry of this size yet. */
	if (order != PMD_ORDER)
		return VM_FAULT_FALLBACK;
	/*
	 * vmf_insert_pfn_pmd() warns of a page table. Another thread may have
	 * made one, if meanwhile the process has told the kernel by prctl(2)
	 * not to use huge pages. The caller's lock keeps it from doing so now.
	 */
	pmd = pmdp_get(vmf->pmd);
	if (!pmd_none(pmd) && !pmd_leaf(pmd))
		return VM_FAULT_FALLBACK;
	return vmf_insert_pfn_pmd(vmf, pfn, vmf->vma->vm_flags & VM_WRITE);
#else
	return VM_FAULT_FALLBACK;
#endif
}

#ifdef CONFIG_ARCH_SUPPORTS_PMD_PFNMAP
/* Pages that are mapped at a fault. */
struct map_pages {
	struct mm_struct *mm;
	unsigned long pfn;
	pgprot_t prot;
};

/*
 * Sets an entry of a page table that maps nothing. With CONFIG_DEBUG_VM,
 * set_pte_at() of arm64 compares a valid old entry with the new one, by a
 * function that is not exported. Here the old one is never valid. That of riscv
 * calls one that is not exported either, for an executable page, which this is
 * not.
 */
static void map_set_entry(struct mm_struct *mm, unsigned long address,
			  pte_t *pte, pte_t entry)
{
#if defined(CONFIG_ARM64) && defined(CONFIG_DEBUG_VM)
	page_table_check_ptes_set(mm, address, pte, entry, 1);
	__set_pte(pte, entry);
#elif defined(CONFIG_RISCV)
	page_table_check_ptes_set(mm, address, pte, entry, 1);
	set_pte(pte, entry);
#else
	set_pte_at(mm, address, pte, entry);
#endif
}

/* Maps one page, unless another thread has done so. */
static int map_set_page(pte_t *pte, unsigned long address, void *data)
{
	struct map_pages *pages = data;
	pte_t entry = pte_mkspecial(pfn_pte(pages->pfn, pages->prot));

	if (pte_none(ptep_get(pte)))
		map_set_entry(pages->mm, address, pte, entry);
	pages->pfn++;
	return 0;
}
#endif

/*
 * Maps pages of the VMA at a fault. Those that are mapped already stay. This is
 * what vmf_insert_pfn() does, but that looks up the cache type of each page,
 * and takes the lock of the page table for each.
 */
unsigned int map_fault_insert(struct vm_fault *vmf, unsigned long address,
			      unsigned long pfn, unsigned long count)
{
#ifdef CONFIG_ARCH_SUPPORTS_PMD_PFNMAP
	struct map_pages pages = {
		.mm = vmf->vma->vm_mm,
		.pfn = pfn,
		.prot = map_pgprot_dirty(vmf->vma->vm_page_prot),
	};
	int error;

	/* apply_to_page_range() warns of a huge page; see above. */
	if (pmd_leaf(pmdp_get(vmf->pmd)))
		return VM_FAULT_NOPAGE;
	error = apply_to_page_range(pages.mm, address, count << PAGE_SHIFT,
				    map_set_page, &pages);
	if (error)
		return error == -ENOMEM ? VM_FAULT_OOM : VM_FAULT_SIGBUS;
	/* A riscv processor may remember that there was no page. */
	update_mmu_cache_range(vmf, vmf->vma, address, NULL, count);
	return VM_FAULT_NOPAGE;
#else
	/* Without huge pages, all pages were mapped at once. */
	return VM_FAULT_SIGBUS;
#endif
}

/* abstractions/shim.rs has the numbers. */
static_assert((__force unsigned int)FOP_UNSIGNED_OFFSET == 1 << 5);
static_assert((__force unsigned int)FMODE_NOWAIT == 1 << 27);

/* Finds room in the address space of the current process, as for any file. */
unsigned long map_unmapped_range(struct file *file, unsigned long address,
				 unsigned long length, unsigned long pgoff,
				 unsigned long flags)
{
	return mm_get_unmapped_area(file, address, length, pgoff, flags);
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
 * Marks a writable page as dirty. Otherwise a processor without hardware dirty
 * state takes a fault at the first store into each page.
 */
pgprot_t map_pgprot_dirty(pgprot_t prot)
{
#if defined(CONFIG_ARM64)
	if (pgprot_val(prot) & PTE_WRITE)
		return __pgprot((pgprot_val(prot) | PTE_DIRTY) & ~PTE_RDONLY);
#elif defined(CONFIG_ARM)
	if (!(pgprot_val(prot) & L_PTE_RDONLY))
		return __pgprot(pgprot_val(prot) | L_PTE_DIRTY);
#elif defined(CONFIG_RISCV)
	if (pgprot_val(prot) & _PAGE_WRITE)
		return __pgprot(pgprot_val(prot) | _PAGE_DIRTY);
#endif
	return prot;
}

/* Whether two page protections have the same cache type. */
bool map_same_cache(pgprot_t one, pgprot_t other)
{
#if defined(CONFIG_X86)
	return !((pgprot_val(one) ^ pgprot_val(other)) & _PAGE_CACHE_MASK);
#elif defined(CONFIG_ARM64)
	return !((pgprot_val(one) ^ pgprot_val(other)) & PTE_ATTRINDX_MASK);
#elif defined(CONFIG_RISCV)
	unsigned long types[] = { pgprot_val(one), pgprot_val(other) };

	/* T-Head's processors have bits for the default type, too. */
	ALT_THEAD_PMA(types[0]);
	ALT_THEAD_PMA(types[1]);
	return !((types[0] ^ types[1]) & _PAGE_MTMASK);
#else
	/*
	 * Other architectures map with the requested type. Those without
	 * pte_pgprot(), as arm, do not give the protection of an entry.
	 */
	return true;
#endif
}

/* Whether an access by the kernel aborts where no device responds. */
bool map_aborts(void)
{
	return !IS_ENABLED(CONFIG_X86);
}

/*
 * Whether the machine can map a range uncached, or write-combining. On x86 the
 * kernel always maps the ISA range below 1 MiB write-back. On a riscv processor
 * without Svpbmt a page table has no cache types: pgprot_noncached() returns
 * its argument, and every page is as the platform has its address.
 */
bool map_gives_uncached(u64 start, u64 last)
{
#if defined(CONFIG_X86)
	return last < ISA_START_ADDRESS || start >= ISA_END_ADDRESS;
#elif defined(CONFIG_RISCV)
	return pgprot_val(pgprot_noncached(__pgprot(0))) != 0;
#else
	return true;
#endif
}

bool map_gives_write_combine(u64 start, u64 last)
{
#if defined(CONFIG_X86)
	return pat_enabled() && map_gives_uncached(start, last);
#elif defined(CONFIG_RISCV)
	return pgprot_val(pgprot_writecombine(__pgprot(0))) != 0;
#else
	return true;
#endif
}

/*
 * Whether the machine can map a range write-back. On x86 this depends on the
 * MTRRs and on existing mappings. The functions that look it up are not
 * exported to modules, so this creates a kernel mapping and reads its type.
 */
bool map_gives_write_back(u64 start, u64 last)
{
#ifdef CONFIG_X86
	while (start <= last) {
		u64 size = min_t(u64, last - start + 1, SZ_64M);
		void __iomem *map = ioremap_cache(start, size);
		unsigned int level;
		pte_t *pte = map ? lookup_address((unsigned long)map, &level) : NULL;
		bool cached = pte && !(pte_flags(*pte) & (_PAGE_PCD | _PAGE_PWT));

		if (map)
			iounmap(map);
		if (!cached || fatal_signal_pending(current))
			return false;
		cond_resched();
		start += size;
	}
#endif
	return true;
}

/* Whether part of the range is memory of a PCI device or bridge. */
bool map_in_pci_bar(u64 start, u64 last)
{
#ifdef CONFIG_PCI
	struct pci_dev *dev = NULL;
	struct resource *res;

	for_each_pci_dev(dev) {
		pci_dev_for_each_resource(dev, res) {
			if (resource_type(res) != IORESOURCE_MEM || !res->start ||
			    (res->flags & IORESOURCE_UNSET))
				continue;
			if (res->start <= last && res->end >= start) {
				pci_dev_put(dev);
				return true;
			}
		}
	}
#endif
	return false;
}

/* The highest physical address that a page table entry can hold. */
phys_addr_t map_last_phys_addr(void)
{
#if defined(CONFIG_X86)
	return BIT_ULL(boot_cpu_data.x86_phys_bits) - 1;
#elif defined(CONFIG_ARM64)
	/*
	 * The entry has room for more bits, but an access to a higher address
	 * kills the process.
	 */
	u64 features = read_sanitised_ftr_reg(SYS_ID_AA64MMFR0_EL1);
	unsigned int range = cpuid_feature_extract_unsigned_field(
		features, ID_AA64MMFR0_EL1_PARANGE_SHIFT);
	u64 last = BIT_ULL(id_aa64mmfr0_parange_to_phys_shift(range)) - 1;

	return min(last, PHYS_MASK);
#elif defined(PHYS_MASK)
	return PHYS_MASK;
#elif defined(CONFIG_RISCV)
	/* A higher one would set the bits of the cache type. */
	return BIT_ULL(MAX_POSSIBLE_PHYSMEM_BITS) - 1;
#else
	return PHYS_ADDR_MAX;
#endif
}

/* The size of the address space of the current process. */
unsigned long map_task_size(void)
{
	return TASK_SIZE;
}

#ifdef CONFIG_KCSAN
/*
 * Sets how deep the current process is in sections whose accesses KCSAN takes
 * for atomic, and returns how deep it was.
 */
int map_kcsan_nest(int depth)
{
	int before = current->kcsan_ctx.atomic_nest_count;

	current->kcsan_ctx.atomic_nest_count = depth;
	return before;
}
#endif

/*
 * The thread group ID of the current process. It is read in C because bindgen
 * loses the alignment of an empty structure, and without CONFIG_SCHEDSTATS
 * task_struct has one before this field.
 */
pid_t map_current_pid(void)
{
	return task_tgid_nr(current);
}

/* The name of the current process. */
void map_current_comm(char comm[TASK_COMM_LEN])
{
	strscpy_pad(comm, current->comm, TASK_COMM_LEN);
}

/*
 * The user of the current process in the initial user namespace. For a process
 * in another namespace this is the creator of the outermost namespace below the
 * initial one, because one user can have tens of thousands of IDs in it.
 */
uid_t map_current_user(void)
{
	const struct user_namespace *ns = current_user_ns();
	kuid_t user = current_uid();

	for (; ns != &init_user_ns; ns = ns->parent)
		user = ns->owner;
	return from_kuid(&init_user_ns, user);
}

/* Whether the current process is exempt from the limits of its user. */
bool map_capable_resource(void)
{
	return ns_capable_noaudit(&init_user_ns, CAP_SYS_RESOURCE);
}

/* The seconds since boot. */
u64 map_seconds(void)
{
	return ktime_get_seconds();
}

#ifdef CONFIG_MEMORY_HOTPLUG
static bool (*map_vetoes)(u64 start, u64 length);

/*
 * Called before memory goes online. It is already System RAM in /proc/iomem, so
 * it can no longer be mapped. Whole blocks go online, but the range reported
 * here lacks the first pages of a block if these hold its struct pages.
 */
static int map_memory_event(struct notifier_block *nb, unsigned long action,
			    void *arg)
{
	struct memory_notify *memory = arg;
	u64 block = memory_block_size_bytes();
	u64 start, end;

	if (action != MEM_GOING_ONLINE)
		return NOTIFY_OK;
	start = PFN_PHYS(memory->start_pfn);
	end = ALIGN(start + PFN_PHYS(memory->nr_pages), block);
	start = ALIGN_DOWN(start, block);
	return map_vetoes(start, end - start) ? notifier_from_errno(-EBUSY) :
						NOTIFY_OK;
}

static struct notifier_block map_memory_notifier = {
	.notifier_call = map_memory_event,
};

int map_watch_memory(bool (*vetoes)(u64 start, u64 length))
{
	map_vetoes = vetoes;
	return register_memory_notifier(&map_memory_notifier);
}

void map_unwatch_memory(void)
{
	unregister_memory_notifier(&map_memory_notifier);
}
#else
int map_watch_memory(bool (*vetoes)(u64 start, u64 length))
{
	return 0;
}

void map_unwatch_memory(void)
{
}
#endif

#ifdef CONFIG_OF_DYNAMIC
static void (*map_has_windows)(void);

/* A node with windows may be added without a device being created for it. */
static int map_of_event(struct notifier_block *nb, unsigned long action,
			  void *arg)
{
	if (action != OF_RECONFIG_DETACH_NODE && map_of_has_windows())
		map_has_windows();
	return NOTIFY_OK;
}

static struct notifier_block map_of_notifier = {
	.notifier_call = map_of_event,
};

int map_watch_of(void (*has_windows)(void))
{
	map_has_windows = has_windows;
	return of_reconfig_notifier_register(&map_of_notifier);
}

void map_unwatch_of(void)
{
	of_reconfig_notifier_unregister(&map_of_notifier);
}
#else
int map_watch_of(void (*has_windows)(void))
{
	return 0;
}

void map_unwatch_of(void)
{
}
#endif

/* The module alias for udev; of.rs has the match table of the driver. */
static const struct of_device_id map_of_ids[] = {
	{ .compatible = "map,windows" },
	{}
};
MODULE_DEVICE_TABLE(of, map_of_ids);

/* Whether the device tree has an enabled node whose children are windows. */
bool map_of_has_windows(void)
{
	struct device_node *np;

	for_each_matching_node(np, map_of_ids) {
		if (of_device_is_available(np)) {
			of_node_put(np);
			return true;
		}
	}
	return false;
}

/* Whether a node is unchanged since boot. */
static bool map_of_is_unchanged(struct device_node *np)
{
	struct property *property;

	if (of_node_check_flag(np, OF_DYNAMIC))
		return false;
	for_each_property_of_node(np, property)
		if (of_property_check_flag(property, OF_DYNAMIC))
			return false;
	return true;
}

/*
 * Finds the region with this index, counted from 0, among the nodes of
 * /reserved-memory that the kernel neither maps nor uses; false if there are no
 * more of them.
 *
 * The kernel does not claim the regions that it uses, but their nodes have a
 * compatible string or operations. A node must be unchanged since boot, because
 * the kernel reserves memory only at boot.
 */
bool map_of_reserved(unsigned int index, u64 *start, u64 *length)
{
	struct device_node *parent __free(device_node) =
		of_find_node_by_path("/reserved-memory");

	for_each_available_child_of_node_scoped(parent, np) {
		struct reserved_mem *memory = of_reserved_mem_lookup(np);

		if (!memory || memory->ops ||
		    !of_property_read_bool(np, "no-map") ||
		    of_property_present(np, "compatible") ||
		    !map_of_is_unchanged(np) || index--)
			continue;
		*start = memory->base;
		*length = memory->size;
		return true;
	}
	return false;
}

/*
 * Finds the value of a property; false if the node does not have it. The value
 * exists as long as the node: the kernel keeps replaced properties.
 */
bool map_of_property(const struct fwnode_handle *fwnode, const char *name,
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
 * Returns the number of regions in the property memory-region of a node, and
 * stores the region if it is the only one. The result is negative or 0 if the
 * kernel has not reserved it.
 *
 * of_boot is set if the node, its parent, the property and the node that it
 * refers to are unchanged since boot. The property is looked up only once, so
 * that with a concurrent overlay its value and its origin match.
 */
int map_of_memory_region(const struct fwnode_handle *fwnode, u64 *start,
			   u64 *length, bool *of_boot)
{
	struct device_node *np = to_of_node(fwnode);
	struct device_node *parent __free(device_node) = of_get_parent(np);
	struct property *property = of_find_property(np, "memory-region", NULL);
	struct device_node *memory __free(device_node) = NULL;
	struct reserved_mem *region;
	int count;

	if (!property || property->length % sizeof(__be32))
		return -EINVAL;
	count = property->length / sizeof(__be32);
	if (count != 1)
		return count;
	memory = of_find_node_by_phandle(be32_to_cpup(property->value));
	if (!memory || !of_device_is_available(memory))
		return -ENODEV;
	region = of_reserved_mem_lookup(memory);
	if (!region)
		return -ENODEV;
	*start = region->base;
	*length = region->size;
	*of_boot = parent && map_of_is_unchanged(parent) &&
		   map_of_is_unchanged(np) && map_of_is_unchanged(memory) &&
		   !of_property_check_flag(property, OF_DYNAMIC);
	return count;
}

/*
 * Returns 1 if the property reg of a node has one region, 2 if it has more, and
 * stores the CPU address of the first; negative if it is not a memory address.
 */
int map_of_reg(const struct fwnode_handle *fwnode, u64 *start, u64 *length)
{
	struct device_node *np = to_of_node(fwnode);
	struct resource region;
	const __be32 *address;
	unsigned int flags;
	u64 next, size;
	int error = of_address_to_resource(np, 0, &region);

	/* A resource has no room for an address that the kernel cannot map. */
	if (error == -EOVERFLOW) {
		address = of_get_address(np, 0, length, &flags);
		if (!address || !(flags & IORESOURCE_MEM))
			return error;
		*start = of_translate_address(np, address);
	} else if (error) {
		return error;
	} else {
		if (resource_type(&region) != IORESOURCE_MEM)
			return -EINVAL;
		*start = region.start;
		*length = resource_size(&region);
	}
	return of_property_read_reg(np, 1, &next, &size) ? 1 : 2;
}

/*
 * Returns the number of interrupts in the property interrupts-extended of a
 * node; negative if one refers to no interrupt controller or lacks cells.
 */
int map_of_interrupts_extended(const struct fwnode_handle *fwnode)
{
	return of_count_phandle_with_args(to_of_node(fwnode),
					  "interrupts-extended",
					  "#interrupt-cells");
}

/*
 * Finds the number of cells of an interrupt in the property interrupts of a
 * node; false if the node has no interrupt controller.
 */
bool map_of_interrupt_cells(const struct fwnode_handle *fwnode, u32 *cells)
{
	struct device_node *controller __free(device_node) =
		of_irq_find_parent(to_of_node(fwnode));

	return controller &&
	       !of_property_read_u32(controller, "#interrupt-cells", cells);
}

/*
 * Returns the kernel's number of the interrupt line with this index of a node; 0
 * or negative if there is none, -EPROBE_DEFER if the driver of its interrupt
 * controller is not bound yet.
 */
int map_of_interrupt(const struct fwnode_handle *fwnode, unsigned int index)
{
	return of_irq_get(to_of_node(fwnode), index);
}

/* Has a device unbound before another one, if that has a driver. */
static int map_depend(struct device *dev, struct device *supplier)
{
	switch (READ_ONCE(supplier->links.status)) {
	case DL_DEV_NO_DRIVER:
		return 0;
	case DL_DEV_DRIVER_BOUND:
		break;
	default:
		return -EPROBE_DEFER;
	}
	if (!device_link_add(dev, supplier, DL_FLAG_AUTOREMOVE_CONSUMER))
		return -ELOOP;
	/* From now on it waits for the probe of the device; was it faster? */
	return READ_ONCE(supplier->links.status) == DL_DEV_DRIVER_BOUND ?
		       0 :
		       -EPROBE_DEFER;
}

/*
 * Has a device unbound before the drivers that keep an interrupt line: with
 * these the line goes, and its number may become that of another one. The kernel
 * does not see to that, because the interrupts are those of nodes below the
 * device. A controller that has no device, or whose device has no driver, stays.
 *
 * It fails with -EPROBE_DEFER if one of them comes or goes, and with -ELOOP if
 * one depends on the device, or there is no memory.
 */
int map_irq_depend(struct device *dev, unsigned int irq)
{
	struct irq_data *data = irq_get_irq_data(irq);
	int error = 0;

	while (data && !error) {
		struct device *supplier = NULL;

		if (data->domain && data->domain->fwnode)
			supplier = get_dev_from_fwnode(data->domain->fwnode);
		if (supplier)
			error = map_depend(dev, supplier);
		put_device(supplier);
#ifdef CONFIG_IRQ_DOMAIN_HIERARCHY
		data = data->parent_data;
#else
		data = NULL;
#endif
	}
	return error;
}

/*
 * Whether each processor has a line of its own with this number. Such a line is
 * requested for all of them and enabled on each, by other functions.
 */
bool map_irq_is_per_processor(unsigned int irq)
{
	return irq_is_percpu_devid(irq);
}

/*
 * Requests an interrupt line for one handler alone. The line is disabled.
 *
 * The handler disables the line, and so does a process that holds a lock. If the
 * controller is on a bus such as I2C, both would have to sleep.
 */
int map_irq_request(unsigned int irq,
		    irqreturn_t (*handler)(int irq, void *data),
		    const char *name, void *data)
{
	struct irq_chip *chip = irq_get_chip(irq);

	if (chip && chip->irq_bus_lock)
		return -EOPNOTSUPP;
	return request_irq(irq, handler, IRQF_NO_AUTOEN, name, data);
}

/* The trigger type of a line, which is known after it was requested. */
u32 map_irq_trigger(unsigned int irq)
{
	return irq_get_trigger_type(irq);
}

/*
 * Makes disable_irq_nosync() disable a line at once, not when it comes again.
 * This ends when the line is freed.
 */
void map_irq_set_unlazy(unsigned int irq)
{
	irq_set_status_flags(irq, IRQ_DISABLE_UNLAZY);
}

void map_irq_enable(unsigned int irq)
{
	enable_irq(irq);
}

void map_irq_disable(unsigned int irq)
{
	disable_irq_nosync(irq);
}

/* A lock that interrupt handlers take. */
void map_irq_lock_init(spinlock_t *lock)
{
	spin_lock_init(lock);
}

unsigned long map_irq_lock(spinlock_t *lock)
{
	unsigned long flags;

	spin_lock_irqsave(lock, flags);
	return flags;
}

void map_irq_unlock(spinlock_t *lock, unsigned long flags)
{
	spin_unlock_irqrestore(lock, flags);
}

void map_wait_init(struct wait_queue_head *queue)
{
	init_waitqueue_head(queue);
}

/*
 * Wakes all who wait, whatever for, and without a key that says what has
 * happened: who waits only for the window to go would not be woken by that of an
 * interrupt, and AIO and io_uring take a key for the result without asking. The
 * queue is that of all open files, each of which has its own result; so all
 * exclusive entries (EPOLLEXCLUSIVE) are woken, and not only the first.
 */
void map_wait_wake(struct wait_queue_head *queue)
{
	wake_up_interruptible_all(queue);
}

/*
 * Sleeps until ready() returns true, for at most this many nanoseconds; for ever
 * if they are negative. Nobody waits for a century, so that is for ever as well,
 * and the clock cannot overflow.
 *
 * A suspend freezes the process where it sleeps. Otherwise it would be woken as
 * by a signal. It holds no lock.
 */
int map_wait_sleep(struct wait_queue_head *queue, bool (*ready)(void *data),
		   void *data, s64 timeout)
{
	int error;

	might_sleep();
	if (timeout < 0 || timeout > KTIME_MAX / 2)
		error = wait_event_freezable(*queue, ready(data));
	else if (ready(data))
		error = 0;
	else
		error = __wait_event_hrtimeout(*queue, ready(data),
					       ns_to_ktime(timeout),
					       (TASK_INTERRUPTIBLE |
						TASK_FREEZABLE));
	if (error == -ETIME)
		return MAP_TIMED_OUT;
	return error ? MAP_SIGNAL : MAP_READY;
}

/* Has poll(2) of a file watch a queue. */
void map_poll_wait(struct file *file, struct wait_queue_head *queue,
		   struct poll_table_struct *table)
{
	poll_wait(file, queue, table);
}

struct eventfd_ctx *map_eventfd_get(int fd)
{
	return eventfd_ctx_fdget(fd);
}

void map_eventfd_signal(struct eventfd_ctx *eventfd)
{
	eventfd_signal(eventfd);
}

void map_eventfd_put(struct eventfd_ctx *eventfd)
{
	eventfd_ctx_put(eventfd);
}

/*
 * Whether a long transfer may go on. Before it answers, it lets other processes
 * run.
 */
bool map_may_go_on(void)
{
	cond_resched();
	return !signal_pending(current);
}

/* The number of bytes that are left in an iterator. */
size_t map_iter_count(const struct iov_iter *iter)
{
	return iov_iter_count(iter);
}

/*
 * Orders all stores of the current processor before what follows, also those to
 * devices and those that are combined.
 */
void map_barrier(void)
{
	mb();
}

/*
 * Creates a kernel mapping with a cache type of enum map_cache; NULL if there is
 * none. The functions below access it like a device: with aligned accesses.
 */
void __iomem *map_io_map(u64 start, size_t length, u32 cache)
{
	switch (cache) {
	case MAP_CACHE_UNCACHED:
		return ioremap(start, length);
	case MAP_CACHE_WRITE_COMBINE:
		return ioremap_wc(start, length);
	default:
		return (void __iomem *)memremap(start, length, MEMREMAP_WB);
	}
}

/*
 * Memory may have been plugged in where the mapping is. It stays offline, but it
 * is System RAM, whose cache type x86 keeps in struct pages: these may not exist
 * yet, and iounmap() looks at them. If it was plugged in just before the mapping
 * was made, memremap() gave the kernel's own, which is not to be unmapped.
 */
void map_io_unmap(void __iomem *io, u64 start, size_t length, u32 cache)
{
	if (IS_ENABLED(CONFIG_X86) &&
	    region_intersects(start, length, IORESOURCE_SYSTEM_RAM,
			      IORES_DESC_NONE) != REGION_DISJOINT) {
		if (is_vmalloc_addr((void __force *)io))
			vunmap((void __force *)io);
	} else if (cache == MAP_CACHE_CACHED) {
		memunmap((void __force *)io);
	} else {
		iounmap(io);
	}
}

/* Whether a kernel mapping got the cache type of a page protection. */
bool map_io_has_cache(const void __iomem *io, pgprot_t wanted)
{
#ifdef CONFIG_X86
	unsigned int level;
	pte_t *pte = lookup_address((unsigned long)io, &level);

	if (!pte)
		return false;
	/* The bit of PAT has another place in a huge page. */
	if (level != PG_LEVEL_4K)
		return map_same_cache(pgprot_large_2_4k(pte_pgprot(*pte)),
				      wanted);
	return map_same_cache(pte_pgprot(*pte), wanted);
#else
	return true;
#endif
}

/* Whether a kernel mapping got a cache type of enum map_cache. */
bool map_io_is(const void __iomem *io, u32 cache)
{
	switch (cache) {
	case MAP_CACHE_UNCACHED:
		return map_io_has_cache(io, pgprot_noncached(PAGE_KERNEL));
	case MAP_CACHE_WRITE_COMBINE:
		return map_io_has_cache(io, pgprot_writecombine(PAGE_KERNEL));
	default:
		return map_io_has_cache(io, PAGE_KERNEL);
	}
}

/* Whether a kernel mapping begins with a huge page. */
bool map_io_is_huge(const void __iomem *io)
{
#ifdef CONFIG_X86
	unsigned int level;

	return lookup_address((unsigned long)io, &level) &&
	       level != PG_LEVEL_4K;
#else
	return false;
#endif
}

void map_io_read(void *to, const void __iomem *io, size_t length)
{
	memcpy_fromio(to, io, length);
}

void map_io_write(void __iomem *io, const void *from, size_t length)
{
	memcpy_toio(io, from, length);
}

/*
 * A file system with one inode, whose address space all files of the driver
 * share, so that the pages of a window can be unmapped from all processes at
 * once. It has no owner, because its mount must not keep the module loaded.
 */
#define MAP_FS_MAGIC 0x6d617066

static int map_fs_init(struct fs_context *fc)
{
	return init_pseudo(fc, MAP_FS_MAGIC) ? 0 : -ENOMEM;
}

static struct file_system_type map_fs = {
	.name = KBUILD_MODNAME,
	.init_fs_context = map_fs_init,
	.kill_sb = kill_anon_super,
};

struct inode *map_space_create(struct vfsmount **mount)
{
	struct inode *inode;

	*mount = kern_mount(&map_fs);
	if (IS_ERR(*mount))
		return ERR_CAST(*mount);
	inode = alloc_anon_inode((*mount)->mnt_sb);
	if (IS_ERR(inode))
		kern_unmount(*mount);
	return inode;
}

void map_space_destroy(struct vfsmount *mount, struct inode *inode)
{
	iput(inode);
	kern_unmount(mount);
}

/* Makes the VMAs of a file that is being opened part of the address space. */
void map_space_adopt(struct inode *inode, struct file *file)
{
	file->f_mapping = inode->i_mapping;
}

/* Unmaps pages from all VMAs of the address space. */
void map_space_unmap(struct inode *inode, u64 start, u64 length)
{
	unmap_mapping_pages(inode->i_mapping, start >> PAGE_SHIFT,
			    length >> PAGE_SHIFT, true);
}

#ifdef CONFIG_ARCH_SUPPORTS_PMD_PFNMAP
/* The pages of an address space that are unmapped. */
struct map_part {
	struct address_space *mapping;
	unsigned long first;
	unsigned long last;
};

/* The next VMA that has one of the pages, after one or NULL. */
static struct vm_area_struct *map_part_next(const struct map_part *part,
					    struct vm_area_struct *vma)
{
	struct rb_node *node = vma ? rb_next(&vma->shared.rb) :
				     rb_first_cached(&part->mapping->i_mmap);

	for (; node; node = rb_next(node)) {
		vma = rb_entry(node, struct vm_area_struct, shared.rb);
		/* They are in the order of their first pages. */
		if (vma->vm_pgoff > part->last)
			break;
		if (vma->vm_pgoff + (vma_pages(vma) - 1) >= part->first)
			return vma;
	}
	return NULL;
}

/*
 * A process that has one of the pages in a VMA: the first one whose address is
 * behind that of another process. It does not end before mmput().
 */
static struct mm_struct *map_part_process(const struct map_part *part,
					  const struct mm_struct *after)
{
	struct mm_struct *found;

	i_mmap_lock_read(part->mapping);
	do {
		struct vm_area_struct *vma = NULL;

		found = NULL;
		while ((vma = map_part_next(part, vma))) {
			struct mm_struct *mm = vma->vm_mm;

			if (mm > after && (!found || mm < found))
				found = mm;
		}
		after = found;
		/* A process that is ending makes no copies. */
	} while (found && !mmget_not_zero(found));
	i_mmap_unlock_read(part->mapping);
	return found;
}

static void map_part_zap(const struct map_part *part, struct mm_struct *mm)
{
	struct vm_area_struct *vma = NULL;

	mmap_read_lock(mm);
	i_mmap_lock_read(part->mapping);
	while ((vma = map_part_next(part, vma))) {
		unsigned long pages = vma_pages(vma), skip = 0;

		if (vma->vm_mm != mm)
			continue;
		if (vma->vm_pgoff < part->first)
			skip = part->first - vma->vm_pgoff;
		pages = min(pages, part->last - vma->vm_pgoff + 1) - skip;
		zap_vma_range(vma, vma->vm_start + (skip << PAGE_SHIFT),
			      pages << PAGE_SHIFT);
	}
	i_mmap_unlock_read(part->mapping);
	mmap_read_unlock(mm);
}
#endif

/*
 * Unmaps pages from one process after the other, each while it does not fork.
 *
 * For fork(2), copy_huge_pmd() looks at a huge page without its lock, and copies
 * what it has seen, even if unmap_mapping_pages() has unmapped the page in both
 * processes meanwhile. It relies on mmap_lock, which that does not take.
 */
void map_space_unmap_each(struct inode *inode, u64 start, u64 length)
{
#ifdef CONFIG_ARCH_SUPPORTS_PMD_PFNMAP
	struct map_part part = {
		.mapping = inode->i_mapping,
		.first = start >> PAGE_SHIFT,
		.last = (start + (length - 1)) >> PAGE_SHIFT,
	};
	struct mm_struct *mm = NULL;

	while ((mm = map_part_process(&part, mm))) {
		map_part_zap(&part, mm);
		/* Only its address is needed from now on. */
		mmput(mm);
	}
#endif
}

/*
 * Makes fork(2) copy no page to a VMA that it has just made; none may be mapped
 * there later. Of one that was split or moved, the pages must keep the flag: it
 * belongs to the process that does so. VM_IO, which stays, keeps from such a VMA
 * what VM_PFNMAP keeps from others, but for what looks at pages alone, of which
 * there are none: madvise(2), the OOM reaper, and files in /proc.
 */
void map_copy_no_page(struct vm_area_struct *vma)
{
	if (vma->vm_mm != current->mm)
		vm_flags_clear(vma, VM_PFNMAP);
}

/* What sysfs shows of a window. Rust writes the attributes by their number. */
static ssize_t (*map_show_attribute)(const void *node, unsigned int which,
				     char *buffer);
static const char *(*map_node_name)(const void *node);

#define MAP_ATTRIBUTE(_name, _mode, _which)                                    \
	static ssize_t map_##_name##_show(struct device *dev,                  \
					  struct device_attribute *attr,       \
					  char *buffer)                        \
	{                                                                      \
		return map_show_attribute(dev_get_drvdata(dev), _which,        \
					  buffer);                             \
	}                                                                      \
	static struct device_attribute map_attribute_##_name =                 \
		__ATTR(_name, _mode, map_##_name##_show, NULL)

MAP_ATTRIBUTE(name, 0444, 0);
/* Only root may read it, because it is a physical address, as in /proc/iomem. */
MAP_ATTRIBUTE(start, 0400, 1);
MAP_ATTRIBUTE(size, 0444, 2);
MAP_ATTRIBUTE(access, 0444, 3);
MAP_ATTRIBUTE(cache, 0444, 4);
MAP_ATTRIBUTE(origin, 0444, 5);
MAP_ATTRIBUTE(mappings, 0444, 6);
MAP_ATTRIBUTE(huge, 0444, 7);

static struct attribute *map_node_attrs[] = {
	&map_attribute_name.attr,
	&map_attribute_start.attr,
	&map_attribute_size.attr,
	&map_attribute_access.attr,
	&map_attribute_cache.attr,
	&map_attribute_origin.attr,
	&map_attribute_mappings.attr,
	&map_attribute_huge.attr,
	NULL,
};
ATTRIBUTE_GROUPS(map_node);

/* Only a window with interrupts has this. */
MAP_ATTRIBUTE(interrupts, 0444, 8);

static struct attribute *map_irq_attrs[] = {
	&map_attribute_interrupts.attr,
	NULL,
};

static const struct attribute_group map_irq_group = {
	.attrs = map_irq_attrs,
};

static const struct attribute_group *map_irq_node_groups[] = {
	&map_node_group,
	&map_irq_group,
	NULL,
};

/* udev makes a link by the name of the window. */
static int map_uevent(const struct device *dev, struct kobj_uevent_env *env)
{
	const void *node = dev_get_drvdata(dev);
	const char *name = node ? map_node_name(node) : "";

	return *name ? add_uevent_var(env, "MAP_NAME=%s", name) : 0;
}

void map_class_init(struct class *class,
		    ssize_t (*show)(const void *node, unsigned int which,
				    char *buffer),
		    const char *(*name)(const void *node))
{
	map_show_attribute = show;
	map_node_name = name;
	class->dev_uevent = map_uevent;
}

/* Creates the device of a window, which is named by its minor number. */
struct device *map_device_create(struct class *class, dev_t number, void *node,
				 bool interrupts)
{
	return device_create_with_groups(class, NULL, number, node,
					 interrupts ? map_irq_node_groups :
						      map_node_groups,
					 KBUILD_MODNAME "%u", MINOR(number));
}

/* The files in debugfs. Rust writes them by their number in this order. */
static void (*map_debug_show)(struct seq_file *out, unsigned int which);

static int map_debug_windows_show(struct seq_file *out, void *unused)
{
	map_debug_show(out, 0);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(map_debug_windows);

static int map_debug_mappings_show(struct seq_file *out, void *unused)
{
	map_debug_show(out, 1);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(map_debug_mappings);

static int map_debug_refusals_show(struct seq_file *out, void *unused)
{
	map_debug_show(out, 2);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(map_debug_refusals);

static int map_debug_interrupts_show(struct seq_file *out, void *unused)
{
	map_debug_show(out, 3);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(map_debug_interrupts);

static struct dentry *map_debug;

void map_debug_create(void (*show)(struct seq_file *out, unsigned int which))
{
	map_debug_show = show;
	map_debug = debugfs_create_dir(KBUILD_MODNAME, NULL);
	debugfs_create_file("windows", 0400, map_debug, NULL,
			    &map_debug_windows_fops);
	debugfs_create_file("mappings", 0400, map_debug, NULL,
			    &map_debug_mappings_fops);
	debugfs_create_file("refusals", 0400, map_debug, NULL,
			    &map_debug_refusals_fops);
	debugfs_create_file("interrupts", 0400, map_debug, NULL,
			    &map_debug_interrupts_fops);
}

void map_debug_remove(void)
{
	debugfs_remove(map_debug);
}

/*
 * What other modules can do with windows. A module that uses an exported symbol
 * is loaded after this one is initialized, and is unloaded before.
 */
static int (*map_add)(const char *text, size_t length, char *reason,
		      size_t room);
static void (*map_remove)(unsigned int minor);

void map_offer_windows(int (*add)(const char *text, size_t length, char *reason,
				  size_t room),
		       void (*remove)(unsigned int minor))
{
	map_add = add;
	map_remove = remove;
}

/**
 * map_window_add - add a window
 * @text: the window, in the syntax of the parameter "windows"
 * @length: the length of @text in bytes
 * @reason: is set to the line that is logged if the window is refused; otherwise
 *	to an empty string
 * @room: the size of @reason in bytes, at least 1; a longer line is cut
 *
 * The window stays until it is removed. It may sleep, and must not be called
 * with mmap_lock held.
 *
 * Return: the minor number of its node, or a negative error number.
 */
int map_window_add(const char *text, size_t length, char *reason, size_t room)
{
	return map_add(text, length, reason, room);
}
EXPORT_SYMBOL_NS_GPL(map_window_add, "MAP");

/**
 * map_window_remove - remove a window that map_window_add() has added
 * @minor: the minor number of its node
 *
 * When this returns, no process can access the memory, and it is not claimed.
 * It may sleep, and must not be called with mmap_lock held.
 */
void map_window_remove(unsigned int minor)
{
	map_remove(minor);
}
EXPORT_SYMBOL_NS_GPL(map_window_remove, "MAP");
