// SPDX-License-Identifier: GPL-2.0

//! Directories in configfs that root makes and removes.
//!
//! This does not use `kernel::configfs`: it exists only where configfs is built into the kernel.
//!
//! C header: [`include/linux/configfs.h`](srctree/include/linux/configfs.h)

use core::{
    marker::PhantomData,
    mem::MaybeUninit, //
};

use kernel::{
    bindings,
    error::to_result,
    ffi::c_char,
    page::PAGE_SIZE,
    prelude::*,
    str::CStrExt,
    types::Opaque, //
};

use crate::map_core::Line;

#[allow(
    improper_ctypes,
    reason = "only the address is used, and some structures are empty in some configurations"
)]
unsafe extern "C" {
    /// THIS_MODULE.
    static __this_module: bindings::module;
}

/// Returns THIS_MODULE.
const fn this_module() -> *mut bindings::module {
    (&raw const __this_module).cast_mut()
}

/// A file of a directory.
pub(crate) struct File {
    name: &'static CStr,
    mode: u16,
    writable: bool,
}

impl File {
    /// A file that can be read and written.
    pub(crate) const fn writable(name: &'static CStr, mode: u16) -> Self {
        Self {
            name,
            mode,
            writable: true,
        }
    }

    /// A file that can only be read.
    pub(crate) const fn readable(name: &'static CStr, mode: u16) -> Self {
        Self {
            name,
            mode,
            writable: false,
        }
    }
}

/// A directory with files, made by mkdir(2).
pub(crate) trait Directory: Send + Sync + Sized + 'static {
    /// The files, at most [`MOST_FILES`]. A file has the number of its place.
    const FILES: &'static [File];

    /// Returns an initializer for a directory that is being made. If this fails, so does mkdir(2).
    fn new(name: &[u8]) -> Result<impl PinInit<Self, Error>>;

    /// Returns the contents of a file, without the last newline.
    fn show(&self, file: usize) -> Line;

    /// Takes what is written to a file.
    fn store(&self, file: usize, text: &[u8]) -> Result;

    /// Called once, when the directory is being removed. No other function is called after it.
    fn removed(&self);
}

/// The largest number of files in a directory.
const MOST_FILES: usize = 10;

/// A directory in the root of configfs, in which root makes directories of the type `T`.
#[pin_data(PinnedDrop)]
pub(crate) struct Subsystem<T: Directory> {
    #[pin]
    subsystem: Opaque<bindings::configfs_subsystem>,
    _directories: PhantomData<T>,
}

// SAFETY: It may be unregistered by any thread.
unsafe impl<T: Directory> Send for Subsystem<T> {}
// SAFETY: A shared reference allows nothing.
unsafe impl<T: Directory> Sync for Subsystem<T> {}

impl<T: Directory> Subsystem<T> {
    /// Makes the directory `name`, with no directories in it.
    pub(crate) fn register(name: &'static CStr) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            subsystem <- Opaque::try_ffi_init(
                |place: *mut bindings::configfs_subsystem| -> Result {
                    // SAFETY: `place` is writable, and all fields may be zero.
                    unsafe { place.write_bytes(0, 1) };
                    // SAFETY: As above. The group is pinned, and the type lives as long as the
                    // module. The name is short, so it is copied into the group.
                    unsafe {
                        bindings::config_group_init_type_name(
                            &raw mut (*place).su_group,
                            name.as_char_ptr(),
                            Types::<T>::ROOT,
                        )
                    };
                    // SAFETY: As above.
                    unsafe {
                        bindings::__mutex_init(
                            &raw mut (*place).su_mutex,
                            c"map_config".as_char_ptr(),
                            kernel::static_lock_class!().as_ptr(),
                        )
                    };
                    // SAFETY: It was just initialized. If this fails, nothing refers to it.
                    to_result(unsafe { bindings::configfs_register_subsystem(place) })
                }
            ),
            _directories: PhantomData,
        })
    }
}

#[pinned_drop]
impl<T: Directory> PinnedDrop for Subsystem<T> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: It is registered. The module is being removed, so it has no directories: each of
        // them holds a reference to the module.
        unsafe { bindings::configfs_unregister_subsystem(self.subsystem.get()) };
    }
}

/// A directory that was made. configfs counts the references to it.
#[pin_data]
#[repr(C)]
struct Item<T> {
    /// The first field, so that a pointer to it is one to this structure.
    #[pin]
    item: Opaque<bindings::config_item>,
    #[pin]
    directory: T,
}

impl<T: Directory> Item<T> {
    /// Makes a directory, for which the caller gets the only reference.
    ///
    /// # Safety
    ///
    /// `name` must be a C string.
    unsafe fn make(name: *const c_char) -> Result<*mut bindings::config_item> {
        // SAFETY: By this function's contract.
        let length = unsafe { bindings::strlen(name) };
        // The arithmetic in the methods of `CStr` could panic.
        // SAFETY: As above.
        let directory = T::new(unsafe { core::slice::from_raw_parts(name.cast(), length) })?;
        let made = KBox::pin_init(
            try_pin_init!(Self {
                item <- pin_init::init_zeroed(),
                directory <- directory,
            }),
            GFP_KERNEL,
        )?;
        // SAFETY: The value is not moved until it is dropped.
        let made = KBox::into_raw(unsafe { Pin::into_inner_unchecked(made) });
        let item = made.cast::<bindings::config_item>();
        // SAFETY: The item was zeroed, and nothing else refers to it yet. The type lives as long as
        // the module, to which the item will hold a reference.
        unsafe { bindings::config_item_init_type_name(item, name, Types::<T>::ITEM) };
        // It does not tell that it could not allocate a long name.
        // SAFETY: The item was just initialized.
        if unsafe { (*item).ci_name }.is_null() {
            // SAFETY: The pointer is that of the box, and nothing else refers to it.
            drop(unsafe { KBox::from_raw(made) });
            return Err(ENOMEM);
        }
        Ok(item)
    }

    /// # Safety
    ///
    /// `item` must come from [`make()`](Self::make), and must not be released during `'a`.
    unsafe fn directory<'a>(item: *mut bindings::config_item) -> &'a T {
        // SAFETY: By this function's contract; the item is the first field.
        unsafe { &(*item.cast::<Self>()).directory }
    }

    /// # Safety
    ///
    /// `name` must be a C string.
    unsafe extern "C" fn make_item(
        _group: *mut bindings::config_group,
        name: *const c_char,
    ) -> *mut bindings::config_item {
        // SAFETY: By this function's contract.
        match unsafe { Self::make(name) } {
            Ok(item) => item,
            // ERR_PTR().
            Err(error) => core::ptr::without_provenance_mut(error.to_errno() as isize as usize),
        }
    }

    /// # Safety
    ///
    /// `item` must come from [`make()`](Self::make), and the caller gives up its reference to it.
    unsafe extern "C" fn drop_item(
        _group: *mut bindings::config_group,
        item: *mut bindings::config_item,
    ) {
        // SAFETY: By this function's contract.
        unsafe { Self::directory(item) }.removed();
        // SAFETY: By this function's contract.
        unsafe { bindings::config_item_put(item) };
    }

    /// # Safety
    ///
    /// `item` must come from [`make()`](Self::make), and nothing refers to it any more.
    unsafe extern "C" fn release(item: *mut bindings::config_item) {
        // SAFETY: By this function's contract; `make()` took the pointer from a box.
        drop(unsafe { KBox::from_raw(item.cast::<Self>()) });
    }

    /// # Safety
    ///
    /// `item` must come from [`make()`](Self::make), and `page` must be writable and have a page.
    unsafe extern "C" fn show<const N: usize>(
        item: *mut bindings::config_item,
        page: *mut c_char,
    ) -> isize {
        // SAFETY: By this function's contract. configfs keeps the item during the call.
        let directory = unsafe { Self::directory(item) };
        // The page is not initialized if the file was written before it is read.
        // SAFETY: By this function's contract.
        let page =
            unsafe { core::slice::from_raw_parts_mut(page.cast::<MaybeUninit<u8>>(), PAGE_SIZE) };
        let line = directory.show(N);
        for (to, from) in page
            .iter_mut()
            .zip(Iterator::chain(line.as_bytes().iter(), b"\n"))
        {
            to.write(*from);
        }
        // The page is longer than any line.
        line.as_bytes().len().wrapping_add(1) as isize
    }

    /// # Safety
    ///
    /// `item` must come from [`make()`](Self::make), and `text` must have `length` bytes.
    unsafe extern "C" fn store<const N: usize>(
        item: *mut bindings::config_item,
        text: *const c_char,
        length: usize,
    ) -> isize {
        // SAFETY: By this function's contract. configfs keeps the item during the call.
        let directory = unsafe { Self::directory(item) };
        // SAFETY: By this function's contract.
        let text = unsafe { core::slice::from_raw_parts(text.cast::<u8>(), length) };
        match directory.store(N, text) {
            Ok(()) => length as isize,
            Err(error) => error.to_errno() as isize,
        }
    }
}

/// The tables of functions for directories of the type `T`. configfs only reads them.
struct Types<T>(PhantomData<T>);

impl<T: Directory> Types<T> {
    /// The type of the directory in which others are made.
    const ROOT: &'static bindings::config_item_type = &bindings::config_item_type {
        ct_owner: this_module(),
        ct_group_ops: &bindings::configfs_group_operations {
            make_item: Some(Item::<T>::make_item),
            drop_item: Some(Item::<T>::drop_item),
            ..pin_init::zeroed()
        },
        ..pin_init::zeroed()
    };

    /// The type of those.
    const ITEM: &'static bindings::config_item_type = &bindings::config_item_type {
        ct_owner: this_module(),
        ct_item_ops: &bindings::configfs_item_operations {
            release: Some(Item::<T>::release),
            ..pin_init::zeroed()
        },
        ct_attrs: Self::FILES.as_ptr().cast_mut(),
        ..pin_init::zeroed()
    };

    /// The files, up to a null pointer.
    const FILES: &'static [*mut bindings::configfs_attribute; MOST_FILES + 1] = &[
        Attribute::<T, 0>::POINTER,
        Attribute::<T, 1>::POINTER,
        Attribute::<T, 2>::POINTER,
        Attribute::<T, 3>::POINTER,
        Attribute::<T, 4>::POINTER,
        Attribute::<T, 5>::POINTER,
        Attribute::<T, 6>::POINTER,
        Attribute::<T, 7>::POINTER,
        Attribute::<T, 8>::POINTER,
        Attribute::<T, 9>::POINTER,
        core::ptr::null_mut(),
    ];
}

/// The file with the number `N`. The functions do not get the file, so each file has its own.
struct Attribute<T, const N: usize>(PhantomData<T>);

impl<T: Directory, const N: usize> Attribute<T, N> {
    const FILE: &'static File = if N < T::FILES.len() {
        &T::FILES[N]
    } else {
        &File::readable(c"", 0)
    };

    const ATTRIBUTE: &'static bindings::configfs_attribute = &bindings::configfs_attribute {
        ca_name: Self::FILE.name.to_bytes_with_nul().as_ptr(),
        // An open file holds a reference to the module.
        ca_owner: this_module(),
        ca_mode: Self::FILE.mode,
        show: Some(Item::<T>::show::<N>),
        store: if Self::FILE.writable {
            Some(Item::<T>::store::<N>)
        } else {
            None
        },
    };

    /// The file; null if there are not so many.
    const POINTER: *mut bindings::configfs_attribute = {
        assert!(T::FILES.len() <= MOST_FILES);
        if N < T::FILES.len() {
            core::ptr::from_ref(Self::ATTRIBUTE).cast_mut()
        } else {
            core::ptr::null_mut()
        }
    };
}
