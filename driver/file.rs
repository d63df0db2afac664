// SPDX-License-Identifier: GPL-2.0

//! The file operations of the node. They make no decisions.

use kernel::{
    fs::File,
    mm::virt::VmaNew,
    prelude::*,
    seq_file::SeqFile,
    sync::{
        Arc,
        ArcBorrow, //
    }, //
};

use crate::{
    abstractions::fs::FileOperations,
    error::error_of,
    ioctl,
    map_core::{
        may_open,
        Refusal, //
    },
    mapping::Permit,
    report,
    state::{
        self,
        State, //
    },
    system::Kernel,
    vma, //
};

/// A file of the node.
pub(crate) struct NodeFile;

impl FileOperations for NodeFile {
    type Data = Arc<State>;

    fn open() -> Result<Arc<State>> {
        // The device number is visible before the state is published, and after it is withdrawn.
        let state = state::current().ok_or(ENXIO)?;
        let allowed = may_open(state.windows.lock().mode(), &Kernel);
        allowed.map_err(|reason| {
            report::refused_open(&state, reason);
            error_of(reason.errno())
        })?;
        Ok(state)
    }

    fn mmap(state: ArcBorrow<'_, State>, file: &File, vma: &VmaNew) -> Result {
        let request = vma::request(vma, file);
        // The lock is not held while the VMA is filled, which takes long. A window may be removed
        // meanwhile, as it may be right afterwards: the mapping is already registered, and holds
        // the claim.
        let made = Permit::new(state, &request).and_then(|permit| {
            let grant = permit.grant;
            vma::fill(vma, permit).inspect_err(|denial| {
                if denial.is(Refusal::CacheConflict) {
                    state.windows.lock().conflicts(&grant);
                }
            })
        });
        made.map_err(|denial| {
            report::refused_mmap(&state, &request, &denial);
            denial.error()
        })
    }

    fn ioctl(state: ArcBorrow<'_, State>, file: &File, command: u32, argument: usize) -> Result {
        ioctl::ioctl(state, file, command, argument)
    }

    fn show_fdinfo(state: ArcBorrow<'_, State>, out: &SeqFile) {
        report::fdinfo(&state, out);
    }
}
