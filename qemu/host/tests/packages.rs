// SPDX-License-Identifier: MIT OR Apache-2.0

//! `driver/packaging/debian`: what can be checked without building the packages. `make test-packages` does the rest.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

const VERSION: &str = env!("CARGO_PKG_VERSION");

fn packaging() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../driver/packaging/debian")
}

fn read(file: &str) -> String {
    let path = packaging().join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The source tree that the packages are built from.
fn assemble() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let status = Command::new(packaging().join("build.sh"))
        .arg("--tree")
        .arg(directory.path())
        .env("SOURCE_DATE_EPOCH", "1000000000")
        .status()
        .unwrap();
    assert!(status.success());
    directory
}

/// All files below a directory, with paths relative to it.
fn files(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut directories = vec![root.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else {
                found.push(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    found
}

#[test]
fn the_version_comes_from_cargo_alone() {
    let tree = assemble();
    let changelog = fs::read_to_string(tree.path().join("debian/changelog")).unwrap();
    assert!(changelog.starts_with(&format!("map ({VERSION}) ")), "{changelog}");
    assert!(changelog.ends_with(">  Sun, 09 Sep 2001 01:46:40 +0000\n"), "{changelog}");
    for file in files(&packaging()) {
        assert!(!read(&file).contains(VERSION), "{file} has the version");
    }
}

#[test]
fn dkms_gets_all_that_the_driver_consists_of() {
    let install = read("map-dkms.install");
    let patterns: Vec<&str> = install
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split_whitespace().next().unwrap())
        .collect();
    let is_installed = |file: &str| {
        patterns.iter().any(|pattern| match pattern.split_once('*') {
            Some((start, end)) => {
                file.strip_prefix(start).and_then(|file| file.strip_suffix(end)).is_some_and(|name| !name.contains('/'))
            }
            None => file == *pattern || file.starts_with(&format!("{pattern}/")),
        })
    };
    let tree = assemble();
    let all = files(tree.path());
    let is_part = |file: &str| {
        let name = file.rsplit('/').next().unwrap();
        let other = ["driver/packaging/", "driver/core/tests/", "driver/core/fuzz/"];
        let types = [".rs", ".c", ".h", ".sh"];
        file.starts_with("driver/")
            && !other.iter().any(|directory| file.starts_with(directory))
            && (name == "Kbuild" || name != "lib.rs" && types.iter().any(|end| name.ends_with(end)))
    };
    let parts: Vec<&String> = all.iter().filter(|file| is_part(file)).collect();
    assert!(parts.len() > 40, "{parts:?}");
    for file in parts.into_iter().map(String::as_str).chain(["Kbuild", "Makefile", "Cargo.toml"]) {
        assert!(is_installed(file), "{file} is missing in map-dkms.install");
    }
    for file in ["driver/core/tests/list/mod.rs", "driver/core/fuzz/fuzz_targets/windows.rs", "Cargo.lock"] {
        assert!(all.iter().any(|known| known == file) && !is_installed(file), "{file} has no use there");
    }
}

#[test]
fn dkms_finds_the_driver_where_make_leaves_it() {
    let script = ". \"$0\"; echo \"${MAKE[0]}|${BUILT_MODULE_LOCATION[0]}|${BUILT_MODULE_NAME[0]}|$REMAKE_INITRD\"";
    let output = Command::new("bash")
        .args(["-euc", &format!("kernel_source_dir=/k dkms_tree=/d REMAKE_INITRD=; {script}")])
        .arg(packaging().join("map-dkms.dkms"))
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let [make, location, name, initrd] = text.trim_end().split('|').collect::<Vec<_>>()[..] else { panic!("{text}") };
    assert!(make.starts_with("'make' modules KDIR=/k "), "{make}");
    // dkms builds in this directory.
    let out = make.split(' ').find_map(|word| word.strip_prefix("MODULE_OUT=/d/map/#MODULE_VERSION#/build/")).unwrap();
    assert_eq!(format!("{out}/driver"), location);
    assert_eq!((name, initrd), ("map", ""));
}

#[test]
fn nothing_is_a_window_until_somebody_says_so() {
    let config = read("modprobe.d/map.conf");
    assert!(config.lines().all(|line| line.starts_with('#')), "{config}");
    assert_eq!(config.lines().filter(|line| line.starts_with("#options map windows=")).count(), 1);
}
