// SPDX-License-Identifier: GPL-2.0

//! Character devices with a class, so that devtmpfs and udev make a node.
//!
//! `kernel::miscdevice` is not enough: its devices share the major 10, and the node of this driver
//! has a major of its own.
//!
//! C headers: [`include/linux/cdev.h`](srctree/include/linux/cdev.h),
//! [`include/linux/device/class.h`](srctree/include/linux/device/class.h)

use core::{
    marker::PhantomData,
    ptr::NonNull, //
};

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

use super::fs::{
    FileOperations,
    Vtable, //
};

/// How many numbers a registration has.
const COUNT: u32 = 1;

/// The registration of a character device whose files have the operations `T`.
///
/// The fields are dropped in this order: first nobody finds the node any more, then nobody can open
/// it, and only then its class and its number are given back.
pub(crate) struct Registration<T> {
    _device: Device,
    _cdev: Cdev,
    _class: Class,
    _number: Number,
    _operations: PhantomData<T>,
}

impl<T: FileOperations> Registration<T> {
    /// Registers a device called `name` under `major`, or under a major of the kernel's choice if
    /// that is 0.
    ///
    /// This must be the last step of a module's initialization that can fail, and adding the
    /// character device is the last step of this: the kernel frees a module whose initialization
    /// has failed even while a file is open. An open between the entry in sysfs and that step is
    /// ENXIO.
    ///
    /// # Errors
    ///
    /// EBUSY if another driver has the number, EINVAL if the kernel has no such number. A failure
    /// leaves nothing registered.
    pub(crate) fn new(name: &'static CStr, major: u32, minor: u32) -> Result<Self> {
        let number = Number::reserve(name, major, minor)?;
        let class = Class::create(name)?;
        let device = Device::create(class.0, number.0, name)?;
        let cdev = Cdev::add(number.0, Vtable::<T>::get())?;
        Ok(Self {
            _device: device,
            _cdev: cdev,
            _class: class,
            _number: number,
            _operations: PhantomData,
        })
    }
}

/// A device number with a name in `/proc/devices`.
///
/// # Invariants
///
/// The number is registered, and by this module.
struct Number(bindings::dev_t);

impl Number {
    fn reserve(name: &'static CStr, major: u32, minor: u32) -> Result<Self> {
        if major == 0 {
            return Self::any(name, minor);
        }
        if major >= bindings::CHRDEV_MAJOR_MAX {
            pr_err!(
                "there is no character major {major}; they end at {}\n",
                bindings::CHRDEV_MAJOR_MAX.wrapping_sub(1)
            );
            return Err(EINVAL);
        }
        let number = major << bindings::MINORBITS | minor;
        // SAFETY: The name lives as long as the module, longer than the registration.
        to_result(unsafe { bindings::register_chrdev_region(number, COUNT, name.as_char_ptr()) })
            .inspect_err(|_| {
            pr_err!("character major {major} is taken; major=0 lets the kernel choose one\n");
        })?;
        // INVARIANT: It was just registered.
        Ok(Self(number))
    }

    /// A number of the kernel's choice.
    fn any(name: &'static CStr, minor: u32) -> Result<Self> {
        let mut number = 0;
        // SAFETY: `number` can be written to, and the name lives as long as the module.
        to_result(unsafe {
            bindings::alloc_chrdev_region(&mut number, minor, COUNT, name.as_char_ptr())
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

/// A class in `/sys/class`, by which udev and devtmpfs learn of the node.
///
/// # Invariants
///
/// The pointer is that of a class which exists.
struct Class(NonNull<bindings::class>);

impl Class {
    fn create(name: &'static CStr) -> Result<Self> {
        // SAFETY: The name lives as long as the module, longer than the class.
        let class = from_err_ptr(unsafe { bindings::class_create(name.as_char_ptr()) })?;
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
// SAFETY: Nothing can be done through a shared reference but create devices, which the kernel
// serializes.
unsafe impl Sync for Class {}

/// The character device: what an open of the number finds.
///
/// It is memory of the kernel's own, which frees it when the last reference has gone, and that may
/// be long after this.
///
/// # Invariants
///
/// The device was added.
struct Cdev(NonNull<bindings::cdev>);

impl Cdev {
    /// Adds a character device under `number`, which must be reserved as long as the device exists.
    fn add(
        number: bindings::dev_t,
        operations: &'static bindings::file_operations,
    ) -> Result<Self> {
        // SAFETY: It can be called by anybody who may sleep.
        let cdev = NonNull::new(unsafe { bindings::cdev_alloc() }).ok_or(ENOMEM)?;
        let raw = cdev.as_ptr();
        // SAFETY: The device is nobody else's yet, and the table lives as long as the module.
        unsafe { (*raw).ops = operations };
        // SAFETY: As above.
        unsafe { (*raw).owner = operations.owner };
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
        // SAFETY: By the type's invariant. As every open file holds a reference on the module, none
        // is left.
        unsafe { bindings::cdev_del(self.0.as_ptr()) };
    }
}

// SAFETY: A character device may be deleted by another thread than its creator.
unsafe impl Send for Cdev {}
// SAFETY: Nothing can be done through a shared reference.
unsafe impl Sync for Cdev {}

/// The entry in the class, and with it the file in `/dev`.
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
    fn create(
        class: NonNull<bindings::class>,
        number: bindings::dev_t,
        name: &'static CStr,
    ) -> Result<Self> {
        // SAFETY: The class exists; no parent and no data are given; the name holds no conversion,
        // so no further argument is read.
        from_err_ptr(unsafe {
            bindings::device_create(
                class.as_ptr(),
                core::ptr::null_mut(),
                number,
                core::ptr::null_mut(),
                name.as_char_ptr(),
            )
        })?;
        // INVARIANT: It was just created.
        Ok(Self { class, number })
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        // SAFETY: By the type's invariant; the class outlives the device by the order of
        // `Registration`'s fields.
        unsafe { bindings::device_destroy(self.class.as_ptr(), self.number) };
    }
}

// SAFETY: A device may be destroyed by another thread than its creator.
unsafe impl Send for Device {}
// SAFETY: Nothing can be done through a shared reference.
unsafe impl Sync for Device {}
