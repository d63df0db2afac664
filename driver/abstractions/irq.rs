// SPDX-License-Identifier: GPL-2.0

//! Interrupt lines, and what their handlers use: a lock, a wait queue, and eventfds.
//!
//! This does not use `kernel::irq`: it takes an interrupt from a bound device, and the child of a
//! device tree node has no device of its own. `kernel::sync` has no lock for data that an interrupt
//! handler changes in Linux 7.2, and its `CondVar` sleeps at least a tick.
//!
//! C headers: [`include/linux/interrupt.h`](srctree/include/linux/interrupt.h),
//! [`include/linux/wait.h`](srctree/include/linux/wait.h),
//! [`include/linux/eventfd.h`](srctree/include/linux/eventfd.h)

use core::{
    cell::UnsafeCell,
    ptr::NonNull, //
};

use kernel::{
    bindings,
    error::{
        from_err_ptr,
        to_result, //
    },
    ffi::{
        c_int,
        c_uint,
        c_void, //
    },
    irq::IrqReturn,
    prelude::*,
    str::CStrExt,
    sync::Arc,
    types::Opaque, //
};

use super::shim;

pub(crate) use shim::{
    depend_on_controllers,
    interrupt_cells,
    interrupts_extended,
    map_irq_disable as disable,
    map_irq_enable as enable,
    map_irq_is_per_processor as is_per_processor,
    map_irq_set_unlazy as mask_at_once,
    of_interrupt, //
};

/// What an interrupt calls.
pub(crate) trait Handler: Send + Sync + 'static {
    /// Returns the name of the line in `/proc/interrupts`, which is also that of a directory in
    /// `/proc/irq/`: it must not be that of a file there.
    fn name(&self) -> &CStr;

    /// Handles an interrupt of the line. The context is that of an interrupt: it must not sleep.
    fn handle(&self);
}

/// An interrupt line that nobody else has. Dropping this waits for its handler, and frees the line.
///
/// # Invariants
///
/// The line with the number `number` was requested with a pointer to `handler`.
pub(crate) struct Line<H: Handler> {
    number: u32,
    handler: Arc<H>,
}

impl<H: Handler> Line<H> {
    /// Requests the line, which is disabled: [`enable()`] enables it once, and after that each
    /// [`disable()`] must be followed by one [`enable()`].
    ///
    /// # Errors
    ///
    /// EBUSY if somebody else has the line, EINVAL if its controller does not know the line or its
    /// trigger, EOPNOTSUPP if the controller is on a bus for which the kernel would have to sleep.
    pub(crate) fn request(number: u32, handler: Arc<H>) -> Result<Self> {
        let data = Arc::as_ptr(&handler).cast_mut().cast();
        // SAFETY: Name and data live as long as `handler`, which is kept until the line is freed.
        // The function takes what `Self::handle()` needs.
        to_result(unsafe {
            shim::map_irq_request(
                number,
                Some(Self::handle),
                handler.name().as_char_ptr(),
                data,
            )
        })?;
        // INVARIANT: It was just requested.
        Ok(Self { number, handler })
    }

    /// Returns the trigger type of the line, bits of `IRQ_TYPE_SENSE_MASK`.
    pub(crate) fn trigger(&self) -> u32 {
        shim::map_irq_trigger(self.number)
    }

    /// # Safety
    ///
    /// `data` must point to an `H`.
    unsafe extern "C" fn handle(_number: c_int, data: *mut c_void) -> c_uint {
        // SAFETY: By this function's contract. The line is freed before the reference is dropped.
        unsafe { &*data.cast::<H>() }.handle();
        // The line is not shared, so the interrupt is always the one of this device.
        IrqReturn::Handled as c_uint
    }
}

impl<H: Handler> Drop for Line<H> {
    fn drop(&mut self) {
        let data = Arc::as_ptr(&self.handler).cast_mut().cast();
        // SAFETY: By the type's invariant. When this returns, the handler does not run.
        unsafe { bindings::free_irq(self.number, data) };
    }
}

/// A lock for data that interrupt handlers change. Interrupts are off while it is held, except on a
/// kernel with PREEMPT_RT, where the handlers are threads.
#[pin_data]
pub(crate) struct IrqLock<T> {
    #[pin]
    lock: Opaque<bindings::spinlock_t>,
    data: UnsafeCell<T>,
}

impl<T> IrqLock<T> {
    /// Creates a lock.
    pub(crate) fn new(data: T) -> impl PinInit<Self> {
        pin_init!(Self {
            // SAFETY: The place is that of a lock which is not initialized yet.
            lock <- Opaque::ffi_init(|place| unsafe { shim::map_irq_lock_init(place) }),
            data: UnsafeCell::new(data),
        })
    }

    /// Calls `act` with the data while the lock is held. It must neither sleep nor take the lock.
    pub(crate) fn with<R>(&self, act: impl FnOnce(&mut T) -> R) -> R {
        // SAFETY: The lock is initialized, and pinned.
        let flags = unsafe { shim::map_irq_lock(self.lock.get()) };
        // SAFETY: The lock is held, so nobody else has a reference to the data.
        let result = act(unsafe { &mut *self.data.get() });
        // SAFETY: It was taken above, with these flags.
        unsafe { shim::map_irq_unlock(self.lock.get(), flags) };
        result
    }
}

// SAFETY: The data may be sent, and the lock is not bound to a thread.
unsafe impl<T: Send> Send for IrqLock<T> {}
// SAFETY: The lock serializes the accesses to the data.
unsafe impl<T: Send> Sync for IrqLock<T> {}

/// Why a sleep has ended without what was waited for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Awake {
    /// The time is over.
    TimedOut,
    /// A signal is pending.
    Signal,
}

/// A queue of those who wait: threads, and files that poll(2) and its relatives watch.
///
/// The watchers of a file leave the queue before the file is released. So a file that keeps the
/// queue alive is enough.
#[pin_data]
pub(crate) struct WaitQueue {
    #[pin]
    queue: Opaque<bindings::wait_queue_head_t>,
}

impl WaitQueue {
    /// Creates an empty queue.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            // SAFETY: The place is that of a queue which is not initialized yet.
            queue <- Opaque::ffi_init(|place| unsafe { shim::map_wait_init(place) }),
        })
    }

    /// Wakes all who wait. This may be called by a handler.
    pub(crate) fn wake(&self) {
        // SAFETY: The queue is initialized, and pinned.
        unsafe { shim::map_wait_wake(self.queue.get()) };
    }

    /// Sleeps until `ready` returns true, which is called at first and whenever the queue is woken,
    /// and not again after that. It must not sleep. A negative `timeout` in nanoseconds is none.
    pub(crate) fn sleep<F: FnMut() -> bool>(
        &self,
        timeout: i64,
        mut ready: F,
    ) -> Result<(), Awake> {
        // SAFETY: The queue is initialized, and pinned; the data is what `call_ready()` needs.
        let result = unsafe {
            shim::map_wait_sleep(
                self.queue.get(),
                Self::call_ready::<F>,
                (&raw mut ready).cast(),
                timeout,
            )
        };
        match result {
            0 => Ok(()),
            shim::TIMED_OUT => Err(Awake::TimedOut),
            _ => Err(Awake::Signal),
        }
    }

    /// # Safety
    ///
    /// `ready` must point to an `F` that nothing else uses.
    unsafe extern "C" fn call_ready<F: FnMut() -> bool>(ready: *mut c_void) -> bool {
        // SAFETY: By this function's contract.
        unsafe { (*ready.cast::<F>())() }
    }

    /// Has `table` watch the queue, for poll(2) of `file`.
    ///
    /// # Safety
    ///
    /// Both must be what the operation `poll` of the file was called with, and the file must keep
    /// the queue alive.
    pub(super) unsafe fn watch(
        &self,
        file: *mut bindings::file,
        table: *mut bindings::poll_table_struct,
    ) {
        // SAFETY: By this function's contract.
        unsafe { shim::map_poll_wait(file, self.queue.get(), table) };
    }
}

// SAFETY: The queue has a lock of its own.
unsafe impl Send for WaitQueue {}
// SAFETY: As above.
unsafe impl Sync for WaitQueue {}

/// A reference to an eventfd, which outlives its descriptors.
pub(crate) struct EventFd(NonNull<c_void>);

impl EventFd {
    /// Gets the eventfd with the descriptor `fd` of the current process.
    ///
    /// # Errors
    ///
    /// EBADF if there is no such descriptor, EINVAL if it is that of something else.
    pub(crate) fn get(fd: i32) -> Result<Self> {
        let eventfd = from_err_ptr(shim::map_eventfd_get(fd))?;
        NonNull::new(eventfd).map(Self).ok_or(EINVAL)
    }

    /// Adds 1 to its counter. This may be called by a handler.
    pub(crate) fn signal(&self) {
        // SAFETY: The reference keeps the eventfd.
        unsafe { shim::map_eventfd_signal(self.0.as_ptr()) };
    }
}

impl Drop for EventFd {
    fn drop(&mut self) {
        // SAFETY: This gives back the reference.
        unsafe { shim::map_eventfd_put(self.0.as_ptr()) };
    }
}

// SAFETY: An eventfd has a lock and a reference count, and belongs to no thread.
unsafe impl Send for EventFd {}
