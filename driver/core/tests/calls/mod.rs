// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Properties that hold for the structures of any ioctl, for the fuzzer and its corpus: they are
//! compared with the rules of mmap(2) and with a model of interrupts, both written a second time.

use map_core::{
    abi::{
        self,
        MapCheck,
        MapIrqMask,
        MapIrqWait,
        IRQS, //
    },
    bit,
    decide,
    parse,
    Access,
    Arrival,
    CacheMode,
    Caller,
    IrqRefusal,
    Irqs,
    KernelQuery,
    Limits,
    Mode,
    PhysRange,
    Refusal,
    Request,
    Table,
    Trigger,
    Window, //
};

use crate::input::Input;

/// Panics if an answer to one of the calls that `bytes` describe violates a property.
pub(crate) fn check(bytes: &[u8]) {
    let mut input = Input(bytes);
    if input.flag() {
        check_check(&mut input);
    } else {
        check_irqs(&mut input);
    }
}

/// A kernel whose answers are those of the fuzzer.
struct Kernel {
    locked_down: bool,
    system_ram: Option<PhysRange>,
    exclusive: Option<PhysRange>,
}

impl KernelQuery for Kernel {
    fn has_rawio(&self) -> bool {
        true
    }

    fn is_locked_down(&self) -> bool {
        self.locked_down
    }

    fn is_system_ram(&self, range: &PhysRange) -> bool {
        self.system_ram.is_some_and(|ram| ram.overlaps(range))
    }

    fn is_exclusive(&self, range: &PhysRange) -> bool {
        self.exclusive.is_some_and(|other| other.overlaps(range))
    }

    fn is_in_pci_bar(&self, _: &PhysRange) -> bool {
        false
    }

    fn is_reserved(&self, _: &PhysRange) -> bool {
        false
    }

    fn gives(&self, _: &PhysRange, _: CacheMode) -> bool {
        true
    }
}

const LIMITS: Limits = Limits {
    page_size: 0x1000,
    last_address: (1 << 44) - 1,
    last_offset: u64::MAX,
    task_size: 0x7fff_ffff_f000,
    aborts: true,
};

const WINDOWS: &[u8] =
    b"a@0x10000+64K,b@0x20000+64K:ro:wc,c@0x100000000+8G:cached,d@0xffffffff000+4K:shared";

/// Asks MAP_IOC_CHECK, and holds the answer against the rules.
fn check_check(input: &mut Input<'_>) {
    let caller = Caller {
        file_readable: input.flag(),
        file_writable: input.flag(),
        read_implies_execute: input.flag(),
    };
    let kernel = Kernel {
        locked_down: input.byte() % 8 == 7,
        system_ram: PhysRange::new(input.number(), input.number()),
        exclusive: PhysRange::new(input.number(), input.number()),
    };
    let raw = input.flag();
    let mut check = MapCheck {
        start: input.number(),
        length: input.number(),
        prot: u32::from(input.byte()),
        flags: u32::from(input.byte()),
        ..MapCheck::default()
    };
    let before = check;
    let base = if input.flag() { 0x10000 } else { 0 };
    let known_prot = check.prot & !7 == 0;
    let shared = [1, 3].contains(&check.flags);
    let request = Request::from_check(&check, base, &caller);
    assert_eq!(
        request.is_some(),
        known_prot && (shared || check.flags == 2)
    );
    let Some(request) = request else { return };
    let windows: Vec<Window> = parse(WINDOWS, 0x1000).map(Result::unwrap).collect();
    let mode = if raw {
        Mode::Raw
    } else {
        Mode::Windows(Table::new(windows.clone(), &LIMITS).unwrap())
    };
    let verdict = decide(&request, &mode, &LIMITS, &kernel);
    check.answer(&verdict);
    assert_eq!((check.start, check.length), (before.start, before.length));
    match &verdict {
        Ok(grant) => {
            assert_eq!((check.verdict, check.error), (abi::GRANTED, 0));
            // Every rule that the documentation states.
            assert!(shared && caller.file_readable && !kernel.locked_down);
            assert!(before.prot & abi::PROT_WRITE == 0 || caller.file_writable);
            assert!(before.prot & abi::PROT_EXEC == 0 || caller.read_implies_execute);
            let (start, length) = (grant.range.start(), grant.range.length());
            assert_eq!(Some(start), base.checked_add(before.start));
            assert!(start % 0x1000 == 0 && length % 0x1000 == 0 && length >= before.length);
            assert!(length - before.length < 0x1000 && before.length > 0 && length <= 4 << 30);
            assert!(
                grant.range.last() <= LIMITS.last_address && !kernel.is_system_ram(&grant.range)
            );
            match grant.window {
                None => assert!(raw && !kernel.is_exclusive(&grant.range)),
                Some(found) => {
                    let inside = |window: &&Window| window.range.contains(&grant.range);
                    let window = windows.iter().find(inside).unwrap();
                    assert_eq!(found.window, *window);
                    assert_eq!((grant.cache, grant.access), (window.cache, window.access));
                    let writes = before.prot & abi::PROT_WRITE != 0;
                    assert!(!writes || window.access == Access::ReadWrite);
                }
            }
        }
        Err(refused) => {
            assert_eq!(Refusal::from_code(check.verdict), Some(refused.reason));
            assert_eq!(check.error, refused.reason.errno().number());
            assert!(check.error != 0 && check.cache == abi::NONE);
        }
    }
}

/// An interrupt as the documentation describes it.
#[derive(Clone, Copy, Default)]
struct Line {
    edge: bool,
    unmasked: bool,
    count: u64,
}

/// Performs calls and interrupts, and compares what they do with a model.
fn check_irqs(input: &mut Input<'_>) {
    let number = usize::from(input.byte() % 20);
    let mut irqs = Irqs::new(number);
    let mut model = vec![Line::default(); number.min(IRQS)];
    let mut gone = false;
    let all = (1_u32 << model.len()).wrapping_sub(1);
    while !input.is_empty() {
        match input.byte() % 8 {
            0 => {
                let (index, edge) = (usize::from(input.byte() % 20), input.flag());
                irqs.set_trigger(index, if edge { Trigger::Edge } else { Trigger::Level });
                if let Some(line) = model.get_mut(index) {
                    line.edge = edge;
                }
            }
            1 | 2 => {
                let index = usize::from(input.byte() % 20);
                let arrival = irqs.came(index);
                let expected = match model.get_mut(index).filter(|_| !gone) {
                    None => Arrival::Ignored,
                    Some(line) => {
                        line.count += 1;
                        if line.unmasked && !line.edge {
                            line.unmasked = false;
                            Arrival::Masked
                        } else {
                            Arrival::Counted
                        }
                    }
                };
                assert_eq!(arrival, expected);
            }
            3 | 4 => {
                let mask = MapIrqMask {
                    interrupts: u32::from(input.byte()) | u32::from(input.byte()) << 8,
                    masked: u32::from(input.byte() % 3),
                };
                let writable = input.byte() % 8 != 7;
                let named = |index: &usize| mask.interrupts & bit(*index) != 0;
                let differ = |index: usize| model[index].unmasked == (mask.masked == 1);
                let expected = if gone {
                    Err(IrqRefusal::Gone)
                } else if mask.interrupts == 0 || mask.interrupts & !all != 0 {
                    Err(IrqRefusal::NoSuch)
                } else if mask.masked > 1 {
                    Err(IrqRefusal::Unknown)
                } else if !writable {
                    Err(IrqRefusal::NotWritable)
                } else if !(0..model.len()).filter(named).all(differ) {
                    Err(IrqRefusal::Already)
                } else {
                    Ok(())
                };
                assert_eq!(irqs.set_masked(&mask, writable), expected);
                if expected.is_ok() {
                    for index in (0..model.len()).filter(named) {
                        model[index].unmasked = mask.masked == 0;
                    }
                }
            }
            5 => {
                let wait = MapIrqWait {
                    interrupts: u32::from(input.byte()) | u32::from(input.byte()) << 12,
                    flags: u32::from(input.byte() % 2),
                    ..MapIrqWait::default()
                };
                let expected = if gone {
                    Err(IrqRefusal::Gone)
                } else if wait.interrupts == 0 || wait.interrupts & !all != 0 {
                    Err(IrqRefusal::NoSuch)
                } else if wait.flags != 0 {
                    Err(IrqRefusal::Unknown)
                } else {
                    Ok(())
                };
                assert_eq!(irqs.check_wait(&wait), expected);
            }
            6 => {
                let (index, owner) = (usize::from(input.byte() % 20), input.flag());
                let (writable, own) = (input.flag(), input.flag());
                let expected = if gone {
                    Err(IrqRefusal::Gone)
                } else if index >= model.len() {
                    Err(IrqRefusal::NoSuch)
                } else if !writable {
                    Err(IrqRefusal::NotWritable)
                } else if owner && !own {
                    Err(IrqRefusal::Busy)
                } else {
                    Ok(())
                };
                let set_by = owner.then_some(if own { 1 } else { 2 });
                assert_eq!(irqs.check_eventfd(index, writable, set_by, 1), expected);
            }
            _ => {
                let unmasked =
                    |(index, line): (usize, &Line)| if line.unmasked { bit(index) } else { 0 };
                let bits: u32 = model.iter().enumerate().map(unmasked).sum();
                let bits = if gone { 0 } else { bits };
                if input.byte() % 4 == 3 {
                    assert_eq!(irqs.remove(), bits);
                    gone = true;
                } else {
                    assert_eq!(irqs.close(), bits);
                }
                model.iter_mut().for_each(|line| line.unmasked = false);
            }
        }
        for index in 0..20 {
            let line = model.get(index).map(|line| {
                let trigger = if line.edge {
                    Trigger::Edge
                } else {
                    Trigger::Level
                };
                (trigger, !line.unmasked, line.count)
            });
            assert_eq!(irqs.get(index), line, "{index}");
        }
        assert_eq!((irqs.is_gone(), irqs.all()), (gone, all));
    }
}
