// SPDX-License-Identifier: GPL-2.0
/*
 * Raises interrupts of a line, as its device would: it sets the line pending in
 * the interrupt controller. A test that writes "IRQ COUNT GAP" to the parameter
 * raise knows how many interrupts were raised.
 *
 * It also has a driver of an interrupt controller without hardware, for nodes of
 * the device tree with the compatible "map,raise", which can be unbound.
 */

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/cpumask.h>
#include <linux/delay.h>
#include <linux/interrupt.h>
#include <linux/irq.h>
#include <linux/irqdomain.h>
#include <linux/kernel.h>
#include <linux/ktime.h>
#include <linux/mod_devicetable.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/platform_device.h>
#include <linux/property.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>

/* Waits until the line is not pending any more; it must not be masked. */
static int raise_wait(unsigned int irq)
{
	ktime_t end = ktime_add_ms(ktime_get(), 10000);
	bool pending;
	int error;

	for (;;) {
		error = irq_get_irqchip_state(irq, IRQCHIP_STATE_PENDING,
					      &pending);
		if (error || !pending)
			return error;
		if (fatal_signal_pending(current))
			return -EINTR;
		if (ktime_after(ktime_get(), end))
			return -ETIME;
		cond_resched();
	}
}

/*
 * Raises COUNT interrupts of the line IRQ, GAP nanoseconds apart. Each is raised
 * when the one before was handled, or they would be one. So this runs on the
 * processor that handles them: one that is not pending there is done.
 */
static int raise_set(const char *val, const struct kernel_param *kp)
{
	unsigned int irq, count, gap;
	struct irq_data *data;
	int error;

	if (sscanf(val, "%u %u %u", &irq, &count, &gap) != 3)
		return -EINVAL;
	data = irq_get_irq_data(irq);
	if (!data)
		return -EINVAL;
	/* Before the line is enabled, no processor handles it. */
	if (!cpumask_empty(irq_data_get_effective_affinity_mask(data))) {
		error = set_cpus_allowed_ptr(
			current, irq_data_get_effective_affinity_mask(data));
		if (error)
			return error;
	}
	error = 0;
	while (count && !error) {
		error = irq_set_irqchip_state(irq, IRQCHIP_STATE_PENDING, true);
		if (--count && !error)
			error = raise_wait(irq);
		if (gap)
			ndelay(gap);
	}
	set_cpus_allowed_ptr(current, cpu_possible_mask);
	return error;
}

static const struct kernel_param_ops raise_ops = {
	.set = raise_set,
};

module_param_cb(raise, &raise_ops, NULL, 0200);
MODULE_PARM_DESC(raise, "Raises interrupts: IRQ COUNT GAP, with the gap in ns");

#define RAISE_LINES 4

static int raise_map(struct irq_domain *domain, unsigned int irq,
		     irq_hw_number_t line)
{
	irq_set_chip_and_handler(irq, &dummy_irq_chip, handle_simple_irq);
	return 0;
}

static const struct irq_domain_ops raise_domain_ops = {
	.map = raise_map,
	.xlate = irq_domain_xlate_twocell,
};

static int raise_probe(struct platform_device *pdev)
{
	struct irq_domain *domain =
		irq_domain_create_linear(dev_fwnode(&pdev->dev), RAISE_LINES,
					 &raise_domain_ops, NULL);

	if (!domain)
		return -ENOMEM;
	platform_set_drvdata(pdev, domain);
	return 0;
}

/* As the driver of a GPIO controller does, whoever has a line. */
static void raise_remove(struct platform_device *pdev)
{
	struct irq_domain *domain = platform_get_drvdata(pdev);
	unsigned int line;

	for (line = 0; line < RAISE_LINES; line++)
		irq_dispose_mapping(irq_find_mapping(domain, line));
	irq_domain_remove(domain);
}

static const struct of_device_id raise_ids[] = {
	{ .compatible = "map,raise" },
	{}
};

static struct platform_driver raise_driver = {
	.probe = raise_probe,
	.remove = raise_remove,
	.driver = {
		.name = KBUILD_MODNAME,
		.of_match_table = raise_ids,
	},
};

static int __init raise_init(void)
{
	return platform_driver_register(&raise_driver);
}
module_init(raise_init);

static void __exit raise_exit(void)
{
	platform_driver_unregister(&raise_driver);
}
module_exit(raise_exit);

MODULE_AUTHOR("The map developers");
MODULE_DESCRIPTION("Raises interrupts, for tests");
MODULE_LICENSE("GPL");
