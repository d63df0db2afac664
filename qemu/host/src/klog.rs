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
    // Its command line says so. If it gives up, it says why in another line.
    "kmemleak: Kernel memory leak detector disabled",
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

/// What a report of KCSAN begins with, after the time.
const RACE: &str = "] BUG: KCSAN: ";

/// The line behind a report of KCSAN.
const END_OF_RACE: &str = "] ==================================================================";

/// What stands behind a function of the driver's modules in a call trace.
const OURS: [&str; 2] = ["[map]", "[map_config]"];

/// Data races of the kernel in functions that the driver may call at any time, as [`functions`] gives them.
const RACES_OF_THE_KERNEL: &[&str] = &[
    // "A single non serialized read", as the kernel documents it: one word on a machine of 64 bits, before or after the
    // update.
    "ktime_get_seconds / timekeeping_update_from_shadow",
    // The scheduler looks for PF_KTHREAD in another task's flags, while that notes that it has used a capability.
    "kthread_is_per_cpu / ns_capable_noaudit",
    // Whoever leaves the queue of a mutex asks for the next in it by a plain load, and takes it by xchg() if there is one.
    // The entries of these queues are the kernel's, one of each processor.
    "osq_unlock",
    "osq_lock / osq_unlock",
];

/// The functions that the first line of a report of KCSAN names, without the places in them, which a report has if it
/// knows only one of the two. Those of a module keep its name.
fn functions(line: &str) -> String {
    let (_, functions) = line.split_once("data-race in ").unwrap_or_default();
    let names = functions.split(" / ").map(|function| match (function.split_once('+'), function.find(" [")) {
        (Some((name, _)), None) => name.trim(),
        _ => function.trim(),
    });
    names.collect::<Vec<_>>().join(" / ")
}

/// The log without the first lines of data races that are the kernel's own.
///
/// Linux has many, of which most are harmless and known to those who work on it: a counter of statistics, a flag that
/// is read once more under the lock. A list of them would change with every version. So a race is taken for the
/// kernel's if no function of our modules is in either call trace: then the driver has neither made one of the two
/// accesses, nor called what made it. If it has called it, the race must be one of [`RACES_OF_THE_KERNEL`]. Everything
/// else in a report, and between its lines, is searched as usual.
pub fn without_races_of_the_kernel(log: &str) -> String {
    let lines: Vec<_> = log.lines().collect();
    let is_of_the_kernel = |report: &[&str]| {
        // A report without its end may be ours.
        let Some(end) = report.iter().position(|line| line.contains(END_OF_RACE)) else { return false };
        let is_ours = |line: &&str| OURS.iter().any(|module| line.contains(module));
        let is_known = RACES_OF_THE_KERNEL.contains(&functions(report[0]).as_str());
        is_known || !report[..end].iter().any(is_ours)
    };
    let mut kept = String::new();
    for (number, line) in lines.iter().enumerate() {
        if !(line.contains(RACE) && is_of_the_kernel(&lines[number..])) {
            kept += line;
            kept.push('\n');
        }
    }
    kept
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
[    0.050000] kmemleak: Kernel memory leak detector disabled
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

    /// A report of KCSAN in the words of Linux 7.3.4, with this function of a module in the second call trace.
    fn race(function: &str) -> String {
        format!(
            "\
[    5.1] ==================================================================
[    5.1] BUG: KCSAN: data-race in filemap_map_pages / folio_remove_rmap_ptes
[    5.1]
[    5.1] write to 0xffffea0000c0ffee of 4 bytes by task 71 on cpu 1:
[    5.1]  folio_remove_rmap_ptes+0x10/0x20
[    5.1]  entry_SYSCALL_64_after_hwframe+0x76/0x7e
[    5.1]
[    5.1] read to 0xffffea0000c0ffee of 4 bytes by task 72 on cpu 0:
[    5.1]  filemap_map_pages+0x30/0x40
[    5.1]  {function}
[    5.1]  entry_SYSCALL_64_after_hwframe+0x76/0x7e
[    5.1]
[    5.1] value changed: 0x00000001 -> 0x00000002
[    5.1]
[    5.1] Reported by Kernel Concurrency Sanitizer on:
[    5.1] CPU: 0 UID: 0 PID: 72 Comm: map-suite Tainted: G           O        7.3.4 #1
[    5.1] ==================================================================
"
        )
    }

    #[test]
    fn a_data_race_is_a_finding() {
        let log = race("_RNvMNtCs1_3map5stateNtB2_5State6remove+0x1/0x2 [map]");
        assert_eq!(splats(&log), ["[    5.1] BUG: KCSAN: data-race in filemap_map_pages / folio_remove_rmap_ptes"]);
        assert_eq!(test_at_fault(&format!("[    5.0] map-suite: one\n{log}")), Some("one"));
        for banner in ["kcsan: enabled early", "kcsan: strict mode configured", "kcsan: selftest: 3/3 tests passed"] {
            assert!(splats(&format!("[    0.0] {banner}")).is_empty());
        }
    }

    #[test]
    fn a_data_race_of_the_kernel_alone_is_none_and_one_with_a_function_of_ours_is_one() {
        let found = |log: &str| splats(&without_races_of_the_kernel(log)).len();
        let foreign = race("handle_mm_fault+0x1/0x2");
        assert_eq!(found(&foreign), 0);
        assert_eq!(found(&race("configfs_write_iter+0x1/0x2 [configfs]")), 0);
        for function in ["map_load+0x1/0x2 [map]", "_RNv10map_config3add+0x1/0x2 [map_config]"] {
            let ours = race(function);
            assert_eq!(found(&ours), 1);
            assert_eq!(found(&format!("{foreign}{ours}{foreign}")), 1);
        }
        // One that is known, and one that only looks like it.
        let known = race("map_load+0x1/0x2 [map]").replace(
            "filemap_map_pages / folio_remove_rmap_ptes",
            "ktime_get_seconds / timekeeping_update_from_shadow",
        );
        assert_eq!(found(&known), 0);
        assert_eq!(found(&known.replace("/ timekeeping_update_from_shadow", "/ map_load [map]")), 1);
        let lock = race("map_load+0x1/0x2 [map]")
            .replace("filemap_map_pages / folio_remove_rmap_ptes", "osq_unlock+0x136/0x180");
        assert_eq!(found(&lock), 0);
        assert_eq!(found(&lock.replace("osq_unlock+0x136/0x180", "osq_unlock+0x136/0x180 [map]")), 1);
        assert_eq!(found(&lock.replace("osq_unlock+0x136/0x180", "mutex_unlock+0x136/0x180")), 1);
        // In the first line alone, as of a function that was inlined since.
        assert_eq!(found(&foreign.replace("data-race in", "data-race in map_load [map] /")), 1);
        // A report that breaks off, and another fault in the middle of one.
        let cut = foreign.rfind("[    5.1] ====").unwrap();
        assert_eq!(found(&foreign[..cut]), 1);
        let with =
            |line: &str| foreign.replace("[    5.1] value changed", &format!("[    5.1] {line}\n[    5.1] value"));
        assert_eq!(found(&with("BUG: sleeping function called from invalid context at mm/slab_common.c:1")), 1);
        // What is logged behind it is no part of it.
        assert_eq!(found(&format!("{foreign}[    6.0]  map_load+0x1/0x2 [map]\n")), 0);
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
