//! Half of the leak corpus: an extension with planted defects and harmless look-alikes.
//!
//! `memory`, `objects` and `handles` hold the defects, one per function or class; what each of
//! them leaks is written down in `expected.toml`. `harmless` holds code that grows or keeps
//! memory for a good reason. `black_box` keeps the optimiser from removing a leaked allocation.

use pyo3::prelude::*;

mod handles;
mod harmless;
mod memory;
mod objects;

#[pymodule]
fn corpus_blind(module: &Bound<'_, PyModule>) -> PyResult<()> {
    memory::register(module)?;
    objects::register(module)?;
    handles::register(module)?;
    harmless::register(module)
}
