from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leakgrid.watch.surface import Surface, code_only, difference, scan

SOURCE = r"""
//! #[pyclass] in documentation /* does not open a comment
use pyo3::prelude::*;
/* #[pyfunction] fn no() { unsafe {} } /* nested */ unsafe { } */
#[pyclass(name = "a ] // no comment", frozen)]
#[derive(Clone)]
pub(crate) struct Shelf<'a> { quote: char }
const C: [char; 3] = ['"', '\'', '\u{22}'];
const B: u8 = b'"';
#[cfg_attr(feature = "x", pyo3::pyclass)]
enum Kind { A }
#[pymethods]
impl<'py> Shelf<'py> where Self: Sized {
    fn text() -> &'static str { r#"#[pyclass] struct No; " unsafe {}"# }
}
#[pyo3::pyfunction]
#[pyo3(signature = (a = 1))]
async unsafe fn r#type() { unsafe { "unsafe { \" }" ; } }
unsafe impl Send for Kind {}
#[pymodule]
mod shelf {}
macro_rules! unsafe_name { () => {} }
"""


def test_items_are_named_and_comments_and_texts_are_not_read() -> None:
    assert scan([SOURCE]) == Surface(
        (
            "pyclass Kind",
            "pyclass Shelf",
            "pyfunction type",
            "pymethods Shelf",
            "pymodule shelf",
        ),
        unsafe=3,
    )


@pytest.mark.parametrize(
    ("head", "name"),
    [
        ("impl Foo", "Foo"),
        ("impl<T: Into<U>> Foo<T>", "Foo"),
        ("impl Trait for Foo", "Foo"),
        ("impl<'a> crate::part::Foo<'a>", "crate::part::Foo"),
    ],
)
def test_what_methods_are_for(head: str, name: str) -> None:
    assert scan([f"#[pymethods]\n{head} {{}}"]).names == (f"pymethods {name}",)


def test_a_difference_names_what_came_and_went() -> None:
    before, after = Surface(("pyclass A", "pymethods A"), 1), Surface(("pyclass A", "pyclass B"), 3)
    assert difference(before, after) == ("new: pyclass B", "gone: pymethods A", "unsafe: 1 -> 3")
    assert difference(after, after) == ()
    assert difference(Surface(("pyclass A",)), Surface(("pyclass A",) * 2)) == ("new: pyclass A",)


def test_moving_code_between_files_and_formatting_it_change_nothing() -> None:
    first, second = SOURCE.split("#[pymethods]")
    assert scan([first, "#[pymethods]" + second]) == scan([SOURCE])
    assert scan([SOURCE.replace("\n", "\n\n   ")]) == scan([SOURCE])


@given(st.text(alphabet="#[]pyclass'\"/*\\ r\nunsafe{}fn", max_size=80))
def test_any_text_is_read_to_its_end(text: str) -> None:
    assert isinstance(scan([text]), Surface)
    assert len(code_only(text)) <= 2 * len(text) + 2
