//! The few names that PyO3 changed between 0.23 and the newest.

use pyo3::prelude::*;

/// A static that is filled once while attached to the interpreter.
#[cfg(pyo3_0_26)]
pub type OnceCell<T> = pyo3::sync::PyOnceLock<T>;
#[cfg(not(pyo3_0_26))]
pub type OnceCell<T> = pyo3::sync::GILOnceCell<T>;

/// Runs `work` with the GIL released.
pub fn detach<T: Send, F: FnOnce() -> T + Send>(py: Python<'_>, work: F) -> T {
    #[cfg(pyo3_0_26)]
    return py.detach(work);
    #[cfg(not(pyo3_0_26))]
    return py.allow_threads(work);
}

/// Runs `work` with the GIL held, from any thread.
pub fn attach<T, F: for<'py> FnOnce(Python<'py>) -> T>(work: F) -> T {
    #[cfg(pyo3_0_26)]
    return Python::attach(work);
    #[cfg(not(pyo3_0_26))]
    return Python::with_gil(work);
}
