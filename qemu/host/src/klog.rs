// SPDX-License-Identifier: MIT OR Apache-2.0

//! Finds faults in a guest's kernel log.

/// What the kernel logs when it finds a fault in itself, in a driver or in the order of locks.
const SPLATS: &[&str] = &[
    "WARNING:",
    "BUG:",
    // A finding of the allocator, at the start of the line, after the time.
    "] BUG ",
    "kernel BUG at",
    "Oops",
    "Kernel panic",
    "KASAN",
    "KCSAN",
    "KFENCE",
    "UBSAN",
    "general protection fault",
    "Unable to handle kernel",
    "unable to handle kernel",
    "Internal error:",
    "synchronous external abort",
    "Corrupted page table",
    "Bad page map",
    "Bad page state",
    "Bad rss-counter",
    "INFO: task",
    "INFO: rcu",
    "rcu: INFO",
    "INFO: possible",
    "INFO: trying to register",
    "inconsistent lock state",
    "possible recursive locking",
    "possible circular locking",
    "suspicious RCU usage",
    "sleeping function called",
    "scheduling while atomic",
    "DEBUG_LOCKS_WARN_ON",
    "ODEBUG:",
    "list_add corruption",
    "list_del corruption",
    "soft lockup",
    "hard LOCKUP",
    "refcount_t:",
    "memory leak",
    "unreferenced object",
    // kmemleak gave up: its silence from then on proves nothing.
    "kmemleak: Cannot allocate",
    "kmemleak: Memory pool empty",
    "leaked",
    "Call Trace:",
    "Call trace:",
    "rust_kernel: panicked",
    "panicked at",
    "conflicting memory types",
    "freeing invalid memtype",
    "Trying to free nonexistent resource",
];

/// What a kernel logs although it found nothing.
const BANNERS: &[&str] = &[
    // A kernel that checks itself, at its start.
    "kmemleak: Kernel memory leak detector initialized",
    "ODEBUG: selftest passed",
    // On arm, for every access that aborts, also that of a program. If it was the kernel's, an internal error follows.
    "] Unhandled fault: ",
    // A page fault that finds no memory is tried again.
    "Huh VM_FAULT_OOM leaked out to the #PF handler",
    // It reads more than it would have to.
    "kmemleak: Cannot allocate a scan area, scanning the full object",
    // For every overlay that changes a property of a node of the boot: the old value is never freed.
    "OF: overlay: WARNING: memory leak will occur if overlay removed, property: ",
];

/// The text before the name of a test that begins.
const MARK: &str = "] map-suite: ";

/// The lines of `log` by which the kernel reports a fault.
pub fn splats(log: &str) -> Vec<&str> {
    log.lines().filter(|line| is_splat(line)).collect()
}

fn is_splat(line: &str) -> bool {
    let has_any = |texts: &[&str]| texts.iter().any(|text| line.contains(text));
    // A program's own line in /dev/kmsg is not a finding of the kernel.
    has_any(SPLATS) && !has_any(BANNERS) && !line.contains(MARK)
}

/// How many lines lie between a report and its call trace, at most.
const TO_TRACE: usize = 6;

/// The log without the call traces of these reports, which begin with a line that has one of the texts.
pub fn without(log: &str, reports: &[&str]) -> String {
    let mut left = 0;
    let mut kept = String::new();
    for line in log.lines() {
        if reports.iter().any(|report| line.contains(report)) {
            left = TO_TRACE;
        }
        let is_trace = left > 0 && line.trim_end().ends_with("Call Trace:");
        left = if is_trace { 0 } else { left.saturating_sub(1) };
        if !is_trace {
            kept += line;
            kept.push('\n');
        }
    }
    kept
}

/// The test during which the kernel reported its first fault, if one was running.
pub fn test_at_fault(log: &str) -> Option<&str> {
    let before = log.lines().take_while(|line| !is_splat(line));
    before.filter_map(|line| line.split_once(MARK)).last().map(|(_, test)| test)
}

/// `count` lines of `log`, from the first fault on.
pub fn from_fault(log: &str, count: usize) -> String {
    log.lines().skip_while(|line| !is_splat(line)).take(count).collect::<Vec<_>>().join("\n")
}

/// The last `count` lines of `log`.
pub fn tail(log: &str, count: usize) -> String {
    let lines: Vec<_> = log.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_own_findings_are_found() {
        let log = "\
[    1.0] map: /dev/map is character device 126:0
[    1.1] ------------[ cut here ]------------
[    1.1] WARNING: CPU: 0 PID: 42 at mm/memory.c:2345 remap_pfn_range+0x10/0x20
[    1.2] BUG: KASAN: slab-use-after-free in mmap_raw+0x1/0x2
[    1.3] map: mmap by process 7 refused: the range holds System RAM";
        assert_eq!(splats(log).len(), 2);
        assert_eq!(
            splats("[ 0.1] Debug warning: early ioremap leaked"),
            ["[ 0.1] Debug warning: early ioremap leaked"]
        );
        assert!(splats("[ 0.1] map-suite: test a WARNING: is reported").is_empty());
    }

    #[test]
    fn what_a_kernel_that_checks_itself_finds_is_found() {
        // In the words of Linux 7.3.4.
        for line in [
            "kmemleak: 3 new suspected memory leaks (see /sys/kernel/debug/kmemleak)",
            "unreferenced object 0xffff888004a3c1e0 (size 32):",
            "kmemleak: Cannot allocate a kmemleak_object structure",
            "DEBUG_LOCKS_WARN_ON(lock->magic != lock)",
            "Trying to free nonexistent resource <0x00000000c0000000-0x00000000c02fffff>",
            "ODEBUG: free active (active state 0) object: ffff888004a3c1e0 object type: timer_list hint: 0x0",
            "ODEBUG: Out of memory. ODEBUG disabled",
            "WARNING: possible circular locking dependency detected",
            "WARNING: possible recursive locking detected",
            "BUG: sleeping function called from invalid context at mm/slab_common.c:1",
            "BUG: KASAN: slab-use-after-free in map_load+0x1/0x2 [map]",
            "kernel BUG at mm/page_table_check.c:118!",
            "UBSAN: shift-out-of-bounds in driver/shim.c:7:3",
            "list_add corruption. prev->next should be next (ffff888004a3c1e0), but was 0000000000000000. (prev=0)",
            "list_del corruption, ffff888004a3c1e0->next is LIST_POISON1 (dead000000000100)",
            "BUG kmalloc-64 (Not tainted): Poison overwritten",
            "Internal error: synchronous external abort: 0000000096000010 [#1]  SMP",
            "devmap[64]: unhandled exception: synchronous external abort, ESR 0x0000000092000010",
            "Call trace:",
        ] {
            let line = format!("[    9.876543] {line}");
            assert_eq!(splats(&line), [&line]);
        }
    }

    #[test]
    fn that_a_kernel_checks_itself_is_no_finding() {
        let log = "\
[    0.000000] kasan: KernelAddressSanitizer initialized (generic)
[    0.000000] Lock dependency validator: Copyright (c) 2006 Red Hat, Inc., Ingo Molnar
[    0.000000] ... MAX_LOCKDEP_SUBCLASSES:  8
[    0.000000]  memory used by lock dependency info: 4061 kB
[    0.000000] ODEBUG: selftest passed
[    0.100000] kmemleak: Kernel memory leak detector initialized (mem pool available: 15707)
[    0.500000] debug_vm_pgtable: [debug_vm_pgtable         ]: Validating architecture page table helpers";
        assert!(splats(log).is_empty(), "{:?}", splats(log));
    }

    #[test]
    fn that_an_access_of_a_program_aborts_on_arm_is_no_finding_but_one_of_the_kernel_is_one() {
        let log = "\
[    2.0] 8<--- cut here ---
[    2.0] Unhandled fault: synchronous external abort (0x210) at 0xb6ef1000
[    2.0] [b6ef1000] *pgd=418c1003, *pmd=413ff003";
        assert!(splats(log).is_empty(), "{:?}", splats(log));
        let line = "[    2.1] Internal error: : 210 [#1] SMP ARM";
        assert_eq!(splats(&format!("{log}\n{line}")), [line]);
    }

    #[test]
    fn that_an_overlay_changes_a_node_of_the_boot_is_no_finding_but_a_node_that_is_still_used_is_one() {
        let line =
            "[    9.0] OF: overlay: WARNING: memory leak will occur if overlay removed, property: /windows/status";
        assert!(splats(line).is_empty());
        let line = "[    9.0] OF: ERROR: memory leak, expected refcount 1 instead of 2, of_node_get()/of_node_put() \
                    unbalanced - destroy cset entry: attach overlay node /windows-late";
        assert_eq!(splats(line), [line]);
    }

    #[test]
    fn that_a_program_is_refused_another_cache_type_is_no_finding() {
        let line = "[    9.0] x86/PAT: map-suite:145 map pfn expected mapping type uncached-minus for \
                    [mem 0xc0000000-0xc02fffff], got write-back";
        assert!(splats(line).is_empty());
    }

    #[test]
    fn the_call_trace_of_a_report_that_is_expected_is_no_finding_and_every_other_is_one() {
        let report = "[ 1.0] map-suite: vmalloc error: size 9, vm_struct allocation failed\n[ 1.0] CPU: 0\n";
        let trace = "[ 1.0] Call Trace:\n";
        let reports = ["vmalloc error: size"];
        assert!(splats(&without(&format!("{report}{trace}"), &reports)).is_empty());
        assert_eq!(splats(&without(&format!("{report}{trace}"), &[])).len(), 1);
        assert_eq!(splats(&without(&format!("{report}{trace}{trace}"), &reports)).len(), 1);
        assert_eq!(splats(&without(&format!("{report}[ 1.0] BUG: x\n{trace}"), &reports)).len(), 1);
        let far = "[ 1.0] quiet\n".repeat(TO_TRACE);
        assert_eq!(splats(&without(&format!("{report}{far}{trace}"), &reports)).len(), 1);
    }

    #[test]
    fn a_log_is_searched_to_its_end() {
        let log = "[    1.0] quiet\n".repeat(100_000) + "[    2.0] kmemleak: 1 new suspected memory leaks (see x)\n";
        assert_eq!(splats(&log).len(), 1);
    }

    #[test]
    fn a_fault_is_shown_with_its_test_and_from_its_beginning() {
        let log =
            "[ 1.0] map-suite: one\n[ 1.1] x\n[ 1.2] map-suite: two\n[ 1.3] BUG: y\n[ 1.4] z\n[ 1.5] map-suite: three";
        assert_eq!(test_at_fault(log), Some("two"));
        assert_eq!(from_fault(log, 2), "[ 1.3] BUG: y\n[ 1.4] z");
        assert_eq!(test_at_fault("[ 0.1] BUG: y\n[ 1.0] map-suite: one"), None);
    }

    #[test]
    fn the_tail_of_a_short_log_is_all_of_it() {
        assert_eq!(tail("a\nb\nc", 2), "b\nc");
        assert_eq!(tail("a", 5), "a");
        assert_eq!(tail("", 5), "");
    }
}
