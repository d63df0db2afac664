// SPDX-License-Identifier: GPL-2.0
/*
 * What a textbook has: a character device whose mmap() maps any physical memory
 * uncached, without a single check. It is the reference for the cost of the
 * driver, and nothing to load into a machine that one needs.
 */

#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>

static int twin_mmap(struct file *file, struct vm_area_struct *vma)
{
	vma->vm_page_prot = pgprot_noncached(vma->vm_page_prot);
	return remap_pfn_range(vma, vma->vm_start, vma->vm_pgoff,
			       vma->vm_end - vma->vm_start, vma->vm_page_prot);
}

static const struct file_operations twin_fops = {
	.owner = THIS_MODULE,
	.mmap = twin_mmap,
};

static struct miscdevice twin = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "twin",
	.fops = &twin_fops,
};
module_misc_device(twin);

MODULE_DESCRIPTION("The textbook's mmap driver, a reference for benchmarks");
MODULE_LICENSE("GPL");
