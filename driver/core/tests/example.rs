// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The example that the package map-dkms installs is valid.

mod platform;

use map_core::{
    parse,
    Table,
    Window, //
};
use platform::PLATFORM;

#[test]
fn the_example_for_modprobe_is_a_table_of_windows() {
    let list = include_str!("../../packaging/debian/modprobe.d/map.conf")
        .lines()
        .find_map(|line| line.strip_prefix("#options map windows="))
        .unwrap();
    let windows: Vec<Window> = parse(list.as_bytes(), 0x1000).map(Result::unwrap).collect();
    assert_eq!(windows.len(), 3);
    assert!(Table::new(windows, &PLATFORM).is_ok());
}
