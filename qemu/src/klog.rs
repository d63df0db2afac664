// SPDX-License-Identifier: MIT OR Apache-2.0

//! The judge of a guest's kernel log.

/// What the kernel says when it has found a fault in itself, in a driver or in a lock's order.
const SPLATS: &[&str] = &[
    "WARNING:",
    "BUG:",
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
    "soft lockup",
    "hard LOCKUP",
    "refcount_t:",
    "memory leak",
    "unreferenced object",
    "leaked",
    "Call Trace:",
    "rust_kernel: panicked",
    "panicked at",
    "conflicting memory types",
    "freeing invalid memtype",
];

/// The lines of `log` by which the kernel reports a fault.
pub fn splats(log: &str) -> Vec<&str> {
    log.lines().filter(|line| is_splat(line)).collect()
}

fn is_splat(line: &str) -> bool {
    // A program's own words to /dev/kmsg are no finding of the kernel's.
    SPLATS.iter().any(|splat| line.contains(splat)) && !line.contains("map-suite:")
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
    fn the_tail_of_a_short_log_is_all_of_it() {
        assert_eq!(tail("a\nb\nc", 2), "b\nc");
        assert_eq!(tail("a", 5), "a");
        assert_eq!(tail("", 5), "");
    }
}
