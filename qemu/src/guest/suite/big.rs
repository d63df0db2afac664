// SPDX-License-Identifier: MIT OR Apache-2.0

//! Windows that are larger than the machine's memory.

use anyhow::{ensure, Result};

use crate::{
    host::Host,
    kernel::{self, Loaded},
};

crate::tests! {
    a_window_of_64_gib_is_loaded_and_unloaded,
}

fn a_window_of_64_gib_is_loaded_and_unloaded(_: &mut Host) -> Result<()> {
    let before = kernel::traces()?;
    drop(Loaded::with(&["windows=big@0x200000000+64G:shared"])?);
    let after = kernel::traces()?;
    ensure!(before == after, "something is left of it:\n{before}\nnow:\n{after}");
    Ok(())
}
