// SPDX-License-Identifier: GPL-2.0
/*
 * A UIO device with one region of memory and no interrupt, for comparison: what
 * a driver such as uio_pdrv_genirq registers for a node of the device tree.
 */

#include <linux/device.h>
#include <linux/err.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/uio_driver.h>

static unsigned long start;
module_param(start, ulong, 0444);
MODULE_PARM_DESC(start, "The physical address of the region");

static unsigned long size;
module_param(size, ulong, 0444);
MODULE_PARM_DESC(size, "Its size in bytes");

static struct uio_info info = {
	.name = KBUILD_MODNAME,
	.version = "1",
	.irq = UIO_IRQ_NONE,
};

/* Every UIO device has a parent. */
static struct device *parent;

static int __init uio_bench_init(void)
{
	int error;

	parent = root_device_register(KBUILD_MODNAME);
	if (IS_ERR(parent))
		return PTR_ERR(parent);
	info.mem[0].name = "memory";
	info.mem[0].addr = start;
	info.mem[0].size = size;
	info.mem[0].memtype = UIO_MEM_PHYS;
	error = uio_register_device(parent, &info);
	if (error)
		root_device_unregister(parent);
	return error;
}
module_init(uio_bench_init);

static void __exit uio_bench_exit(void)
{
	uio_unregister_device(&info);
	root_device_unregister(parent);
}
module_exit(uio_bench_exit);

MODULE_DESCRIPTION("A UIO device on any memory, a reference for benchmarks");
MODULE_LICENSE("GPL");
