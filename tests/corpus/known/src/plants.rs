//! Defects: each function loses something, or keeps it for ever, at every call.

use pyo3::buffer::PyBuffer;
use pyo3::exceptions::PyValueError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString};
use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::CString;
use std::hint::black_box;
use std::mem::forget;
use std::os::fd::IntoRawFd;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Mutex;

#[pyfunction]
fn forget_vec(size: usize) {
    forget(black_box(vec![1u8; size]));
}

#[pyfunction]
fn leak_box() {
    black_box(Box::leak(Box::new([7u64; 9])));
}

#[pyfunction]
fn raw_cstring(text: &str) -> PyResult<()> {
    let text = CString::new(text).map_err(|_| PyValueError::new_err("a NUL"))?;
    black_box(text.into_raw());
    Ok(())
}

struct Ring {
    next: RefCell<Option<Rc<Ring>>>,
    _payload: [u8; 100],
}

#[pyfunction]
fn rc_cycle() {
    let ring = Rc::new(Ring { next: RefCell::new(None), _payload: black_box([1; 100]) });
    *ring.next.borrow_mut() = Some(black_box(ring.clone()));
}

#[pyfunction]
fn leak_list(py: Python<'_>) {
    black_box(PyList::empty(py).into_ptr());
}

#[pyfunction]
fn leak_dict(py: Python<'_>) -> PyResult<()> {
    let dict = PyDict::new(py);
    dict.set_item("inner", PyList::empty(py))?;
    black_box(dict.into_ptr());
    Ok(())
}

#[pyfunction]
fn leak_bytes(py: Python<'_>) {
    black_box(PyBytes::new(py, &[3; 300]).into_ptr());
}

#[pyfunction]
fn leak_str(py: Python<'_>, number: usize) {
    black_box(PyString::new(py, &format!("a text of its own, number {number}")).into_ptr());
}

#[pyfunction]
fn leak_exception(py: Python<'_>) {
    black_box(PyValueError::new_err("kept").into_value(py).into_ptr());
}

#[pyfunction]
fn leak_reference(object: Bound<'_, PyAny>) {
    black_box(object.into_ptr());
}

#[pyfunction]
fn leak_none(py: Python<'_>) {
    black_box(py.None().into_ptr());
}

#[pyfunction]
fn forget_buffer(object: &Bound<'_, PyAny>) -> PyResult<()> {
    forget(black_box(PyBuffer::<u8>::get(object)?));
    Ok(())
}

#[pyfunction]
fn leak_file(path: &str) -> PyResult<()> {
    black_box(std::fs::File::open(path)?.into_raw_fd());
    Ok(())
}

#[pyfunction]
fn leak_socket() -> PyResult<()> {
    black_box(std::net::UdpSocket::bind("127.0.0.1:0")?.into_raw_fd());
    Ok(())
}

#[pyfunction]
fn park_thread() -> PyResult<()> {
    std::thread::Builder::new()
        .name("known-parked".into())
        .spawn(|| loop {
            std::thread::park();
        })?;
    Ok(())
}

static TEXTS: Mutex<Option<HashMap<usize, String>>> = Mutex::new(None);
static COUNT: AtomicUsize = AtomicUsize::new(0);

#[pyfunction]
fn grow_map() {
    let key = COUNT.fetch_add(1, Ordering::Relaxed);
    let mut texts = TEXTS.lock().unwrap();
    texts.get_or_insert_with(HashMap::new).insert(key, format!("an entry with number {key}"));
}

static NUMBERS: Mutex<Vec<u64>> = Mutex::new(Vec::new());

#[pyfunction]
fn grow_vec() {
    NUMBERS.lock().unwrap().push(1);
}

static KEPT: Mutex<Vec<Py<PyAny>>> = Mutex::new(Vec::new());

#[pyfunction]
fn keep_argument(object: Py<PyAny>) {
    KEPT.lock().unwrap().push(object);
}

#[pyfunction]
fn forget_iterator(object: &Bound<'_, PyAny>) -> PyResult<()> {
    forget(black_box(object.try_iter()?));
    Ok(())
}

#[pyclass]
struct Knot {
    other: Option<Py<Knot>>,
}

#[pymethods]
impl Knot {
    #[new]
    fn new() -> Self {
        Knot { other: None }
    }

    fn tie(slf: &Bound<'_, Self>, other: Py<Knot>) {
        slf.borrow_mut().other = Some(other);
    }
}

#[pyclass]
struct Plain {
    #[pyo3(get)]
    number: usize,
}

#[pymethods]
impl Plain {
    #[new]
    fn new(number: usize) -> Self {
        Plain { number }
    }
}

#[pyfunction]
fn leak_instance(py: Python<'_>) -> PyResult<()> {
    black_box(Py::new(py, Plain { number: 1 })?.into_ptr());
    Ok(())
}

#[pyfunction]
fn leak_type_reference(py: Python<'_>) {
    let kind = py.get_type::<Plain>();
    unsafe { ffi::Py_INCREF(black_box(kind.as_ptr())) };
}

#[pyfunction]
fn fail_and_leak(size: usize) -> PyResult<()> {
    forget(black_box(vec![2u8; size]));
    Err(PyValueError::new_err("the exception path"))
}

static CALLS: AtomicUsize = AtomicUsize::new(0);

#[pyfunction]
fn leak_every_third() {
    if CALLS.fetch_add(1, Ordering::Relaxed) % 3 == 0 {
        forget(black_box(vec![4u8; 200]));
    }
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Knot>()?;
    module.add_class::<Plain>()?;
    macro_rules! add {
        ($($name:ident),* $(,)?) => { $(module.add_function(wrap_pyfunction!($name, module)?)?;)* };
    }
    add!(
        forget_vec, leak_box, raw_cstring, rc_cycle, leak_list, leak_dict, leak_bytes, leak_str,
        leak_exception, leak_reference, leak_none, forget_buffer, leak_file, leak_socket,
        park_thread, grow_map, grow_vec, keep_argument, forget_iterator, leak_instance,
        leak_type_reference, fail_and_leak, leak_every_third,
    );
    Ok(())
}
