// SPDX-License-Identifier: MIT OR Apache-2.0

//! Checks the directories in which the driver is built.

use std::path::Path;

use anyhow::{bail, Result};

/// Fails if make, or the kernel's Makefile, would split the path of the clone or of its `target`. qemu/toolchain.sh has
/// this check, too: `make` calls it before anything is compiled.
pub fn check(clone: &Path, target: &Path) -> Result<()> {
    for (path, what, remedy) in
        [(clone, "this clone", "move"), (target, "the target directory", "set CARGO_TARGET_DIR instead of")]
    {
        if is_split(path) {
            bail!("the path of {what} must have no space and no colon: {remedy} {}", path.display());
        }
    }
    Ok(())
}

/// Whether make would split this path.
pub fn is_split(path: &Path) -> bool {
    path.to_string_lossy().contains(|c: char| c.is_whitespace() || c == ':')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_make_would_split_is_an_error() {
        let check = |clone: &str, target: &str| check(Path::new(clone), Path::new(target)).map_err(|e| e.to_string());
        assert_eq!(check("/src/map", "/src/map/target"), Ok(()));
        for path in ["/two words", "/a:b", "/a\tb"] {
            let error = check(path, "/target").unwrap_err();
            assert_eq!(error, format!("the path of this clone must have no space and no colon: move {path}"));
            let error = check("/src/map", path).unwrap_err();
            assert!(error.ends_with(&format!("set CARGO_TARGET_DIR instead of {path}")), "{error}");
        }
    }
}
