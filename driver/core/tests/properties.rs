// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Properties of all windows and requests, over all of u64.
//!
//! The expected results are computed independently, with u128 arithmetic that cannot wrap and with
//! linear searches.

use std::{
    cell::Cell,
    collections::BTreeMap, //
};

use map_core::{
    abi::{
        self,
        MapCheck,
        MapWindow, //
    },
    decide,
    parse,
    Access,
    CacheMode,
    Caller,
    Grant,
    Huge,
    IndexedWindow,
    KernelQuery,
    Limits,
    Lookup,
    Mode,
    Name,
    Origin,
    PhysRange,
    Refusal,
    Refused,
    Request,
    Table,
    TableError,
    Window,
    MAX_WINDOWS, //
};
use proptest::{
    collection::vec,
    prelude::*,
    sample::select,
    strategy::ValueTree,
    test_runner::TestRunner, //
};

/// The reasons for refusing mmap(2) and MAP_IOC_CHECK, in the order of precedence.
const ORDER: [Refusal; 17] = [
    Refusal::Unaligned,
    Refusal::Empty,
    Refusal::TooLong,
    Refusal::Wraps,
    Refusal::NotWritable,
    Refusal::NotReadable,
    Refusal::Executable,
    Refusal::Private,
    Refusal::Address,
    Refusal::Outside,
    Refusal::Partial,
    Refusal::ReadOnly,
    Refusal::LockedDown,
    Refusal::SystemRam,
    Refusal::CacheType,
    Refusal::TooLarge,
    Refusal::Exclusive,
];

/// Returns the position of `reason` in the order.
fn place(reason: Refusal) -> usize {
    ORDER.iter().position(|other| *other == reason).unwrap()
}

/// Limits without a maximum address, for tables that must not be rejected because of addresses.
const WIDE: Limits = Limits {
    page_size: 0x1000,
    last_address: u64::MAX,
    last_offset: u64::MAX,
    task_size: u64::MAX,
    aborts: true,
};

/// Returns the first address and the address after the last, which may be 2^64.
fn bounds(range: &PhysRange) -> (u128, u128) {
    let start = u128::from(range.start());
    (start, start + u128::from(range.length()))
}

fn touches(one: &PhysRange, other: &PhysRange) -> bool {
    let ((one_start, one_end), (start, end)) = (bounds(one), bounds(other));
    one_start < end && start < one_end
}

/// Returns the distance between `one` and `other`, in bytes from the last byte of the lower to the
/// first byte of the upper; 0 if they overlap.
fn distance(one: &PhysRange, other: &PhysRange) -> u128 {
    if touches(one, other) {
        return 0;
    }
    let ((one_start, one_end), (start, end)) = (bounds(one), bounds(other));
    1 + start.saturating_sub(one_end) + one_start.saturating_sub(end)
}

/// A mock of the kernel, with its answers and the number of queries.
#[derive(Debug)]
struct Kernel {
    locked_down: bool,
    ram: PhysRange,
    /// A range that is a node of /reserved-memory, and where another driver has exclusive use or
    /// the machine forces a cache type.
    other: PhysRange,
    asked_lock: Cell<u32>,
    asked_ram: Cell<u32>,
}

impl KernelQuery for Kernel {
    fn has_rawio(&self) -> bool {
        panic!("mmap(2) has nothing to do with the capability")
    }

    fn is_locked_down(&self) -> bool {
        self.asked_lock.set(self.asked_lock.get() + 1);
        self.locked_down
    }

    fn is_system_ram(&self, range: &PhysRange) -> bool {
        self.asked_ram.set(self.asked_ram.get() + 1);
        touches(range, &self.ram)
    }

    fn is_exclusive(&self, range: &PhysRange) -> bool {
        touches(range, &self.other) && self.other.start() % 3 == 0
    }

    fn is_in_pci_bar(&self, _: &PhysRange) -> bool {
        panic!("mmap(2) has nothing to do with PCI")
    }

    fn is_reserved(&self, range: &PhysRange) -> bool {
        let ((first, beyond), (start, end)) = (bounds(&self.other), bounds(range));
        first <= start && end <= beyond
    }

    fn gives(&self, range: &PhysRange, _: CacheMode) -> bool {
        !touches(range, &self.other) || self.other.start() % 3 != 1
    }
}

/// Returns every reason that applies for refusing `request`.
fn reasons(
    request: &Request,
    windows: Option<&[Window]>,
    limits: &Limits,
    kernel: &Kernel,
) -> Vec<Refusal> {
    let page = u128::from(limits.page_size);
    let offset = u128::from(request.start);
    let length = u128::from(request.length).div_ceil(page) * page;
    let start = u128::from(request.base) + offset;
    let end = start + length;
    let inside = windows.and_then(|windows| {
        windows.iter().find(|window| {
            let (first, beyond) = bounds(&window.range);
            first <= start && end <= beyond
        })
    });
    let touched = windows.is_some_and(|windows| {
        windows.iter().any(|window| {
            let (first, beyond) = bounds(&window.range);
            first < end && start < beyond
        })
    });
    let (ram_start, ram_end) = bounds(&kernel.ram);
    let (other_start, other_end) = bounds(&kernel.other);
    let touches_other = other_start < end && start < other_end;
    let holds = |reason: &Refusal| match reason {
        Refusal::Unaligned => offset % page != 0,
        Refusal::Empty => length == 0,
        Refusal::TooLong => length > u128::from(limits.task_size),
        Refusal::Wraps => offset + length > u128::from(limits.last_offset),
        Refusal::NotWritable => request.shared && request.write && !request.file_writable,
        Refusal::NotReadable => !request.file_readable,
        Refusal::Executable => request.execute && !(request.read && request.read_implies_execute),
        Refusal::Private => !request.shared,
        Refusal::Address => end > u128::from(limits.last_address) + 1,
        Refusal::Outside => windows.is_some() && !touched,
        Refusal::Partial => windows.is_some() && touched && inside.is_none(),
        Refusal::ReadOnly => {
            request.write && inside.is_some_and(|window| window.access == Access::ReadOnly)
        }
        Refusal::LockedDown => match windows {
            None => kernel.locked_down,
            Some(_) => {
                let allowed = |window: &Window| window.reserved && window.origin == Origin::BootDt;
                kernel.locked_down && inside.is_some_and(|window| !allowed(window))
            }
        },
        Refusal::SystemRam => {
            (windows.is_none() || inside.is_some()) && ram_start < end && start < ram_end
        }
        Refusal::CacheType => windows.is_none() && touches_other && kernel.other.start() % 3 == 1,
        Refusal::TooLarge => length > 4 << 30,
        Refusal::Exclusive => windows.is_none() && touches_other && kernel.other.start() % 3 == 0,
        Refusal::NotCapable
        | Refusal::CacheConflict
        | Refusal::TooMany
        | Refusal::NoMemory
        | Refusal::Gone
        | Refusal::NotMemory => false,
        other => panic!("{other:?} has no rule here"),
    };
    ORDER.into_iter().filter(holds).collect()
}

/// Any number, mostly boundary values.
fn number() -> impl Strategy<Value = u64> {
    let near_power =
        (0..=64u32, -2i128..=2).prop_map(|(power, offset)| ((1i128 << power) + offset) as u64);
    prop_oneof![
        any::<u64>(),
        near_power,
        0..0x10_0000u64,
        any::<u64>().prop_map(|n| n & !0xffff)
    ]
}

fn limits() -> impl Strategy<Value = Limits> {
    let last = |most| {
        let power = (31..=63u32).prop_map(|bits| (1u64 << bits) - 1);
        prop_oneof![6 => Just(most), 2 => power, 1 => number()]
    };
    let page_size = prop_oneof![8 => Just(0x1000), 1 => Just(0x4000), 1 => Just(0x1_0000)];
    (
        page_size,
        last(u64::MAX),
        last(u64::MAX),
        last(0x7fff_ffff_f000),
        any::<bool>(),
    )
        .prop_map(
            |(page_size, last_address, last_offset, task_size, aborts)| Limits {
                page_size,
                last_address,
                last_offset,
                task_size,
                aborts,
            },
        )
}

fn name() -> impl Strategy<Value = Name> {
    let letters: Vec<u8> = (0..=u8::MAX).filter(|byte| Name::allows(*byte)).collect();
    let any_name = vec(select(letters), 0..=Name::MAX_LENGTH);
    // Few names, so that some are equal.
    let short = select(vec!["", "", "a", "b", "sdram"]).prop_map(|name| name.as_bytes().to_vec());
    prop_oneof![any_name, short].prop_map(|text| Name::new(&text).unwrap())
}

/// Whole pages of 4 KiB: some in a small part of the address space, where they collide, and some
/// anywhere.
fn pages() -> impl Strategy<Value = PhysRange> {
    let small = (0..160u64, 1..6u64);
    let anywhere = (number(), number()).prop_map(|(start, length)| (start >> 12, length >> 12));
    let top = (1..6u64).prop_map(|count| ((1 << 52) - count, count));
    // A page less and more than the longest mapping, and much more.
    let large = (
        0..160u64,
        select(vec![0xf_ffff, 0x10_0000, 0x10_0001, 0x40_0000]),
    );
    prop_oneof![6 => small, 1 => anywhere, 1 => top, 2 => large]
        .prop_filter_map("empty or beyond the end", |(start, length)| {
            PhysRange::new(start << 12, length << 12)
        })
}

fn window() -> impl Strategy<Value = Window> {
    (
        pages(),
        name(),
        any::<bool>(),
        select(CacheMode::ALL.to_vec()),
        any::<(bool, bool, bool, bool)>(),
        select(vec![
            Origin::Parameter,
            Origin::Dt,
            Origin::BootDt,
            Origin::RunTime,
        ]),
    )
        .prop_map(
            |(range, name, read_only, cache, (claim, memory, reserved, huge), origin)| {
                let mut window = Window::new(range);
                window.name = name;
                if read_only {
                    window.access = Access::ReadOnly;
                }
                window.cache = cache;
                window.claim = claim;
                window.memory = memory;
                window.huge = if huge { Huge::Auto } else { Huge::Never };
                window.reserved = reserved;
                window.origin = origin;
                window
            },
        )
}

/// The window as the parameter describes it, which cannot say everything.
fn of_parameter(window: Window) -> Window {
    let mut window = window;
    window.reserved = false;
    window.origin = Origin::Parameter;
    window
}

/// Windows that fit together, in any order: those of a list that do not collide with an earlier
/// one.
fn fitting() -> impl Strategy<Value = Vec<Window>> {
    prop_oneof![vec(window(), 1..6), vec(window(), 1..MAX_WINDOWS)].prop_map(|windows| {
        let mut fitting = Vec::<Window>::new();
        for window in windows {
            let collides = |other: &Window| {
                touches(&window.range, &other.range)
                    || !window.name.is_empty() && window.name == other.name
            };
            if !fitting.iter().any(collides) {
                fitting.push(window);
            }
        }
        fitting
    })
}

/// No windows, or windows that fit together.
fn windows() -> impl Strategy<Value = Option<Vec<Window>>> {
    proptest::option::weighted(0.7, fitting())
}

fn mode(windows: &Option<Vec<Window>>) -> Mode<Vec<Window>> {
    match windows {
        None => Mode::Raw,
        Some(windows) => Mode::Windows(Table::new(windows.clone(), &WIDE).unwrap()),
    }
}

/// A range inside one of `windows`, a range that begins and ends at or near their edges, or any
/// range.
fn range_near(windows: &[Window]) -> impl Strategy<Value = (u64, u64)> {
    let inside =
        (select(windows.to_vec()), any::<(u64, u64)>()).prop_map(|(window, (skip, length))| {
            let skip = (skip % window.range.length()) & !0xfff;
            (
                window.range.start() + skip,
                length % (window.range.length() - skip) + 1,
            )
        });
    let edges: Vec<u64> = windows
        .iter()
        .flat_map(|window| [window.range.start(), window.range.last().wrapping_add(1)])
        .chain([0])
        .collect();
    let shift = prop_oneof![
        6 => Just(0),
        3 => select(vec![0x1000, 0x1_0000, 0u64.wrapping_sub(0x1000)]),
        1 => select(vec![1, u64::MAX]),
    ];
    let edge =
        (select(edges), shift).prop_map(|(edge, shift): (u64, u64)| edge.wrapping_add(shift));
    let place = prop_oneof![9 => edge, 1 => number()].boxed();
    let between = (place.clone(), place.clone()).prop_map(|(one, other)| {
        let start = one.min(other);
        (start, one.max(other) - start)
    });
    let short = (place.clone(), 0..0x2001u64);
    prop_oneof![4 => inside, 3 => between, 2 => short, 1 => (place, number())]
}

fn request_near(windows: &[Window]) -> impl Strategy<Value = Request> {
    let likely = |share| proptest::bool::weighted(share);
    // Mostly valid, so that something else decides; sometimes with many reasons at once.
    let kind = prop_oneof![
        3 => (any::<bool>(), likely(0.02), likely(0.98), likely(0.98), likely(0.9)),
        1 => any::<(bool, bool, bool, bool, bool)>(),
    ];
    let read = (likely(0.8), likely(0.2));
    // The request is one of the node of all memory, or of a window.
    let bases: Vec<u64> = [0, 0]
        .into_iter()
        .chain(windows.iter().map(|window| window.range.start()))
        .collect();
    (range_near(windows), select(bases), kind, read).prop_map(
        |(
            (address, length),
            base,
            (write, execute, shared, file_readable, file_writable),
            (read, read_implies_execute),
        )| Request {
            base,
            start: address.wrapping_sub(base),
            length,
            read,
            write,
            execute,
            read_implies_execute,
            shared,
            file_readable,
            file_writable,
        },
    )
}

/// Creates a kernel without queries so far.
fn kernel((locked_down, ram, other): (bool, PhysRange, PhysRange)) -> Kernel {
    Kernel {
        locked_down,
        ram,
        other,
        asked_lock: Cell::new(0),
        asked_ram: Cell::new(0),
    }
}

/// A request, the windows, and everything else that the decision depends on.
fn case() -> impl Strategy<Value = (Option<Vec<Window>>, Request, Limits, Kernel)> {
    let kernel = (proptest::bool::weighted(0.3), pages(), pages()).prop_map(kernel);
    (windows(), limits(), kernel).prop_flat_map(|(windows, limits, kernel)| {
        let far = PhysRange::new(1 << 33, 1 << 34).unwrap();
        let marks = [kernel.ram, kernel.other, far].map(Window::new);
        let request = request_near(windows.as_deref().unwrap_or(&marks));
        let answers = (kernel.locked_down, kernel.ram, kernel.other);
        (Just((windows, limits, answers)), request).prop_map(
            |((windows, limits, answers), request)| {
                (windows, request, limits, self::kernel(answers))
            },
        )
    })
}

/// Returns the index of the window with the smallest distance in `windows`, which are sorted by
/// address; the first of several.
fn nearest(windows: &[Window], range: &PhysRange) -> usize {
    (0..windows.len())
        .min_by_key(|index| distance(&windows[*index].range, range))
        .unwrap()
}

/// Guards against properties that hold only because their cases reach too few verdicts.
#[test]
#[cfg_attr(miri, ignore = "so many cases take Miri minutes")]
fn the_cases_reach_every_verdict() {
    let mut runner = TestRunner::deterministic();
    let mut reached = BTreeMap::new();
    for _ in 0..8192 {
        let (windows, request, limits, kernel) = case().new_tree(&mut runner).unwrap().current();
        let reasons = reasons(&request, windows.as_deref(), &limits, &kernel);
        let verdict = reasons.first().map(|first| place(*first));
        *reached.entry((windows.is_some(), verdict)).or_insert(0) += 1;
    }
    let in_windows_only = [Refusal::Outside, Refusal::Partial, Refusal::ReadOnly];
    for has_windows in [false, true] {
        let verdicts = ORDER.into_iter().filter(|reason| match reason {
            Refusal::CacheType | Refusal::Exclusive => !has_windows,
            reason => has_windows || !in_windows_only.contains(reason),
        });
        for verdict in [None].into_iter().chain(verdicts.map(Some)) {
            let count = reached
                .get(&(has_windows, verdict.map(place)))
                .copied()
                .unwrap_or(0);
            assert!(
                count >= 5,
                "with windows: {has_windows}; {verdict:?}: {count} cases"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 4 * ProptestConfig::default().cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn what_is_refused_has_the_first_reason_that_holds_and_what_is_granted_has_none(
        (windows, request, limits, kernel) in case()
    ) {
        let mode = mode(&windows);
        let reasons = reasons(&request, windows.as_deref(), &limits, &kernel);
        match decide(&request, &mode, &limits, &kernel) {
            Ok(_) => prop_assert_eq!(&reasons, &[]),
            Err(refused) => prop_assert_eq!(Some(&refused.reason), reasons.first(), "{:?}", reasons),
        }
        // The kernel is queried at most once, and only if no earlier reason applies.
        let first = reasons.first().map_or(ORDER.len(), |first| place(*first));
        prop_assert!(kernel.asked_lock.get() <= u32::from(first >= place(Refusal::LockedDown)));
        prop_assert_eq!(kernel.asked_ram.get(), u32::from(first >= place(Refusal::SystemRam)));
    }

    #[test]
    fn a_grant_is_the_whole_request_in_one_window_or_not_ram((windows, request, limits, kernel) in case()) {
        let mode = mode(&windows);
        if let Ok(grant) = decide(&request, &mode, &limits, &kernel) {
            let (start, end) = bounds(&grant.range);
            let address = u128::from(request.base) + u128::from(request.start);
            let asked_end = address + u128::from(request.length);
            prop_assert_eq!(start, address);
            prop_assert!(asked_end <= end && end < asked_end + u128::from(limits.page_size));
            prop_assert_eq!((end - u128::from(request.base)) % u128::from(limits.page_size), 0);
            prop_assert!(end <= u128::from(limits.last_address) + 1);
            prop_assert!(!touches(&grant.range, &kernel.ram));
            prop_assert!(end - start <= 4 << 30);
            match grant.window {
                None => {
                    prop_assert!(windows.is_none());
                    let reserved = kernel.is_reserved(&grant.range);
                    prop_assert_eq!(grant.memory, !limits.aborts || reserved);
                    prop_assert_eq!((grant.cache, grant.access), (CacheMode::Uncached, Access::ReadWrite));
                }
                Some(index) => {
                    let window = &mode.windows()[index.index];
                    prop_assert_eq!(index.window, *window);
                    let (first, beyond) = bounds(&window.range);
                    prop_assert!(first <= start && end <= beyond);
                    prop_assert_eq!((grant.cache, grant.access), (window.cache, window.access));
                    prop_assert!(grant.access == Access::ReadWrite || !request.write);
                    let memory = !limits.aborts || window.memory || window.reserved;
                    prop_assert_eq!(grant.memory, memory);
                }
            }
        }
    }

    #[test]
    fn a_refusal_names_the_nearest_window_if_windows_are_the_reason(
        (windows, request, limits, kernel) in case()
    ) {
        let mode = mode(&windows);
        if let Err(Refused { reason, nearest: found }) = decide(&request, &mode, &limits, &kernel) {
            let about_windows = windows.is_some() && place(reason) >= place(Refusal::Outside);
            let expected = about_windows.then(|| {
                let length = request.length.next_multiple_of(limits.page_size);
                let start = request.base + request.start;
                nearest(mode.windows(), &PhysRange::new(start, length).unwrap())
            });
            prop_assert_eq!(found.map(|found| found.index), expected);
            prop_assert!(found.is_none_or(|found| mode.windows()[found.index] == found.window));
        }
    }

    /// The kernel rounds the length that it passes to the driver; a question has the original
    /// length.
    #[test]
    fn mmap_and_check_agree((windows, request, limits, kernel) in case()) {
        let mode = mode(&windows);
        let verdict = decide(&request, &mode, &limits, &kernel);
        if let Some(length) = request.length.checked_next_multiple_of(limits.page_size) {
            prop_assert_eq!(decide(&Request { length, ..request }, &mode, &limits, &kernel), verdict);
        }

        let prot = |set, bit| if set { bit } else { 0 };
        let mut check = MapCheck {
            start: request.start,
            length: request.length,
            prot: prot(request.write, abi::PROT_WRITE)
                | prot(request.execute, abi::PROT_EXEC)
                | prot(request.read, abi::PROT_READ),
            flags: if request.shared { abi::MAP_SHARED } else { abi::MAP_PRIVATE },
            ..MapCheck::default()
        };
        let caller = Caller {
            file_readable: request.file_readable,
            file_writable: request.file_writable,
            read_implies_execute: request.read_implies_execute,
        };
        let asked = Request::from_check(&check, request.base, &caller);
        prop_assert_eq!(asked, Some(request));

        check.answer(&verdict);
        let index = usize::try_from(check.window).ok().filter(|_| check.window != abi::NONE);
        let at = index.map(|index| IndexedWindow { index, window: mode.windows()[index] });
        let answered: Result<Grant, Refused> = match Refusal::from_code(check.verdict) {
            None => Ok(Grant { window: at, cache: CacheMode::from_code(check.cache).unwrap(), ..verdict.unwrap() }),
            Some(reason) => Err(Refused { reason, nearest: at }),
        };
        prop_assert_eq!(answered, verdict);
        let near = PhysRange::new(check.near_start, check.near_length);
        prop_assert_eq!(near, index.map(|index| mode.windows()[index].range));
    }

    #[test]
    fn find_agrees_with_a_search_from_end_to_end(
        (windows, (start, length)) in fitting().prop_flat_map(|windows| {
            let range = range_near(&windows);
            (Just(windows), range)
        })
    ) {
        let Some(range) = PhysRange::new(start, length) else { return Ok(()) };
        let table = Table::new(windows, &WIDE).unwrap();
        let windows = table.windows();
        let holds = |window: &Window| {
            let ((first, beyond), (start, end)) = (bounds(&window.range), bounds(&range));
            first <= start && end <= beyond
        };
        let near = nearest(windows, &range);
        let expected = if let Some(index) = windows.iter().position(holds) {
            Lookup::Inside(index)
        } else if let Some(index) = windows.iter().position(|window| touches(&window.range, &range)) {
            Lookup::Partial(index)
        } else {
            Lookup::Outside(Some(near))
        };
        prop_assert_eq!(table.find(&range), expected);
    }

    /// In particular, no table has overlapping windows.
    #[test]
    fn a_table_is_built_from_windows_that_fit_together_and_from_no_others(
        windows in vec(window(), 0..80), limits in limits()
    ) {
        let pairs = || (0..windows.len()).flat_map(|i| (0..i).map(move |j| (i, j)));
        let overlap = pairs().any(|(i, j)| touches(&windows[i].range, &windows[j].range));
        let namesakes =
            pairs().any(|(i, j)| !windows[i].name.is_empty() && windows[i].name == windows[j].name);
        let beyond = windows.iter().any(|w| bounds(&w.range).1 > u128::from(limits.last_address) + 1);

        match Table::new(windows.clone(), &limits) {
            Ok(table) => {
                prop_assert!(windows.len() <= MAX_WINDOWS);
                prop_assert!(!beyond && !overlap && !namesakes);
                let mut sorted = windows;
                sorted.sort_by_key(|window| window.range.start());
                prop_assert_eq!(table.windows(), sorted);
            }
            Err(TableError::TooMany(count)) => {
                prop_assert_eq!(count, windows.len());
                prop_assert!(count > MAX_WINDOWS);
            }
            Err(TableError::Address { window, last_address }) => {
                prop_assert!(windows.len() <= MAX_WINDOWS && windows.contains(&window));
                prop_assert_eq!(last_address, limits.last_address);
                prop_assert!(bounds(&window.range).1 > u128::from(last_address) + 1);
            }
            Err(TableError::Overlap { first, second }) => {
                prop_assert!(windows.len() <= MAX_WINDOWS && !beyond);
                prop_assert!(windows.contains(&first) && windows.contains(&second));
                prop_assert!(touches(&first.range, &second.range));
                prop_assert!(first.range.start() <= second.range.start());
            }
            Err(TableError::SameName { first, second }) => {
                prop_assert!(windows.len() <= MAX_WINDOWS && !beyond && !overlap);
                prop_assert!(windows.contains(&first) && windows.contains(&second));
                prop_assert!(!first.name.is_empty() && first.name == second.name);
                prop_assert!(first.range.start() < second.range.start());
            }
        }
    }

    #[test]
    fn windows_that_are_gone_are_found_no_more(
        (mut windows, gone) in fitting().prop_flat_map(|windows| {
            let gone = vec(any::<bool>(), windows.len());
            (Just(windows), gone)
        })
    ) {
        let (gone, left): (Vec<_>, Vec<_>) =
            windows.iter().copied().zip(gone).partition(|(_, gone)| *gone);
        let gone: Vec<Window> = gone.into_iter().map(|(window, _)| window).collect();
        let mut left: Vec<Window> = left.into_iter().map(|(window, _)| window).collect();
        left.sort_by_key(|window| window.range.start());
        let mut table = Table::new(&mut windows[..], &WIDE).unwrap();
        table.remove(|window| gone.contains(window));
        prop_assert_eq!(table.windows(), left);
        for window in gone {
            let outside = matches!(table.find(&window.range), Lookup::Outside(_));
            prop_assert!(outside);
        }
    }

    #[test]
    fn what_is_displayed_is_parsed_to_the_same(windows in vec(window(), 1..80)) {
        let text: Vec<String> = windows.iter().map(Window::to_string).collect();
        let parsed: Vec<Window> =
            parse(text.join(",").as_bytes(), 0x1000).map(|window| window.unwrap()).collect();
        let expected: Vec<Window> = windows.into_iter().map(of_parameter).collect();
        prop_assert_eq!(parsed, expected);
    }

    #[test]
    fn every_spelling_of_a_window_means_the_same(
        window in window(), forms in vec(0..4usize, 5), order in Just([0, 1, 2, 3, 4]).prop_shuffle()
    ) {
        let number = |value: u64, form| match form {
            0 => format!("{value}"),
            1 => format!("{value:#x}"),
            2 => format!("0x{value:X}"),
            _ => format!("0X00{value:x}"),
        };
        let size = |value: u64, form| match form {
            0 if value % (1 << 30) == 0 => format!("{}G", value >> 30),
            1 if value % (1 << 20) == 0 => format!("{}m", value >> 20),
            2 => format!("{}K", value >> 10),
            form => number(value, form),
        };
        let range = window.range;
        let place = if forms[0] == 0 {
            format!("{}-{}", number(range.start(), forms[1]), number(range.last(), forms[2]))
        } else {
            format!("{}+{}", number(range.start(), forms[1]), size(range.length(), forms[2]))
        };
        let access = match window.access {
            Access::ReadOnly => ":ro",
            Access::ReadWrite => [":rw", ""][forms[3] % 2],
        };
        let cache = match window.cache {
            CacheMode::Uncached => ["", ":uncached", ":uc", ""][forms[4]],
            CacheMode::WriteCombine => [":wc", ":writecombine"][forms[4] % 2],
            CacheMode::Cached => [":cached", ":wb"][forms[4] % 2],
            other => panic!("{other} has no words here"),
        };
        let memory = if window.memory { ":memory" } else { "" };
        let huge = match window.huge {
            Huge::Auto => ["", ":huge=auto"][forms[4] % 2],
            Huge::Never => ":huge=never",
        };
        let options = [access, cache, if window.claim { "" } else { ":shared" }, memory, huge];
        let mut text = if window.name.is_empty() { String::new() } else { format!("{}@", window.name) };
        text += &place;
        text.extend(order.map(|index| options[index]));
        let parsed: Vec<_> = parse(text.as_bytes(), 0x1000).collect();
        prop_assert_eq!(parsed, [Ok(of_parameter(window))], "{}", text);
    }

    #[test]
    fn a_window_goes_through_the_abi_unchanged(windows in fitting()) {
        let mode = mode(&Some(windows));
        for (index, window) in (0..).zip(mode.windows()) {
            prop_assert_eq!(MapWindow::new(&mode, index).unwrap().window(), Some(*window));
        }
        let count = u32::try_from(mode.windows().len()).unwrap();
        prop_assert_eq!(MapWindow::new(&mode, count), None);
    }
}
