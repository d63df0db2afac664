// SPDX-License-Identifier: MIT OR Apache-2.0

//! The recipes in `driver/packaging`: what other files of the project decide stands in them as it is there.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// The top of the project.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Runs `driver/packaging/recipes.sh` of the project in `directory`.
fn recipes(directory: &Path, arguments: &[&str]) -> Output {
    Command::new(directory.join("driver/packaging/recipes.sh")).args(arguments).output().unwrap()
}

/// What a program printed to stdout.
fn printed(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Copies a directory, or a file.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    let status = Command::new("cp").arg("-r").arg(from).arg(to).status().unwrap();
    assert!(status.success());
}

#[test]
fn the_recipes_are_up_to_date() {
    let output = recipes(&root(), &["--check"]);
    assert!(output.status.success(), "run make recipes: {output:?}");
    assert_eq!(printed(&recipes(&root(), &["--version"])).trim(), env!("CARGO_PKG_VERSION"));
}

#[test]
fn a_new_version_and_another_licence_must_be_written_into_the_recipes() {
    let directory = tempfile::tempdir().unwrap();
    for path in ["Cargo.toml", "docs/licenses", "driver/packaging"] {
        copy(&root().join(path), &directory.path().join(path));
    }
    let file = |name: &str| directory.path().join(name);
    let manifest = fs::read_to_string(file("Cargo.toml")).unwrap();
    let (before, after) = manifest.split_once(&format!("version = \"{}\"", env!("CARGO_PKG_VERSION"))).unwrap();
    fs::write(file("Cargo.toml"), format!("{before}version = \"7.8.9\"{after}")).unwrap();
    let licence = fs::read_to_string(file("docs/licenses/MIT.txt")).unwrap();
    fs::write(file("docs/licenses/MIT.txt"), licence + "\n").unwrap();

    let checked = recipes(directory.path(), &["--check"]);
    assert_eq!(checked.status.code(), Some(1));
    let checked = printed(&checked);
    for sign in ["must be called", "_VERSION = 7.8.9", "+sha256", "MIT.txt;md5="] {
        assert!(checked.contains(sign), "{sign} is not in {checked}");
    }

    assert!(recipes(directory.path(), &[]).status.success());
    let checked = recipes(directory.path(), &["--check"]);
    assert!(checked.status.success(), "{checked:?}");
    let layer = "driver/packaging/yocto/meta-map";
    assert!(file(layer).join("recipes-map/map/devmap_7.8.9.bb").exists());
    assert!(file(layer).join("recipes-map/map/kernel-module-map_7.8.9.bb").exists());
}
