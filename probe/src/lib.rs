//! The probe: a small extension whose test suite walks PyO3's surface.
//!
//! One source compiles from PyO3 0.23 to the newest. What differs is in `compat`. Each item below
//! exists for a test in `tests/`; none of it leaks by its own fault, so what leaks is PyO3's.

// Some names used here are deprecated in the newest PyO3 while their replacements do not exist in
// the oldest; the sources stay the same for all of them.
#![allow(deprecated)]

mod buffers;
mod calls;
mod classes;
mod collector;
mod compat;
mod containers;
mod conversions;
mod dicts;
mod errors;
mod inherit;
mod numbers;
mod protocols;
mod threads;

#[pyo3::pymodule]
mod leakgrid_probe {
    use pyo3::prelude::*;

    #[pymodule_export]
    use crate::buffers::{
        buffer_as_floats, buffer_fill, buffer_sum, bytes_filled, bytes_join, bytes_reversed, Blob,
    };
    #[pymodule_export]
    use crate::calls::{
        apply, apply_keywords, call_method, call_twice, capsule, closure_adder, closure_holding,
        closure_keywords, evaluate, function_again, function_in_module, imported_type, joined,
        method_definition_kept, run_code, signature_defaults, signature_everything,
        signature_keyword_only, temporary_module,
    };
    #[pymodule_export]
    use crate::classes::{
        ClassAttributes, Color, Free, Frozen, Holder, Plain, Properties, Renamed, Shape, Unsendable,
    };
    #[pymodule_export]
    use crate::collector::{ClearlessNode, Node, NodeChild, NodeParent};
    #[pymodule_export]
    use crate::containers::{
        cached_table, dict_copy, dict_invert, dict_lookup, frozenset_of, interned_attribute,
        list_edit, list_nested, mapping_keys, set_edit, set_of, slice_of, tuple_of, tuple_swap,
    };
    #[pymodule_export]
    use crate::conversions::{
        describe_number, duration_double, option_or, pair_list, pick_attributes, pick_items,
        record_dict, record_tuple, roundtrip_array, roundtrip_bool, roundtrip_btree,
        roundtrip_char, roundtrip_complex, roundtrip_f64, roundtrip_hashmap, roundtrip_hashset,
        roundtrip_i128, roundtrip_path, roundtrip_str, roundtrip_u128, roundtrip_u64,
        roundtrip_vec, shared_text, string_upper, tagged, time_parts, time_shift, time_stamp,
        time_today,
    };
    #[pymodule_export]
    use crate::dicts::{
        make_dictful, weak_alive, DictBase, DictChild, DictCollected, DictWeak, Dictful, Weak,
    };
    #[pymodule_export]
    use crate::errors::{
        catch_error, cause_of, chain_errors, clone_error, discard_error, error_from_io,
        error_from_own, error_from_parse, error_traceback, error_value, panic_now, raise_probe,
        raise_rich, restore_and_take, translate_error, unraisable, warn_user, RichError,
    };
    #[pymodule_export]
    use crate::inherit::{
        base_of_leaf, base_of_leaf_by_value, make_leaf, Base, CountingDict, FrozenBase, Leaf,
        Middle, MutableChild,
    };
    #[pymodule_export]
    use crate::numbers::Number;
    #[pymodule_export]
    use crate::protocols::{
        Attributes, Awaitable, Callable, Context, Countdown, Descriptor, Ordered, Row, Table,
        Walker,
    };
    #[pymodule_export]
    use crate::threads::{
        callbacks_from_threads, clone_references, detached_sum, drop_detached, drop_in_thread,
        error_from_thread, release_around,
    };

    /// A module inside the module.
    #[pymodule]
    mod nested {
        use pyo3::prelude::*;

        #[pyfunction]
        fn double(value: i64) -> i64 {
            value * 2
        }

        #[pyclass]
        struct Inside {
            #[pyo3(get)]
            label: String,
        }

        #[pymethods]
        impl Inside {
            #[new]
            fn new(label: String) -> Self {
                Self { label }
            }
        }

        #[pymodule_init]
        fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
            module.add("DEPTH", 2)
        }
    }

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        let py = module.py();
        // The resolved version, so that a test can say from which version on it expects a behaviour.
        module.add("PYO3_VERSION", env!("LEAKGRID_PROBE_PYO3_VERSION"))?;
        module.add("ANSWER", 42)?;
        module.add("NAMES", vec!["one", "two"])?;
        module.add("ProbeError", py.get_type::<crate::errors::ProbeError>())?;
        module.add("DetailError", py.get_type::<crate::errors::DetailError>())
    }
}
