// SPDX-License-Identifier: GPL-2.0
/*
 * What the kernel defines as macros, as inline functions or by configuration,
 * and bindgen therefore cannot see. There are no decisions here.
 */

#include <linux/capability.h>
#include <linux/cdev.h>
#include <linux/mm.h>
#include <linux/pgtable.h>
#include <linux/ratelimit.h>
#include <linux/sched.h>

#ifdef CONFIG_X86
#include <asm/processor.h>
#endif

#include "shim.h"

bool map_capable_rawio(void)
{
	return capable(CAP_SYS_RAWIO);
}

pgprot_t map_pgprot_noncached(pgprot_t prot)
{
	return pgprot_noncached(prot);
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

/*
 * The process that is in the kernel now. This is asked in C because bindgen
 * loses the alignment of an empty structure, and without CONFIG_SCHEDSTATS
 * task_struct has one before this field.
 */
pid_t map_current_pid(void)
{
	return task_tgid_nr(current);
}

/* Whether one more line about a refusal may go to the log now. */
bool map_may_log(void)
{
	static DEFINE_RATELIMIT_STATE(state, DEFAULT_RATELIMIT_INTERVAL,
				      DEFAULT_RATELIMIT_BURST);

	return __ratelimit(&state);
}
