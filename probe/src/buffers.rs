//! The buffer protocol from both sides, bytes and bytearrays.

use pyo3::buffer::PyBuffer;
use pyo3::exceptions::PyValueError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyByteArray, PyBytes};
use std::os::raw::{c_int, c_void};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Exports its bytes read-only and counts the open exports.
#[pyclass(frozen)]
pub struct Blob {
    data: Vec<u8>,
    exports: AtomicUsize,
}

#[pymethods]
impl Blob {
    #[new]
    fn new(data: Vec<u8>) -> Self {
        Self {
            data,
            exports: AtomicUsize::new(0),
        }
    }

    #[getter]
    fn exports(&self) -> usize {
        self.exports.load(Ordering::Relaxed)
    }

    /// # Safety
    /// Called by the interpreter with a `view` to fill.
    unsafe fn __getbuffer__(
        slf: Bound<'_, Self>,
        view: *mut ffi::Py_buffer,
        flags: c_int,
    ) -> PyResult<()> {
        let data = &slf.get().data;
        let start = data.as_ptr() as *mut c_void;
        // The class is frozen, so the bytes stay in place as long as `view` holds the instance.
        let filled = unsafe {
            ffi::PyBuffer_FillInfo(
                view,
                slf.as_ptr(),
                start,
                data.len() as ffi::Py_ssize_t,
                1,
                flags,
            )
        };
        if filled != 0 {
            return Err(PyErr::fetch(slf.py()));
        }
        slf.get().exports.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// # Safety
    /// Called by the interpreter with a `view` that `__getbuffer__` filled.
    unsafe fn __releasebuffer__(&self, _view: *mut ffi::Py_buffer) {
        self.exports.fetch_sub(1, Ordering::Relaxed);
    }
}

#[pyfunction]
pub fn buffer_sum(py: Python<'_>, source: &Bound<'_, PyAny>) -> PyResult<u64> {
    let buffer = PyBuffer::<u8>::get(source)?;
    Ok(buffer.to_vec(py)?.into_iter().map(u64::from).sum())
}

#[pyfunction]
pub fn buffer_as_floats(py: Python<'_>, source: PyBuffer<f64>) -> PyResult<Vec<f64>> {
    source.to_vec(py)
}

/// Overwrites a writable buffer.
#[pyfunction]
pub fn buffer_fill(py: Python<'_>, target: &Bound<'_, PyAny>, byte: u8) -> PyResult<()> {
    let buffer = PyBuffer::<u8>::get(target)?;
    buffer.copy_from_slice(py, &vec![byte; buffer.item_count()])
}

/// Bytes filled in place, or given up half-way.
#[pyfunction]
pub fn bytes_filled<'py>(
    py: Python<'py>,
    size: usize,
    fail: bool,
) -> PyResult<Bound<'py, PyBytes>> {
    PyBytes::new_with(py, size, |target| {
        if fail {
            return Err(PyValueError::new_err("given up"));
        }
        target.fill(b'z');
        Ok(())
    })
}

#[pyfunction]
pub fn bytes_reversed<'py>(source: &Bound<'py, PyByteArray>) -> Bound<'py, PyByteArray> {
    let mut content = source.to_vec();
    content.reverse();
    PyByteArray::new(source.py(), &content)
}

/// Joins what it borrows from bytes and bytearrays without copying.
#[pyfunction]
pub fn bytes_join(parts: Vec<PyBackedBytes>) -> Vec<u8> {
    let parts: Vec<&[u8]> = parts.iter().map(AsRef::as_ref).collect();
    parts.concat()
}
