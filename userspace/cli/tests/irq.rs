// SPDX-License-Identifier: MIT OR Apache-2.0

//! `devmap wait-irq` on what has no interrupts. The tests in the guests have devices that do.

mod common;

use std::fs;

use common::{program, Ran};

#[test]
fn what_has_no_interrupts_is_an_error_of_one_line() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("map1");
    fs::write(&file, [0; 16]).unwrap();
    let path = file.to_str().unwrap();
    let absent = directory.path().join("map2").display().to_string();
    let of_the_file =
        format!("devmap: {path} has no interrupts: it is a regular file; give a window or a UIO device\n");
    for (argument, line) in [
        (path.to_owned(), of_the_file.clone()),
        // The last part is the name of an interrupt.
        (format!("{path}/alarm"), of_the_file),
        ("/dev/zero".into(), "devmap: /dev/zero has no interrupts: it is no window and no UIO device\n".into()),
        (absent.clone(), format!("devmap: cannot open {absent}: No such file or directory (ENOENT)\n")),
    ] {
        let ran = Ran::new(program().args(["wait-irq", &argument]));
        assert_eq!((ran.status, ran.out.as_str(), ran.err), (Some(3), "", line));
    }
    let ran = Ran::new(program().args(["wait-irq", path, "--json"]));
    assert!(ran.err.starts_with(r#"{"error":""#) && ran.err.ends_with("\"status\":3}\n"), "{ran:?}");
}

#[test]
fn a_name_belongs_to_the_driver_and_not_to_another_device() {
    for (name, says) in [
        ("rtc/alarm", "rtc is the name of a window of /dev/map, but the device is /dev/zero"),
        ("uio0/0", "uio0 is a device of its own, but the device is /dev/zero"),
    ] {
        let ran = Ran::new(program().args(["wait-irq", name, "--device", "/dev/zero"]));
        assert_eq!((ran.status, ran.err), (Some(2), format!("devmap: {says}\n")));
    }
}
