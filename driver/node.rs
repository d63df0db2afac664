// SPDX-License-Identifier: GPL-2.0

//! The node: its number, its class, and the character device behind it.

use core::ptr::NonNull;

use kernel::{
    bindings,
    container_of,
    error::{
        from_err_ptr,
        to_result, //
    },
    fmt,
    prelude::*,
    str::CStrExt,
    sync::Arc,
    types::Opaque, //
};

use crate::{
    file,
    map_core::abi,
    shim,
    state::State, //
};

/// How many numbers are reserved: one, since there is one node.
const COUNT: u32 = 1;

/// Everything that makes `/dev/map` work.
///
/// The fields are dropped in this order: nobody can find the node any more, then nobody can open it, and only then are
/// its class and its number given back.
#[pin_data]
pub(crate) struct Node {
    _device: Device,
    #[pin]
    _cdev: Cdev,
    _class: Class,
    _number: Number,
}

impl Node {
    /// Registers the node under `major`, or under a number of the kernel's choice if that is 0.
    ///
    /// Fails with EBUSY if another driver has the number, and with EINVAL if the kernel has no such number. What was
    /// registered before a failure is taken back.
    pub(crate) fn register(major: u32, state: Arc<State>) -> impl PinInit<Self, Error> {
        pin_init::pin_init_scope(move || {
            let number = Number::reserve(major)?;
            let dev = number.0;
            let class = Class::create()?;
            let device = class.0;
            Ok(try_pin_init!(Self {
                _number: number,
                _class: class,
                _cdev <- Cdev::add(dev, state),
                _device: Device::create(device, dev)?,
            }))
        })
    }
}

/// A device number.
///
/// # Invariants
///
/// The number is registered, and this driver's.
struct Number(bindings::dev_t);

impl Number {
    fn reserve(major: u32) -> Result<Self> {
        if major == 0 {
            return Self::any();
        }
        if major >= bindings::CHRDEV_MAJOR_MAX {
            pr_err!(
                "there is no character major {major}; they end at {}\n",
                bindings::CHRDEV_MAJOR_MAX.wrapping_sub(1)
            );
            return Err(EINVAL);
        }
        let number = major << bindings::MINORBITS | abi::MINOR;
        // SAFETY: The name lives as long as the module, longer than the registration.
        to_result(unsafe {
            bindings::register_chrdev_region(number, COUNT, abi::NAME.as_char_ptr())
        })
        .inspect_err(|_| {
            pr_err!("character major {major} is taken; major=0 lets the kernel choose one\n");
        })?;
        // INVARIANT: It was just registered.
        Ok(Self(number))
    }

    /// A number of the kernel's choice.
    fn any() -> Result<Self> {
        let mut number = 0;
        // SAFETY: `number` can be written to, and the name lives as long as the module.
        to_result(unsafe {
            bindings::alloc_chrdev_region(&mut number, abi::MINOR, COUNT, abi::NAME.as_char_ptr())
        })
        .inspect_err(|_| pr_err!("the kernel has no character major left\n"))?;
        // INVARIANT: It was just registered.
        Ok(Self(number))
    }
}

impl Drop for Number {
    fn drop(&mut self) {
        // SAFETY: By the type's invariant.
        unsafe { bindings::unregister_chrdev_region(self.0, COUNT) };
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let minor_mask = (1 << bindings::MINORBITS) - 1;
        write!(
            f,
            "{}:{}",
            self.0 >> bindings::MINORBITS,
            self.0 & minor_mask
        )
    }
}

/// The device's class, `/sys/class/map`, by which udev and devtmpfs learn of the node.
///
/// # Invariants
///
/// The pointer is that of a class which exists.
struct Class(NonNull<bindings::class>);

impl Class {
    fn create() -> Result<Self> {
        // SAFETY: The name lives as long as the module, longer than the class.
        let class = from_err_ptr(unsafe { bindings::class_create(abi::NAME.as_char_ptr()) })?;
        // INVARIANT: It was just created.
        NonNull::new(class).map(Self).ok_or(ENOMEM)
    }
}

impl Drop for Class {
    fn drop(&mut self) {
        // SAFETY: By the type's invariant, and the devices of the class are gone before it.
        unsafe { bindings::class_destroy(self.0.as_ptr()) };
    }
}

// SAFETY: A class may be destroyed by another thread than its creator.
unsafe impl Send for Class {}
// SAFETY: Nothing can be done through a shared reference but create devices, which the kernel serializes.
unsafe impl Sync for Class {}

/// The character device: what an open of the number finds.
///
/// # Invariants
///
/// `raw` was added.
#[pin_data(PinnedDrop)]
pub(crate) struct Cdev {
    #[pin]
    raw: Opaque<bindings::cdev>,
    state: Arc<State>,
}

impl Cdev {
    /// Adds a character device under `number`, which must be reserved as long as the device exists.
    fn add(number: bindings::dev_t, state: Arc<State>) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            // It comes first: the device can be opened as soon as it is added.
            state,
            raw <- Opaque::try_ffi_init(move |cdev: *mut bindings::cdev| {
                // SAFETY: The initializer may write to the place, and the table lives as long as the module.
                unsafe { bindings::cdev_init(cdev, file::operations()) };
                // SAFETY: The device was just initialized and is nobody else's yet.
                unsafe { (*cdev).owner = file::operations().owner };
                // INVARIANT: If this succeeds, it is added.
                // SAFETY: The device is initialized and pinned.
                to_result(unsafe { bindings::cdev_add(cdev, number, COUNT) })
            }),
        })
    }

    /// The state behind the device that `inode` is a node of.
    ///
    /// # Safety
    ///
    /// `inode` must be that of a file which is being opened through a device of this type.
    pub(crate) unsafe fn state_of(inode: *mut bindings::inode) -> Arc<State> {
        // SAFETY: By this function's contract.
        let raw = unsafe { shim::map_inode_cdev(inode) };
        // SAFETY: By this function's contract the pointer is to the field of a `Cdev`.
        let cdev = unsafe { container_of!(raw.cast::<Opaque<bindings::cdev>>(), Cdev, raw) };
        // SAFETY: The open holds a reference on the module, and with it on the device; `state` was initialized before
        // the device was added, and never changes.
        unsafe { &(*cdev).state }.clone()
    }
}

#[pinned_drop]
impl PinnedDrop for Cdev {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: By the type's invariant. As every open file holds a reference on the module, none is left.
        unsafe { bindings::cdev_del(self.raw.get()) };
    }
}

// SAFETY: A character device may be deleted by another thread than its creator.
unsafe impl Send for Cdev {}
// SAFETY: Nothing can be done through a shared reference but clone the state.
unsafe impl Sync for Cdev {}

/// The entry in `/sys/class/map`, and with it the file in `/dev`.
///
/// # Invariants
///
/// `class` has a device with this number.
struct Device {
    class: NonNull<bindings::class>,
    number: bindings::dev_t,
}

impl Device {
    /// The class and the number must outlive the device.
    fn create(class: NonNull<bindings::class>, number: bindings::dev_t) -> Result<Self> {
        // SAFETY: The class exists; no parent and no data are given; the name holds no conversion, so no further
        // argument is read.
        from_err_ptr(unsafe {
            bindings::device_create(
                class.as_ptr(),
                core::ptr::null_mut(),
                number,
                core::ptr::null_mut(),
                abi::NAME.as_char_ptr(),
            )
        })?;
        // INVARIANT: It was just created.
        Ok(Self { class, number })
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        // SAFETY: By the type's invariant; the class outlives the device by the order of `Node`'s fields.
        unsafe { bindings::device_destroy(self.class.as_ptr(), self.number) };
    }
}

// SAFETY: A device may be destroyed by another thread than its creator.
unsafe impl Send for Device {}
// SAFETY: Nothing can be done through a shared reference.
unsafe impl Sync for Device {}
