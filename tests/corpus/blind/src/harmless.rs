//! No defects here: code that grows or holds memory for a good reason.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::hint::black_box;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{mpsc, LazyLock, Mutex, OnceLock};
use std::thread;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDateTime, PyList, PyString, PyTimeAccess, PyType};
use pyo3::{PyTraverseError, PyVisit};

static SQUARES: LazyLock<Vec<u64>> = LazyLock::new(|| (0..4096).map(|n| n * n).collect());

/// A table that is made once.
#[pyfunction]
fn square_of(number: usize) -> Option<u64> {
    SQUARES.get(number).copied()
}

static CONFIG: OnceLock<&'static [u64; 128]> = OnceLock::new();

/// `Box::leak` where it belongs: once in the life of the process.
#[pyfunction]
fn config_value(index: usize) -> Option<u64> {
    let config = CONFIG.get_or_init(|| Box::leak(black_box(Box::new([11; 128]))));
    config.get(index).copied()
}

static DECIMAL: PyOnceLock<Py<PyType>> = PyOnceLock::new();

/// A class of the standard library, looked up once and then kept.
#[pyfunction]
fn is_decimal(value: &Bound<'_, PyAny>) -> PyResult<bool> {
    let class = DECIMAL.import(value.py(), "decimal", "Decimal")?;
    value.is_instance(class)
}

static POOLS: LazyLock<Mutex<HashMap<usize, Vec<Vec<u8>>>>> =
    LazyLock::new(|| Mutex::new(HashMap::new()));

/// A pool that takes one buffer more on each call until it is full.
#[pyfunction]
fn pool_buffer(limit: usize, size: usize) -> usize {
    let mut pools = POOLS.lock().unwrap();
    let pool = pools
        .entry(limit)
        .or_insert_with(|| Vec::with_capacity(limit));
    if pool.len() < limit {
        pool.push(vec![0; size]);
    }
    pool.len()
}

static LRU: Mutex<VecDeque<(u64, Vec<u8>)>> = Mutex::new(VecDeque::new());

/// The 32 results used last.
#[pyfunction]
fn lru_lookup(key: u64, size: usize) -> usize {
    let mut entries = LRU.lock().unwrap();
    if let Some(position) = entries.iter().position(|entry| entry.0 == key) {
        let entry = entries.remove(position).expect("the position was found");
        entries.push_back(entry);
    } else {
        entries.push_back((key, vec![1; size]));
        if entries.len() > 32 {
            entries.pop_front();
        }
    }
    entries.len()
}

static PENDING: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

/// Frees what it got in batches of sixteen: a sawtooth.
#[pyfunction]
fn retire_buffer(size: usize) -> usize {
    let mut pending = PENDING.lock().unwrap();
    pending.push(vec![2; size]);
    if pending.len() >= 16 {
        pending.clear();
    }
    pending.len()
}

static SCRATCH: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// One vector for all calls, which keeps the capacity it once needed.
#[pyfunction]
fn fill_scratch(size: usize) -> usize {
    let mut scratch = SCRATCH.lock().unwrap();
    scratch.clear();
    scratch.resize(size, 3);
    black_box(scratch.as_mut_ptr());
    scratch.len()
}

static MILESTONES: Mutex<Vec<Box<[u64; 32]>>> = Mutex::new(Vec::new());
static STEPS: AtomicU64 = AtomicU64::new(0);

/// Notes the calls 1, 2, 4, 8 ... up to 1024: ever rarer, and then never again.
#[pyfunction]
fn note_milestone() -> usize {
    let step = STEPS.fetch_add(1, Ordering::Relaxed) + 1;
    let mut milestones = MILESTONES.lock().unwrap();
    if step.is_power_of_two() && step <= 1024 {
        milestones.push(Box::new([step; 32]));
    }
    milestones.len()
}

/// Buffers of the given sizes, all freed at the end.
#[pyfunction]
fn churn(sizes: Vec<usize>) -> usize {
    let mut buffers: Vec<Vec<u8>> = sizes.iter().map(|size| vec![5; *size]).collect();
    for buffer in &mut buffers {
        black_box(buffer.as_mut_ptr());
    }
    buffers.iter().map(Vec::len).sum()
}

type Job = (u64, mpsc::SyncSender<u64>);

static WORKERS: OnceLock<Vec<Mutex<mpsc::Sender<Job>>>> = OnceLock::new();

fn start_workers() -> Vec<Mutex<mpsc::Sender<Job>>> {
    (0..2)
        .map(|number| {
            let (sender, receiver) = mpsc::channel::<Job>();
            thread::Builder::new()
                .name(format!("blind-pool-{number}"))
                .spawn(move || {
                    while let Ok((value, answer)) = receiver.recv() {
                        let _ = answer.send(value * 2);
                    }
                })
                .expect("the machine can start a thread");
            Mutex::new(sender)
        })
        .collect()
}

/// Two worker threads, started at the first call and kept.
#[pyfunction]
fn double_in_pool(py: Python<'_>, value: u64) -> PyResult<u64> {
    py.detach(|| {
        let workers = WORKERS.get_or_init(start_workers);
        let (sender, receiver) = mpsc::sync_channel(1);
        let worker = &workers[(value % 2) as usize];
        worker.lock().unwrap().send((value, sender)).ok()?;
        receiver.recv().ok()
    })
    .ok_or_else(|| PyRuntimeError::new_err("the pool is gone"))
}

thread_local! {
    static LOCAL: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

/// A thread with a thread-local vector; both end with the call.
#[pyfunction]
fn sum_in_thread(py: Python<'_>, count: u64) -> u64 {
    py.detach(|| {
        thread::spawn(move || {
            LOCAL.with_borrow_mut(|local| {
                local.extend(0..count);
                black_box(local.as_mut_ptr());
                local.iter().sum()
            })
        })
        .join()
        .expect("the worker does not panic")
    })
}

static RECENT: Mutex<VecDeque<Py<PyAny>>> = Mutex::new(VecDeque::new());

/// Keeps the eight objects seen last.
#[pyfunction]
fn keep_recent(value: Py<PyAny>) -> usize {
    let (length, evicted) = {
        let mut recent = RECENT.lock().unwrap();
        recent.push_back(value);
        let evicted = (recent.len() > 8).then(|| recent.pop_front()).flatten();
        (recent.len(), evicted)
    };
    // Outside the lock: a finalizer may call this function again.
    drop(evicted);
    length
}

static OPEN_FILES: Mutex<VecDeque<File>> = Mutex::new(VecDeque::new());

/// Keeps the four files opened last open.
#[pyfunction]
fn open_recent(path: PathBuf) -> PyResult<usize> {
    let file = File::open(path)?;
    let mut files = OPEN_FILES.lock().unwrap();
    files.push_back(file);
    if files.len() > 4 {
        files.pop_front();
    }
    Ok(files.len())
}

/// Owns Rust memory, and frees it when Python lets go.
#[pyclass(subclass, weakref)]
struct Blob {
    data: Vec<u8>,
}

#[pymethods]
impl Blob {
    #[new]
    fn new(size: usize) -> Self {
        Blob {
            data: vec![6; size],
        }
    }

    fn __len__(&self) -> usize {
        self.data.len()
    }
}

/// A tree that the collector can see through.
#[pyclass(subclass, weakref)]
struct Tree {
    children: Vec<Py<PyAny>>,
}

#[pymethods]
impl Tree {
    #[new]
    fn new() -> Self {
        Tree {
            children: Vec::new(),
        }
    }

    fn add(&mut self, child: Py<PyAny>) {
        self.children.push(child);
    }

    fn __len__(&self) -> usize {
        self.children.len()
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.children.iter().try_for_each(|child| visit.call(child))
    }

    fn __clear__(&mut self) {
        self.children.clear();
    }
}

/// Reads an attribute by an interned name, always the same.
#[pyfunction]
fn read_name<'py>(value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    value.getattr(pyo3::intern!(value.py(), "blind_name"))
}

/// Sets an attribute, the name of which may be new each time.
#[pyfunction]
fn set_field(target: &Bound<'_, PyAny>, name: &str, value: u64) -> PyResult<()> {
    target.setattr(name, value)
}

/// Interned names out of a fixed set.
#[pyfunction]
fn column_names(py: Python<'_>) -> PyResult<Bound<'_, PyList>> {
    let names = ["id", "title", "author", "year", "shelf"];
    PyList::new(py, names.map(|name| PyString::intern(py, name)))
}

/// The same day at midnight.
#[pyfunction]
fn midnight<'py>(moment: &Bound<'py, PyDateTime>) -> PyResult<Bound<'py, PyAny>> {
    let hour = moment.get_hour();
    let kwargs = pyo3::types::PyDict::new(moment.py());
    for field in ["hour", "minute", "second", "microsecond"] {
        kwargs.set_item(field, 0)?;
    }
    if hour > 23 {
        return Err(PyRuntimeError::new_err("no such hour"));
    }
    moment.call_method("replace", (), Some(&kwargs))
}

/// Builds a long text piece by piece.
#[pyfunction]
fn join_words(words: Vec<String>) -> String {
    let mut text = String::new();
    for word in words {
        text.push_str(&word);
        text.push(' ');
    }
    text
}

/// Calls back, and hands an error of the callback on.
#[pyfunction]
fn call_through<'py>(callback: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    callback.call0().map_err(|cause| {
        let error = PyRuntimeError::new_err("the callback failed");
        error.set_cause(callback.py(), Some(cause));
        error
    })
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(square_of, module)?)?;
    module.add_function(wrap_pyfunction!(config_value, module)?)?;
    module.add_function(wrap_pyfunction!(is_decimal, module)?)?;
    module.add_function(wrap_pyfunction!(pool_buffer, module)?)?;
    module.add_function(wrap_pyfunction!(lru_lookup, module)?)?;
    module.add_function(wrap_pyfunction!(retire_buffer, module)?)?;
    module.add_function(wrap_pyfunction!(fill_scratch, module)?)?;
    module.add_function(wrap_pyfunction!(note_milestone, module)?)?;
    module.add_function(wrap_pyfunction!(churn, module)?)?;
    module.add_function(wrap_pyfunction!(double_in_pool, module)?)?;
    module.add_function(wrap_pyfunction!(sum_in_thread, module)?)?;
    module.add_function(wrap_pyfunction!(keep_recent, module)?)?;
    module.add_function(wrap_pyfunction!(open_recent, module)?)?;
    module.add_function(wrap_pyfunction!(read_name, module)?)?;
    module.add_function(wrap_pyfunction!(set_field, module)?)?;
    module.add_function(wrap_pyfunction!(column_names, module)?)?;
    module.add_function(wrap_pyfunction!(midnight, module)?)?;
    module.add_function(wrap_pyfunction!(join_words, module)?)?;
    module.add_function(wrap_pyfunction!(call_through, module)?)?;
    module.add_class::<Blob>()?;
    module.add_class::<Tree>()
}
