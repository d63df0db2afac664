// SPDX-License-Identifier: MIT OR Apache-2.0

//! The steps of a user, in a guest without devtmpfs.

use std::{fs, path::Path};

use anyhow::{ensure, Context, Result};
use nix::errno::Errno;

use crate::{
    host::Host,
    kernel::{self, Loaded},
    user,
};

crate::tests! {
    mknod_makes_the_node_that_works,
    a_node_of_another_minor_is_enxio,
    a_node_without_the_driver_is_enxio,
}

const NODE: &str = "/dev/map";

/// The node that the user made; removed when dropped.
struct Made;

impl Made {
    fn with_minor(minor: &str) -> Result<Self> {
        kernel::run("mknod", &[NODE, "c", "126", minor])?;
        Ok(Self)
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        let _ = fs::remove_file(NODE);
    }
}

fn mknod_makes_the_node_that_works(host: &mut Host) -> Result<()> {
    let seed = 40;
    host.fill(seed)?;
    let _loaded = Loaded::new()?;
    ensure!(!Path::new(NODE).exists(), "{NODE} appeared by itself");
    let _node = Made::with_minor("0")?;
    kernel::run("sdram", &[])?;
    host.changed(seed, &[100..101], |_| 3)
}

fn opening_is_enxio() -> Result<()> {
    let errno = user::open_error();
    ensure!(errno == Some(Errno::ENXIO), "opening {NODE}: {errno:?}");
    Ok(())
}

fn a_node_of_another_minor_is_enxio(_: &mut Host) -> Result<()> {
    let _loaded = Loaded::new()?;
    // The first belongs to a window that does not exist, the last to no device at all.
    for minor in ["1", "64", "65"] {
        let _node = Made::with_minor(minor)?;
        opening_is_enxio().with_context(|| format!("minor {minor}"))?;
    }
    Ok(())
}

fn a_node_without_the_driver_is_enxio(_: &mut Host) -> Result<()> {
    let _node = Made::with_minor("0")?;
    opening_is_enxio()?;
    drop(Loaded::new()?);
    opening_is_enxio()
}
