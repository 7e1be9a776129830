//! Values converted in both directions, by PyO3's own conversions and by derived ones.

use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use pyo3::types::{
    PyComplex, PyComplexMethods, PyDate, PyDateAccess, PyDateTime, PyDelta, PyDeltaAccess,
    PyString, PyTime, PyTimeAccess, PyTzInfo,
};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::time::Duration;

#[pyfunction]
pub fn roundtrip_u128(value: u128) -> u128 {
    value
}

#[pyfunction]
pub fn roundtrip_i128(value: i128) -> i128 {
    value
}

#[pyfunction]
pub fn roundtrip_u64(value: u64) -> u64 {
    value
}

#[pyfunction]
pub fn roundtrip_f64(value: f64) -> f64 {
    value
}

#[pyfunction]
pub fn roundtrip_bool(value: bool) -> bool {
    value
}

#[pyfunction]
pub fn roundtrip_char(value: char) -> char {
    value
}

#[pyfunction]
pub fn roundtrip_str(value: String) -> String {
    value
}

#[pyfunction]
pub fn roundtrip_path(value: PathBuf) -> PathBuf {
    value
}

#[pyfunction]
pub fn roundtrip_vec(value: Vec<Vec<String>>) -> Vec<Vec<String>> {
    value
}

#[pyfunction]
pub fn roundtrip_array(value: [i32; 3]) -> [i32; 3] {
    value
}

#[pyfunction]
pub fn roundtrip_hashmap(value: HashMap<String, Vec<i64>>) -> HashMap<String, Vec<i64>> {
    value
}

#[pyfunction]
pub fn roundtrip_btree(value: BTreeMap<i64, String>) -> BTreeMap<i64, String> {
    value
}

#[pyfunction]
pub fn roundtrip_hashset(value: HashSet<String>) -> HashSet<String> {
    value
}

#[pyfunction]
pub fn roundtrip_complex<'py>(value: &Bound<'py, PyComplex>) -> Bound<'py, PyComplex> {
    PyComplex::from_doubles(value.py(), value.real(), value.imag())
}

#[pyfunction]
#[pyo3(signature = (value = None))]
pub fn option_or(value: Option<String>) -> Option<String> {
    value.map(|text| text + "!")
}

/// Borrows its argument's text and makes a new string.
#[pyfunction]
pub fn string_upper<'py>(text: &Bound<'py, PyString>) -> PyResult<Bound<'py, PyString>> {
    let upper = text.to_cow()?.to_uppercase();
    Ok(PyString::new(text.py(), &upper))
}

/// Shares the text of a Python string, borrowed or not, with Rust.
#[pyfunction]
pub fn shared_text(text: PyBackedStr, other: Cow<'_, str>) -> (usize, String) {
    (text.len(), other.into_owned() + &text)
}

#[pyfunction]
pub fn pair_list(pairs: Vec<(String, Option<f64>)>) -> Vec<(Option<f64>, String)> {
    pairs
        .into_iter()
        .map(|(name, value)| (value, name))
        .collect()
}

/// Tried in order: what the first variants refuse, the last one takes.
#[derive(FromPyObject)]
pub enum Tagged<'py> {
    #[pyo3(transparent, annotation = "int")]
    Whole(i64),
    #[pyo3(transparent, annotation = "str")]
    Text(String),
    #[pyo3(annotation = "pair")]
    Pair(i64, String),
    #[pyo3(annotation = "point")]
    Point { x: f64, y: f64 },
    #[pyo3(transparent, annotation = "list")]
    List(Bound<'py, pyo3::types::PyList>),
}

#[pyfunction]
pub fn tagged(value: Tagged<'_>) -> String {
    match value {
        Tagged::Whole(number) => format!("whole {number}"),
        Tagged::Text(text) => format!("text {text}"),
        Tagged::Pair(number, text) => format!("pair {number} {text}"),
        Tagged::Point { x, y } => format!("point {x} {y}"),
        Tagged::List(list) => format!("list of {}", list.len()),
    }
}

#[derive(FromPyObject)]
pub struct ByAttribute {
    name: String,
    #[pyo3(attribute("other_name"))]
    size: usize,
}

#[pyfunction]
pub fn pick_attributes(value: ByAttribute) -> (String, usize) {
    (value.name, value.size)
}

#[derive(FromPyObject)]
pub struct ByItem {
    #[pyo3(item)]
    name: String,
    #[pyo3(item("nested"))]
    values: Vec<f64>,
}

#[pyfunction]
pub fn pick_items(value: ByItem) -> (String, f64) {
    (value.name, value.values.iter().sum())
}

#[derive(IntoPyObject)]
pub struct Record {
    name: String,
    scores: Vec<i64>,
}

#[pyfunction]
pub fn record_dict(name: String) -> Record {
    Record {
        name,
        scores: vec![1, 2, 3],
    }
}

#[derive(IntoPyObject)]
pub struct Positional(String, i64);

#[pyfunction]
pub fn record_tuple(name: String) -> Positional {
    Positional(name, 9)
}

#[derive(IntoPyObject)]
pub enum Description {
    Text(String),
    Number(f64),
}

#[pyfunction]
pub fn describe_number(value: f64) -> Description {
    if value.is_nan() {
        Description::Text("not a number".to_owned())
    } else {
        Description::Number(value * 2.0)
    }
}

#[pyfunction]
pub fn duration_double(value: Duration) -> Duration {
    value * 2
}

#[pyfunction]
#[pyo3(signature = (zone = None))]
pub fn time_stamp<'py>(
    py: Python<'py>,
    zone: Option<Bound<'py, PyTzInfo>>,
) -> PyResult<Bound<'py, PyDateTime>> {
    PyDateTime::new(py, 2024, 2, 29, 12, 30, 45, 500_000, zone.as_ref())
}

#[pyfunction]
pub fn time_parts(moment: &Bound<'_, PyDateTime>) -> (i32, u8, u8, u8, u32) {
    (
        moment.get_year(),
        moment.get_month(),
        moment.get_day(),
        moment.get_hour(),
        moment.get_microsecond(),
    )
}

#[pyfunction]
pub fn time_shift<'py>(
    moment: &Bound<'py, PyDateTime>,
    by: &Bound<'py, PyDelta>,
) -> PyResult<Bound<'py, PyAny>> {
    let twice = PyDelta::new(
        moment.py(),
        by.get_days() * 2,
        by.get_seconds() * 2,
        by.get_microseconds() * 2,
        true,
    )?;
    moment.call_method1("__add__", (twice,))
}

#[pyfunction]
pub fn time_today(py: Python<'_>) -> PyResult<(Bound<'_, PyDate>, Bound<'_, PyTime>)> {
    Ok((
        PyDate::new(py, 2024, 12, 31)?,
        PyTime::new(py, 23, 59, 58, 7, None)?,
    ))
}
