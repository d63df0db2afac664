// SPDX-License-Identifier: GPL-2.0
/*
 * Applies an overlay to the device tree while this module is loaded. Only the
 * kernel can do that; a test loads this module for it.
 */

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/init.h>
#include <linux/kernel_read_file.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/of.h>
#include <linux/printk.h>
#include <linux/sizes.h>
#include <linux/vmalloc.h>

static char *path;
module_param(path, charp, 0444);
MODULE_PARM_DESC(path, "The file of the overlay, in the format of dtc");

/* The kernel's id of the overlay; 0 if there is none. */
static int id;

static int __init overlay_init(void)
{
	void *overlay = NULL;
	ssize_t size;
	int error;

	if (!path)
		return -EINVAL;
	size = kernel_read_file_from_path(path, 0, &overlay, SZ_1M, NULL,
					  READING_UNKNOWN);
	if (size < 0)
		return size;
	error = of_overlay_fdt_apply(overlay, size, &id, NULL);
	/* The kernel has a copy. */
	vfree(overlay);
	if (error) {
		pr_err("%s is not put on the device tree: error %d\n", path,
		       error);
		/* Part of it may have been applied. */
		of_overlay_remove(&id);
	}
	return error;
}
module_init(overlay_init);

static void __exit overlay_exit(void)
{
	int error = of_overlay_remove(&id);

	if (error)
		pr_err("%s is not taken off the device tree: error %d\n", path,
		       error);
}
module_exit(overlay_exit);

MODULE_AUTHOR("The map developers");
MODULE_DESCRIPTION("Applies an overlay to the device tree, for tests");
MODULE_LICENSE("GPL");
