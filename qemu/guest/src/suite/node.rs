// SPDX-License-Identifier: MIT OR Apache-2.0

//! Loading the driver, and its node.

use std::{
    fs::{self, File},
    io::{Read, Seek, SeekFrom, Write},
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::Path,
};

use anyhow::{ensure, Context, Result};
use nix::{
    errno::Errno,
    sys::stat::{major, minor},
};

use crate::{
    errno,
    host::Host,
    kernel::{self, load_fails, Loaded},
    user,
};

crate::tests! {
    load_registers_major_126,
    devtmpfs_makes_the_node,
    major_0_lets_the_kernel_choose,
    a_taken_major_is_ebusy,
    a_major_that_does_not_exist_is_einval,
    a_major_that_is_no_number_is_einval,
    a_second_insmod_is_eexist,
    the_node_has_no_position_and_no_contents,
}

fn load_registers_major_126(_: &mut Host) -> Result<()> {
    ensure!(kernel::users()?.is_none() && kernel::major()?.is_none(), "the driver exists before it is loaded");
    let _loaded = Loaded::new()?;
    ensure!(kernel::users()? == Some(0), "/proc/modules: {:?}", kernel::users()?);
    ensure!(kernel::major()? == Some(126), "/proc/devices: {:?}", kernel::major()?);
    let listed = kernel::run("lsmod", &[])?;
    ensure!(listed.lines().any(|line| line.starts_with("map ")), "lsmod: {listed}");
    Ok(())
}

fn devtmpfs_makes_the_node(_: &mut Host) -> Result<()> {
    ensure!(!Path::new("/dev/map").exists(), "/dev/map exists before the driver is loaded");
    {
        let _loaded = Loaded::new()?;
        let node = fs::metadata("/dev/map")?;
        ensure!(node.file_type().is_char_device(), "/dev/map is no character device");
        ensure!((major(node.rdev()), minor(node.rdev())) == (126, 0), "/dev/map has number {:#x}", node.rdev());
        ensure!(node.mode() & 0o7777 == 0o600, "/dev/map has mode {:o}", node.mode());
        ensure!((node.uid(), node.gid()) == (0, 0), "/dev/map belongs to {}:{}", node.uid(), node.gid());
        let number = fs::read_to_string("/sys/class/map/map/dev")?;
        ensure!(number.trim() == "126:0", "/sys/class/map/map/dev: {number}");
    }
    ensure!(!Path::new("/dev/map").exists(), "/dev/map is still there after rmmod");
    Ok(())
}

fn major_0_lets_the_kernel_choose(_: &mut Host) -> Result<()> {
    let _loaded = Loaded::with(&["major=0"])?;
    let chosen = kernel::major()?.context("/proc/devices has no map")?;
    ensure!(chosen != 0 && chosen != 126, "the kernel chose {chosen}");
    let node = fs::metadata("/dev/map")?;
    ensure!(major(node.rdev()) == u64::from(chosen), "/dev/map has number {:#x}", node.rdev());
    user::open()?;
    Ok(())
}

fn a_taken_major_is_ebusy(_: &mut Host) -> Result<()> {
    // Major 1 belongs to /dev/mem and others.
    let words = "map: character major 1 is taken; major=0 lets the kernel choose one";
    load_fails("major=1", Errno::EBUSY, &[words])
}

fn a_major_that_does_not_exist_is_einval(_: &mut Host) -> Result<()> {
    load_fails("major=512", Errno::EINVAL, &["map: there is no character major 512; they end at 511"])?;
    load_fails("major=4294967295", Errno::EINVAL, &["map: there is no character major 4294967295; they end at 511"])
}

fn a_major_that_is_no_number_is_einval(_: &mut Host) -> Result<()> {
    for word in ["major=abc", "major=-1", "major="] {
        load_fails(word, Errno::EINVAL, &["invalid for parameter `major'"])?;
    }
    load_fails("major=4294967296", Errno::ERANGE, &["invalid for parameter `major'"])
}

fn a_second_insmod_is_eexist(_: &mut Host) -> Result<()> {
    let _loaded = Loaded::new()?;
    let result = kernel::insmod(&[])?;
    ensure!(result == Err(Errno::EEXIST), "the second insmod: {result:?}");
    ensure!(kernel::users()? == Some(0), "/proc/modules: {:?}", kernel::users()?);
    user::open()?;
    Ok(())
}

fn the_node_has_no_position_and_no_contents(_: &mut Host) -> Result<()> {
    let _loaded = Loaded::new()?;
    let mut node: File = user::open()?;
    let position = errno::result(node.seek(SeekFrom::Start(0)));
    ensure!(position == Err(Errno::ESPIPE), "lseek(2): {position:?}");
    let read = errno::result(node.read(&mut [0]));
    ensure!(read == Err(Errno::EINVAL), "read(2): {read:?}");
    let written = errno::result(node.write(&[0]));
    ensure!(written == Err(Errno::EINVAL), "write(2): {written:?}");
    Ok(())
}
