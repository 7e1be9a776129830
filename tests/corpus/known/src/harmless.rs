//! What looks like a leak for some calls and is none: everything here is bounded or given back.

use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};

static TABLE: OnceLock<Vec<u64>> = OnceLock::new();

#[pyfunction]
fn lazy_table() -> usize {
    TABLE.get_or_init(|| (0..10_000).collect()).len()
}

static POOL: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

/// A pool that fills by one entry per call, up to `most`.
#[pyfunction]
fn fill_pool(most: usize) -> usize {
    let mut pool = POOL.lock().unwrap();
    if pool.len() < most {
        pool.push(vec![1; 256]);
    }
    pool.len()
}

static OBJECTS: Mutex<VecDeque<Py<PyAny>>> = Mutex::new(VecDeque::new());

/// The last `most` objects, as a least-recently-used cache keeps them.
#[pyfunction]
fn remember(object: Py<PyAny>, most: usize) -> usize {
    let mut objects = OBJECTS.lock().unwrap();
    objects.push_back(object);
    while objects.len() > most {
        objects.pop_front();
    }
    objects.len()
}

static SCRATCH: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// A buffer of another size at each call.
#[pyfunction]
fn scratch(size: usize) {
    *SCRATCH.lock().unwrap() = vec![5; size];
}

static HIGH: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// A buffer that only ever grows to the largest size asked for.
#[pyfunction]
fn high_water(size: usize) {
    let mut high = HIGH.lock().unwrap();
    high.clear();
    high.resize(size, 1);
}

static BATCH: Mutex<Vec<String>> = Mutex::new(Vec::new());
static NUMBER: AtomicUsize = AtomicUsize::new(0);

/// Collects and gives everything back at every hundredth call.
#[pyfunction]
fn batch() {
    let mut batch = BATCH.lock().unwrap();
    batch.push(format!("entry {}", NUMBER.fetch_add(1, Ordering::Relaxed)));
    if batch.len() >= 100 {
        *batch = Vec::new();
    }
}

/// An instance with memory of its own behind it.
#[pyclass]
struct Holder {
    _data: Vec<u8>,
    #[pyo3(get, set)]
    other: Option<Py<PyAny>>,
}

#[pymethods]
impl Holder {
    #[new]
    fn new(size: usize) -> Self {
        Holder { _data: vec![9; size], other: None }
    }

    fn __traverse__(&self, visit: pyo3::PyVisit<'_>) -> Result<(), pyo3::PyTraverseError> {
        match &self.other {
            Some(other) => visit.call(other),
            None => Ok(()),
        }
    }

    fn __clear__(&mut self) {
        self.other = None;
    }
}

#[pyfunction]
fn chained(py: Python<'_>) -> PyResult<()> {
    let cause = PyValueError::new_err("the cause");
    let error = PyRuntimeError::new_err("the effect");
    error.set_cause(py, Some(cause));
    Err(error)
}

#[pyfunction]
fn call_in_thread(py: Python<'_>, function: Py<PyAny>) -> PyResult<Py<PyAny>> {
    py.detach(move || {
        std::thread::spawn(move || Python::attach(|py| function.call0(py)))
            .join()
            .map_err(|_| PyRuntimeError::new_err("the thread panicked"))?
    })
}

#[pyfunction]
fn nested<'py>(py: Python<'py>, depth: usize) -> PyResult<Bound<'py, PyAny>> {
    let mut value = PyList::empty(py).into_any();
    for number in 0..depth {
        let dict = PyDict::new(py);
        dict.set_item(number, value)?;
        value = dict.into_any();
    }
    Ok(value)
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Holder>()?;
    macro_rules! add {
        ($($name:ident),* $(,)?) => { $(module.add_function(wrap_pyfunction!($name, module)?)?;)* };
    }
    add!(
        lazy_table, fill_pool, remember, scratch, high_water, batch, chained, call_in_thread,
        nested,
    );
    Ok(())
}
