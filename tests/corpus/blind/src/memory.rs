//! Planted defects in plain Rust memory: no Python object is lost here.

use std::alloc::{alloc, Layout};
use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::hint::black_box;
use std::mem::{self, ManuallyDrop};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::thread;

use pyo3::exceptions::{PyMemoryError, PyValueError};
use pyo3::prelude::*;

/// A vector was handed to a C reader once; since then nobody frees it.
#[pyfunction]
fn read_header(length: usize) -> usize {
    let mut header = vec![0x5a_u8; length];
    black_box(header.as_mut_ptr());
    let total = header.iter().map(|byte| usize::from(*byte)).sum();
    mem::forget(header);
    total
}

struct Settings {
    level: u64,
    flags: [u64; 31],
}

/// `Box::leak` is right for a value made once, and wrong here: it is made on every call.
#[pyfunction]
fn load_settings(level: u64) -> u64 {
    let settings: &'static Settings = Box::leak(black_box(Box::new(Settings {
        level,
        flags: [1; 31],
    })));
    settings.level + settings.flags.iter().sum::<u64>()
}

/// The C string goes out by `into_raw` and never comes back by `from_raw`.
#[pyfunction]
fn device_name_length(name: &str) -> PyResult<usize> {
    let raw = black_box(CString::new(name)?.into_raw());
    // SAFETY: `raw` was made by `into_raw` just above and is never freed.
    Ok(unsafe { CStr::from_ptr(raw) }.to_bytes().len())
}

struct Parent {
    child: RefCell<Option<Rc<Child>>>,
    data: [u64; 12],
}

struct Child {
    parent: Rc<Parent>,
    data: [u64; 5],
}

/// Parent and child hold each other by `Rc`, where the child should hold a `Weak`.
#[pyfunction]
fn build_tree(seed: u64) -> u64 {
    let parent = Rc::new(Parent {
        child: RefCell::new(None),
        data: [seed; 12],
    });
    let child = Rc::new(Child {
        parent: Rc::clone(&parent),
        data: [seed; 5],
    });
    let total = child.data.iter().sum::<u64>() + child.parent.data.iter().sum::<u64>();
    *parent.child.borrow_mut() = Some(black_box(child));
    black_box(&parent);
    total
}

type Listener = Box<dyn Fn() -> u64 + Send + Sync>;

struct Emitter {
    listeners: Mutex<Vec<Listener>>,
    counts: [u64; 8],
}

/// The emitter owns a closure which owns the emitter.
#[pyfunction]
fn emit_once(count: u64) -> u64 {
    let emitter = Arc::new(Emitter {
        listeners: Mutex::new(Vec::new()),
        counts: [count; 8],
    });
    let captured = Arc::clone(&emitter);
    let listener: Listener = Box::new(move || captured.counts.iter().sum());
    let mut listeners = emitter.listeners.lock().unwrap();
    listeners.push(black_box(listener));
    listeners.iter().map(|listener| listener()).sum()
}

/// `ManuallyDrop` against a double free that was long since mended otherwise.
#[pyfunction]
fn banner_length(word: &str) -> usize {
    let banner = ManuallyDrop::new(word.repeat(16));
    black_box(banner.as_ptr());
    banner.len()
}

static RESULTS: LazyLock<Mutex<HashMap<u64, Vec<u8>>>> =
    LazyLock::new(|| Mutex::new(HashMap::new()));
static NEXT_RESULT: AtomicU64 = AtomicU64::new(0);

/// A cache whose key is never the same twice, and which nobody prunes.
#[pyfunction]
fn remember_result(size: usize) -> u64 {
    let key = NEXT_RESULT.fetch_add(1, Ordering::Relaxed);
    RESULTS.lock().unwrap().insert(key, vec![1; size]);
    key
}

struct Link {
    next: *mut Link,
    value: u64,
}

/// Many tiny blocks: a list of raw links which is walked and never taken down.
#[pyfunction]
fn sum_links(count: u64) -> u64 {
    let mut head: *mut Link = std::ptr::null_mut();
    for value in 0..count {
        head = black_box(Box::into_raw(Box::new(Link { next: head, value })));
    }
    let mut total = 0;
    let mut current = head;
    while !current.is_null() {
        // SAFETY: every link was made above by `Box::into_raw` and is never freed.
        let link = unsafe { &*current };
        total += link.value;
        current = link.next;
    }
    total
}

/// The thread ends and is joined; the buffer that it made does not.
#[pyfunction]
fn digest_in_background(py: Python<'_>, size: usize) -> usize {
    py.detach(|| {
        thread::spawn(move || digest_worker(size))
            .join()
            .expect("the worker does not panic")
    })
}

#[inline(never)]
fn digest_worker(size: usize) -> usize {
    let buffer: &'static mut [u8] = black_box(vec![3_u8; size]).leak();
    buffer.iter().map(|byte| usize::from(*byte)).sum()
}

/// A writer whose `Drop` takes the buffer out for a flush and then forgets it.
#[pyclass]
struct Writer {
    buffer: Vec<u8>,
}

#[pymethods]
impl Writer {
    #[new]
    fn new(size: usize) -> Self {
        Writer {
            buffer: vec![0; size],
        }
    }

    fn __len__(&self) -> usize {
        self.buffer.len()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let mut pending = mem::take(&mut self.buffer);
        black_box(pending.as_mut_ptr());
        mem::forget(pending);
    }
}

struct DecoderState {
    table: [u32; 80],
}

/// The state comes back to Rust at the end only; the early return loses it.
#[pyfunction]
fn decode(data: &[u8]) -> PyResult<u32> {
    let state = black_box(Box::into_raw(Box::new(DecoderState { table: [7; 80] })));
    if data.first() == Some(&0xff) {
        return Err(PyValueError::new_err("not a frame"));
    }
    // SAFETY: `state` was made by `into_raw` above and is taken back once.
    let state = unsafe { Box::from_raw(state) };
    Ok(state.table.iter().sum::<u32>() + data.len() as u32)
}

static TICKS: AtomicU64 = AtomicU64::new(0);

/// Every third sample is forgotten.
#[pyfunction]
fn sample_tick(size: usize) -> usize {
    let mut sample = vec![9_u8; size];
    black_box(sample.as_mut_ptr());
    let length = sample.len();
    if TICKS.fetch_add(1, Ordering::Relaxed) % 3 == 2 {
        mem::forget(sample);
    }
    length
}

/// Three modes, of which one loses its output buffer.
#[pyfunction]
fn compress(mode: &str, size: usize) -> PyResult<usize> {
    let mut output = vec![1_u8; size];
    black_box(output.as_mut_ptr());
    match mode {
        "plain" | "zstd" => Ok(output.len()),
        "gzip" => {
            let output = ManuallyDrop::new(output);
            Ok(output.len())
        }
        other => Err(PyValueError::new_err(format!("unknown mode {other}"))),
    }
}

struct Session {
    token: u64,
    state: [u64; 23],
}

static SESSIONS: LazyLock<Mutex<HashMap<u64, Box<Session>>>> =
    LazyLock::new(|| Mutex::new(HashMap::new()));
static NEXT_SESSION: AtomicU64 = AtomicU64::new(1);

/// Right by itself: the session is in the table until it is closed.
#[pyfunction]
fn open_session() -> u64 {
    let token = NEXT_SESSION.fetch_add(1, Ordering::Relaxed);
    let state = [token; 23];
    SESSIONS
        .lock()
        .unwrap()
        .insert(token, Box::new(Session { token, state }));
    token
}

/// Takes the session out of the table, and forgets to free it.
#[pyfunction]
fn close_session(token: u64) -> Option<u64> {
    let session = SESSIONS.lock().unwrap().remove(&token)?;
    let session = black_box(Box::into_raw(session));
    // SAFETY: `session` was made by `into_raw` just above and is never freed.
    Some(unsafe { (*session).token + (*session).state[0] })
}

/// A raw block, the release of which sets the address to zero and does nothing else.
#[pyclass]
struct Scratch {
    address: usize,
}

#[pymethods]
impl Scratch {
    #[new]
    fn new(size: usize) -> PyResult<Self> {
        let layout = Layout::from_size_align(size.max(1), 8)
            .map_err(|error| PyValueError::new_err(error.to_string()))?;
        // SAFETY: the layout has a size above zero.
        let pointer = black_box(unsafe { alloc(layout) });
        if pointer.is_null() {
            return Err(PyMemoryError::new_err("no memory for the scratch block"));
        }
        Ok(Scratch {
            address: pointer as usize,
        })
    }

    fn release(&mut self) {
        self.address = 0;
    }

    #[getter]
    fn is_open(&self) -> bool {
        self.address != 0
    }
}

struct TicketState {
    polls: AtomicU64,
    payload: [u64; 9],
}

/// Something to await. Each `await` clones the state for a waker by `Arc::into_raw`, and no
/// waker ever gives it back.
#[pyclass]
struct Ticket {
    state: Arc<TicketState>,
}

#[pymethods]
impl Ticket {
    #[new]
    fn new(value: u64) -> Self {
        Ticket {
            state: Arc::new(TicketState {
                polls: AtomicU64::new(0),
                payload: [value; 9],
            }),
        }
    }

    fn __await__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        black_box(Arc::into_raw(Arc::clone(&slf.state)));
        slf
    }

    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    /// Suspends once, as `asyncio.sleep(0)` does, and is then ready.
    fn __next__(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        let first = self.state.polls.fetch_add(1, Ordering::Relaxed) == 0;
        (first && self.state.payload[0] > 0).then(|| py.None())
    }
}

/// Called from a Python `__del__`: frees the index of the handle and not the handle.
#[pyfunction]
fn release_handle(size: usize) -> usize {
    let handle: Box<[u8]> = vec![4_u8; size].into_boxed_slice();
    let handle = black_box(Box::into_raw(handle));
    // SAFETY: `handle` was made by `into_raw` just above and is never freed.
    unsafe { (&*handle).len() }
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(read_header, module)?)?;
    module.add_function(wrap_pyfunction!(load_settings, module)?)?;
    module.add_function(wrap_pyfunction!(device_name_length, module)?)?;
    module.add_function(wrap_pyfunction!(build_tree, module)?)?;
    module.add_function(wrap_pyfunction!(emit_once, module)?)?;
    module.add_function(wrap_pyfunction!(banner_length, module)?)?;
    module.add_function(wrap_pyfunction!(remember_result, module)?)?;
    module.add_function(wrap_pyfunction!(sum_links, module)?)?;
    module.add_function(wrap_pyfunction!(digest_in_background, module)?)?;
    module.add_function(wrap_pyfunction!(decode, module)?)?;
    module.add_function(wrap_pyfunction!(sample_tick, module)?)?;
    module.add_function(wrap_pyfunction!(compress, module)?)?;
    module.add_function(wrap_pyfunction!(open_session, module)?)?;
    module.add_function(wrap_pyfunction!(close_session, module)?)?;
    module.add_function(wrap_pyfunction!(release_handle, module)?)?;
    module.add_class::<Writer>()?;
    module.add_class::<Scratch>()?;
    module.add_class::<Ticket>()
}
