// SPDX-License-Identifier: GPL-2.0

//! The node: its number, its class, and the character device behind it.

use core::ptr::NonNull;

use kernel::{
    bindings,
    error::{
        from_err_ptr,
        to_result, //
    },
    fmt,
    prelude::*,
    str::CStrExt, //
};

use crate::{
    file,
    map_core::abi, //
};

/// How many numbers are reserved: one, since there is one node.
const COUNT: u32 = 1;

/// Everything that makes `/dev/map` work.
///
/// The fields are dropped in this order: nobody can find the node any more, then nobody can open it, and only then are
/// its class and its number given back.
pub(crate) struct CharDevice {
    _device: Device,
    _cdev: Cdev,
    _class: Class,
    _number: Number,
}

impl CharDevice {
    /// Registers the node under `major`, or under a number of the kernel's choice if that is 0. The state must be published
    /// before, and until this is dropped.
    ///
    /// It must be the last step of a load that can fail, and adding the character device is its last: the kernel frees a
    /// module whose load has failed even if somebody has opened it by then. An open that comes between the entry in sysfs
    /// and that step is ENXIO.
    ///
    /// Fails with EBUSY if another driver has the number, and with EINVAL if the kernel has no such number. What was
    /// registered before a failure is taken back.
    pub(crate) fn register(major: u32) -> Result<Self> {
        let number = Number::reserve(major)?;
        let class = Class::create()?;
        let device = Device::create(class.0, number.0)?;
        let cdev = Cdev::add(number.0)?;
        Ok(Self {
            _device: device,
            _cdev: cdev,
            _class: class,
            _number: number,
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
/// It is memory of the kernel's own, which frees it when the last reference has gone, and that may be long after this.
///
/// # Invariants
///
/// The device was added.
struct Cdev(NonNull<bindings::cdev>);

impl Cdev {
    /// Adds a character device under `number`, which must be reserved as long as the device exists.
    fn add(number: bindings::dev_t) -> Result<Self> {
        // SAFETY: It can be called by anybody who may sleep.
        let cdev = NonNull::new(unsafe { bindings::cdev_alloc() }).ok_or(ENOMEM)?;
        let raw = cdev.as_ptr();
        // SAFETY: The device is nobody else's yet, and the table lives as long as the module.
        unsafe { (*raw).ops = file::operations() };
        // SAFETY: As above.
        unsafe { (*raw).owner = file::operations().owner };
        // SAFETY: The device is initialized.
        let added = to_result(unsafe { bindings::cdev_add(raw, number, COUNT) });
        if let Err(error) = added {
            // SAFETY: The reference is the one that came with the allocation.
            unsafe { bindings::kobject_put(&raw mut (*raw).kobj) };
            return Err(error);
        }
        // INVARIANT: It was just added.
        Ok(Self(cdev))
    }
}

impl Drop for Cdev {
    fn drop(&mut self) {
        // SAFETY: By the type's invariant. As every open file holds a reference on the module, none is left.
        unsafe { bindings::cdev_del(self.0.as_ptr()) };
    }
}

// SAFETY: A character device may be deleted by another thread than its creator.
unsafe impl Send for Cdev {}
// SAFETY: Nothing can be done through a shared reference.
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
        // SAFETY: By the type's invariant; the class outlives the device by the order of `CharDevice`'s fields.
        unsafe { bindings::device_destroy(self.class.as_ptr(), self.number) };
    }
}

// SAFETY: A device may be destroyed by another thread than its creator.
unsafe impl Send for Device {}
// SAFETY: Nothing can be done through a shared reference.
unsafe impl Sync for Device {}
