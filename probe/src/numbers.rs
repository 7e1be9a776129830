//! The number protocol.

use pyo3::basic::CompareOp;
use pyo3::exceptions::PyZeroDivisionError;
use pyo3::prelude::*;

#[pyclass]
pub struct Number {
    #[pyo3(get)]
    value: i64,
}

#[pymethods]
impl Number {
    #[new]
    fn new(value: i64) -> Self {
        Self { value }
    }

    fn __add__(&self, other: PyRef<'_, Self>) -> Self {
        Self::new(self.value + other.value)
    }

    fn __radd__(&self, other: i64) -> Self {
        Self::new(other + self.value)
    }

    fn __iadd__(&mut self, other: i64) {
        self.value += other;
    }

    fn __sub__(&self, other: PyRef<'_, Self>) -> Self {
        Self::new(self.value - other.value)
    }

    fn __mul__(&self, factor: i64) -> Self {
        Self::new(self.value * factor)
    }

    fn __matmul__(&self, other: PyRef<'_, Self>) -> (i64, i64) {
        (self.value, other.value)
    }

    fn __truediv__(&self, other: f64) -> PyResult<f64> {
        if other == 0.0 {
            return Err(PyZeroDivisionError::new_err("no division by zero"));
        }
        Ok(self.value as f64 / other)
    }

    fn __divmod__(&self, other: i64) -> (i64, i64) {
        (self.value.div_euclid(other), self.value.rem_euclid(other))
    }

    fn __pow__(&self, exponent: u32, modulus: Option<i64>) -> i64 {
        let power = self.value.pow(exponent);
        modulus.map_or(power, |modulus| power % modulus)
    }

    fn __lshift__(&self, bits: u32) -> Self {
        Self::new(self.value << bits)
    }

    fn __and__(&self, mask: i64) -> i64 {
        self.value & mask
    }

    fn __neg__(&self) -> Self {
        Self::new(-self.value)
    }

    fn __abs__(&self) -> Self {
        Self::new(self.value.abs())
    }

    fn __bool__(&self) -> bool {
        self.value != 0
    }

    fn __int__(&self) -> i64 {
        self.value
    }

    fn __float__(&self) -> f64 {
        self.value as f64
    }

    fn __index__(&self) -> i64 {
        self.value
    }

    fn __richcmp__(&self, other: PyRef<'_, Self>, op: CompareOp) -> bool {
        op.matches(self.value.cmp(&other.value))
    }

    fn __hash__(&self) -> u64 {
        self.value as u64
    }
}
