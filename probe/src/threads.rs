//! The GIL released and taken again, by one thread and by several. All threads are joined.

use crate::compat::{attach, detach};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use std::thread;

#[pyfunction]
pub fn detached_sum(py: Python<'_>, values: Vec<i64>) -> i64 {
    detach(py, || values.iter().sum())
}

/// Releases the GIL around work that needs it again inside.
#[pyfunction]
pub fn release_around(py: Python<'_>, function: Py<PyAny>) -> PyResult<Py<PyAny>> {
    detach(py, || attach(|py| function.call0(py)))
}

/// Calls `function(index)` from `count` threads, one after the other.
#[pyfunction]
pub fn callbacks_from_threads(
    py: Python<'_>,
    function: Py<PyAny>,
    count: usize,
) -> PyResult<Vec<Py<PyAny>>> {
    let shared = &function;
    detach(py, || {
        let one = |index: usize| {
            thread::scope(|scope| {
                let worker = scope.spawn(move || attach(|py| shared.call1(py, (index,))));
                worker.join()
            })
        };
        (0..count)
            .map(|index| one(index).map_err(|_| PyRuntimeError::new_err("a thread panicked"))?)
            .collect()
    })
}

/// The error of a callback in another thread is raised in this one.
#[pyfunction]
pub fn error_from_thread(py: Python<'_>, function: Py<PyAny>) -> PyResult<()> {
    detach(py, move || {
        let worker = thread::spawn(move || attach(|py| function.call0(py).map(drop)));
        worker
            .join()
            .map_err(|_| PyRuntimeError::new_err("the thread panicked"))?
    })
}

/// Drops an object while the GIL is released: PyO3 has to remember it until the GIL is back.
#[pyfunction]
pub fn drop_detached(py: Python<'_>, object: Py<PyAny>) {
    detach(py, move || drop(object));
}

/// Drops an object in a thread that never had the GIL.
#[pyfunction]
pub fn drop_in_thread(py: Python<'_>, object: Py<PyAny>) -> PyResult<()> {
    detach(py, move || {
        let worker = thread::spawn(move || drop(object));
        worker
            .join()
            .map_err(|_| PyRuntimeError::new_err("the thread panicked"))
    })
}

/// Takes references and gives them back.
#[pyfunction]
pub fn clone_references(py: Python<'_>, object: Py<PyAny>, count: usize) -> usize {
    let copies: Vec<Py<PyAny>> = (0..count).map(|_| object.clone_ref(py)).collect();
    copies.iter().filter(|copy| copy.is(&object)).count()
}
