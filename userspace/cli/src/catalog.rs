// SPDX-License-Identifier: MIT OR Apache-2.0

//! The descriptions of registers, and what a name means in them.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use devmap::registers::{Description, DescriptionError, FindError, Item, Register};
use devmap::PhysRange;

use crate::failure::Failure;

/// Where descriptions are looked for if none is given, beside the user's own directory.
const DIRECTORY: &str = "/etc/devmap";

/// All descriptions, which are read when the first name is looked up, and live as long as the process.
pub struct Catalog {
    /// Those that the arguments or the environment give.
    files: Vec<PathBuf>,
    read: OnceCell<&'static [(PathBuf, Description)]>,
}

impl Catalog {
    /// The catalog of these files, or else of those that the environment names.
    pub fn new(files: Vec<PathBuf>) -> Self {
        let of_environment = || {
            let names = env::var_os("DEVMAP_SVD").unwrap_or_default();
            env::split_paths(&names).filter(|path| !path.as_os_str().is_empty()).collect()
        };
        Self { files: if files.is_empty() { of_environment() } else { files }, read: OnceCell::new() }
    }

    /// Every file with its description.
    fn files(&self) -> Result<&'static [(PathBuf, Description)], Failure> {
        if let Some(read) = self.read.get() {
            return Ok(read);
        }
        let files = if self.files.is_empty() {
            directories().iter().flat_map(|path| files_in(path)).collect()
        } else {
            self.files.clone()
        };
        let read = files.into_iter().map(|path| Description::open(&path).map(|description| (path, description)));
        let read: Vec<_> = read.collect::<Result<_, _>>()?;
        Ok(self.read.get_or_init(|| read.leak()))
    }

    /// Every description.
    pub fn descriptions(&self) -> Result<impl Iterator<Item = &'static Description>, Failure> {
        Ok(self.files()?.iter().map(|(_, description)| description))
    }

    /// What has this path.
    pub fn find(&self, path: &str) -> Result<Item<'static>, Failure> {
        let found = self.in_each(path, |description| description.find(path))?;
        match &found[..] {
            [(_, one)] => Ok(one.clone()),
            several => {
                let files: Vec<_> = several.iter().map(|(file, _)| file.display().to_string()).collect();
                Err(Failure::Usage(format!("{path} is in {}: give one of them by --svd", files.join(" and in "))))
            }
        }
    }

    /// Everything that has the pattern: at least one; what is described wrongly is an error if nothing else has it.
    pub fn search(&self, pattern: &str) -> Result<(Vec<Item<'static>>, Vec<DescriptionError>), Failure> {
        let (mut items, mut faults) = (Vec::new(), Vec::new());
        for (_, found) in self.in_each(pattern, |description| description.search_lossy(pattern))? {
            items.extend(found.items);
            faults.extend(found.faults);
        }
        match (items.is_empty(), faults.is_empty()) {
            (true, false) => Err(faults.remove(0).into()),
            _ => Ok((items, faults)),
        }
    }

    /// What each description finds that finds anything: at least one.
    fn in_each<T>(
        &self,
        path: &str,
        find: impl Fn(&'static Description) -> Result<T, FindError>,
    ) -> Result<Vec<(&'static Path, T)>, Failure> {
        let (mut found, mut best) = (Vec::new(), None);
        for (file, description) in self.files()? {
            match find(description) {
                Ok(items) => found.push((file.as_path(), items)),
                // What it says there is wrong, whatever others say.
                Err(error @ FindError::Description(_)) => return Err(error.into()),
                // One that knows the peripheral has the better hint.
                Err(error) if best.is_none() || has_peripheral(description, path) => best = Some(error),
                Err(_) => (),
            }
        }
        match found.is_empty() {
            true => Err(best.map_or_else(|| self.is_empty(), Failure::from)),
            false => Ok(found),
        }
    }

    /// The failure of everything that needs a description.
    pub fn is_empty(&self) -> Failure {
        Failure::Usage(format!(
            "no description of registers is known: give one by --svd FILE, by DEVMAP_SVD, or in {DIRECTORY}"
        ))
    }

    /// The registers that lie in `range`, by their physical addresses; none unless the arguments or the environment
    /// give a description.
    pub fn registers_in(&self, range: PhysRange) -> Result<BTreeMap<u64, Register<'static>>, Failure> {
        let mut found = BTreeMap::new();
        if self.files.is_empty() {
            return Ok(found);
        }
        for peripheral in self.descriptions()?.flat_map(Description::peripherals) {
            // One that is described wrongly has no names to show.
            if peripheral.range().is_ok_and(|block| block.overlaps(&range)) {
                let registers = peripheral.registers().flatten();
                found.extend(
                    registers
                        .map(|register| (register.address(), register))
                        .filter(|(at, _)| PhysRange::new(*at, 1).is_some_and(|byte| range.contains(&byte))),
                );
            }
        }
        Ok(found)
    }
}

fn has_peripheral(description: &Description, path: &str) -> bool {
    let peripheral = path.split(['.', ':']).next().unwrap_or_default();
    description.find(peripheral).is_ok()
}

/// Where descriptions are looked for: the system's, and the user's.
fn directories() -> Vec<PathBuf> {
    let of_user = env::var_os("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        // As the specification of these directories says.
        .filter(|path| path.is_absolute())
        .or_else(|| Some(Path::new(&env::var_os("HOME")?).join(".config")))
        .map(|directory| directory.join("devmap"));
    of_user.into_iter().chain([PathBuf::from(DIRECTORY)]).collect()
}

/// The descriptions in a directory, by name.
fn files_in(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut files: Vec<_> = entries.map(|entry| entry.path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("svd")));
    files.sort();
    files
}
