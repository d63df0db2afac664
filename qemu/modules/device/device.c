// SPDX-License-Identifier: GPL-2.0
/*
 * Adds a platform device with memory while this module is loaded. Its resource
 * is inserted around what is claimed there, and takes that along when it goes.
 */

#include <linux/err.h>
#include <linux/init.h>
#include <linux/ioport.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/platform_device.h>

static unsigned long start;
module_param(start, ulong, 0444);
MODULE_PARM_DESC(start, "The physical address of its first byte");

static unsigned long size;
module_param(size, ulong, 0444);
MODULE_PARM_DESC(size, "The number of bytes");

static struct platform_device *device;

static int __init device_init(void)
{
	struct resource memory = DEFINE_RES_MEM(start, size);

	if (!size)
		return -EINVAL;
	device = platform_device_register_simple(KBUILD_MODNAME,
						 PLATFORM_DEVID_NONE, &memory,
						 1);
	return PTR_ERR_OR_ZERO(device);
}
module_init(device_init);

static void __exit device_exit(void)
{
	platform_device_unregister(device);
}
module_exit(device_exit);

MODULE_AUTHOR("The map developers");
MODULE_DESCRIPTION("Adds a device with memory, for tests");
MODULE_LICENSE("GPL");
