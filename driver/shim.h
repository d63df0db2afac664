/* SPDX-License-Identifier: GPL-2.0 */
/* The C side of abstractions/shim.rs, which declares the same functions. */
#ifndef MAP_SHIM_H
#define MAP_SHIM_H

#include <linux/irqreturn.h>
#include <linux/mm_types.h>
#include <linux/sched.h>
#include <linux/spinlock_types.h>
#include <linux/types.h>

struct class;
struct device;
struct eventfd_ctx;
struct file;
struct fwnode_handle;
struct inode;
struct iov_iter;
struct poll_table_struct;
struct seq_file;
struct vfsmount;
struct vm_fault;
struct vm_area_struct;
struct wait_queue_head;

/* The access mode of a file, and a property of the process that maps it. */
#define MAP_CALLER_READABLE 1
#define MAP_CALLER_WRITABLE 2
#define MAP_CALLER_READ_IMPLIES_EXEC 4

/* How a sleep ends. */
#define MAP_READY 0
#define MAP_TIMED_OUT 1
#define MAP_SIGNAL 2

unsigned int map_major(void);
const char *map_windows(size_t *length);
bool map_capable_rawio(void);
bool map_locked_down(void);
int map_check_encryption(void);
unsigned int map_caller(const struct file *file);
bool map_is_shared(const struct vm_area_struct *vma);
void map_clear_exec(struct vm_area_struct *vma);
bool map_may_go_on(void);
size_t map_iter_count(const struct iov_iter *iter);
void map_barrier(void);
void __iomem *map_io_map(u64 start, size_t length, u32 cache);
void map_io_unmap(void __iomem *io, u64 start, size_t length, u32 cache);
bool map_io_is_huge(const void __iomem *io);
bool map_io_has_cache(const void __iomem *io, pgprot_t wanted);
bool map_io_is(const void __iomem *io, u32 cache);
void map_io_read(void *to, const void __iomem *io, size_t length);
void map_io_write(void __iomem *io, const void *from, size_t length);
struct inode *map_space_create(struct vfsmount **mount);
void map_space_destroy(struct vfsmount *mount, struct inode *inode);
void map_space_adopt(struct inode *inode, struct file *file);
void map_space_unmap(struct inode *inode, u64 start, u64 length);
void map_space_unmap_each(struct inode *inode, u64 start, u64 length);
void map_copy_no_page(struct vm_area_struct *vma);
void map_class_init(struct class *class,
		    ssize_t (*show)(const void *node, unsigned int which,
				    char *buffer),
		    const char *(*name)(const void *node));
struct device *map_device_create(struct class *class, dev_t number, void *node,
				 bool interrupts);
void map_zap(struct vm_area_struct *vma);
void map_set_pfn_map(struct vm_area_struct *vma);
bool map_huge(void);
u64 map_huge_page_size(void);
struct vm_area_struct *map_fault_vma(const struct vm_fault *vmf,
				     unsigned long *address);
unsigned int map_fault_insert_huge(struct vm_fault *vmf, unsigned int order,
				   unsigned long pfn);
unsigned int map_fault_insert(struct vm_fault *vmf, unsigned long address,
			      unsigned long pfn, unsigned long count);
unsigned long map_unmapped_range(struct file *file, unsigned long address,
				 unsigned long length, unsigned long pgoff,
				 unsigned long flags);
pgprot_t map_pgprot_noncached(pgprot_t prot);
pgprot_t map_pgprot_writecombine(pgprot_t prot);
pgprot_t map_pgprot_dirty(pgprot_t prot);
bool map_same_cache(pgprot_t one, pgprot_t other);
bool map_aborts(void);
bool map_gives_uncached(u64 start, u64 last);
bool map_gives_write_combine(u64 start, u64 last);
bool map_gives_write_back(u64 start, u64 last);
bool map_in_pci_bar(u64 start, u64 last);
phys_addr_t map_last_phys_addr(void);
unsigned long map_task_size(void);
int map_kcsan_nest(int depth);
pid_t map_current_pid(void);
void map_current_comm(char comm[TASK_COMM_LEN]);
uid_t map_current_user(void);
bool map_capable_resource(void);
u64 map_seconds(void);
int map_watch_memory(bool (*vetoes)(u64 start, u64 length));
void map_unwatch_memory(void);
int map_watch_of(void (*has_windows)(void));
void map_unwatch_of(void);
bool map_of_has_windows(void);
bool map_of_reserved(unsigned int index, u64 *start, u64 *length);
bool map_of_property(const struct fwnode_handle *fwnode, const char *name,
		       const void **value, size_t *length);
int map_of_memory_region(const struct fwnode_handle *fwnode, u64 *start,
			   u64 *length, bool *of_boot);
int map_of_reg(const struct fwnode_handle *fwnode, u64 *start, u64 *length);
int map_of_interrupts_extended(const struct fwnode_handle *fwnode);
bool map_of_interrupt_cells(const struct fwnode_handle *fwnode, u32 *cells);
int map_of_interrupt(const struct fwnode_handle *fwnode, unsigned int index);

int map_irq_depend(struct device *dev, unsigned int irq);
bool map_irq_is_per_processor(unsigned int irq);
int map_irq_request(unsigned int irq,
		    irqreturn_t (*handler)(int irq, void *data),
		    const char *name, void *data);
u32 map_irq_trigger(unsigned int irq);
void map_irq_set_unlazy(unsigned int irq);
void map_irq_enable(unsigned int irq);
void map_irq_disable(unsigned int irq);
void map_irq_lock_init(spinlock_t *lock);
unsigned long map_irq_lock(spinlock_t *lock);
void map_irq_unlock(spinlock_t *lock, unsigned long flags);
void map_wait_init(struct wait_queue_head *queue);
void map_wait_wake(struct wait_queue_head *queue);
int map_wait_sleep(struct wait_queue_head *queue, bool (*ready)(void *data),
		   void *data, s64 timeout);
void map_poll_wait(struct file *file, struct wait_queue_head *queue,
		   struct poll_table_struct *table);
struct eventfd_ctx *map_eventfd_get(int fd);
void map_eventfd_signal(struct eventfd_ctx *eventfd);
void map_eventfd_put(struct eventfd_ctx *eventfd);

void map_debug_create(void (*show)(struct seq_file *out, unsigned int which));
void map_debug_remove(void);

void map_offer_windows(int (*add)(const char *text, size_t length, char *reason,
				  size_t room),
		       void (*remove)(unsigned int minor));

/* What this module exports; config/driver.rs declares the same. */
int map_window_add(const char *text, size_t length, char *reason, size_t room);
void map_window_remove(unsigned int minor);

#endif
