/* SPDX-License-Identifier: GPL-2.0 */
/* The C side of shim.rs: the two declare the same functions. */
#ifndef MAP_SHIM_H
#define MAP_SHIM_H

#include <linux/mm_types.h>
#include <linux/sched.h>
#include <linux/types.h>

struct cdev;
struct fwnode_handle;
struct inode;

unsigned int map_major(void);
const char *map_windows(size_t *length);
struct cdev *map_inode_cdev(struct inode *inode);
bool map_capable_rawio(void);
bool map_locked_down(void);
pgprot_t map_pgprot_noncached(pgprot_t prot);
pgprot_t map_pgprot_writecombine(pgprot_t prot);
pgprot_t map_pgprot_dirty(pgprot_t prot);
bool map_same_cache(pgprot_t one, pgprot_t other);
phys_addr_t map_last_phys_addr(void);
unsigned long map_task_size(void);
pid_t map_current_pid(void);
void map_current_comm(char comm[TASK_COMM_LEN]);
bool map_may_log(void);
bool map_tree_has_windows(void);
bool map_tree_reserved(unsigned int index, u64 *start, u64 *length);
bool map_tree_property(const struct fwnode_handle *fwnode, const char *name,
		       const void **value, size_t *length);
int map_tree_memory_region(const struct fwnode_handle *fwnode, u64 *start,
			   u64 *length);
int map_tree_reg(const struct fwnode_handle *fwnode, u64 *start, u64 *length);

#endif
