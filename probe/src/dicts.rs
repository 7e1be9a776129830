//! Instances with a `__dict__` and with weak references.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyWeakrefReference};
use pyo3::{PyTraverseError, PyVisit};

/// Has a `__dict__`; PyO3 up to 0.29.0 lost it when it was populated, and 0.28.0 to 0.29.0 lost
/// one empty dict per instance on CPython 3.11 and 3.12.
#[pyclass(dict)]
pub struct Dictful;

#[pymethods]
impl Dictful {
    #[new]
    fn new() -> Self {
        Self
    }

    fn remember(slf: &Bound<'_, Self>, name: &str, value: Bound<'_, PyAny>) -> PyResult<()> {
        slf.setattr(name, value)
    }
}

/// The instance is made and filled by Rust.
#[pyfunction]
pub fn make_dictful<'py>(
    py: Python<'py>,
    attributes: &Bound<'py, PyDict>,
) -> PyResult<Bound<'py, Dictful>> {
    let made = Bound::new(py, Dictful)?;
    for (name, value) in attributes.iter() {
        made.setattr(name.extract::<String>()?.as_str(), value)?;
    }
    Ok(made)
}

/// Has a `__dict__` and weak references.
#[pyclass(dict, weakref)]
pub struct DictWeak;

#[pymethods]
impl DictWeak {
    #[new]
    fn new() -> Self {
        Self
    }
}

/// Has a `__dict__` and a GC protocol of its own.
#[pyclass(dict, weakref)]
pub struct DictCollected {
    #[pyo3(get, set)]
    other: Option<Py<PyAny>>,
}

#[pymethods]
impl DictCollected {
    #[new]
    fn new() -> Self {
        Self { other: None }
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.other)
    }

    fn __clear__(&mut self) {
        self.other = None;
    }
}

/// The `__dict__` belongs to the base.
#[pyclass(dict, subclass)]
pub struct DictBase;

#[pymethods]
impl DictBase {
    #[new]
    fn new() -> Self {
        Self
    }
}

#[pyclass(extends = DictBase)]
pub struct DictChild {
    #[pyo3(get)]
    size: usize,
}

#[pymethods]
impl DictChild {
    #[new]
    fn new(size: usize) -> PyClassInitializer<Self> {
        PyClassInitializer::from(DictBase).add_subclass(Self { size })
    }
}

/// Weak references only.
#[pyclass(weakref)]
pub struct Weak {
    #[pyo3(get)]
    payload: Vec<u8>,
}

#[pymethods]
impl Weak {
    #[new]
    fn new() -> Self {
        Self {
            payload: vec![7; 64],
        }
    }
}

/// Whether a weak reference made by Rust leads back to its object, and no longer when it is gone.
#[pyfunction]
pub fn weak_alive(py: Python<'_>) -> PyResult<(bool, bool)> {
    let object = Bound::new(py, Weak::new())?;
    let reference = PyWeakrefReference::new(object.as_any())?;
    let before = reference.call0()?.is(object.as_any());
    drop(object);
    Ok((before, !reference.call0()?.is_none()))
}
