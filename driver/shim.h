/* SPDX-License-Identifier: GPL-2.0 */
/* The C side of shim.rs: the two declare the same functions. */
#ifndef MAP_SHIM_H
#define MAP_SHIM_H

#include <linux/mm_types.h>
#include <linux/types.h>

bool map_capable_rawio(void);
pgprot_t map_pgprot_noncached(pgprot_t prot);
phys_addr_t map_last_phys_addr(void);
pid_t map_current_pid(void);
bool map_may_log(void);

#endif
