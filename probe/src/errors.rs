//! Exceptions: made, raised, chained, caught, translated, dropped without ever being raised.

use pyo3::create_exception;
use pyo3::exceptions::{
    PyException, PyKeyError, PyLookupError, PyRuntimeError, PyUserWarning, PyValueError,
};
use pyo3::prelude::*;
use std::fmt;

create_exception!(
    leakgrid_probe,
    ProbeError,
    PyException,
    "The probe's own error."
);
create_exception!(leakgrid_probe, DetailError, ProbeError);

/// An exception class with a Rust field.
#[pyclass(extends = PyException)]
pub struct RichError {
    #[pyo3(get)]
    code: i64,
    #[pyo3(get)]
    detail: Py<PyAny>,
}

#[pymethods]
impl RichError {
    #[new]
    fn new(code: i64, detail: Py<PyAny>) -> Self {
        Self { code, detail }
    }
}

#[pyfunction]
pub fn raise_probe(detail: bool) -> PyResult<()> {
    Err(if detail {
        DetailError::new_err(("with two", "arguments"))
    } else {
        ProbeError::new_err("the probe failed")
    })
}

#[pyfunction]
pub fn raise_rich(code: i64, detail: Py<PyAny>) -> PyResult<()> {
    Err(PyErr::new::<RichError, _>((code, detail)))
}

/// Raises `ValueError` from `KeyError` from `RuntimeError`.
#[pyfunction]
pub fn chain_errors(py: Python<'_>) -> PyResult<()> {
    let middle = PyKeyError::new_err("middle");
    middle.set_cause(py, Some(PyRuntimeError::new_err("innermost")));
    let outer = PyValueError::new_err("outer");
    outer.set_cause(py, Some(middle));
    Err(outer)
}

/// The text of what an exception was raised from.
#[pyfunction]
pub fn cause_of(py: Python<'_>, error: Bound<'_, PyAny>) -> Option<String> {
    let error = PyErr::from_value(error);
    error.cause(py).map(|cause| cause.to_string())
}

/// Swallows the error of a callback and says what it was.
#[pyfunction]
pub fn catch_error<'py>(py: Python<'py>, function: &Bound<'py, PyAny>) -> PyResult<String> {
    match function.call0() {
        Ok(_) => Ok("no error".to_owned()),
        Err(error) if error.is_instance_of::<PyLookupError>(py) => Ok(format!("lookup: {error}")),
        Err(error) if error.matches(py, py.get_type::<PyValueError>())? => Ok("value".to_owned()),
        Err(error) => Err(error),
    }
}

/// Raises an error of its own from the error of a callback.
#[pyfunction]
pub fn translate_error(py: Python<'_>, function: &Bound<'_, PyAny>) -> PyResult<()> {
    function.call0().map(drop).map_err(|error| {
        let own = ProbeError::new_err("translated");
        own.set_cause(py, Some(error));
        own
    })
}

/// Makes errors that are never raised: one that is never turned into an object, one that is.
#[pyfunction]
pub fn discard_error(py: Python<'_>, argument: Py<PyAny>) -> String {
    drop(PyValueError::new_err((argument.clone_ref(py), "lazy")));
    let error = PyValueError::new_err((argument, "made"));
    error.value(py).to_string()
}

#[pyfunction]
pub fn clone_error(py: Python<'_>) -> bool {
    let error = ProbeError::new_err(vec![1, 2, 3]);
    let other = error.clone_ref(py);
    error.value(py).is(other.value(py))
}

/// Sets the interpreter's error indicator and takes it back.
#[pyfunction]
pub fn restore_and_take(py: Python<'_>) -> Option<String> {
    PyValueError::new_err("restored").restore(py);
    PyErr::take(py).map(|error| error.to_string())
}

/// Gives the exception object of a callback's error back as a value.
#[pyfunction]
pub fn error_value(py: Python<'_>, function: &Bound<'_, PyAny>) -> Option<Py<PyAny>> {
    let error = function.call0().err()?;
    Some(error.into_value(py).into_any())
}

/// The length of the formatted traceback of a callback's error.
#[pyfunction]
pub fn error_traceback(py: Python<'_>, function: &Bound<'_, PyAny>) -> PyResult<Option<bool>> {
    let Err(error) = function.call0() else {
        return Ok(None);
    };
    let traceback = error.traceback(py);
    let text = traceback.map(|traceback| traceback.format()).transpose()?;
    Ok(text.map(|text| text.contains("Traceback")))
}

/// Hands an error to `sys.unraisablehook`.
#[pyfunction]
pub fn unraisable(py: Python<'_>, object: Bound<'_, PyAny>) {
    PyRuntimeError::new_err("nobody can raise this").write_unraisable(py, Some(&object));
}

#[pyfunction]
pub fn warn_user(py: Python<'_>) -> PyResult<()> {
    PyErr::warn(
        py,
        &py.get_type::<PyUserWarning>(),
        c"a warning from rust",
        1,
    )
}

#[pyfunction]
pub fn error_from_io() -> PyResult<()> {
    let kind = std::io::ErrorKind::PermissionDenied;
    Err(std::io::Error::new(kind, "the door is closed"))?
}

#[pyfunction]
pub fn error_from_parse(text: &str) -> PyResult<i64> {
    Ok(text.parse::<i64>()?)
}

/// An error type of the extension's own that turns into a Python one.
#[derive(Debug)]
pub struct OwnError {
    path: Vec<String>,
}

impl fmt::Display for OwnError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "lost at {}", self.path.join("/"))
    }
}

impl From<OwnError> for PyErr {
    fn from(error: OwnError) -> Self {
        DetailError::new_err(error.to_string())
    }
}

#[pyfunction]
pub fn error_from_own(path: Vec<String>) -> Result<(), OwnError> {
    Err(OwnError { path })
}

/// A Rust panic, which reaches Python as `PanicException`.
#[pyfunction]
pub fn panic_now(text: String) {
    // `resume_unwind` skips the panic hook, so the test prints nothing.
    std::panic::resume_unwind(Box::new(text));
}
