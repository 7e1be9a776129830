//! A small extension whose faults are called for by name, or switched on by a cargo feature.

use std::hint::black_box;

use pyo3::exceptions::PyKeyError;
use pyo3::prelude::*;

#[cfg(feature = "mimalloc")]
#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[cfg(feature = "counting")]
mod counting {
    use std::alloc::{GlobalAlloc, Layout, System};
    use std::sync::atomic::{AtomicUsize, Ordering};

    pub static CALLS: AtomicUsize = AtomicUsize::new(0);

    struct Counting;

    unsafe impl GlobalAlloc for Counting {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            CALLS.fetch_add(1, Ordering::Relaxed);
            System.alloc(layout)
        }

        unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
            System.dealloc(pointer, layout)
        }
    }

    #[global_allocator]
    static GLOBAL: Counting = Counting;

    /// Uses mimalloc beside the global allocator, so that it is linked.
    pub fn beside() {
        let layout = Layout::new::<u64>();
        let other = mimalloc::MiMalloc;
        unsafe { other.dealloc(std::hint::black_box(other.alloc(layout)), layout) }
    }
}

#[pyclass]
struct Shelf {
    titles: Vec<String>,
}

#[pymethods]
impl Shelf {
    #[new]
    fn new() -> Self {
        #[cfg(feature = "counting")]
        counting::beside();
        Shelf { titles: Vec::new() }
    }

    fn add(&mut self, title: String) -> usize {
        self.titles.push(title);
        self.titles.len()
    }

    /// Has the leak that the feature plants.
    fn find(&self, title: &str) -> PyResult<usize> {
        #[cfg(feature = "leak")]
        std::mem::forget(black_box(vec![0u8; 500]));
        let place = self.titles.iter().position(|known| known == title);
        place.ok_or_else(|| PyKeyError::new_err(title.to_owned()))
    }

    fn titles(&self) -> Vec<String> {
        self.titles.clone()
    }

    fn __len__(&self) -> usize {
        self.titles.len()
    }
}

/// Reads a byte of a block that was freed before.
#[pyfunction]
fn read_freed() -> bool {
    let block = black_box(vec![1u8; 64]);
    let pointer = block.as_ptr();
    drop(block);
    black_box(unsafe { pointer.add(40).read_volatile() }) < 255
}

/// Looks up a place in a table that nobody ever set.
#[pyfunction]
fn use_unset() -> bool {
    static TABLE: [u8; 8] = [3, 1, 4, 1, 5, 9, 2, 6];
    let block: Vec<u8> = black_box(Vec::with_capacity(64));
    let place = unsafe { block.as_ptr().add(40).read_volatile() };
    black_box(&TABLE)[usize::from(place & 7)] > 0
}

#[pyfunction]
fn abort() {
    std::process::abort()
}

/// A panic that reaches a C frame ends the process.
#[pyfunction]
fn panic_across() {
    extern "C" fn inner() {
        panic!("nobody may catch this");
    }
    inner();
}

#[pyfunction]
fn segfault() -> u8 {
    unsafe { black_box(8 as *const u8).read_volatile() }
}

#[pymodule]
fn subject(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Shelf>()?;
    module.add_function(wrap_pyfunction!(read_freed, module)?)?;
    module.add_function(wrap_pyfunction!(use_unset, module)?)?;
    module.add_function(wrap_pyfunction!(abort, module)?)?;
    module.add_function(wrap_pyfunction!(panic_across, module)?)?;
    module.add_function(wrap_pyfunction!(segfault, module)?)
}
