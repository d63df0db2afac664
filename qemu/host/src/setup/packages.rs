// SPDX-License-Identifier: MIT OR Apache-2.0

//! Installs the Debian packages that the set-up needs.

use std::{
    cmp::Ordering,
    io::{self, IsTerminal},
    process::Command,
    time::Duration,
};

use anyhow::{bail, Context, Result};
use nix::unistd::geteuid;

use crate::{
    arch::{Arch, Needed},
    interrupt,
    process::{in_path, Job},
    setup::{
        archive::{compare, Backports, Progress},
        cache::BuildCache,
        toolchain,
    },
    ui::Ui,
};

/// The packages for guests of every architecture.
///
/// `busybox-static` is not among them: it would replace the `busybox` that a Debian system boots with.
const PACKAGES: &[Needed] = &[
    ("gcc", "links what cargo builds"),
    ("libc6-dev", "is the C library that it is linked with"),
    ("apt", "fetches packages that are only unpacked, not installed"),
    ("dpkg", "unpacks these"),
    ("xz-utils", "unpacks the kernel's source"),
];

/// The packages for building kernels.
pub const KERNEL_PACKAGES: &[Needed] = &[
    (toolchain::CLANG, "compiles the kernel's C"),
    ("lld-19", "links the kernel and the driver"),
    ("llvm-19", "brings ar, nm and objcopy for the kernel's build"),
    ("libclang-19-dev", "parses the kernel's headers, for bindgen"),
    ("bc", "computes constants in the kernel's build"),
    ("bison", "makes parsers of the kernel's build tools"),
    ("flex", "makes scanners of the kernel's build tools"),
    ("make", "runs the kernel's build"),
    ("openssl", "makes the key that modules are signed with"),
    ("libelf-dev", "is linked into objtool, which checks the kernel's object files"),
    ("libssl-dev", "is linked into sign-file, which signs modules"),
];

/// The disk space for the whole set-up, from the packages to the kernel.
const SPACE: u64 = 4_000_000_000;

/// Installs all packages that are missing, `more` included.
pub fn ensure(arch: &Arch, more: &[Needed], cache: &BuildCache, ui: &Ui) -> Result<()> {
    let emulator = (arch.emulator, "emulates the guest");
    let wanted: Vec<Needed> = PACKAGES.iter().chain(arch.packages).chain([&emulator]).chain(more).copied().collect();
    if in_path("dpkg-query").is_none() || in_path("apt-get").is_none() {
        bail!(
            "this is no Debian system: dpkg-query or apt-get is not in PATH. The set-up knows Debian 12 and 13 and needs \
             their packages\n\n    {}\n",
            list(&wanted).join("\n    ")
        );
    }
    let state = State::query(&names(&wanted))?;
    if state.lacks(&wanted, arch)?.is_empty() {
        return Ok(());
    }
    // Check the space before the machine is changed.
    cache.require_space(SPACE)?;
    let lock = cache.lock("packages", "installing Debian packages", ui)?;
    // Another run may have installed them in the meantime.
    let lacking = State::query(&names(&wanted))?.lacks(&wanted, arch)?;
    if !lacking.is_empty() {
        show("These Debian packages are missing, or too old:", &lacking, ui);
        let lacking = names(&lacking);
        install(&lacking, &sources(&lacking, arch, cache, ui)?, ui)?;
    }
    drop(lock);
    let state = State::query(&names(&wanted))?;
    let lacking = state.lacks(&wanted, arch)?;
    if !lacking.is_empty() {
        bail!(
            "apt-get reported no error, but these packages are not installed, or too old: {}",
            names(&lacking).join(" ")
        );
    }
    Ok(())
}

/// The version of a package, which is installed.
pub fn version(package: &str) -> Result<String> {
    State::query(&[package])?.version(package)
}

/// The names of packages.
pub fn names<'a>(packages: &[(&'a str, &str)]) -> Vec<&'a str> {
    packages.iter().map(|(name, _)| *name).collect()
}

/// Lists packages for the user, before anything happens with them.
pub fn show(title: &str, packages: &[(&str, &str)], ui: &Ui) {
    ui.step(title);
    for line in list(packages) {
        ui.note(line);
    }
}

/// A line for each package: its name and the reason, in columns.
fn list(packages: &[(&str, &str)]) -> Vec<String> {
    let wide = packages.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    packages.iter().map(|(name, reason)| format!("{name:wide$}  {reason}")).collect()
}

/// Options for apt-get: none, or those to find an emulator that is new enough in the backports.
fn sources(lacking: &[&str], arch: &Arch, cache: &BuildCache, ui: &Ui) -> Result<Vec<String>> {
    let Arch { emulator, emulator_min, .. } = arch;
    let is_new_enough = |version: &str| compare(version, emulator_min).is_ok_and(|order| order != Ordering::Less);
    if !lacking.contains(emulator) || candidate(&[], emulator)?.is_some_and(|version| is_new_enough(&version)) {
        return Ok(Vec::new());
    }
    let backports = Backports::new(cache, ui)?;
    for options in [backports.known(), backports.preferred()] {
        let there = candidate(&options, emulator)?.is_some_and(|version| is_new_enough(&version));
        // It may depend on what only the backports have, too: firmware.
        if there && can_install(&options, lacking) {
            return Ok(options);
        }
    }
    bail!(
        "guests of {arch} need {emulator} {emulator_min} or later, and neither this system's release nor its backports \
         have it"
    )
}

/// Whether apt finds everything that these packages depend on.
fn can_install(options: &[String], packages: &[&str]) -> bool {
    let mut command = Command::new("apt-get");
    command.args(options).args(["--simulate", "--no-install-recommends", "install"]).args(packages);
    Job::new(command).output().is_ok()
}

/// The version of a package that apt would install.
fn candidate(options: &[String], package: &str) -> Result<Option<String>> {
    let mut command = Command::new("apt-cache");
    command.args(options).args(["policy", package]).env("LC_ALL", "C");
    let policy = Job::new(command).output()?;
    let version = policy.lines().find_map(|line| line.trim_start().strip_prefix("Candidate: "));
    Ok(version.filter(|version| *version != "(none)").map(str::to_owned))
}

/// What dpkg knows of some packages.
#[derive(Debug)]
struct State {
    installed: Vec<(String, String)>,
}

impl State {
    fn query(packages: &[&str]) -> Result<State> {
        let mut command = Command::new("dpkg-query");
        command.args(["-W", "-f", "${Package} ${db:Status-Status} ${Version}\\n"]).args(packages).env("LC_ALL", "C");
        // It exits with 1 if it does not know one of them.
        Ok(State::parse(&Job::new(command).accept(1).output()?))
    }

    fn parse(text: &str) -> State {
        let installed = text.lines().filter_map(|line| {
            let mut words = line.split(' ');
            match (words.next(), words.next(), words.next()) {
                (Some(package), Some("installed"), Some(version)) => Some((package.to_owned(), version.to_owned())),
                _ => None,
            }
        });
        State { installed: installed.collect() }
    }

    fn has(&self, package: &str) -> bool {
        self.installed.iter().any(|(name, _)| name == package)
    }

    /// What is missing, and the emulator if it is too old.
    fn lacks(&self, wanted: &[Needed], arch: &Arch) -> Result<Vec<Needed>> {
        let old =
            self.has(arch.emulator) && compare(&self.version(arch.emulator)?, arch.emulator_min)? == Ordering::Less;
        let is_lacking = |name: &str| !self.has(name) || (old && name == arch.emulator);
        Ok(wanted.iter().copied().filter(|(name, _)| is_lacking(name)).collect())
    }

    fn version(&self, package: &str) -> Result<String> {
        let found = self.installed.iter().find(|(name, _)| name == package);
        Ok(found.with_context(|| format!("the package {package} is not installed"))?.1.clone())
    }
}

/// How packages are installed.
#[derive(Debug, PartialEq, Eq)]
enum InstallMethod {
    /// Directly: this process is root.
    Direct,
    /// Through sudo, which may ask for a password on the terminal.
    Sudo,
    /// By the user: the error names the command.
    Manual,
}

/// Installs packages, with these options for apt-get.
fn install(missing: &[&str], options: &[String], ui: &Ui) -> Result<()> {
    let method = if geteuid().is_root() {
        InstallMethod::Direct
    } else if in_path("sudo").is_some() && (io::stdin().is_terminal() || sudo_needs_no_password()) {
        InstallMethod::Sudo
    } else {
        InstallMethod::Manual
    };
    let apt = ["apt-get".to_owned()].iter().chain(options).map(String::as_str).collect::<Vec<_>>().join(" ");
    let script = format!("{apt} update && {apt} install --yes --no-install-recommends {}", missing.join(" "));
    match method {
        InstallMethod::Direct => install_as_root(missing, options, ui),
        InstallMethod::Sudo => {
            ui.step("Installing them with apt-get, through sudo");
            let mut command = Command::new("sudo");
            command.args(["env", "DEBIAN_FRONTEND=noninteractive", "sh", "-c", &script]);
            Job::new(command).interactive().with_context(|| {
                format!("the packages could not be installed; what sudo was to run as root is\n\n    {script}\n")
            })
        }
        InstallMethod::Manual => {
            let command = match in_path("sudo") {
                Some(_) => format!("sudo sh -c '{script}'"),
                // A login shell of root has the sbin directories in PATH, which dpkg needs.
                None => format!("su - -c '{script}'"),
            };
            bail!("only root can install packages. Type this, and then start again:\n\n    {command}\n")
        }
    }
}

fn sudo_needs_no_password() -> bool {
    let mut command = Command::new("sudo");
    command.args(["-n", "true"]);
    Job::new(command).timeout(Duration::from_secs(10)).output().is_ok()
}

fn install_as_root(missing: &[&str], options: &[String], ui: &Ui) -> Result<()> {
    let context =
        "apt-get could not install the packages; if it names another error, cure that first (`apt-get update` \
                   and `dpkg --configure -a` often help), then start again";
    let apt = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        // On a new machine the automatic upgrade may hold the lock for a while.
        command.args(["-q", "-o", "DPkg::Lock::Timeout=300", "-o", "APT::Status-Fd=1", "-o", "Dpkg::Use-Pty=0"]);
        command.args(options).args(arguments).env("DEBIAN_FRONTEND", "noninteractive").env("LC_ALL", "C");
        Job::new(command)
    };
    let bar = ui.bar("Installing them with apt-get", Progress::WHOLE * 3);
    let get = ["install", "--yes", "--no-install-recommends"];
    // The update fails if any source of the machine does, even one that is not needed.
    let update = apt(&["update"]).lines(Progress::show(&bar, 0));
    interrupt::check()?;
    let download = apt(&[&get[..], &["--download-only"], missing].concat()).lines(Progress::show(&bar, 1));
    if let Err(error) = download {
        let error = error.context(context);
        return Err(match update {
            Err(update) if !interrupt::is_interruption(&error) => error.context(format!("{update:#}")),
            _ => error,
        });
    }
    // Half an installation breaks the system, so dpkg may finish even if this program ends.
    apt(&[&get[..], missing].concat()).unstoppable().lines(Progress::show(&bar, 2)).context(context)?;
    bar.finish();
    interrupt::check()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch;

    #[test]
    fn only_what_is_installed_counts() {
        let state = State::parse(
            "clang-19 installed 1:19.1.7-3~deb12u1\nbusybox not-installed \nlld-19 config-files 1:19.1.7-3\n\
             libelf-dev installed 0.188-2.1\nlibelf-dev installed 0.188-2.1\n",
        );
        let there = ["clang-19", "busybox", "lld-19", "libelf-dev", "bc"].map(|package| state.has(package));
        assert_eq!(there, [true, false, false, true, false]);
        assert_eq!(state.version("clang-19").unwrap(), "1:19.1.7-3~deb12u1");
        assert!(state.version("bc").is_err());
    }

    #[test]
    fn an_emulator_that_is_too_old_is_lacking() {
        let arch = Arch::find("arm64").unwrap();
        let emulator = (arch.emulator, "a reason");
        for installed in ["", "qemu-system-arm installed 1:7.2\n"] {
            assert_eq!(State::parse(installed).lacks(&[emulator], arch).unwrap(), [emulator], "{installed}");
        }
        let state = State::parse(&format!("qemu-system-arm installed {}\n", arch.emulator_min));
        assert_eq!(state.lacks(&[emulator, ("bc", "another")], arch).unwrap(), [("bc", "another")]);
    }

    #[test]
    fn the_list_has_a_column_of_reasons() {
        let lines = list(&[("bc", "computes"), ("libelf-dev", "for objtool")]);
        assert_eq!(lines, ["bc          computes", "libelf-dev  for objtool"]);
        assert!(list(&[]).is_empty());
    }

    #[test]
    fn every_package_has_a_reason_that_fits_into_a_terminal() {
        let of_arches = arch::ALL.iter().flat_map(|arch| arch.packages.iter().chain(arch.test_packages));
        for (name, reason) in PACKAGES.iter().chain(KERNEL_PACKAGES).chain(of_arches) {
            assert!(reason.len() > 5 && reason.trim() == *reason, "{name}: {reason}");
        }
        for arch in arch::ALL {
            let packages = [PACKAGES, KERNEL_PACKAGES, arch.packages, arch.test_packages].concat();
            assert!(list(&packages).iter().all(|line| line.len() < 112), "{:#?}", list(&packages));
            let mut names = names(&packages);
            names.sort_unstable();
            let count = names.len();
            names.dedup();
            assert_eq!(names.len(), count, "a package is listed twice");
        }
    }
}
