//! Every leak is planted through `black_box`, so that the optimiser keeps it in a release build.

use pyo3::prelude::*;

mod harmless;
mod plants;

#[pymodule]
fn leakgrid_known(module: &Bound<'_, PyModule>) -> PyResult<()> {
    plants::register(module)?;
    harmless::register(module)
}
