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
    ffi::{
        c_char,
        c_uint,
        c_void, //
    },
    fmt::{
        self,
        Write, //
    },
    page::PAGE_SIZE,
    prelude::*,
    str::{
        CStrExt,
        Formatter, //
    },
    sync::Arc, //
};

use super::{
    fs::{
        FileOperations,
        Vtable, //
    },
    shim, //
};

/// What sysfs and udev show of a device other than the first one.
pub(crate) trait Attributes: Send + Sync + 'static {
    /// Returns a name of the device, for a link in `/dev`; empty if there is none.
    fn name(&self) -> &CStr;

    /// Returns whether the device has the attribute `interrupts`.
    fn has_interrupts(&self) -> bool;

    /// Writes the value of an attribute, by its number in `shim.c`.
    fn show(&self, attribute: u32, out: &mut impl Write) -> fmt::Result;
}

/// The device numbers of the driver, and the class of its devices, with the data `D`.
///
/// The fields are dropped in this order.
pub(crate) struct Devices<D> {
    class: Class,
    number: Number,
    name: &'static CStr,
    _data: PhantomData<D>,
}

impl<D: Attributes> Devices<D> {
    /// Registers `count` minor numbers from 0 on of the major number `major`; with major 0 the
    /// kernel chooses one.
    ///
    /// # Errors
    ///
    /// EBUSY if another driver has one of the numbers, EINVAL if there is no such number. After a
    /// failure nothing is registered.
    pub(crate) fn new(name: &'static CStr, major: u32, count: u32) -> Result<Self> {
        let number = Number::reserve(name, major, count)?;
        let class = Class::create(name)?;
        // SAFETY: The class has no devices yet, and the functions live as long as the module.
        unsafe { shim::map_class_init(class.0.as_ptr(), Self::show, Self::name) };
        Ok(Self {
            class,
            number,
            name,
            _data: PhantomData,
        })
    }

    /// # Safety
    ///
    /// `data` must be the data of a device, and `buffer` have a page, which is all NUL.
    unsafe extern "C" fn show(data: *const c_void, attribute: c_uint, buffer: *mut u8) -> isize {
        // SAFETY: By this function's contract. The kernel removes a device only after its
        // attributes are no longer read.
        let data = unsafe { &*data.cast::<D>() };
        // SAFETY: By this function's contract.
        let buffer = unsafe { core::slice::from_raw_parts_mut(buffer, PAGE_SIZE) };
        let mut out = Formatter::new(buffer);
        let shown = data.show(attribute, &mut out);
        if shown.and_then(|()| out.write_char('\n')).is_err() {
            return EOVERFLOW.to_errno() as isize;
        }
        // sysfs has cleared the page. The formatter counts by a subtraction that can panic.
        let end = buffer.iter().position(|byte| *byte == 0);
        end.unwrap_or(PAGE_SIZE) as isize
    }

    /// # Safety
    ///
    /// `data` must be the data of a device.
    unsafe extern "C" fn name(data: *const c_void) -> *const c_char {
        // SAFETY: By this function's contract. The kernel calls this while it adds or removes the
        // device, and for the file `uevent` in sysfs, for whose readers and writers the removal
        // waits.
        unsafe { &*data.cast::<D>() }.name().as_char_ptr()
    }
}

/// The first device, and the character device with the file operations `T` that open(2) of any of
/// the numbers finds.
///
/// The fields are dropped in this order: first the node is removed, then nothing can be opened any
/// more.
pub(crate) struct Registration<T, D: Attributes> {
    _device: Device<D>,
    _cdev: Cdev,
    _operations: PhantomData<T>,
}

impl<T: FileOperations, D: Attributes> Registration<T, D> {
    /// Creates the first of `devices`, with their name, and makes all of them open.
    ///
    /// This must be the last step of a module's initialization that can fail, and its own last step
    /// adds the character device: the kernel frees a module whose initialization fails even if a
    /// file is open. open(2) between the creation of a device and that step fails with ENXIO.
    pub(crate) fn new(devices: &Arc<Devices<D>>) -> Result<Self> {
        let Number { first, count } = devices.number;
        let device = Device::first(devices)?;
        let cdev = Cdev::add(first, count, Vtable::<T>::get())?;
        Ok(Self {
            _device: device,
            _cdev: cdev,
            _operations: PhantomData,
        })
    }
}

/// Registered device numbers, listed in `/proc/devices`.
///
/// # Invariants
///
/// This module has registered `count` numbers from `first` on, which has the minor number 0.
struct Number {
    first: bindings::dev_t,
    count: u32,
}

impl Number {
    fn reserve(name: &'static CStr, major: u32, count: u32) -> Result<Self> {
        if major == 0 {
            return Self::any(name, count);
        }
        if major >= bindings::CHRDEV_MAJOR_MAX {
            pr_err!(
                "there is no character major {major}; they end at {}\n",
                bindings::CHRDEV_MAJOR_MAX.wrapping_sub(1)
            );
            return Err(EINVAL);
        }
        let first = major << bindings::MINORBITS;
        // SAFETY: The name lives as long as the module, which is longer than the registration.
        to_result(unsafe { bindings::register_chrdev_region(first, count, name.as_char_ptr()) })
            .inspect_err(|_| {
                pr_err!("character major {major} is taken; major=0 lets the kernel choose one\n");
            })?;
        // INVARIANT: The numbers were just registered.
        Ok(Self { first, count })
    }

    /// Registers numbers with a major chosen by the kernel.
    fn any(name: &'static CStr, count: u32) -> Result<Self> {
        let mut first = 0;
        // SAFETY: `first` is writable, and the name lives as long as the module.
        to_result(unsafe {
            bindings::alloc_chrdev_region(&mut first, 0, count, name.as_char_ptr())
        })
        .inspect_err(|_| pr_err!("the kernel has no character major left\n"))?;
        // INVARIANT: The numbers were just registered.
        Ok(Self { first, count })
    }
}

impl Drop for Number {
    fn drop(&mut self) {
        // SAFETY: By the type's invariant.
        unsafe { bindings::unregister_chrdev_region(self.first, self.count) };
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
    /// Adds a character device with `count` numbers from `first` on, which must stay registered as
    /// long as the device exists.
    fn add(
        first: bindings::dev_t,
        count: u32,
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
        let added = to_result(unsafe { bindings::cdev_add(raw, first, count) });
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

/// A device in the class, and with it a node in `/dev`. Dropping this removes both.
///
/// # Invariants
///
/// The class of `devices` has a device with `number`.
pub(crate) struct Device<D: Attributes> {
    devices: Arc<Devices<D>>,
    number: bindings::dev_t,
    // The device in the class has a pointer to it.
    _data: Option<Arc<D>>,
}

impl<D: Attributes> Device<D> {
    /// Creates the device with the minor number 0, which has no attributes.
    fn first(devices: &Arc<Devices<D>>) -> Result<Self> {
        let number = devices.number.first;
        // SAFETY: The class exists; parent and data may be null; the name contains no format
        // specifiers, so no further arguments are read.
        from_err_ptr(unsafe {
            bindings::device_create(
                devices.class.0.as_ptr(),
                core::ptr::null_mut(),
                number,
                core::ptr::null_mut(),
                devices.name.as_char_ptr(),
            )
        })?;
        // INVARIANT: It was just created.
        Ok(Self {
            devices: devices.clone(),
            number,
            _data: None,
        })
    }

    /// Creates the device with the minor number `minor`, at least 1, which no other device has.
    pub(crate) fn new(devices: &Arc<Devices<D>>, minor: u32, data: Arc<D>) -> Result<Self> {
        let number = devices.number.first | minor;
        let shown = Arc::as_ptr(&data).cast_mut().cast();
        let class = devices.class.0.as_ptr();
        let interrupts = data.has_interrupts();
        // SAFETY: The class exists, and the data lives as long as the device.
        from_err_ptr(unsafe { shim::map_device_create(class, number, shown, interrupts) })?;
        // INVARIANT: It was just created.
        Ok(Self {
            devices: devices.clone(),
            number,
            _data: Some(data),
        })
    }
}

impl<D: Attributes> Drop for Device<D> {
    fn drop(&mut self) {
        // SAFETY: By the type's invariant. When this returns, nothing uses the data any more.
        unsafe { bindings::device_destroy(self.devices.class.0.as_ptr(), self.number) };
    }
}
