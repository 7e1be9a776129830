//! The other protocols: containers, iterators, calls, contexts, attributes, descriptors.

use pyo3::exceptions::{PyAttributeError, PyIndexError, PyKeyError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use std::collections::HashMap;

/// A mapping.
#[pyclass(mapping)]
pub struct Table {
    rows: HashMap<String, Py<PyAny>>,
}

#[pymethods]
impl Table {
    #[new]
    fn new() -> Self {
        Self {
            rows: HashMap::new(),
        }
    }

    fn __len__(&self) -> usize {
        self.rows.len()
    }

    fn __getitem__(&self, py: Python<'_>, key: &str) -> PyResult<Py<PyAny>> {
        let found = self.rows.get(key).map(|value| value.clone_ref(py));
        found.ok_or_else(|| PyKeyError::new_err(key.to_owned()))
    }

    fn __setitem__(&mut self, key: String, value: Py<PyAny>) {
        self.rows.insert(key, value);
    }

    fn __delitem__(&mut self, key: &str) -> PyResult<()> {
        let gone = self.rows.remove(key);
        gone.map(drop)
            .ok_or_else(|| PyKeyError::new_err(key.to_owned()))
    }

    fn __contains__(&self, key: &str) -> bool {
        self.rows.contains_key(key)
    }
}

/// A sequence, with concatenation and repetition.
#[pyclass(sequence)]
pub struct Row {
    cells: Vec<i64>,
}

#[pymethods]
impl Row {
    #[new]
    fn new(cells: Vec<i64>) -> Self {
        Self { cells }
    }

    fn __len__(&self) -> usize {
        self.cells.len()
    }

    fn __getitem__(&self, index: usize) -> PyResult<i64> {
        let cell = self.cells.get(index).copied();
        cell.ok_or_else(|| PyIndexError::new_err("no such cell"))
    }

    fn __concat__(&self, other: PyRef<'_, Self>) -> Self {
        let mut cells = self.cells.clone();
        cells.extend(&other.cells);
        Self { cells }
    }

    fn __repeat__(&self, times: usize) -> Self {
        Self {
            cells: self.cells.repeat(times),
        }
    }

    fn __iter__(slf: &Bound<'_, Self>) -> PyResult<Py<Walker>> {
        let walker = Walker {
            row: slf.clone().unbind(),
            at: 0,
        };
        Py::new(slf.py(), walker)
    }
}

/// An iterator that keeps its container alive.
#[pyclass]
pub struct Walker {
    row: Py<Row>,
    at: usize,
}

#[pymethods]
impl Walker {
    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__(&mut self, py: Python<'_>) -> Option<i64> {
        let cell = self.row.borrow(py).cells.get(self.at).copied();
        self.at += 1;
        cell
    }
}

/// An iterator over new Python objects, which ends or fails.
#[pyclass]
pub struct Countdown {
    left: u32,
    fail_at: Option<u32>,
}

#[pymethods]
impl Countdown {
    #[new]
    #[pyo3(signature = (start, fail_at = None))]
    fn new(start: u32, fail_at: Option<u32>) -> Self {
        Self {
            left: start,
            fail_at,
        }
    }

    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__(&mut self) -> PyResult<Option<String>> {
        if Some(self.left) == self.fail_at {
            return Err(PyIndexError::new_err("the countdown failed"));
        }
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        Ok(Some(format!("{} to go", self.left)))
    }
}

/// Ordering, equality, hash and text.
#[pyclass(eq, ord, hash, frozen, str = "ordered {key}")]
#[derive(PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ordered {
    key: String,
}

#[pymethods]
impl Ordered {
    #[new]
    fn new(key: String) -> Self {
        Self { key }
    }

    fn __format__(&self, spec: &str) -> String {
        format!("{}{}{}", spec, self.key, spec)
    }
}

/// Can be called.
#[pyclass]
pub struct Callable {
    #[pyo3(get)]
    calls: usize,
}

#[pymethods]
impl Callable {
    #[new]
    fn new() -> Self {
        Self { calls: 0 }
    }

    #[pyo3(signature = (*args, **kwargs))]
    fn __call__<'py>(
        &mut self,
        args: Bound<'py, PyTuple>,
        kwargs: Option<Bound<'py, PyDict>>,
    ) -> (Bound<'py, PyTuple>, Option<Bound<'py, PyDict>>) {
        self.calls += 1;
        (args, kwargs)
    }
}

/// A context manager that swallows `KeyError`.
#[pyclass]
pub struct Context {
    #[pyo3(get)]
    log: Vec<String>,
}

#[pymethods]
impl Context {
    #[new]
    fn new() -> Self {
        Self { log: Vec::new() }
    }

    fn __enter__(mut slf: PyRefMut<'_, Self>) -> PyRefMut<'_, Self> {
        slf.log.push("entered".to_owned());
        slf
    }

    fn __exit__(
        &mut self,
        py: Python<'_>,
        kind: Bound<'_, PyAny>,
        value: Bound<'_, PyAny>,
        _traceback: Bound<'_, PyAny>,
    ) -> PyResult<bool> {
        if kind.is_none() {
            self.log.push("left".to_owned());
            return Ok(false);
        }
        self.log.push(format!("left with {}", value.repr()?));
        Ok(PyErr::from_value(value).is_instance_of::<PyKeyError>(py))
    }
}

/// Attribute access in Rust.
#[pyclass]
pub struct Attributes {
    known: HashMap<String, Py<PyAny>>,
}

#[pymethods]
impl Attributes {
    #[new]
    fn new() -> Self {
        Self {
            known: HashMap::new(),
        }
    }

    fn __getattr__(&self, py: Python<'_>, name: &str) -> PyResult<Py<PyAny>> {
        let found = self.known.get(name).map(|value| value.clone_ref(py));
        found.ok_or_else(|| PyAttributeError::new_err(name.to_owned()))
    }

    fn __setattr__(&mut self, name: String, value: Py<PyAny>) {
        self.known.insert(name, value);
    }

    fn __delattr__(&mut self, name: &str) -> PyResult<()> {
        let gone = self.known.remove(name);
        gone.map(drop)
            .ok_or_else(|| PyAttributeError::new_err(name.to_owned()))
    }
}

/// A data descriptor.
#[pyclass]
pub struct Descriptor {
    value: Py<PyAny>,
}

#[pymethods]
impl Descriptor {
    #[new]
    fn new(value: Py<PyAny>) -> Self {
        Self { value }
    }

    fn __get__(
        &self,
        py: Python<'_>,
        _instance: Bound<'_, PyAny>,
        _owner: Bound<'_, PyAny>,
    ) -> Py<PyAny> {
        self.value.clone_ref(py)
    }

    fn __set__(&mut self, _instance: Bound<'_, PyAny>, value: Py<PyAny>) {
        self.value = value;
    }
}

/// Awaited, it yields once and then returns its value.
#[pyclass]
pub struct Awaitable {
    yielded: bool,
}

#[pymethods]
impl Awaitable {
    #[new]
    fn new() -> Self {
        Self { yielded: false }
    }

    fn __await__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__(&mut self) -> Option<i64> {
        let first = !self.yielded;
        self.yielded = true;
        first.then_some(1)
    }
}
