//! Planted defects in references to Python objects.

use std::ffi::CString;
use std::hint::black_box;
use std::mem;
use std::sync::Mutex;

use pyo3::buffer::PyBuffer;
use pyo3::exceptions::PyIndexError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString, PyTuple, PyType, PyWeakrefReference};

/// A list by `into_ptr`, never given back.
#[pyfunction]
fn collect_rows(py: Python<'_>, count: u32) -> PyResult<usize> {
    let rows = PyList::new(py, (0..count).map(|row| f64::from(row) + 0.5))?;
    let length = rows.len();
    black_box(rows.into_ptr());
    Ok(length)
}

/// A dict by `into_ptr`, never given back.
#[pyfunction]
fn summarize(py: Python<'_>, value: f64) -> PyResult<usize> {
    let summary = PyDict::new(py);
    summary.set_item(pyo3::intern!(py, "mean"), value)?;
    let length = summary.len();
    black_box(summary.into_ptr());
    Ok(length)
}

/// A bytes object of which only the length was wanted.
#[pyfunction]
fn encoded_length(py: Python<'_>, size: usize) -> usize {
    let encoded = PyBytes::new(py, &vec![0x41; size]).unbind();
    let length = encoded.bind(py).as_bytes().len();
    black_box(encoded.into_ptr());
    length
}

/// A string forgotten as `Py`.
#[pyfunction]
fn label_length(py: Python<'_>, number: u64) -> PyResult<usize> {
    let label = PyString::new(py, &format!("a fairly long label, number {number:020}"));
    let length = label.len()?;
    mem::forget(black_box(label.unbind()));
    Ok(length)
}

/// An int beyond the small ones, lost.
#[pyfunction]
fn checksum(py: Python<'_>, seed: u64) -> PyResult<u64> {
    let sum = ((1_u64 << 50) + seed).into_pyobject(py)?;
    let value = sum.extract()?;
    black_box(sum.into_ptr());
    Ok(value)
}

/// A tuple forgotten as `Bound`.
#[pyfunction]
fn bounds_width(py: Python<'_>, low: f64, high: f64) -> PyResult<f64> {
    let bounds = PyTuple::new(py, [low, high])?;
    let width = bounds.get_item(1)?.extract::<f64>()? - bounds.get_item(0)?.extract::<f64>()?;
    mem::forget(black_box(bounds));
    Ok(width)
}

/// The argument is turned into a pointer as if it were borrowed.
#[pyfunction]
fn consume(value: Bound<'_, PyAny>) -> bool {
    let pointer = black_box(value.into_ptr());
    !pointer.is_null()
}

/// An error is swallowed by forgetting it: value, traceback and frames stay.
#[pyfunction]
fn succeeds(callback: &Bound<'_, PyAny>) -> bool {
    match callback.call0() {
        Ok(_) => true,
        Err(error) => {
            mem::forget(black_box(error));
            false
        }
    }
}

/// A class without any defect of its own, the type of which gets lost.
#[pyclass]
struct Shape {
    #[pyo3(get)]
    sides: u32,
}

#[pymethods]
impl Shape {
    #[new]
    fn new(sides: u32) -> Self {
        Shape { sides }
    }
}

/// A new reference to a type is treated as a borrowed one.
#[pyfunction]
fn is_shape(value: &Bound<'_, PyAny>) -> bool {
    let kind = black_box(value.py().get_type::<Shape>().into_ptr());
    // SAFETY: `kind` is a type object; its reference is never given back.
    unsafe { ffi::PyObject_TypeCheck(value.as_ptr(), kind.cast()) != 0 }
}

/// `None` as a C sentinel, with a reference of its own each time.
#[pyfunction]
fn is_missing(value: &Bound<'_, PyAny>) -> bool {
    let sentinel = black_box(value.py().None().into_ptr());
    std::ptr::eq(sentinel, value.as_ptr())
}

/// A function whose references get lost in `apply_identity`.
#[pyfunction]
fn identity(value: Bound<'_, PyAny>) -> Bound<'_, PyAny> {
    value
}

/// Looks its helper up in the module, and keeps the reference.
#[pyfunction]
fn apply_identity<'py>(value: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = value.py();
    let helper = py.import("corpus_blind")?.getattr("identity")?.unbind();
    let answer = helper.bind(py).call1((value,))?;
    black_box(helper.into_ptr());
    Ok(answer)
}

/// Reads the module's constant `DEFAULTS`, and keeps a reference to it.
#[pyfunction]
fn default_timeout(py: Python<'_>) -> PyResult<f64> {
    let defaults = py.import("corpus_blind")?.getattr("DEFAULTS")?;
    let timeout = defaults.get_item("timeout")?.extract()?;
    mem::forget(black_box(defaults));
    Ok(timeout)
}

/// A borrowed item is counted up by hand, and then once more by `from_borrowed_ptr`.
#[pyfunction]
fn first_item<'py>(items: &Bound<'py, PyList>) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: the item is borrowed from a list that lives through the call.
    unsafe {
        let item = ffi::PyList_GetItem(items.as_ptr(), 0);
        if item.is_null() {
            return Err(PyErr::take(items.py())
                .unwrap_or_else(|| PyIndexError::new_err("the list is empty")));
        }
        ffi::Py_INCREF(item);
        Ok(Bound::from_borrowed_ptr(items.py(), item))
    }
}

/// A new reference from the C API is taken for a borrowed one.
#[pyfunction]
fn attribute_of<'py>(value: &Bound<'py, PyAny>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    let name = CString::new(name)?;
    // SAFETY: both pointers are valid; the answer is checked.
    unsafe {
        let attribute = ffi::PyObject_GetAttrString(value.as_ptr(), name.as_ptr());
        Bound::from_borrowed_ptr_or_err(value.py(), attribute)
    }
}

/// The view is never released, so its exporter stays too.
#[pyfunction]
fn sum_view(data: &Bound<'_, PyAny>) -> PyResult<u64> {
    let view = PyBuffer::<u8>::get(data)?;
    let total = view.to_vec(data.py())?.iter().map(|b| u64::from(*b)).sum();
    mem::forget(black_box(view));
    Ok(total)
}

/// Takes the first item, and forgets the iterator with all that it holds.
#[pyfunction]
fn peek<'py>(values: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let mut iterator = values.try_iter()?;
    let first = iterator.next().transpose()?;
    mem::forget(black_box(iterator));
    Ok(first)
}

/// Holds a Python object and has no `__traverse__`: a cycle through it is never found.
#[pyclass]
struct Node {
    #[pyo3(get, set)]
    next: Option<Py<PyAny>>,
}

#[pymethods]
impl Node {
    #[new]
    #[pyo3(signature = (next=None))]
    fn new(next: Option<Py<PyAny>>) -> Self {
        Node { next }
    }
}

/// To be subclassed in Python. Holds a callback, and has no `__traverse__`.
#[pyclass(subclass)]
struct Handler {
    callback: Option<Py<PyAny>>,
}

#[pymethods]
impl Handler {
    #[new]
    fn new() -> Self {
        Handler { callback: None }
    }

    fn on_change(&mut self, callback: Py<PyAny>) {
        self.callback = Some(callback);
    }

    fn fire(slf: &Bound<'_, Self>) -> PyResult<Py<PyAny>> {
        let py = slf.py();
        let callback = slf.borrow().callback.as_ref().map(|c| c.clone_ref(py));
        match callback {
            Some(callback) => callback.call0(py),
            None => Ok(py.None()),
        }
    }
}

/// The answer of the callback is looked at and lost.
#[pyfunction]
fn each_row(callback: &Bound<'_, PyAny>) -> PyResult<bool> {
    let answer = callback.call1((1,))?;
    let keep_going = answer.is_truthy()?;
    black_box(answer.into_ptr());
    Ok(keep_going)
}

static SUBSCRIBERS: Mutex<Vec<Py<PyAny>>> = Mutex::new(Vec::new());

/// There is a way in, and no way out.
#[pyfunction]
fn subscribe(callback: Py<PyAny>) -> usize {
    let mut subscribers = SUBSCRIBERS.lock().unwrap();
    subscribers.push(callback);
    subscribers.len()
}

/// The object may die; its weak reference does not.
#[pyfunction]
fn watch(value: &Bound<'_, PyAny>) -> PyResult<bool> {
    let reference = PyWeakrefReference::new(value)?;
    black_box(reference.as_ptr());
    mem::forget(reference.unbind());
    Ok(true)
}

struct Context {
    values: [u64; 16],
}

unsafe extern "C" fn free_context(capsule: *mut ffi::PyObject) {
    // SAFETY: called by Python for a capsule made by `context_sum`, once.
    unsafe {
        let pointer = ffi::PyCapsule_GetPointer(capsule, c"corpus_blind.context".as_ptr());
        drop(Box::from_raw(pointer.cast::<Context>()));
    }
}

fn context_capsule<'py>(
    py: Python<'py>,
    seed: u64,
    destructor: Option<ffi::PyCapsule_Destructor>,
) -> PyResult<(Bound<'py, PyAny>, u64)> {
    let context = black_box(Box::into_raw(Box::new(Context { values: [seed; 16] })));
    // SAFETY: `context` is a valid pointer, the name is static, the answer is checked.
    unsafe {
        let total = (*context).values.iter().sum();
        let name = c"corpus_blind.context".as_ptr();
        let capsule = ffi::PyCapsule_New(context.cast(), name, destructor);
        Ok((Bound::from_owned_ptr_or_err(py, capsule)?, total))
    }
}

/// A capsule with a destructor that never runs, since the capsule is lost.
#[pyfunction]
fn context_sum(py: Python<'_>, seed: u64) -> PyResult<u64> {
    let (capsule, total) = context_capsule(py, seed, Some(free_context))?;
    black_box(capsule.into_ptr());
    Ok(total)
}

/// A capsule that is freed, without a destructor for what is in it.
#[pyfunction]
fn bare_context_sum(py: Python<'_>, seed: u64) -> PyResult<u64> {
    let (_capsule, total) = context_capsule(py, seed, None)?;
    Ok(total)
}

/// Classes come in, and their references are never given back.
#[pyfunction]
fn register_class(class: Bound<'_, PyType>) -> PyResult<String> {
    let name = class.name()?.to_string();
    black_box(class.into_ptr());
    Ok(name)
}

/// A class of the standard library is looked up, and its reference is lost.
#[pyfunction]
fn is_uuid(value: &Bound<'_, PyAny>) -> PyResult<bool> {
    let class = value.py().import("uuid")?.getattr("UUID")?;
    let answer = value.is_instance(&class)?;
    black_box(class.into_ptr());
    Ok(answer)
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let defaults = PyDict::new(module.py());
    defaults.set_item("timeout", 2.5)?;
    module.add("DEFAULTS", defaults)?;
    module.add_function(wrap_pyfunction!(collect_rows, module)?)?;
    module.add_function(wrap_pyfunction!(summarize, module)?)?;
    module.add_function(wrap_pyfunction!(encoded_length, module)?)?;
    module.add_function(wrap_pyfunction!(label_length, module)?)?;
    module.add_function(wrap_pyfunction!(checksum, module)?)?;
    module.add_function(wrap_pyfunction!(bounds_width, module)?)?;
    module.add_function(wrap_pyfunction!(consume, module)?)?;
    module.add_function(wrap_pyfunction!(succeeds, module)?)?;
    module.add_function(wrap_pyfunction!(is_shape, module)?)?;
    module.add_function(wrap_pyfunction!(is_missing, module)?)?;
    module.add_function(wrap_pyfunction!(identity, module)?)?;
    module.add_function(wrap_pyfunction!(apply_identity, module)?)?;
    module.add_function(wrap_pyfunction!(default_timeout, module)?)?;
    module.add_function(wrap_pyfunction!(first_item, module)?)?;
    module.add_function(wrap_pyfunction!(attribute_of, module)?)?;
    module.add_function(wrap_pyfunction!(sum_view, module)?)?;
    module.add_function(wrap_pyfunction!(peek, module)?)?;
    module.add_function(wrap_pyfunction!(each_row, module)?)?;
    module.add_function(wrap_pyfunction!(subscribe, module)?)?;
    module.add_function(wrap_pyfunction!(watch, module)?)?;
    module.add_function(wrap_pyfunction!(context_sum, module)?)?;
    module.add_function(wrap_pyfunction!(bare_context_sum, module)?)?;
    module.add_function(wrap_pyfunction!(register_class, module)?)?;
    module.add_function(wrap_pyfunction!(is_uuid, module)?)?;
    module.add_class::<Shape>()?;
    module.add_class::<Node>()?;
    module.add_class::<Handler>()
}
