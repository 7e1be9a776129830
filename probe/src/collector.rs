//! The GC protocol: cycles that only `__traverse__` and `__clear__` can break.

use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};

/// Refers to any objects, itself included. Python may subclass it.
#[pyclass(subclass, weakref)]
pub struct Node {
    #[pyo3(get, set)]
    next: Option<Py<PyAny>>,
    items: Vec<Py<PyAny>>,
}

#[pymethods]
impl Node {
    #[new]
    fn new() -> Self {
        Self {
            next: None,
            items: Vec::new(),
        }
    }

    fn push(&mut self, item: Py<PyAny>) {
        self.items.push(item);
    }

    fn __len__(&self) -> usize {
        self.items.len()
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.next)?;
        for item in &self.items {
            visit.call(item)?;
        }
        Ok(())
    }

    fn __clear__(&mut self) {
        self.next = None;
        self.items.clear();
    }
}

/// Traversed but never cleared: the other side of a cycle has to give way.
#[pyclass(weakref)]
pub struct ClearlessNode {
    #[pyo3(get)]
    held: Py<PyAny>,
}

#[pymethods]
impl ClearlessNode {
    #[new]
    fn new(held: Py<PyAny>) -> Self {
        Self { held }
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.held)
    }
}

/// The base of a class hierarchy in which each level owns an object.
#[pyclass(subclass, weakref)]
pub struct NodeParent {
    #[pyo3(get, set)]
    upper: Option<Py<PyAny>>,
}

#[pymethods]
impl NodeParent {
    #[new]
    fn new() -> Self {
        Self { upper: None }
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.upper)
    }

    fn __clear__(&mut self) {
        self.upper = None;
    }
}

#[pyclass(extends = NodeParent, subclass)]
pub struct NodeChild {
    #[pyo3(get, set)]
    lower: Option<Py<PyAny>>,
}

#[pymethods]
impl NodeChild {
    #[new]
    fn new() -> PyClassInitializer<Self> {
        PyClassInitializer::from(NodeParent::new()).add_subclass(Self { lower: None })
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.lower)
    }

    fn __clear__(&mut self) {
        self.lower = None;
    }
}
