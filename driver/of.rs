// SPDX-License-Identifier: GPL-2.0

//! Windows from the device tree: a platform driver for nodes whose children are windows.
//!
//! The windows of a device come when it is bound to the driver, all or none of them, and go when it
//! is unbound. Here they are read; judged they are where those of the parameter are, too.

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
    abstractions::of::{
        self,
        Regions, //
    },
    array_vec::ArrayVec,
    display::CoreDisplay,
    map_core::{
        dt::{
            self,
            Node,
            Place, //
        },
        KernelQuery,
        Window,
        MAX_WINDOWS, //
    },
    state::{
        self,
        State, //
    },
    system::{
        limits,
        Kernel, //
    }, //
};

/// The registration of the driver. The state must be published before, and until all devices are
/// unbound, which dropping this does.
#[pin_data]
pub(crate) struct OfDriver {
    #[pin]
    _driver: Registration<platform::Adapter<OfWindows>>,
}

impl OfDriver {
    /// Registers the driver. The devices that there are will be bound before the next field is
    /// initialized.
    pub(crate) fn register(
        name: &'static CStr,
        module: &'static ThisModule,
    ) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            _driver <- Registration::new(name, module),
        })
    }
}

/// What a device that is bound to the driver owns: its windows, which go when this is dropped.
pub(crate) struct OfWindows {
    state: Arc<State>,
    windows: ArrayVec<Window>,
}

/// The macro of the kernel's that makes such a table takes other arguments in Linux 7.2 than in
/// 7.3. It would also give the module its alias, which `shim.c` does instead.
const IDS: IdArray<DeviceId, &'static (), 1> =
    // Linux 7.3 stores a reference, and 7.2 the thing itself, for which the compiler takes one
    // reference away.
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
    /// Fails, after a line in the log for everything that is wrong, with EINVAL if a node does not
    /// follow the binding or its window does not fit to the others, with EPERM if one is not to be
    /// had, and with EBUSY if somebody else has claimed a part of one. None of the device's windows
    /// exists then.
    fn new(device: &Device) -> Result<Self> {
        // Through sysfs root can bind any device to any driver.
        let node = device
            .fwnode()
            .filter(|node| node.is_of_node())
            .filter(|node| {
                let compatible = node.property_match_string(c"compatible", dt::COMPATIBLE);
                compatible.is_ok()
            })
            .ok_or(ENODEV)?;
        let state = state::current().ok_or(ENODEV)?;
        // Even if nothing comes of it: who describes windows does not want everything to be mapped.
        state.windows.lock().leave_raw()?;
        let windows = read(device, node)?;
        let added = state.windows.lock().add(&windows);
        added.map_err(|error| {
            dev_err!(device, "{error}\n");
            error.error()
        })?;
        Ok(Self { state, windows })
    }
}

impl Drop for OfWindows {
    fn drop(&mut self) {
        self.state.windows.lock().remove(&self.windows);
    }
}

/// The windows that the enabled children of `parent` stand for.
fn read(device: &Device, parent: &FwNode) -> Result<ArrayVec<Window>> {
    let page_size = limits().page_size;
    let mut windows = ArrayVec::new()?;
    let mut good = true;
    for node in parent.children() {
        let node = &*node;
        match window(node, page_size)? {
            Ok(window) => windows.push(reserved(window)).map_err(|_| {
                dev_err!(
                    device,
                    "{node}: this is one window too many; there can be {MAX_WINDOWS}\n"
                );
                EINVAL
            })?,
            Err(error) => {
                dev_err!(device, "{node}: {}\n", CoreDisplay(error));
                good = false;
            }
        }
    }
    if good {
        Ok(windows)
    } else {
        Err(EINVAL)
    }
}

/// `window`, with what the kernel knows of its memory.
fn reserved(window: Window) -> Window {
    window.reserved_if(|range| Kernel.is_reserved(range))
}

/// The window that `node` stands for. The outer error is the kernel's.
fn window(node: &FwNode, page_size: u64) -> Result<Result<Window, dt::NodeError>> {
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
    let node = Node {
        // Node names are ASCII. The way to the bytes that goes without a string can panic.
        name: name.to_str().unwrap_or_default().as_bytes(),
        label: of::property(node, dt::LABEL),
        read_only: of::property(node, dt::READ_ONLY),
        cache: of::property(node, dt::CACHE),
        shared: of::property(node, dt::SHARED),
        memory_region,
        reg,
        of_boot,
    };
    Ok(node.window(page_size))
}

fn place(regions: Regions) -> Place {
    match regions {
        Regions::None => Place::Nowhere,
        Regions::One { start, length } => Place::Region { start, length },
        Regions::Several => Place::Several,
    }
}
