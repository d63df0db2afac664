// SPDX-License-Identifier: GPL-2.0

//! A platform driver for device tree nodes whose children are windows.
//!
//! Binding a device adds all of its windows or none, and unbinding removes them. This module reads
//! them; the same code as for windows of the parameter validates them.

use kernel::{
    device::{
        property::FwNode,
        Core,
        Device, //
    },
    device_id::IdArray,
    driver::Registration,
    of::{
        DeviceId,
        IdTable, //
    },
    platform,
    prelude::*,
    str::CString,
    sync::Arc, //
};

use crate::{
    abstractions::{
        irq,
        of::{
            self,
            Regions, //
        }, //
    },
    array_vec::{
        ArrayVec,
        Filler, //
    },
    display::CoreDisplay,
    interrupts::{
        Cause,
        Interrupts,
        LineError, //
    },
    map_core::{
        abi::IRQS,
        dt::{
            self,
            Lines,
            Node,
            Place, //
        },
        Window,
        MAX_WINDOWS, //
    },
    state::{
        self,
        State, //
    },
    system::{
        limits,
        with_reservation, //
    }, //
};

/// The registration of the driver. The state must be published before this is created and until it
/// is dropped, which unbinds all devices.
#[pin_data]
pub(crate) struct OfDriver {
    #[pin]
    _driver: Registration<platform::Adapter<OfWindows>>,
}

impl OfDriver {
    /// Registers the driver. Existing devices are bound before the next field is initialized.
    pub(crate) fn register(
        name: &'static CStr,
        module: &'static ThisModule,
    ) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            _driver <- Registration::new(name, module),
        })
    }
}

/// The windows of a bound device. Dropping this removes them.
pub(crate) struct OfWindows {
    state: Arc<State>,
    windows: ArrayVec<Window>,
}

/// The match table. The macro of the kernel for it takes different arguments in Linux 7.2 and 7.3.
/// It would also add the module alias, which `shim.c` does instead.
const IDS: IdArray<DeviceId, &'static (), 1> =
    // Linux 7.3 stores a reference and 7.2 the value, for which deref coercion removes one
    // reference.
    IdArray::new([(DeviceId::new(dt::COMPATIBLE), &&())]);

impl platform::Driver for OfWindows {
    type IdInfo = &'static ();
    type Data<'bound> = Self;

    const OF_ID_TABLE: Option<IdTable<Self::IdInfo>> = Some(&IDS);

    fn probe<'bound>(
        device: &'bound platform::Device<Core<'_>>,
        _info: Option<&'bound Self::IdInfo>,
    ) -> impl PinInit<Self, Error> + 'bound {
        let device = device.as_ref();
        Self::new(device)
    }
}

impl OfWindows {
    /// Adds the windows of `device`.
    ///
    /// # Errors
    ///
    /// EINVAL if a node violates the binding or its window does not fit the others, EPERM if a
    /// window is not permitted, EBUSY if part of a window is already claimed or somebody has an
    /// interrupt line, EPROBE_DEFER if an interrupt controller has no driver yet, ENOMEM. Each
    /// error but the last two is logged, and none of the device's windows is added.
    fn new(device: &Device) -> Result<Self> {
        let node = device
            .fwnode()
            .filter(|node| node.is_of_node())
            .ok_or(ENODEV)?;
        // Root can bind any device to any driver through sysfs.
        node.property_match_string(c"compatible", dt::COMPATIBLE)
            .map_err(|error| if error == ENOMEM { ENOMEM } else { ENODEV })?;
        let state = state::current().ok_or(ENODEV)?;
        // Describing windows, even invalidly, disables raw mode until reload.
        state.windows.lock().leave_raw()?;
        let Description {
            windows,
            interrupts,
        } = read(device, node)?;
        for (window, interrupts) in windows.iter().zip(&*interrupts) {
            let Some(interrupts) = interrupts else {
                continue;
            };
            interrupts.request().map_err(|error| {
                dev_err!(device, "{}: {error}\n", CoreDisplay(window));
                error.error()
            })?;
        }
        let added = state.add(&windows, &interrupts);
        added.map_err(|error| {
            dev_err!(device, "{error}\n");
            error.error()
        })?;
        Ok(Self { state, windows })
    }
}

impl Drop for OfWindows {
    fn drop(&mut self) {
        self.state.remove(&self.windows);
    }
}

/// The windows of a device, each with its interrupts at the same place.
struct Description {
    windows: ArrayVec<Window>,
    interrupts: ArrayVec<Option<Arc<Interrupts>>>,
}

impl Filler for Option<Arc<Interrupts>> {
    fn filler() -> Self {
        None
    }
}

/// Reads the windows of the enabled children of `parent`.
fn read(device: &Device, parent: &FwNode) -> Result<Description> {
    let page_size = limits().page_size;
    let mut windows = ArrayVec::new()?;
    let mut all_interrupts = ArrayVec::new()?;
    let mut good = true;
    for node in parent.children() {
        let node = &*node;
        match window(node, page_size)? {
            Ok((window, described)) => {
                let interrupts = interrupts(device, node, &window, &described);
                let interrupts = match interrupts {
                    Ok(interrupts) => interrupts,
                    Err(error) if error.error() == EPROBE_DEFER || error.error() == ENOMEM => {
                        return Err(error.error());
                    }
                    Err(error) => {
                        dev_err!(device, "{node}: {error}\n");
                        good = false;
                        None
                    }
                };
                let pushed = windows.push(with_reservation(window)).is_ok()
                    && all_interrupts.push(interrupts).is_ok();
                if !pushed {
                    dev_err!(
                        device,
                        "{node}: one window too many; the maximum is {MAX_WINDOWS}\n"
                    );
                    return Err(EINVAL);
                }
            }
            Err(error) => {
                dev_err!(device, "{node}: {}\n", CoreDisplay(error));
                good = false;
            }
        }
    }
    if good {
        Ok(Description {
            windows,
            interrupts: all_interrupts,
        })
    } else {
        Err(EINVAL)
    }
}

/// Finds the lines of the interrupts of `window` that `node` describes. `device` is unbound before
/// the drivers of their controllers.
fn interrupts(
    device: &Device,
    node: &FwNode,
    window: &Window,
    described: &dt::Interrupts,
) -> Result<Option<Arc<Interrupts>>, LineError> {
    if described.number == 0 {
        return Ok(None);
    }
    let mut numbers = [0; IRQS];
    for (index, number) in (0..described.number).zip(&mut numbers) {
        *number = irq::of_interrupt(node, index)
            .map_err(|error| LineError::new(index, described, error))?;
        if irq::is_per_processor(*number) {
            return Err(LineError::new(index, described, Cause::PerProcessor));
        }
        irq::depend_on_controllers(device, *number).map_err(|error| {
            let cause = if error == EPROBE_DEFER {
                error.into()
            } else {
                Cause::Controller
            };
            LineError::new(index, described, cause)
        })?;
        // The controller may have gone before that.
        if irq::of_interrupt(node, index) != Ok(*number) {
            return Err(LineError::new(index, described, EPROBE_DEFER));
        }
    }
    Interrupts::new(window.name, described, numbers)
        .map(Some)
        .map_err(|error| LineError::new(0, described, error))
}

/// Reads the window of `node` and its interrupts. The outer error is one of the kernel, the inner
/// one a violation of the binding.
fn window(
    node: &FwNode,
    page_size: u64,
) -> Result<Result<(Window, dt::Interrupts), dt::NodeError>> {
    let name = CString::try_from_fmt(fmt!("{}", node.display_name()))?;
    let (memory_region, of_boot) = if of::has(node, dt::MEMORY_REGION) {
        let (regions, of_boot) = of::memory_region(node);
        (place(regions), of_boot)
    } else {
        (Place::Absent, false)
    };
    let reg = if of::has(node, dt::REG) {
        place(of::reg(node))
    } else {
        Place::Absent
    };
    let lines = if of::has(node, dt::INTERRUPTS_EXTENDED) {
        Lines::Extended(irq::interrupts_extended(node))
    } else {
        of::property(node, dt::INTERRUPTS).map_or(Lines::Absent, |value| Lines::Interrupts {
            length: value.len(),
            cells: irq::interrupt_cells(node),
        })
    };
    let node = Node {
        // Node names are ASCII. The accessor for bytes without a string conversion can panic.
        name: name.to_str().unwrap_or_default().as_bytes(),
        label: of::property(node, dt::LABEL),
        read_only: of::property(node, dt::READ_ONLY),
        cache: of::property(node, dt::CACHE),
        shared: of::property(node, dt::SHARED),
        huge: of::property(node, dt::HUGE),
        memory_region,
        reg,
        lines,
        interrupt_names: of::property(node, dt::INTERRUPT_NAMES),
        of_boot,
    };
    Ok(node
        .window(page_size)
        .and_then(|window| Ok((window, node.interrupts(page_size)?))))
}

fn place(regions: Regions) -> Place {
    match regions {
        Regions::None => Place::Nowhere,
        Regions::One { start, length } => Place::Region { start, length },
        Regions::Several => Place::Several,
    }
}
