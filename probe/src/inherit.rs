//! Rust classes that extend Rust classes and built-in ones.

use pyo3::prelude::*;
use pyo3::types::PyDict;

/// The base of three levels.
#[pyclass(subclass)]
pub struct Base {
    #[pyo3(get, set)]
    name: String,
}

#[pymethods]
impl Base {
    #[new]
    fn new(name: String) -> Self {
        Self { name }
    }

    fn whoami(&self) -> String {
        format!("base of {}", self.name)
    }
}

#[pyclass(extends = Base, subclass)]
pub struct Middle {
    #[pyo3(get, set)]
    numbers: Vec<i64>,
}

#[pymethods]
impl Middle {
    #[new]
    fn new(name: String, numbers: Vec<i64>) -> PyClassInitializer<Self> {
        PyClassInitializer::from(Base { name }).add_subclass(Self { numbers })
    }

    fn super_name(slf: PyRef<'_, Self>) -> String {
        slf.as_super().name.clone()
    }

    fn rename(slf: PyRefMut<'_, Self>, name: String) {
        slf.into_super().name = name;
    }
}

#[pyclass(extends = Middle)]
pub struct Leaf {
    #[pyo3(get)]
    kept: Py<PyAny>,
}

#[pymethods]
impl Leaf {
    #[new]
    fn new(name: String, kept: Py<PyAny>) -> PyClassInitializer<Self> {
        PyClassInitializer::from(Base { name })
            .add_subclass(Middle {
                numbers: vec![1, 2],
            })
            .add_subclass(Self { kept })
    }

    fn base_name(slf: PyRef<'_, Self>) -> String {
        slf.into_super().into_super().name.clone()
    }
}

/// The instance is made by Rust, through three levels of initializers.
#[pyfunction]
pub fn make_leaf(py: Python<'_>, kept: Py<PyAny>) -> PyResult<Py<Leaf>> {
    Py::new(py, Leaf::new("made by rust".to_owned(), kept))
}

#[pyfunction]
pub fn base_of_leaf(leaf: &Bound<'_, Leaf>) -> String {
    leaf.as_super().as_super().borrow().name.clone()
}

#[pyfunction]
pub fn base_of_leaf_by_value<'py>(leaf: Bound<'py, Leaf>) -> Bound<'py, Base> {
    leaf.into_super().into_super()
}

/// A frozen base under a mutable class: up to PyO3 0.25 `PyRef::into_super` never gave the borrow
/// of the child back.
#[pyclass(subclass, frozen)]
pub struct FrozenBase {
    #[pyo3(get)]
    tag: i64,
}

#[pyclass(extends = FrozenBase)]
pub struct MutableChild {
    #[pyo3(get, set)]
    value: i64,
}

#[pymethods]
impl MutableChild {
    #[new]
    fn new(tag: i64, value: i64) -> PyClassInitializer<Self> {
        PyClassInitializer::from(FrozenBase { tag }).add_subclass(Self { value })
    }

    fn tag_through_super(slf: PyRef<'_, Self>) -> i64 {
        slf.into_super().tag
    }
}

/// Extends a built-in type.
#[pyclass(extends = PyDict)]
pub struct CountingDict {
    #[pyo3(get)]
    stores: usize,
}

#[pymethods]
impl CountingDict {
    #[new]
    fn new() -> Self {
        Self { stores: 0 }
    }

    fn store(
        slf: &Bound<'_, Self>,
        key: Bound<'_, PyAny>,
        value: Bound<'_, PyAny>,
    ) -> PyResult<()> {
        slf.as_super().set_item(key, value)?;
        slf.borrow_mut().stores += 1;
        Ok(())
    }
}
