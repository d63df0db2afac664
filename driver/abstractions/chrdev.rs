// SPDX-License-Identifier: GPL-2.0

//! Character devices with a class, so that devtmpfs and udev create the node.
//!
//! This does not use `kernel::miscdevice`: misc devices share major 10, and the ABI of this driver
//! is major 126, minor 0, so that systems without devtmpfs can create the node with mknod(1). Major
//! 126 is reserved for local use; the module parameter `major` changes it.
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

/// The number of minors of a registration.
const COUNT: u32 = 1;

/// The registration of a character device with the file operations `T`.
///
/// The fields are dropped in this order: first the node is removed, then it cannot be opened any
/// more, and only then its class and its number are released.
pub(crate) struct Registration<T> {
    _device: Device,
    _cdev: Cdev,
    _class: Class,
    _number: Number,
    _operations: PhantomData<T>,
}

impl<T: FileOperations> Registration<T> {
    /// Registers a device `name` with the number `major`:`minor`; with major 0 the kernel chooses a
    /// major.
    ///
    /// This must be the last step of a module's initialization that can fail, and its own last step
    /// adds the character device: the kernel frees a module whose initialization fails even if a
    /// file is open. open(2) between the creation of the sysfs entry and that step fails with
    /// ENXIO.
    ///
    /// # Errors
    ///
    /// EBUSY if another driver has the number, EINVAL if there is no such number. After a failure
    /// nothing is registered.
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

/// A registered device number, listed in `/proc/devices`.
///
/// # Invariants
///
/// This module has registered the number.
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
        // SAFETY: The name lives as long as the module, which is longer than the registration.
        to_result(unsafe { bindings::register_chrdev_region(number, COUNT, name.as_char_ptr()) })
            .inspect_err(|_| {
            pr_err!("character major {major} is taken; major=0 lets the kernel choose one\n");
        })?;
        // INVARIANT: The number was just registered.
        Ok(Self(number))
    }

    /// Registers a number with a major chosen by the kernel.
    fn any(name: &'static CStr, minor: u32) -> Result<Self> {
        let mut number = 0;
        // SAFETY: `number` is writable, and the name lives as long as the module.
        to_result(unsafe {
            bindings::alloc_chrdev_region(&mut number, minor, COUNT, name.as_char_ptr())
        })
        .inspect_err(|_| pr_err!("the kernel has no character major left\n"))?;
        // INVARIANT: The number was just registered.
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

/// A class in `/sys/class`, through which udev and devtmpfs create the node.
///
/// # Invariants
///
/// The pointer refers to an existing class.
struct Class(NonNull<bindings::class>);

impl Class {
    fn create(name: &'static CStr) -> Result<Self> {
        // SAFETY: The name lives as long as the module, which is longer than the class.
        let class = from_err_ptr(unsafe { bindings::class_create(name.as_char_ptr()) })?;
        // INVARIANT: It was just created.
        NonNull::new(class).map(Self).ok_or(ENOMEM)
    }
}

impl Drop for Class {
    fn drop(&mut self) {
        // SAFETY: By the type's invariant, and the devices of the class are removed before it.
        unsafe { bindings::class_destroy(self.0.as_ptr()) };
    }
}

// SAFETY: A class may be destroyed by any thread.
unsafe impl Send for Class {}
// SAFETY: A shared reference only allows creating devices, which the kernel serializes.
unsafe impl Sync for Class {}

/// The character device that open(2) of the number finds.
///
/// The kernel owns its memory and frees it with the last reference, which may be long after this is
/// dropped.
///
/// # Invariants
///
/// The device has been added.
struct Cdev(NonNull<bindings::cdev>);

impl Cdev {
    /// Adds a character device with `number`, which must stay registered as long as the device
    /// exists.
    fn add(
        number: bindings::dev_t,
        operations: &'static bindings::file_operations,
    ) -> Result<Self> {
        // SAFETY: The function only requires a context that may sleep.
        let cdev = NonNull::new(unsafe { bindings::cdev_alloc() }).ok_or(ENOMEM)?;
        let raw = cdev.as_ptr();
        // SAFETY: Nothing else uses the device yet, and the table lives as long as the module.
        unsafe { (*raw).ops = operations };
        // SAFETY: As above.
        unsafe { (*raw).owner = operations.owner };
        // SAFETY: The device is initialized.
        let added = to_result(unsafe { bindings::cdev_add(raw, number, COUNT) });
        if let Err(error) = added {
            // SAFETY: This drops the reference from the allocation.
            unsafe { bindings::kobject_put(&raw mut (*raw).kobj) };
            return Err(error);
        }
        // INVARIANT: The device was just added.
        Ok(Self(cdev))
    }
}

impl Drop for Cdev {
    fn drop(&mut self) {
        // SAFETY: By the type's invariant. No file is open, because every open file holds a
        // reference to the module.
        unsafe { bindings::cdev_del(self.0.as_ptr()) };
    }
}

// SAFETY: A character device may be deleted by any thread.
unsafe impl Send for Cdev {}
// SAFETY: A shared reference allows no operations.
unsafe impl Sync for Cdev {}

/// The device in the class, and with it the node in `/dev`.
///
/// # Invariants
///
/// `class` has a device with `number`.
struct Device {
    class: NonNull<bindings::class>,
    number: bindings::dev_t,
}

impl Device {
    /// Creates the device. The class and the number must outlive it.
    fn create(
        class: NonNull<bindings::class>,
        number: bindings::dev_t,
        name: &'static CStr,
    ) -> Result<Self> {
        // SAFETY: The class exists; parent and data may be null; the name contains no format
        // specifiers, so no further arguments are read.
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
        // SAFETY: By the type's invariant; the class outlives the device because of the field order
        // of `Registration`.
        unsafe { bindings::device_destroy(self.class.as_ptr(), self.number) };
    }
}

// SAFETY: A device may be destroyed by any thread.
unsafe impl Send for Device {}
// SAFETY: A shared reference allows no operations.
unsafe impl Sync for Device {}
