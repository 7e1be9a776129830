"""Plain Valgrind with the exported suppressions: planted leaks stay, the interpreter's own go."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from leakgrid import cli
from leakgrid.detectors.records import LeakRecord
from leakgrid.detectors.xml_records import read_file
from leakgrid.errors import Unsupported
from leakgrid.toolchain import interpreters

pytestmark = pytest.mark.functional
RULES = Path(__file__).parents[2] / "suppressions"

PLANTS = ("lose_memory", "lose_list", "lose_string", "lose_at_import", "lose_deep_down")
SOURCE = r"""
#define PY_SSIZE_T_CLEAN
#include <Python.h>

__attribute__((noinline)) static void *lose_at_import(void) { return malloc(48); }
static PyObject *lose_memory(PyObject *self, PyObject *none) {
    memset(malloc(64), 1, 64); Py_RETURN_NONE;
}
static PyObject *lose_list(PyObject *self, PyObject *none) { PyList_New(5); Py_RETURN_NONE; }
static PyObject *lose_string(PyObject *self, PyObject *none) {
    PyUnicode_FromString("lost, and not interned"); Py_RETURN_NONE;
}
static PyObject *lose_deep_down(PyObject *self, PyObject *call) {
    return PyObject_Repr(call) ? PyLong_FromLong(1) : NULL;
}
static PyMethodDef methods[] = {
    {"lose_memory", lose_memory, METH_NOARGS, ""}, {"lose_list", lose_list, METH_NOARGS, ""},
    {"lose_string", lose_string, METH_NOARGS, ""}, {"lose_deep_down", lose_deep_down, METH_O, ""},
    {NULL}};
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "plants", "", -1, methods};
PyMODINIT_FUNC PyInit_plants(void) { lose_at_import(); return PyModule_Create(&definition); }
"""
SCRIPT = """
import plants
for plant in (plants.lose_memory, plants.lose_list, plants.lose_string):
    plant()
plants.lose_deep_down({"a": [1, 2]})
"""


@pytest.fixture(params=["3.11", "3.13"])
def python(request):
    try:
        found = interpreters.find(request.param)
    except Unsupported:
        pytest.skip(f"no Python {request.param} here")
    return request.param, str(found.executable)


def extension(python: str, folder: Path) -> Path:
    """A C extension where extensions are, so that rules see it as one."""
    place = folder / "site-packages"
    place.mkdir()
    (folder / "plants.c").write_text(SOURCE)
    asked = "from sysconfig import *; print(get_path('include'), get_config_var('EXT_SUFFIX'))"
    told = subprocess.run([python, "-c", asked], capture_output=True, text=True, check=True)
    include, suffix = told.stdout.split()
    build = ["cc", "-g", "-O1", "-fno-builtin", "-shared", "-fPIC"]
    target = place / f"plants{suffix}"
    subprocess.run([*build, f"-I{include}", "plants.c", "-o", str(target)], cwd=folder, check=True)
    return place


def plain_run(python: str, place: Path, rules: Path) -> list[LeakRecord]:
    """The documented command: lost blocks of a finalized interpreter, with twelve callers."""
    xml = place.parent / "plain.xml"
    valgrind = [
        "valgrind",
        "-q",
        "--undef-value-errors=no",
        "--leak-check=full",
        "--show-leak-kinds=all",
    ]
    subprocess.run(
        [
            *valgrind,
            f"--suppressions={rules}",
            "--xml=yes",
            f"--xml-file={xml}",
            python,
            "-S",
            "-c",
            SCRIPT,
        ],
        env={**os.environ, "PYTHONMALLOC": "malloc", "PYTHONPATH": str(place)},
        check=True,
    )
    return [record for record in read_file(xml) if isinstance(record, LeakRecord)]


def test_with_all_rules_on_every_planted_leak_stays_and_no_record_of_the_interpreter(
    python, tmp_path
):
    minor, executable = python
    rules = tmp_path / "exported.supp"
    options = ["--rules", str(RULES), "--python", minor, "--output", str(rules)]
    assert cli.main(["suppressions", "export", *options]) == 0
    records = plain_run(executable, extension(executable, tmp_path), rules)
    stacks = [[frame.function for frame in record.stack] for record in records]
    for plant in PLANTS:
        assert any(plant in stack for stack in stacks), (plant, stacks)
    own = [record for record in records if not any("plants" in f.object for f in record.stack)]
    assert own == []
