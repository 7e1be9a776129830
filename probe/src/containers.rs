//! Built-in containers used from Rust, and statics that keep Python objects.

use crate::compat::OnceCell;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{
    PyDict, PyFrozenSet, PyList, PyListMethods, PyMapping, PySet, PySlice, PyString, PyTuple,
};

#[pyfunction]
pub fn list_edit<'py>(py: Python<'py>, values: Vec<i64>) -> PyResult<Bound<'py, PyList>> {
    let list = PyList::new(py, values)?;
    list.append("appended")?;
    list.insert(0, 0.5)?;
    list.set_item(1, PyString::new(py, "replaced"))?;
    list.del_item(2)?;
    list.reverse()?;
    Ok(list)
}

#[pyfunction]
pub fn list_nested<'py>(py: Python<'py>, depth: usize) -> PyResult<Bound<'py, PyList>> {
    let mut list = PyList::empty(py);
    for _ in 0..depth {
        list = PyList::new(py, [list])?;
    }
    Ok(list)
}

#[pyfunction]
pub fn tuple_of<'py>(
    py: Python<'py>,
    item: Bound<'py, PyAny>,
    count: usize,
) -> PyResult<Bound<'py, PyTuple>> {
    PyTuple::new(py, vec![item; count])
}

#[pyfunction]
pub fn tuple_swap<'py>(
    pair: (Bound<'py, PyAny>, Bound<'py, PyAny>),
) -> (Bound<'py, PyAny>, Bound<'py, PyAny>) {
    (pair.1, pair.0)
}

#[pyfunction]
pub fn dict_invert<'py>(source: &Bound<'py, PyDict>) -> PyResult<Bound<'py, PyDict>> {
    let inverted = PyDict::new(source.py());
    for (key, value) in source.iter() {
        inverted.set_item(value, key)?;
    }
    Ok(inverted)
}

#[pyfunction]
pub fn dict_copy<'py>(source: &Bound<'py, PyDict>) -> PyResult<Bound<'py, PyDict>> {
    let copied = source.copy()?;
    copied.update(source.as_mapping())?;
    Ok(copied)
}

#[pyfunction]
pub fn dict_lookup<'py>(
    source: &Bound<'py, PyDict>,
    key: Bound<'py, PyAny>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    source.get_item(key)
}

#[pyfunction]
pub fn mapping_keys<'py>(source: &Bound<'py, PyMapping>) -> PyResult<Bound<'py, PyList>> {
    source.keys()
}

#[pyfunction]
pub fn set_of<'py>(py: Python<'py>, items: Vec<Bound<'py, PyAny>>) -> PyResult<Bound<'py, PySet>> {
    PySet::new(py, &items)
}

#[pyfunction]
pub fn frozenset_of<'py>(
    py: Python<'py>,
    items: Vec<Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyFrozenSet>> {
    PyFrozenSet::new(py, &items)
}

/// Adds, discards, pops and iterates; says how many items are left.
#[pyfunction]
pub fn set_edit(set: &Bound<'_, PySet>) -> PyResult<usize> {
    set.add("added by rust")?;
    set.discard("not in it")?;
    drop(set.pop());
    Ok(set.iter().count())
}

#[pyfunction]
pub fn slice_of<'py>(
    sequence: &Bound<'py, PyAny>,
    start: isize,
    stop: isize,
) -> PyResult<Bound<'py, PyAny>> {
    sequence.get_item(PySlice::new(sequence.py(), start, stop, 1))
}

#[pyfunction]
pub fn interned_attribute<'py>(object: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    object.getattr(intern!(object.py(), "an_interned_name"))
}

/// The same dict at every call, kept in a static.
#[pyfunction]
pub fn cached_table(py: Python<'_>) -> PyResult<Py<PyDict>> {
    static TABLE: OnceCell<Py<PyDict>> = OnceCell::new();
    let table = TABLE.get_or_try_init(py, || -> PyResult<Py<PyDict>> {
        let table = PyDict::new(py);
        table.set_item("kept", true)?;
        Ok(table.unbind())
    })?;
    Ok(table.clone_ref(py))
}
