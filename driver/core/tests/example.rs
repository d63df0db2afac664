// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The example that the package map-dkms installs is valid.

use map_core::{
    parse,
    Limits,
    Table,
    Window, //
};

const PLATFORM: Limits = Limits {
    page_size: 0x1000,
    last_address: (1 << 52) - 1,
    last_offset: u64::MAX,
    task_size: 0x7fff_ffff_f000,
    aborts: true,
};

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
