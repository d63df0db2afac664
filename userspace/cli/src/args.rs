// SPDX-License-Identifier: MIT OR Apache-2.0

//! The arguments: one definition for parsing, help, completions and man pages.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{ArgAction, ArgGroup, Parser, Subcommand};
use clap_complete::Shell;
use devmap::driver::Name;
use devmap::page::PageSize;
use devmap::{Endian, Width, DEFAULT_DEVICE};

use crate::access::Neighbours;
use crate::assignment::{first, item, First, Item};
use crate::base::{pci, window, Base};
use crate::explain::{asked, Asked};
use crate::generate::{interrupts, places, windows};
use crate::irq::{line, Line};
use crate::lab::{Experiment, TouchArgs};
use crate::location::Location;
use crate::memtest::Algorithm;
use crate::number::{count, duration, number, page_size};
use crate::output::Format;
use crate::place::{address, place, range, value, Extent, Place};
use crate::symbol::Symbol;

/// Reads and writes physical memory, with accesses of exactly the requested width.
///
/// Numbers are decimal, or start with 0x, 0o or 0b; the suffixes K, M, G and T are powers of 1024; _ may separate
/// digits. A range is START+LENGTH, or START-LAST as in /proc/iomem. A place is an address, for one value, or a range.
/// For a value, ADDRESS:HIGH:LOW names a bit field and ADDRESS:BIT a single bit.
///
/// A window of the map driver is called by its name: NAME+OFFSET is an address in it, NAME+OFFSET+LENGTH and
/// NAME+OFFSET-LAST are ranges, and NAME alone is its first address, or all of it where a range is needed. What begins
/// with a digit is a number; for a window whose name does, or begins with -, use --window=NAME. The command then opens
/// the window's own node, and prints addresses as NAME+OFFSET. uio0/MAP is a map of a UIO device, by its name or
/// number, and pci/0000:01:00.0/0 a BAR of a PCI device, in the same way. iomem/NAME is the range that a line of
/// /proc/iomem gives this name.
///
/// A name with a capital, a point or a bracket is that of a register in a description: UART0.CR, UART0.CR.TXE for a
/// field of it, UART0.CR:7:4 for its bits, and UART0 or UART0.C* for several. UART0@PLACE.CR is in a peripheral that
/// begins at PLACE.
///
/// With --json every result is an object on a line. A value is a string of all its hexadecimal digits and, if 53 bits
/// hold it, also a number: `number` beside `value`, `numbers` beside `values` if they hold each, and KEY_number beside
/// any other KEY. What --verify finds to differ is an object with `address`, `found` and `expected`. A failure is an
/// object on standard error, with `error` and `status`; only arguments that cannot be parsed are explained in text.
#[derive(Debug, PartialEq, Parser)]
#[command(
    name = "devmap",
    version,
    subcommand_required = false,
    mut_args = |option| option.global(true),
    after_help = "`devmap help COMMAND` has examples of each command."
)]
#[command(after_long_help = EXIT_STATUS)]
pub struct Args {
    #[command(flatten)]
    pub options: Options,

    /// What to do; without a command, an introduction is printed.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// The options of every command. [`Args`] makes them global; `quick` does not need that, and it takes much of the time.
/// Of one that is repeated the last counts, so that an alias of a shell can have options.
#[derive(Debug, PartialEq, clap::Args)]
#[group(skip)]
#[command(next_help_heading = "Options of every command")]
pub struct Options {
    /// The device: /dev/map, /dev/mem, a UIO node; or the node of a window, as /dev/map1, a PCI device's resource0 in
    /// sysfs, or a regular file, whose addresses are offsets
    #[arg(long, value_name = "PATH", default_value = DEFAULT_DEVICE, env = "DEVMAP_DEVICE", overrides_with = "device")]
    pub device: PathBuf,

    /// Where numbers without a name count from: ADDRESS, or a name as in a place. A peripheral of a description begins
    /// there, too, whatever it says, unless the name has a place, as in UART0@PLACE.CR; so it may be only one
    #[arg(long, value_name = "PLACE", value_parser = address, add = places(), overrides_with = "base")]
    pub base: Option<Location>,

    /// The same for a window, also for one whose name begins as a number does. A peripheral begins there, as with
    /// --base
    #[arg(long, value_name = "NAME", value_parser = window, add = windows(), overrides_with = "window", conflicts_with = "base")]
    pub window: Option<Name>,

    /// The same for a PCI device, as in 0000:01:00.0/0. Its description counts from there, as with --base
    #[arg(long, value_name = "DEVICE/BAR", value_parser = pci, overrides_with = "pci", conflicts_with_all = ["base", "window"])]
    pub pci: Option<Base>,

    #[command(flatten)]
    pub values: ValueOptions,

    /// How values are printed: hex, decimal or binary; JSON has them in hexadecimal
    #[arg(long, value_name = "FORMAT", default_value = "hex", value_parser = formats(), overrides_with = "format")]
    pub format: Format,

    /// A description of registers (CMSIS-SVD), whose names are places; several may be given [default: those that
    /// DEVMAP_SVD names, with : between them, or else those in ~/.config/devmap and /etc/devmap]
    #[arg(long, value_name = "FILE", action = ArgAction::Append)]
    pub svd: Vec<PathBuf>,

    /// For a cached window that a device shares without looking into the caches: drop cached lines before reading, and
    /// write them back after writing
    #[arg(long, overrides_with = "sync_cache")]
    pub sync_cache: bool,

    /// Open the device with O_SYNC, by which u-dma-buf maps its buffers without the caches; /dev/mem always is
    #[arg(long, overrides_with = "o_sync")]
    pub o_sync: bool,

    /// Print one JSON object per line, also for an error; values are hexadecimal strings, with numbers beside those of
    /// up to 53 bits, and addresses are as in the text
    #[arg(long, overrides_with = "json")]
    pub json: bool,
}

/// The options that say what a value is; a line of a script has them, too.
#[derive(Debug, PartialEq, clap::Args)]
#[group(skip)]
pub struct ValueOptions {
    /// The width of one access in bits [default: 32 for values, the widest possible for bulk]
    #[arg(short, long, value_name = "BITS", value_parser = widths(), overrides_with = "width")]
    pub width: Option<Width>,

    /// The byte order of a value, also as le or be [default: native]
    #[arg(long, value_name = "ORDER", value_parser = endians(), overrides_with = "endian")]
    pub endian: Option<Endian>,
}

const EXIT_STATUS: &str = "\
Exit status:
    0  done
    1  memory differs: --verify, compare, verify, test and lab, or search found nothing
    2  the arguments are invalid: syntax, alignment, a value too wide
    3  the device is absent, refuses or would refuse: no driver, no permission, no such range
    4  another file, or the output, could not be read or written
    5  wait or wait-irq has waited for its time
  130  interrupted by Ctrl-C or a signal

Called as devmem2, devmem, memtool, md, mw or rwmem, through a symbolic link, it takes the arguments
of that program and prints its lines, for the device that DEVMAP_DEVICE names, unless an option
names another. The w of devmem2 is 32 bits on every machine, and a write reads nothing, unless
--readback is given or DEVMEM2_READBACK is set. memtool knows no mdio:, and rwmem neither register
databases nor I2C.

`devmap help COMMAND` has examples of each command.";

/// What to do.
#[derive(Debug, PartialEq, Subcommand)]
pub enum Command {
    /// Print the value at each place, every value of a range on its own line
    #[command(after_help = "\
Examples:
  devmap read 0xc0000064               one value of 32 bits
  devmap read sdram+0x64               the one at offset 0x64 of the window sdram
  devmap read 0xc0000000+16 -w 8       sixteen bytes
  devmap read 0xc0000010:7:4           the bits 7 to 4 of a value
  v=$(devmap read -q 0xc0000064)       the bare value, for a script
  devmap read 0xc0000064 --format binary
  devmap read --svd board.svd UART0.CR               a register by its name, with its fields")]
    Read(ReadArgs),

    /// Store values at places, one store each, reading nothing
    #[command(after_help = "\
Every place is checked and mapped before the first store.

Examples:
  devmap write 0xc0000064 3 -w 8       one byte
  devmap write 0xc0000000 1 2 3        three values of 32 bits, one after the other
  devmap write 0xc0000010=1 0xc0000020=2           a value for each place, in this order
  devmap write 0xc0000010:7:4 5        a bit field: one load, then one store
  devmap write --svd board.svd UART0.LCRH.WLEN=Bits8         a field of a register")]
    #[command(override_usage = "\
devmap write [OPTIONS] <PLACE> <VALUE>...
       devmap write [OPTIONS] <PLACE=VALUE>...")]
    Write(WriteArgs),

    /// Change bits of a value: one load, then one store
    #[command(after_help = "\
Examples:
  devmap modify 0xc0000010 --set 0x80 --clear 0x3
  devmap modify 0xc0000010 --mask 0xff00 0x1200    bits 15 to 8 become 0x12")]
    #[command(override_usage = "\
devmap modify [OPTIONS] <PLACE> [--set <BITS>] [--clear <BITS>]
       devmap modify [OPTIONS] <PLACE> --mask <BITS> <VALUE>")]
    Modify(ModifyArgs),

    /// Wait until a value, or bits of it, are what they should be
    #[command(after_help = "\
The value is printed that ended the wait. After --timeout the exit status is 5.

Examples:
  devmap wait 0xc0000064 --value 3                     all bits
  devmap wait 0xc0000064 --mask 0x1 --value 1          bit 0
  devmap wait 0xc0000064:0 --value 1 --timeout 2s      the same, for two seconds at most")]
    Wait(WaitArgs),

    /// Wait for interrupts of a window or a UIO device
    #[command(after_help = "\
NAME is a window of the device tree, a UIO device as uio0, or the path of a node. IRQ is the name or the index of one of \
its interrupts, as `info` lists them; without it, all are waited for. What came is printed, with how often since the last \
line. After --timeout the exit status is 5.

It unmasks the interrupts before each wait. A level-triggered one is masked when it comes; as long as nothing ends it in \
the device, it comes again at once when it is unmasked, so with --count something else has to acknowledge it. Of a window, \
all are masked again at the end, unless another program has the node open.

Examples:
  devmap wait-irq rtc                          the next interrupt of the window rtc
  devmap wait-irq rtc/alarm --timeout 2s       the one of this name, for two seconds at most
  devmap wait-irq /dev/uio0 --count 10         ten of a UIO device
  devmap wait-irq rtc && devmap write rtc+0x1c 1     then acknowledge it")]
    WaitIrq(WaitIrqArgs),

    /// Do what the lines of a script say, one after the other, up to the first that fails
    #[command(after_help = "\
A line is a read, write, modify or wait with its arguments, without `devmap`, and with --width and --endian of its own; or \
`delay TIME`. What follows # is a comment. All lines are checked, and their memory mapped, before the first is done. A \
line that fails ends the script; its number is in the error.

Examples:
  devmap run setup.script
  echo 'write 0xc0000000=1' | devmap run -")]
    Run(RunArgs),

    /// List and search the registers that descriptions have
    #[command(after_help = "\
Without a pattern, the peripherals; of a peripheral, its registers; of a register, its fields and their values. * stands \
for any text in a name, and ? for a character. A description is a CMSIS-SVD file, by --svd, DEVMAP_SVD, or in \
~/.config/devmap or /etc/devmap.

Examples:
  devmap registers --svd board.svd
  devmap registers --svd board.svd UART0
  devmap registers --svd board.svd UART0.CR
  devmap registers --svd board.svd '*.*CR'")]
    Registers(RegistersArgs),

    /// Print the values of registers, for `diff`
    #[command(after_help = "\
Registers that reading changes are left out, unless --force is given.

Example:
  devmap snapshot --svd board.svd UART0 > before")]
    Snapshot(SnapshotArgs),

    /// Compare registers with a snapshot, or two snapshots, field by field
    #[command(after_help = "\
The exit status is 1 if something is different.

Examples:
  devmap diff --svd board.svd before           with the registers now
  devmap diff --svd board.svd before after")]
    Diff(DiffArgs),

    /// Print a range in hexadecimal and as text
    #[command(after_help = "\
Examples:
  devmap dump 0xc0000000+256           bytes; lines that repeat are shown as *
  devmap dump sdram+0x100+256          from offset 0x100 of the window sdram on
  devmap dump 0xc0000000+256 -w 32     values of 32 bits, read in accesses of 32 bits")]
    Dump(DumpArgs),

    /// Fill a range with one value
    #[command(after_help = "\
Examples:
  devmap fill 0xc0000000+3M 0
  devmap fill sdram 0                  all of the window sdram
  devmap fill 0xc0000000+3M 0xa5 -w 8 --verify")]
    Fill(FillArgs),

    /// Store the contents of a file
    #[command(after_help = "\
Examples:
  devmap load image.bin 0xc0000000             all of the file
  devmap load image.bin 0xc0000000+64K         its first 64 KiB
  devmap load image.bin sdram                  from the start of the window sdram on
  zcat image.gz | devmap load - 0xc0000000     the output of a pipe")]
    Load(LoadArgs),

    /// Write the contents of a range into a file
    #[command(after_help = "\
The file appears, or is replaced, when it is complete.

Examples:
  devmap save 0xc0000000+3M sdram.bin
  devmap save sdram sdram.bin
  devmap save 0xc0000000+3M - | sha256sum")]
    Save(SaveArgs),

    /// Copy a range to another address; the two may overlap
    #[command(after_help = "\
Example:
  devmap copy 0xc0000000+1M 0xc0100000 --verify")]
    Copy(CopyArgs),

    /// Compare a range with the memory at another address
    #[command(after_help = "\
Example:
  devmap compare 0xc0000000+1M 0xc0100000 && echo equal")]
    Compare(CompareArgs),

    /// Compare a range with the contents of a file
    #[command(after_help = "\
Examples:
  devmap verify image.bin 0xc0000000           all of the file
  devmap verify image.bin 0xc0000000+64K       its first 64 KiB")]
    Verify(VerifyArgs),

    /// Print the addresses at which values, text or bytes are found
    #[command(after_help = "\
Values are searched for at multiples of their width, text and bytes everywhere.

Examples:
  devmap search 0xc0000000+3M 0xdeadbeef
  devmap search 0xc0000000+3M --text 'U-Boot'
  devmap search 0xc0000000+3M --bytes d00dfeed -n 1")]
    #[command(override_usage = "\
devmap search [OPTIONS] <RANGE> <VALUE>...
       devmap search [OPTIONS] <RANGE> --text <TEXT>
       devmap search [OPTIONS] <RANGE> --bytes <HEX>")]
    Search(SearchArgs),

    /// Test memory; this destroys its contents
    #[command(after_help = "\
In a cached window the caches are tested, and the memory only as far as they write it back. With --sync-cache they are \
written back and dropped between the stores and the loads of each test.

Examples:
  devmap test 0xc0000000+3M
  devmap test 0xc0000000+3M --only random --passes 10 -w 32")]
    Test(TestArgs),

    /// Watch a range, and mark the changes
    #[command(after_help = "\
On a terminal the values stay in place, changed ones marked, until Ctrl-C. Elsewhere each change is a line, with \
--json also its time in seconds since the first sample. Samples that were missed, because the process was stopped or \
the machine busy, are left out.

Examples:
  devmap watch 0xc0000000+64
  devmap watch 0xc0000000+4 --interval 10 --count 1000 | tee changes.txt")]
    Watch(WatchArgs),

    /// Show what the device is, which windows it has, and what this processor supports
    #[command(after_help = "\
For the map driver: how it was loaded, the highest address, where the windows lie between the addresses of everything \
else (as `windows` draws it), and for every window its properties.

  node     what --device, or the name of the window, opens
  access   ro or rw: whether it can be written
  cache    uncached, wc (write-combining) or cached
  region   claimed by the driver, or shared with other drivers
  memory   reserved in the device tree, declared by the administrator, or not known to be memory
  from     the parameter of the driver, or the device tree

Below them, the interrupts that windows have: the trigger, level or edge, whether it is masked now, and how often it has \
come since the window was added.

Examples:
  devmap info
  devmap info --json | jq -r '.driver.windows[].name'")]
    Info(NoArgs),

    /// Show where the windows of the map driver lie, and what else there is
    #[command(after_help = "\
The part of `info` about windows. On the chart, which is not to scale, a window is drawn with |, RAM with #, what else \
/proc/iomem lists with dots, and addresses at which the kernel knows nothing with colons. Only root sees more than the \
windows.

Examples:
  devmap windows
  devmap windows --json")]
    Windows(NoArgs),

    /// Ask the map driver whether it would map a range, or why it would refuse
    #[command(after_help = "\
Nothing is mapped. The answer is the result that the other commands would get: the cache type and the window, or the \
reason, the error number, the nearest window and a remedy. The exit status is 0 for a grant, and 3 for a refusal, \
which is a result and no error.

Examples:
  devmap check 0xc0000000+3M              could it be read?
  devmap check 0xc0000064 --write         could one value be written?
  devmap check sdram+0+3M                 by the window's own node
  devmap check 0xc0000000+3M --write --json | jq -r .cache")]
    Check(CheckArgs),

    /// Explain which pages hold some bytes: the arguments for mmap(2), and what else it maps
    #[command(after_help = "\
The processor maps whole pages. So the offset for mmap(2) is the address rounded down to a page, and the rest of the \
address is added to the pointer. No device is opened, except for a window or a BAR by its name.

Examples:
  devmap explain 0xc0000ffe 8                     eight bytes on two pages
  devmap explain 0xc0000ffe+8                     the same
  devmap explain 0xc0000ffe 8 --page-size 64K     on a machine with larger pages")]
    Explain(ExplainArgs),

    /// Try out what happens at the edges of a mapping, and compare it with the rules
    #[command(after_help = "\
Child processes touch every byte of a mapping and a page after it, and report its value or the signal that ended them. \
The output has the rules, what happened and a drawing; the exit status is 1 if this machine deviates from the rules. \
The files for it are temporary. `device` loads every byte of two pages of the device, one by one: use it on memory, \
not on registers. Without an address it takes the first window that `info` shows as memory, reserved or declared. `all` \
leaves it out, and says why, if there is no driver or no such window.

Examples:
  devmap lab beyond-eof                where SIGBUS begins, and where SIGSEGV
  devmap lab device 0xc0000000         at an address, instead of in the first window of memory
  devmap lab all --json | jq -c 'select(.agrees | not)'")]
    Lab(LabArgs),

    /// Map standard input, and write the bytes that are touched to standard output
    #[command(hide = true)]
    LabTouch(TouchArgs),

    /// Print a completion script for a shell
    #[command(after_help = "\
Example:
  devmap completions bash > ~/.local/share/bash-completion/completions/devmap")]
    Completions(CompletionsArgs),

    /// Write the man pages into a directory
    #[command(hide = true)]
    Man(ManArgs),
}

impl Command {
    /// Whether it does nothing but print: it may end when nobody reads that any more.
    pub fn only_prints(&self) -> bool {
        matches!(
            self,
            Self::Read(_)
                | Self::Dump(_)
                | Self::Search(_)
                | Self::Watch(_)
                | Self::WaitIrq(_)
                | Self::Registers(_)
                | Self::Snapshot(_)
                | Self::Save(_)
                | Self::Info(_)
                | Self::Windows(_)
                | Self::Explain(_)
                | Self::Completions(_)
        )
    }
}

// The arguments of each command. They have no doc comments, since those would replace the help of the command, and no
// groups, since nothing refers to them.

#[derive(Debug, PartialEq, clap::Args)]
#[group(skip)]
pub struct ReadArgs {
    /// ADDRESS, NAME+OFFSET, ADDRESS:HIGH:LOW, START+LENGTH or START-LAST
    #[arg(value_name = "PLACE", value_parser = place, add = places(), required = true)]
    pub places: Vec<Place>,
    /// Print the values alone
    #[arg(short, long)]
    pub quiet: bool,
    /// Also read registers that reading changes, where a peripheral or a pattern stands for them
    #[arg(long)]
    pub force: bool,
}

#[derive(Debug, PartialEq, clap::Args)]
#[group(skip)]
pub struct WriteArgs {
    /// ADDRESS, NAME+OFFSET, or ADDRESS:HIGH:LOW; or one of them with =VALUE
    #[arg(value_name = "PLACE", value_parser = first, add = places())]
    pub first: First,
    /// The values, or more places with theirs
    #[arg(value_name = "VALUE", value_parser = item, add = places(), allow_negative_numbers = true)]
    pub others: Vec<Item>,
    /// Read the values back, and fail if they differ
    #[arg(long)]
    pub verify: bool,
    /// What becomes of other fields of the register that writing back what was read would change
    #[arg(long, value_enum)]
    pub neighbours: Option<Neighbours>,
}

#[derive(Debug, PartialEq, clap::Args)]
#[group(skip)]
pub struct WaitArgs {
    /// ADDRESS, NAME+OFFSET, or ADDRESS:HIGH:LOW
    #[arg(value_name = "PLACE", value_parser = place, add = places())]
    pub place: Place,
    /// What the bits shall be
    #[arg(long, value_parser = number)]
    pub value: u64,
    /// The bits that count [default: all]
    #[arg(long, value_name = "BITS", value_parser = number)]
    pub mask: Option<u64>,
    /// How long to wait: a number with us, ms, s or min, or of milliseconds [default: for ever]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub timeout: Option<Duration>,
    /// The time between two loads; with 0 there is none
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "1ms")]
    pub interval: Duration,
    /// Print the value alone
    #[arg(short, long)]
    pub quiet: bool,
}

#[derive(Debug, PartialEq, clap::Args)]
#[group(skip)]
pub struct WaitIrqArgs {
    /// The window, UIO device or node, and the name or the index of one of its interrupts
    #[arg(value_name = "NAME[/IRQ]", value_parser = line, add = interrupts())]
    pub line: Line,
    /// Stop after this many interrupts
    #[arg(long, value_parser = count, default_value = "1")]
    pub count: u64,
    /// How long to wait for all of them: a number with us, ms, s or min, or of milliseconds [default: for ever]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub timeout: Option<Duration>,
    /// Print the numbers alone
    #[arg(short, long)]
    pub quiet: bool,
}

#[derive(Debug, PartialEq, clap::Args)]
#[group(skip)]
pub struct RegistersArgs {
    /// The name of a peripheral, register or field, or a pattern
    #[arg(value_parser = Symbol::parse)]
    pub pattern: Option<Symbol>,
}

#[derive(Debug, PartialEq, clap::Args)]
#[group(skip)]
pub struct SnapshotArgs {
    /// The names of peripherals or registers, or patterns
    #[arg(value_name = "PLACE", value_parser = place, required = true)]
    pub places: Vec<Place>,
    /// Also read registers that reading changes
    #[arg(long)]
    pub force: bool,
}

#[derive(Debug, PartialEq, clap::Args)]
#[group(skip)]
pub struct DiffArgs {
    /// A snapshot
    pub before: PathBuf,
    /// A later one [default: the registers now]
    pub after: Option<PathBuf>,
}

#[derive(Debug, PartialEq, clap::Args)]
#[group(skip)]
pub struct RunArgs {
    /// The script, or - for standard input
    pub script: PathBuf,
}

#[derive(Debug, PartialEq, clap::Args)]
#[group(skip)]
#[command(group(ArgGroup::new("change").required(true).multiple(true).args(["set", "clear", "mask"])))]
pub struct ModifyArgs {
    /// ADDRESS, NAME+OFFSET, or the name of a register
    #[arg(value_name = "PLACE", value_parser = value, add = places())]
    pub place: Place,
    /// What the bits of the mask become
    #[arg(value_parser = number, requires = "mask", allow_negative_numbers = true)]
    pub value: Option<u64>,
    /// The bits that VALUE replaces
    #[arg(long, value_name = "BITS", value_parser = number, requires = "value")]
    pub mask: Option<u64>,
    /// Bits to make 1
    #[arg(long, value_name = "BITS", value_parser = number)]
    pub set: Option<u64>,
    /// Bits to make 0
    #[arg(long, value_name = "BITS", value_parser = number)]
    pub clear: Option<u64>,
    /// Read the value back, and fail if it differs
    #[arg(long)]
    pub verify: bool,
    /// What becomes of other fields of a register that writing back what was read would change
    #[arg(long, value_enum)]
    pub neighbours: Option<Neighbours>,
}

#[derive(Debug, PartialEq, clap::Args)]
#[group(skip)]
pub struct DumpArgs {
    /// START+LENGTH, START-LAST, or NAME for all of a window
    #[arg(value_parser = range, add = places())]
    pub range: Extent,
    /// Also print lines that repeat the previous one
    #[arg(short, long)]
    pub all: bool,
}

#[derive(Debug, PartialEq, clap::Args)]
#[group(skip)]
pub struct FillArgs {
    /// START+LENGTH, START-LAST, or NAME for all of a window
    #[arg(value_parser = range, add = places())]
    pub range: Extent,
    /// The value, of 32 bits or the width that --width gives
    #[arg(value_parser = number, allow_negative_numbers = true)]
    pub value: u64,
    /// Read the range back, and fail if it differs
    #[arg(long)]
    pub verify: bool,
}

#[derive(Debug, PartialEq, clap::Args)]
#[group(skip)]
pub struct LoadArgs {
    /// The file, or - for standard input
    pub file: PathBuf,
    /// Where to: ADDRESS for the whole file, START+LENGTH or START-LAST for that many bytes of it
    #[arg(value_name = "PLACE", value_parser = place, add = places())]
    pub place: Place,
    /// Read the range back, and fail if it differs
    #[arg(long)]
    pub verify: bool,
}

#[derive(Debug, PartialEq, clap::Args)]
#[group(skip)]
pub struct SaveArgs {
    /// START+LENGTH, START-LAST, or NAME for all of a window
    #[arg(value_parser = range, add = places())]
    pub range: Extent,
    /// The file, or - for standard output
    pub file: PathBuf,
}

#[derive(Debug, PartialEq, clap::Args)]
#[group(skip)]
pub struct CopyArgs {
    /// Where from: START+LENGTH, START-LAST, or NAME for all of a window
    #[arg(value_parser = range, add = places())]
    pub range: Extent,
    /// Where to
    #[arg(value_parser = address, add = places())]
    pub target: Location,
    /// Read the copy back, and fail if it differs; for ranges that do not overlap
    #[arg(long)]
    pub verify: bool,
}

#[derive(Debug, PartialEq, clap::Args)]
#[group(skip)]
pub struct CompareArgs {
    /// START+LENGTH, START-LAST, or NAME for all of a window
    #[arg(value_parser = range, add = places())]
    pub range: Extent,
    /// The other address
    #[arg(value_parser = address, add = places())]
    pub other: Location,
}

#[derive(Debug, PartialEq, clap::Args)]
#[group(skip)]
pub struct VerifyArgs {
    /// The file, or - for standard input
    pub file: PathBuf,
    /// Where: ADDRESS for the whole file, START+LENGTH or START-LAST for that many bytes of it
    #[arg(value_name = "PLACE", value_parser = place, add = places())]
    pub place: Place,
}

#[derive(Debug, PartialEq, clap::Args)]
#[group(skip)]
#[command(group(ArgGroup::new("pattern").required(true).args(["values", "text", "bytes"])))]
pub struct SearchArgs {
    /// START+LENGTH, START-LAST, or NAME for all of a window
    #[arg(value_parser = range, add = places())]
    pub range: Extent,
    /// Consecutive values, of 32 bits or the width that --width gives
    #[arg(value_name = "VALUE", value_parser = number, allow_negative_numbers = true)]
    pub values: Vec<u64>,
    /// Text, as UTF-8
    #[arg(long)]
    pub text: Option<String>,
    /// Bytes, two hexadecimal digits each
    #[arg(long, value_name = "HEX")]
    pub bytes: Option<String>,
    /// Stop after this many matches
    #[arg(short = 'n', long = "max-count", value_name = "COUNT", value_parser = count)]
    pub max_count: Option<u64>,
}

#[derive(Debug, PartialEq, clap::Args)]
#[group(skip)]
pub struct TestArgs {
    /// START+LENGTH, START-LAST, or NAME for all of a window
    #[arg(value_parser = range, add = places())]
    pub range: Extent,
    /// The number of passes
    #[arg(long, value_name = "COUNT", value_parser = count, default_value = "1")]
    pub passes: u64,
    /// Run only these tests
    #[arg(long, value_name = "TEST", value_enum, value_delimiter = ',')]
    pub only: Vec<Algorithm>,
    /// The seed of the random test; each pass uses the next one
    #[arg(long, value_parser = number, default_value = "1")]
    pub seed: u64,
}

#[derive(Debug, PartialEq, clap::Args)]
#[group(skip)]
pub struct WatchArgs {
    /// ADDRESS, NAME+OFFSET, START+LENGTH or START-LAST
    #[arg(value_name = "PLACE", value_parser = place, add = places())]
    pub place: Place,
    /// The time between two samples: a number with us, ms, s or min, or of milliseconds
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "500ms")]
    pub interval: Duration,
    /// Stop after this many samples
    #[arg(long, value_parser = count)]
    pub count: Option<u64>,
}

#[derive(Debug, PartialEq, clap::Args)]
#[group(skip)]
pub struct NoArgs {}

#[derive(Debug, PartialEq, clap::Args)]
#[group(skip)]
pub struct CheckArgs {
    /// ADDRESS, NAME+OFFSET, START+LENGTH or START-LAST
    #[arg(value_name = "PLACE", value_parser = place, add = places())]
    pub place: Place,
    /// For reading: the default, in addition to the other options
    #[arg(long)]
    pub read: bool,
    /// Also for writing
    #[arg(long)]
    pub write: bool,
    /// Also for running code, which is never granted
    #[arg(long)]
    pub exec: bool,
    /// Private instead of shared, which is never granted
    #[arg(long)]
    pub private: bool,
}

#[derive(Debug, PartialEq, clap::Args)]
#[group(skip)]
pub struct ExplainArgs {
    /// START+LENGTH, START-LAST, NAME for all of a window, or the address of the first byte
    #[arg(value_name = "PLACE", value_parser = asked, add = places())]
    pub asked: Asked,
    /// The number of bytes after an address
    #[arg(value_parser = number)]
    pub length: Option<u64>,
    /// The size of a page [default: this machine's]
    #[arg(long, value_name = "BYTES", value_parser = page_size)]
    pub page_size: Option<PageSize>,
}

#[derive(Debug, PartialEq, clap::Args)]
#[group(skip)]
pub struct LabArgs {
    /// What to try out
    pub experiment: Experiment,
    /// Where to try out `device` [default: the start of the first window of memory]
    #[arg(value_parser = address, add = places())]
    pub address: Option<Location>,
}

#[derive(Debug, PartialEq, clap::Args)]
#[group(skip)]
pub struct CompletionsArgs {
    /// The shell
    pub shell: Shell,
}

#[derive(Debug, PartialEq, clap::Args)]
#[group(skip)]
pub struct ManArgs {
    /// An existing directory
    pub directory: PathBuf,
}

/// The widths. An access that this processor has not is an error of its own.
const WIDTHS: &[(&str, Width)] =
    &[("8", Width::Bits8), ("16", Width::Bits16), ("32", Width::Bits32), ("64", Width::Bits64)];

fn widths() -> impl TypedValueParser<Value = Width> {
    PossibleValuesParser::new(WIDTHS.iter().map(|(bits, _)| *bits)).map(|text| {
        let (_, width) = WIDTHS.iter().find(|(bits, _)| *bits == text).expect("no other value is possible");
        *width
    })
}

fn formats() -> impl TypedValueParser<Value = Format> {
    PossibleValuesParser::new(Format::ALL.map(Format::name)).map(|text| {
        let format = Format::ALL.into_iter().find(|format| format.name() == text);
        format.expect("no other value is possible")
    })
}

fn endians() -> impl TypedValueParser<Value = Endian> {
    let [native, little, big] = ["native", "little", "big"].map(PossibleValue::new);
    PossibleValuesParser::new([native, little.alias("le"), big.alias("be")]).map(|text| match text.as_str() {
        "little" | "le" => Endian::Little,
        "big" | "be" => Endian::Big,
        _ => Endian::Native,
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_sound() {
        super::Args::command().debug_assert();
    }
}
