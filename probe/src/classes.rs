//! Plain classes: fields, properties, class attributes, static and class methods, enums.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyType};
use std::cell::Cell;
use std::sync::atomic::{AtomicI64, Ordering};

/// Nothing but a Rust value: no dict, no GC protocol, no base.
#[pyclass(get_all, set_all)]
pub struct Plain {
    x: i64,
    label: String,
}

#[pymethods]
impl Plain {
    #[new]
    #[pyo3(signature = (x = 0, label = String::new()))]
    fn new(x: i64, label: String) -> Self {
        Self { x, label }
    }

    fn moved(&self, by: i64) -> Self {
        Self {
            x: self.x + by,
            label: self.label.clone(),
        }
    }

    fn move_in_place(mut slf: PyRefMut<'_, Self>, by: i64) -> PyRefMut<'_, Self> {
        slf.x += by;
        slf
    }

    fn add(&self, other: PyRef<'_, Self>) -> i64 {
        self.x + other.x
    }

    #[staticmethod]
    fn zero() -> Self {
        Self::new(0, "zero".to_owned())
    }

    #[classmethod]
    fn named<'py>(cls: &Bound<'py, PyType>, label: &str) -> PyResult<Bound<'py, PyAny>> {
        cls.call1((1, label))
    }

    #[classmethod]
    fn __class_getitem__<'py>(
        cls: &Bound<'py, PyType>,
        key: Bound<'py, PyAny>,
    ) -> (Bound<'py, PyType>, Bound<'py, PyAny>) {
        (cls.clone(), key)
    }

    fn __repr__(&self) -> String {
        format!("Plain({}, {:?})", self.x, self.label)
    }
}

/// Hands out one Python object that it owns. Not known to the collector.
#[pyclass]
pub struct Holder {
    #[pyo3(get, set)]
    value: Py<PyAny>,
    #[pyo3(get)]
    inner: Py<Plain>,
}

#[pymethods]
impl Holder {
    #[new]
    fn new(py: Python<'_>, value: Py<PyAny>) -> PyResult<Self> {
        let inner = Py::new(py, Plain::new(3, "inner".to_owned()))?;
        Ok(Self { value, inner })
    }

    fn take(&mut self, py: Python<'_>) -> Py<PyAny> {
        std::mem::replace(&mut self.value, py.None())
    }

    fn inner_x(&self, py: Python<'_>) -> i64 {
        self.inner.borrow(py).x
    }

    fn bump_inner(&self, py: Python<'_>) {
        self.inner.borrow_mut(py).x += 1;
    }
}

/// Computed properties, one of which may fail.
#[pyclass]
pub struct Properties {
    celsius: f64,
}

#[pymethods]
impl Properties {
    #[new]
    fn new(celsius: f64) -> Self {
        Self { celsius }
    }

    #[getter]
    fn fahrenheit(&self) -> f64 {
        self.celsius * 1.8 + 32.0
    }

    #[setter]
    fn set_fahrenheit(&mut self, value: f64) -> PyResult<()> {
        if value < -459.67 {
            return Err(PyValueError::new_err("below absolute zero"));
        }
        self.celsius = (value - 32.0) / 1.8;
        Ok(())
    }

    #[getter(parts)]
    fn get_parts<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        PyList::new(py, [self.celsius, self.fahrenheit()])
    }

    #[getter]
    fn broken(&self) -> PyResult<i64> {
        Err(PyValueError::new_err("this property always fails"))
    }
}

/// Class attributes from constants and from functions, which PyO3 counted once too often up to
/// 0.29.1 when they came from a function.
#[pyclass]
pub struct ClassAttributes {
    #[pyo3(get)]
    rank: i64,
}

#[pymethods]
impl ClassAttributes {
    #[classattr]
    const LIMIT: i64 = 1000;

    #[classattr]
    const TITLE: &'static str = "class attributes";

    #[classattr]
    fn table(py: Python<'_>) -> PyResult<Py<PyDict>> {
        let table = PyDict::new(py);
        table.set_item("one", 1)?;
        Ok(table.unbind())
    }

    #[classattr]
    fn names() -> Vec<String> {
        vec!["a name of its own".to_owned()]
    }

    #[classattr]
    #[pyo3(name = "FIRST")]
    fn first() -> Self {
        Self { rank: 1 }
    }

    #[new]
    fn new(rank: i64) -> Self {
        Self { rank }
    }
}

/// Immutable from Python, changed through an atomic.
#[pyclass(frozen)]
pub struct Frozen {
    hits: AtomicI64,
}

#[pymethods]
impl Frozen {
    #[new]
    fn new() -> Self {
        Self {
            hits: AtomicI64::new(0),
        }
    }

    fn hit(slf: Bound<'_, Self>) -> i64 {
        slf.get().hits.fetch_add(1, Ordering::Relaxed) + 1
    }
}

/// Instances come from a bounded free list.
#[pyclass(freelist = 4)]
pub struct Free {
    #[pyo3(get)]
    text: String,
}

#[pymethods]
impl Free {
    #[new]
    fn new(text: String) -> Self {
        Self { text }
    }
}

/// Bound to the thread that made it.
#[pyclass(unsendable)]
pub struct Unsendable {
    count: Cell<u32>,
}

#[pymethods]
impl Unsendable {
    #[new]
    fn new() -> Self {
        Self {
            count: Cell::new(0),
        }
    }

    fn step(&self) -> u32 {
        self.count.set(self.count.get() + 1);
        self.count.get()
    }
}

/// Known to Python under another name and module.
#[pyclass(name = "PythonName", module = "leakgrid_probe.elsewhere")]
pub struct Renamed;

#[pymethods]
impl Renamed {
    #[new]
    fn new() -> Self {
        Self
    }

    #[pyo3(name = "python_method")]
    fn rust_method(&self) -> &'static str {
        "renamed"
    }
}

/// An enum without data.
#[pyclass(eq, eq_int, hash, frozen)]
#[derive(PartialEq, Eq, Hash)]
pub enum Color {
    Red = 1,
    Green = 2,
}

#[pymethods]
impl Color {
    #[staticmethod]
    fn pick(green: bool) -> Self {
        if green {
            Self::Green
        } else {
            Self::Red
        }
    }

    fn is_red(&self) -> bool {
        *self == Self::Red
    }
}

/// An enum whose variants are classes of their own.
#[pyclass]
pub enum Shape {
    Circle { radius: f64 },
    Polygon { corners: Vec<(f64, f64)> },
    Note(String, i64),
    Nothing {},
}

#[pymethods]
impl Shape {
    #[staticmethod]
    fn unit() -> Self {
        Self::Circle { radius: 1.0 }
    }

    fn corners_count(&self) -> usize {
        match self {
            Self::Polygon { corners } => corners.len(),
            Self::Circle { .. } | Self::Note(..) | Self::Nothing {} => 0,
        }
    }
}
