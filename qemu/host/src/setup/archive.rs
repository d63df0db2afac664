// SPDX-License-Identifier: MIT OR Apache-2.0

//! Debian packages that are unpacked without being installed, from suites that the machine may not have configured.
//!
//! apt runs with a configuration of its own below the cache directory. The machine's own configuration is only read,
//! for the archive's address and keys.

use std::{
    cmp::Ordering,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, PoisonError},
};

use anyhow::{anyhow, bail, Context, Result};

use crate::{
    interrupt,
    process::Job,
    setup::cache::{self, BuildCache},
    ui::{Bar, Ui},
};

/// The suites that are searched for packages; a mirror may lack some of them.
const SUITES: &str = "trixie-backports trixie bookworm-backports bookworm";

/// The Debian archive, for one architecture.
#[derive(Debug)]
pub struct Archive<'a> {
    cache: &'a BuildCache,
    ui: &'a Ui,
    /// Debian's name of the architecture.
    architecture: &'static str,
}

/// The architectures whose lists this run has fetched, each with the error of that.
static LISTS: Mutex<Vec<(&str, Option<String>)>> = Mutex::new(Vec::new());

/// One version of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version, with epoch and revision.
    pub version: String,
    /// The packages that it depends on, as in its control file.
    pub depends: String,
}

/// Unpacks the packages of this directory into the directory $1, and prints a line for each.
///
/// The base files come first: they have the links of the root, which other packages follow. Of Rust's source only its
/// library is needed.
const UNPACK: &str = r#"
export root=$1
unpack='dpkg-deb --fsys-tarfile "$1" | tar -x -C "$root" --no-same-owner --keep-directory-symlink \
	--exclude=./usr/share/doc --exclude=./usr/share/man --exclude=./usr/share/info --exclude=./usr/share/locale \
	--exclude=./usr/src/rustc-?.??.?/compiler --exclude=./usr/src/rustc-?.??.?/src --exclude=./usr/src/rustc-?.??.?/tests
echo "$1"'
sh -euc "$unpack" sh base-files_*.deb
ls *.deb | grep -v ^base-files_ | xargs -n 1 -P "$(nproc)" sh -euc "$unpack" sh
"#;

impl<'a> Archive<'a> {
    /// Fetches nothing yet.
    pub fn new(cache: &'a BuildCache, ui: &'a Ui, architecture: &'static str) -> Archive<'a> {
        Archive { cache, ui, architecture }
    }

    /// The newest version of a package among those that `fits` accepts.
    pub fn newest(&self, name: &str, fits: impl Fn(&str) -> bool) -> Result<Option<Package>> {
        self.fetch_lists()?;
        let mut command = self.apt("apt-cache");
        command.args(["show", name]);
        // It exits with 100 if it does not know the package.
        let text = Job::new(command).accept(100).output()?;
        let mut best: Option<Package> = None;
        for package in packages(&text).into_iter().filter(|package| package.name == name && fits(&package.version)) {
            best = match best {
                Some(best) if compare(&best.version, &package.version)? != Ordering::Less => Some(best),
                _ => Some(package),
            };
        }
        Ok(best)
    }

    /// The error for when [`Archive::newest`] finds nothing.
    pub fn lacks(&self, names: &str) -> anyhow::Error {
        let error = anyhow!("the Debian archive that this machine uses has no {names} in any of {SUITES}");
        let lists = LISTS.lock().unwrap_or_else(PoisonError::into_inner);
        match lists.iter().find(|(fetched, _)| *fetched == self.architecture) {
            Some((_, Some(problem))) => anyhow!("{problem}").context(error),
            _ => error,
        }
    }

    /// Downloads a package and unpacks it into a directory, which stands for `/`.
    pub fn unpack(&self, package: &Package, directory: &Path) -> Result<()> {
        let what = format!("{} {}", package.name, package.version);
        let bar = self.ui.bar(format_args!("Downloading {what}"), Progress::WHOLE);
        let mut command = self.apt("apt-get");
        command.args(["-q", "-o", "APT::Status-Fd=1", "download"]);
        command.arg(format!("{}={}", package.name, package.version)).current_dir(directory);
        Job::new(command).lines(Progress::show(&bar, 0)).with_context(|| {
            format!("cannot download {what}; is there a way to the Debian archive from here? Try `apt-get update`")
        })?;
        bar.finish();

        let file = fs::read_dir(directory)?.flatten().map(|entry| entry.path());
        let file = file.into_iter().find(|path| path.extension().is_some_and(|extension| extension == "deb"));
        let file = file.with_context(|| format!("apt-get has downloaded {what}, but where is it?"))?;
        let mut command = Command::new("dpkg");
        command.arg("-x").arg(&file).arg(directory);
        Job::new(command).output().with_context(|| format!("cannot unpack {what}"))?;
        fs::remove_file(file)?;
        Ok(())
    }

    /// Downloads packages, which may have a version (`name=version`), with all that they depend on, and unpacks them
    /// into a directory, which becomes the root of a system. Documentation and translations are left out.
    pub fn unpack_system(&self, packages: &[&str], directory: &Path) -> Result<()> {
        self.fetch_lists()?;
        let downloads = directory.join("packages");
        fs::create_dir_all(downloads.join("partial"))?;
        let bar = self.ui.bar("Downloading compilers for the kernel", Progress::WHOLE);
        let mut command = self.apt("apt-get");
        command.args(["-q", "-o", "APT::Status-Fd=1", "-o", "Debug::NoLocking=1"]);
        command.arg("-o").arg(format!("Dir::Cache::Archives={}", downloads.display()));
        command.args(["install", "--download-only", "--no-install-recommends", "--yes"]).args(packages);
        Job::new(command).lines(Progress::show(&bar, 0)).with_context(|| {
            format!(
                "cannot download the packages {}; is there a way to the Debian archive from here?",
                packages.join(" ")
            )
        })?;
        bar.finish();
        let count = fs::read_dir(&downloads)?.count() as u64;
        let bar = self.ui.bar("Unpacking them", count);
        let mut command = Command::new("sh");
        command.args(["-euc", UNPACK, "sh"]).arg(directory).current_dir(&downloads);
        Job::new(command).lines(|_| bar.advance(1)).context("cannot unpack the packages")?;
        bar.finish();
        Ok(fs::remove_dir_all(downloads)?)
    }

    /// Fetches the lists of packages on first use, once per run. Another thread that needs them waits.
    fn fetch_lists(&self) -> Result<()> {
        let mut lists = LISTS.lock().unwrap_or_else(PoisonError::into_inner);
        if lists.iter().any(|(fetched, _)| *fetched == self.architecture) {
            return Ok(());
        }
        let bucket = self.bucket();
        let _lock = self.cache.lock(&bucket, "the lists of Debian's packages", self.ui)?;
        let place = self.cache.path(&bucket);
        self.configure(&place).map_err(|error| self.cache.explain(error, &place))?;
        let bar = self.ui.bar("Fetching the lists of Debian's packages", Progress::WHOLE);
        let mut command = self.apt("apt-get");
        command.args(["-q", "-o", "APT::Status-Fd=1", "update"]);
        let update = Job::new(command).lines(Progress::show(&bar, 0));
        // This fails if the mirror lacks a suite, but the package may be found all the same.
        let problem = match update {
            Ok(()) => None,
            Err(error) if interrupt::is_interruption(&error) => return Err(error),
            Err(error) => Some(format!("{:#}", self.cache.explain(error, &place))),
        };
        bar.finish();
        lists.push((self.architecture, problem));
        Ok(())
    }

    fn bucket(&self) -> String {
        format!("apt/{}", self.architecture)
    }

    /// apt with a configuration of its own.
    fn apt(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        // Read after the machine's configuration, whose proxies and certificates still apply.
        command.arg("-c").arg(self.cache.path(self.bucket()).join("apt.conf")).env("LC_ALL", "C");
        command
    }

    fn configure(&self, place: &Path) -> Result<()> {
        make_directories(place)?;
        let mirror = Mirror::of_this_machine()?;
        fs::write(place.join("sources/map.sources"), mirror.sources(self.architecture))?;
        fs::write(place.join("apt.conf"), configuration(place, self.architecture))?;
        Ok(())
    }
}

/// The backports of this machine's release, for an apt whose configuration in the cache is a copy of the machine's with
/// one more source.
#[derive(Debug)]
pub struct Backports {
    configuration: PathBuf,
    suite: String,
}

impl Backports {
    /// Copies the configuration and fetches the lists of packages.
    pub fn new(cache: &BuildCache, ui: &Ui) -> Result<Backports> {
        const BUCKET: &str = "apt/backports";
        let _lock = cache.lock(BUCKET, "the lists of Debian's backports", ui)?;
        let place = cache.path(BUCKET);
        let backports =
            Backports { configuration: place.join("apt.conf"), suite: format!("{}-backports", codename()?) };
        backports.configure(&place).map_err(|error| cache.explain(error, &place))?;
        let bar = ui.bar(format_args!("Fetching the lists of {}", backports.suite), Progress::WHOLE);
        let mut command = Command::new("apt-get");
        command.args(backports.known()).args(["-q", "-o", "APT::Status-Fd=1", "update"]).env("LC_ALL", "C");
        // Root would otherwise become a user that may not write here.
        command.args(["-o", "APT::Sandbox::User=root"]);
        match Job::new(command).lines(Progress::show(&bar, 0)) {
            Err(error) if interrupt::is_interruption(&error) => return Err(error),
            // A source that fails may not be needed.
            _ => bar.finish(),
        }
        Ok(backports)
    }

    /// Options for apt to know the backports and prefer the release.
    pub fn known(&self) -> Vec<String> {
        vec!["-c".into(), self.configuration.display().to_string()]
    }

    /// Options for apt to prefer the backports.
    pub fn preferred(&self) -> Vec<String> {
        let mut options = self.known();
        options.extend(["-t".into(), self.suite.clone()]);
        options
    }

    fn configure(&self, place: &Path) -> Result<()> {
        const MACHINE: &str = "/etc/apt/sources.list.d";
        let sources = place.join("sources");
        cache::remove(&sources)?;
        make_directories(place)?;
        let mirror = Mirror::of_this_machine()?;
        for entry in fs::read_dir(MACHINE).into_iter().flatten().flatten() {
            fs::copy(entry.path(), sources.join(entry.file_name()))?;
        }
        if Path::new("/etc/apt/sources.list").is_file() {
            fs::copy("/etc/apt/sources.list", sources.join("machine.list"))?;
        }
        let text =
            format!("Types: deb\nURIs: {}\nSuites: {}\nComponents: main\n{}", mirror.address, self.suite, mirror.trust);
        fs::write(sources.join("map-backports.sources"), text)?;
        Ok(fs::write(&self.configuration, directory_options(place))?)
    }
}

/// The code name of this machine's release of Debian.
fn codename() -> Result<String> {
    const FILE: &str = "/etc/os-release";
    let text = fs::read_to_string(FILE).with_context(|| format!("cannot read {FILE}"))?;
    let name = text.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    Ok(name.with_context(|| format!("{FILE} does not name this system's release"))?.trim_matches('"').to_owned())
}

/// Makes the directories below `place` that [`directory_options`] names.
fn make_directories(place: &Path) -> Result<()> {
    for directory in ["lists/partial", "cache/archives/partial", "sources"] {
        fs::create_dir_all(place.join(directory))?;
    }
    Ok(())
}

/// The options of apt by which everything that it reads and writes is below `place`.
fn directory_options(place: &Path) -> String {
    let place = place.display();
    format!(
        "Acquire::Languages \"none\";\n\
         Dir::Etc::SourceList \"/dev/null\";\n\
         Dir::Etc::SourceParts \"{place}/sources\";\n\
         Dir::State::Lists \"{place}/lists\";\n\
         Dir::Cache \"{place}/cache\";\n\
         Dir::Cache::Archives \"{place}/cache/archives\";\n"
    )
}

/// The private configuration of apt.
fn configuration(place: &Path, architecture: &str) -> String {
    format!(
        "// The machine's hooks after an update of its own lists.\n\
         #clear APT::Update::Pre-Invoke;\n\
         #clear APT::Update::Post-Invoke;\n\
         #clear APT::Update::Post-Invoke-Success;\n\
         #clear APT::Architectures;\n\
         APT::Architecture \"{architecture}\";\n\
         APT::Architectures {{ \"{architecture}\"; }};\n\
         // Root needs no other user to write into this directory.\n\
         APT::Sandbox::User \"root\";\n\
         Dir::Etc::Preferences \"/dev/null\";\n\
         Dir::Etc::PreferencesParts \"/dev/null\";\n\
         Dir::State::Status \"/dev/null\";\n\
         {}",
        directory_options(place)
    )
}

/// The machine's source of Debian packages.
#[derive(Debug, PartialEq, Eq)]
struct Mirror {
    address: String,
    /// The options of its entry that name trusted keys, as deb822 lines.
    trust: String,
}

/// The format for a line of `apt-get indextargets`.
const TARGET: &str = "$(CREATED_BY)|$(ORIGIN)|$(COMPONENT)|$(RELEASE)|$(SOURCESENTRY)|$(REPO_URI)";

impl Mirror {
    fn of_this_machine() -> Result<Mirror> {
        let mut command = Command::new("apt-get");
        command.args(["indextargets", "--format", TARGET]).env("LC_ALL", "C");
        let targets =
            Job::new(command).output().context("apt-get does not say where this machine's packages come from")?;
        let Some((address, entry)) = choose(&targets) else {
            bail!(
                "no source of Debian packages is configured on this machine (in /etc/apt/sources.list or \
                 /etc/apt/sources.list.d): add Debian's main archive, as for a usual installation"
            );
        };
        let (file, number) = entry.rsplit_once(':').context("apt-get names no place for its source")?;
        let number = number.parse().context("apt-get names no place for its source")?;
        let text = fs::read_to_string(file).with_context(|| format!("cannot read {file}"))?;
        let trust =
            if file.ends_with(".sources") { trust_of_stanza(&text, number) } else { trust_of_line(&text, number) };
        Ok(Mirror { address, trust })
    }

    fn sources(&self, architecture: &str) -> String {
        format!(
            "Types: deb\nURIs: {}\nSuites: {SUITES}\nComponents: main\nArchitectures: {architecture}\nTargets: Packages\n{}",
            self.address, self.trust
        )
    }
}

/// Picks the main archive among the machine's sources: its address, and the place of its entry.
fn choose(targets: &str) -> Option<(String, String)> {
    let candidates = targets.lines().filter_map(|line| {
        let fields: Vec<&str> = line.splitn(6, '|').collect();
        let &[created_by, origin, component, release, entry, address] = fields.as_slice() else { return None };
        let main = created_by == "Packages" && component == "main" && !address.is_empty();
        // Before the machine's first `apt-get update` the origin is unknown, and stays as in the format.
        let rank = match origin {
            "Debian" => 0,
            "$(ORIGIN)" | "" if address.trim_end_matches('/').ends_with("/debian") => 1,
            "$(ORIGIN)" | "" => 2,
            _ => return None,
        };
        // Security fixes and updates of a release may have other addresses, and have other contents.
        let plain = !release.contains(['-', '/']);
        (main && plain).then_some((rank, address.to_owned(), entry.to_owned()))
    });
    // The first of the best.
    candidates.min_by_key(|(rank, ..)| *rank).map(|(_, address, entry)| (address, entry))
}

/// The fields of trust in the `number`th stanza (from 1) of a deb822 file, with their continuation lines.
fn trust_of_stanza(text: &str, number: usize) -> String {
    let mut fields = String::new();
    let mut wanted = false;
    let mut stanza = 1;
    let mut in_stanza = false;
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        if line.trim().is_empty() {
            stanza += usize::from(in_stanza);
            in_stanza = false;
            continue;
        }
        in_stanza = true;
        if !line.starts_with([' ', '\t']) {
            let name = line.split(':').next().unwrap_or_default().to_ascii_lowercase();
            wanted = stanza == number && ["signed-by", "trusted"].contains(&name.as_str());
        }
        if wanted {
            fields += line;
            fields += "\n";
        }
    }
    fields
}

/// The options of trust in the `number`th line (from 1) of a one-line-style file, as deb822 fields.
fn trust_of_line(text: &str, number: usize) -> String {
    let line = text.lines().nth(number.saturating_sub(1)).unwrap_or_default();
    let options = line.split_once('[').and_then(|(_, rest)| rest.split_once(']')).map_or("", |(options, _)| options);
    options
        .split_whitespace()
        .filter_map(|option| match option.split_once('=') {
            Some(("signed-by", value)) => Some(format!("Signed-By: {}\n", value.replace(',', " "))),
            Some(("trusted", value)) => Some(format!("Trusted: {value}\n")),
            _ => None,
        })
        .collect()
}

/// The packages in the output of `apt-cache show`.
fn packages(text: &str) -> Vec<Package> {
    let field = |stanza: &str, name: &str| {
        stanza.lines().find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(": ")?.to_owned()))
    };
    text.split("\n\n")
        .filter_map(|stanza| {
            Some(Package {
                name: field(stanza, "Package")?,
                version: field(stanza, "Version")?,
                depends: field(stanza, "Depends").unwrap_or_default(),
            })
        })
        .collect()
}

/// Debian's order of versions, by dpkg itself.
pub fn compare(one: &str, other: &str) -> Result<Ordering> {
    if one == other {
        return Ok(Ordering::Equal);
    }
    let mut command = Command::new("dpkg");
    command.args(["--compare-versions", one, "lt", other]).env("LC_ALL", "C");
    let status = command.status().context("cannot start dpkg")?;
    Ok(if status.success() { Ordering::Less } else { Ordering::Greater })
}

/// A version as part of a file name: the kernel's Makefile accepts few characters in its paths.
pub fn file_name(version: &str) -> String {
    version.chars().map(|c| if c.is_ascii_alphanumeric() || "-.".contains(c) { c } else { '_' }).collect()
}

/// The progress that apt reports with `APT::Status-Fd`.
#[derive(Debug)]
pub struct Progress;

impl Progress {
    /// The progress of complete work.
    pub const WHOLE: u64 = 1000;

    /// Takes apt's lines and moves the bar, in which this work is the part of this number, from 0.
    pub fn show(bar: &Bar, part: u64) -> impl FnMut(&str) + '_ {
        move |line| {
            if let Some(progress) = Progress::parse(line) {
                bar.set(part * Progress::WHOLE + progress);
            }
        }
    }

    /// The progress in a line such as `dlstatus:1:23.4567:Retrieving file 1 of 5`, if it is one.
    pub fn parse(line: &str) -> Option<u64> {
        let mut fields = line.split(':');
        if !["dlstatus", "pmstatus"].contains(&fields.next()?) {
            return None;
        }
        // A package's name may include its architecture, after another colon.
        let percent: f64 = fields.skip(1).find_map(|field| field.contains('.').then(|| field.parse().ok())?)?;
        Some(((percent * 10.0) as u64).min(Progress::WHOLE))
    }
}

/// Renames `from` to `to`, and creates the parents of `to`.
pub fn rename_into(from: &Path, to: &Path) -> Result<PathBuf> {
    if let Some(above) = to.parent() {
        fs::create_dir_all(above)?;
    }
    fs::rename(from, to).with_context(|| format!("the package has no {}", from.display()))?;
    Ok(to.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_main_archive_is_chosen() {
        let targets = "\
            Packages|Google|main|cloud|/etc/apt/sources.list.d/a.list:1|https://cloud/apt/\n\
            Packages|Debian|main|bookworm-updates|/etc/apt/sources.list:2|http://mirror/debian/\n\
            DEP-11|Debian|main|bookworm|/etc/apt/sources.list:1|http://wrong/debian/\n\
            Packages|Debian|contrib|bookworm|/etc/apt/sources.list:3|http://wrong/debian/\n\
            Packages|Debian|main|bookworm|/etc/apt/sources.list:1|http://mirror/debian/\n\
            Packages|Debian|main|bookworm-security|/etc/apt/sources.list:4|http://mirror/debian-security/\n";
        let (address, entry) = choose(targets).unwrap();
        assert_eq!((address.as_str(), entry.as_str()), ("http://mirror/debian/", "/etc/apt/sources.list:1"));
    }

    #[test]
    fn before_the_first_update_the_address_decides() {
        let targets = "\
            Packages|$(ORIGIN)|main|nodistro|/etc/apt/sources.list.d/a.list:1|https://node/\n\
            Packages|$(ORIGIN)|main|trixie|/etc/apt/sources.list.d/debian.sources:1|http://mirror/debian/\n";
        assert_eq!(choose(targets).unwrap().0, "http://mirror/debian/");
        assert_eq!(choose("Packages|Ubuntu|main|noble|/etc/apt/sources.list:1|http://mirror/ubuntu/\n"), None);
        assert_eq!(choose(""), None);
    }

    #[test]
    fn a_stanza_is_trusted_as_it_says() {
        let text = "\
            # A comment.\n\
            Types: deb\n\
            Signed-By: /a.gpg\n\
            \n\n\
            Types: deb\n\
            # Another.\n\
            Signed-By:\n \
             -----BEGIN PGP PUBLIC KEY BLOCK-----\n \
             .\n \
             abc\n\
            Trusted: yes\n\
            URIs: x\n";
        assert_eq!(trust_of_stanza(text, 1), "Signed-By: /a.gpg\n");
        let inline = "Signed-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n abc\nTrusted: yes\n";
        assert_eq!(trust_of_stanza(text, 2), inline);
        assert_eq!(trust_of_stanza(text, 3), "");
    }

    #[test]
    fn a_line_is_trusted_as_it_says() {
        let text = "# A comment.\ndeb http://m/debian trixie main\n\
                    deb [arch=amd64 signed-by=/a.gpg,/b.gpg] http://m/debian trixie main\n\
                    deb [trusted=yes] file:/mirror trixie main\n";
        assert_eq!(trust_of_line(text, 2), "");
        assert_eq!(trust_of_line(text, 3), "Signed-By: /a.gpg /b.gpg\n");
        assert_eq!(trust_of_line(text, 4), "Trusted: yes\n");
        assert_eq!(trust_of_line(text, 9), "");
    }

    #[test]
    fn packages_are_read_with_their_versions() {
        let text = "Package: a\nVersion: 1:2-3\nDescription: a\n Version: 9\n\nPackage: a\nVersion: 1\n\nPackage: b\n";
        let package = |version: &str| Package { name: "a".into(), version: version.into(), depends: String::new() };
        assert_eq!(packages(text), [package("1:2-3"), package("1")]);
    }

    #[test]
    fn apt_keeps_its_files_in_the_cache() {
        let text = configuration(Path::new("/c"), "arm64");
        for option in ["SourceParts \"/c/sources\"", "State::Lists \"/c/lists\"", "Dir::Cache \"/c/cache\""] {
            assert!(text.contains(option), "no {option} in:\n{text}");
        }
    }

    #[test]
    fn versions_are_in_debians_order() {
        assert_eq!(compare("7.3.4-1", "7.3.4-1~bpo13+1").unwrap(), Ordering::Greater);
        assert_eq!(compare("7.3.10-1", "7.3.9-1").unwrap(), Ordering::Greater);
        assert_eq!(compare("7.3.9-1", "7.3.10-1").unwrap(), Ordering::Less);
        assert_eq!(compare("1", "1").unwrap(), Ordering::Equal);
        assert_eq!(file_name("1:7.3.4-1~bpo13+1"), "1_7.3.4-1_bpo13_1");
    }

    #[test]
    fn progress_is_read_where_there_is_some() {
        assert_eq!(Progress::parse("dlstatus:1:23.4567:Retrieving file 1 of 5"), Some(234));
        assert_eq!(Progress::parse("pmstatus:libelf-dev:amd64:50.0000:Unpacking"), Some(500));
        assert_eq!(Progress::parse("pmstatus:python3.11:99.9:Unpacking"), Some(999));
        assert_eq!(Progress::parse("Get:1 a.b"), None);
    }
}
