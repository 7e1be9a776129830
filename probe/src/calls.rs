//! Calls in both directions: signatures, callbacks, closures, functions and modules made anew.

use crate::compat::OnceCell;
use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyCFunction, PyCapsule, PyDict, PyTuple, PyType};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;

#[pyfunction]
#[pyo3(signature = (first, second = 2, third = None))]
pub fn signature_defaults(first: i64, second: i64, third: Option<i64>) -> i64 {
    first + second + third.unwrap_or(0)
}

#[pyfunction]
#[pyo3(signature = (*, key, flag = false))]
pub fn signature_keyword_only(key: String, flag: bool) -> (String, bool) {
    (key, flag)
}

type Everything<'py> = (i64, Bound<'py, PyTuple>, i64, Option<Bound<'py, PyDict>>);

#[pyfunction]
#[pyo3(signature = (first, /, *args, named = 5, **kwargs))]
pub fn signature_everything<'py>(
    first: i64,
    args: Bound<'py, PyTuple>,
    named: i64,
    kwargs: Option<Bound<'py, PyDict>>,
) -> Everything<'py> {
    (first, args, named, kwargs)
}

#[pyfunction]
pub fn joined(parts: Vec<String>, by: &str) -> String {
    parts.join(by)
}

/// Calls back with positional arguments given as a tuple.
#[pyfunction]
#[pyo3(signature = (function, *args))]
pub fn apply<'py>(
    function: &Bound<'py, PyAny>,
    args: Bound<'py, PyTuple>,
) -> PyResult<Bound<'py, PyAny>> {
    function.call1(args)
}

/// Calls back with keyword arguments.
#[pyfunction]
#[pyo3(signature = (function, **kwargs))]
pub fn apply_keywords<'py>(
    function: &Bound<'py, PyAny>,
    kwargs: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyAny>> {
    function.call(("made by rust", 1.5), kwargs)
}

#[pyfunction]
pub fn call_method<'py>(object: &Bound<'py, PyAny>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    object.call_method0(name)
}

#[pyfunction]
pub fn call_twice(function: Py<PyAny>, py: Python<'_>) -> PyResult<(Py<PyAny>, Py<PyAny>)> {
    Ok((function.call0(py)?, function.call0(py)?))
}

/// A closure over a Rust value.
#[pyfunction]
pub fn closure_adder(py: Python<'_>, by: i64) -> PyResult<Bound<'_, PyCFunction>> {
    PyCFunction::new_closure(py, None, None, move |args, _kwargs| -> PyResult<i64> {
        let (value,) = args.extract::<(i64,)>()?;
        Ok(value + by)
    })
}

/// A closure over a Python object.
#[pyfunction]
pub fn closure_holding(py: Python<'_>, held: Py<PyAny>) -> PyResult<Bound<'_, PyCFunction>> {
    PyCFunction::new_closure(
        py,
        Some(c"holding"),
        Some(c"Returns what it holds."),
        move |args, _kwargs| -> PyResult<Py<PyAny>> { Ok(held.clone_ref(args.py())) },
    )
}

/// A closure that looks at its keyword arguments.
#[pyfunction]
pub fn closure_keywords(py: Python<'_>) -> PyResult<Bound<'_, PyCFunction>> {
    PyCFunction::new_closure(py, None, None, |args, kwargs| -> PyResult<usize> {
        let keywords = kwargs.ok_or_else(|| PyTypeError::new_err("keywords needed"))?;
        Ok(args.len() + keywords.len())
    })
}

#[pyfunction]
fn plain_inner(value: i64) -> i64 {
    value + 1
}

/// Wraps a Rust function once more; PyO3 up to 0.26 leaked one `PyMethodDef` each time.
#[pyfunction]
pub fn function_again(py: Python<'_>) -> PyResult<Bound<'_, PyCFunction>> {
    wrap_pyfunction!(plain_inner, py)
}

#[pyfunction]
#[pyo3(pass_module)]
pub fn function_in_module<'py>(module: &Bound<'py, PyModule>) -> PyResult<Bound<'py, PyCFunction>> {
    wrap_pyfunction!(plain_inner, module)
}

unsafe extern "C" fn returns_none(
    _module: *mut ffi::PyObject,
    _args: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: called with the GIL held; `None` is handed out with a reference of its own.
    unsafe {
        ffi::Py_INCREF(ffi::Py_None());
        ffi::Py_None()
    }
}

/// `PyCFunction::new` leaks its `PyMethodDef` in every PyO3 so far, and says so in its source. Not
/// called from `tests/`, but from `known/`.
#[pyfunction]
pub fn method_definition_kept(py: Python<'_>) -> PyResult<Bound<'_, PyCFunction>> {
    PyCFunction::new(py, returns_none, c"returns_none", c"", None)
}

/// A module with a constant, a function and a class, made and given away.
#[pyfunction]
pub fn temporary_module(py: Python<'_>) -> PyResult<Bound<'_, PyModule>> {
    let module = PyModule::new(py, "leakgrid_probe_temporary")?;
    module.add("CONSTANT", "constant")?;
    module.add_function(wrap_pyfunction!(plain_inner, &module)?)?;
    module.add_class::<crate::classes::Plain>()?;
    Ok(module)
}

#[pyfunction]
pub fn evaluate<'py>(py: Python<'py>, names: &Bound<'py, PyDict>) -> PyResult<Bound<'py, PyAny>> {
    py.eval(c"[a, b, a + b]", None, Some(names))
}

/// Runs statements and reads back what they defined.
#[pyfunction]
pub fn run_code(py: Python<'_>) -> PyResult<i64> {
    let scope = PyDict::new(py);
    py.run(
        c"def triple(value):\n    return 3 * value\nresult = triple(14)\n",
        Some(&scope),
        None,
    )?;
    let result = scope.get_item("result")?;
    result
        .ok_or_else(|| PyTypeError::new_err("no result"))?
        .extract()
}

/// A type imported once and kept in a static.
#[pyfunction]
pub fn imported_type<'py>(py: Python<'py>, text: &str) -> PyResult<Bound<'py, PyAny>> {
    static FRACTION: OnceCell<Py<PyType>> = OnceCell::new();
    FRACTION.import(py, "fractions", "Fraction")?.call1((text,))
}

/// Makes and drops a capsule; says how often its content was dropped.
#[pyfunction]
pub fn capsule(py: Python<'_>) -> PyResult<usize> {
    struct Content {
        drops: Arc<AtomicUsize>,
        _bytes: Vec<u8>,
    }
    impl Drop for Content {
        fn drop(&mut self) {
            self.drops.fetch_add(1, Ordering::Relaxed);
        }
    }
    let drops = Arc::new(AtomicUsize::new(0));
    let content = Content {
        drops: Arc::clone(&drops),
        _bytes: vec![1; 100],
    };
    drop(PyCapsule::new(py, content, Some(c"leakgrid".to_owned()))?);
    Ok(drops.load(Ordering::Relaxed))
}
