// SPDX-License-Identifier: MIT OR Apache-2.0

//! Tells `src/barrier.rs` which barriers a 32-bit ARM processor has. Rust has no stable way to ask for ARMv7.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(arm_barriers, values(\"instructions\", \"cp15\"))");
    if env::var("CARGO_CFG_TARGET_ARCH").as_deref() == Ok("arm") {
        if let Some(barriers) = barriers(&env::var("TARGET").unwrap_or_default()) {
            println!("cargo::rustc-cfg=arm_barriers=\"{barriers}\"");
        }
    }
}

/// The barriers of the processors that `target` is for; `None` before ARMv6, which lets programs use none.
fn barriers(target: &str) -> Option<&'static str> {
    let is = |starts: &[&str]| starts.iter().any(|start| target.starts_with(start));
    if is(&["armv4", "armv5", "thumbv4", "thumbv5", "arm-linux-androideabi"]) {
        None
    } else if is(&["arm-", "armv6"]) {
        Some("cp15")
    } else {
        Some("instructions")
    }
}
