// SPDX-License-Identifier: MIT OR Apache-2.0

//! What the project is built from has licences that fit its own, and comes from a registry.
//!
//! Advisories need a database that changes every day: `make advisories` asks one, if there is one.

mod common;

use std::process::Command;

use common::root;
use serde_json::Value;

/// Licences that allow the project to have its own. Of those that a crate offers, one must be among these.
const FIT: &[&str] = &["Apache-2.0", "MIT", "Unicode-3.0"];

/// Whether what `expression` asks for fits: alternatives in parentheses or not, joined by AND.
fn fits(expression: &str) -> bool {
    // Before SPDX expressions a slash was written for OR.
    let expression = expression.replace('/', " OR ");
    let mut parts = expression.split(" AND ");
    parts.all(|part| part.trim_matches(['(', ')']).split(" OR ").any(|licence| FIT.contains(&licence.trim())))
}

#[test]
fn every_crate_has_a_licence_that_fits_and_comes_from_the_registry() {
    let host = Command::new("rustc").arg("-vV").output().unwrap();
    let host = String::from_utf8(host.stdout).unwrap();
    let host = host.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(root());
    cargo.args(["metadata", "--format-version=1", "--locked", "--offline", "--filter-platform", host]);
    let output = cargo.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    assert!(packages.len() > 50, "{}", packages.len());
    for package in packages {
        let text = |key: &str| package[key].as_str().unwrap_or_default();
        let name = text("name");
        assert!(fits(text("license")), "{name}: {}", text("license"));
        // Those of the project have no source, and nothing is taken from a repository in passing.
        let of_project = package["source"].is_null();
        assert!(of_project || text("source").starts_with("registry+"), "{name}: {}", text("source"));
    }
}

#[test]
fn licences_that_do_not_fit_are_found() {
    for good in ["MIT", "MIT OR GPL-3.0", "Unlicense/MIT", "(MIT OR X) AND Unicode-3.0", "X OR Apache-2.0"] {
        assert!(fits(good), "{good}");
    }
    for bad in ["", "GPL-3.0", "MIT AND GPL-3.0", "(X OR Y) AND MIT", "BSD-4-Clause"] {
        assert!(!fits(bad), "{bad}");
    }
}
