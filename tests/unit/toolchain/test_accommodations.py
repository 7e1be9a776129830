import pytest

from leakgrid.toolchain.accommodations import OPTIONS, arguments, variables


def test_what_is_not_installed_gets_no_option():
    assert arguments({"pytest": "8.3", "numpy": "2.0"}) == ()


@pytest.mark.parametrize("name", ["pytest-cov", "pytest_cov", "Pytest-Cov"])
def test_a_plugin_is_known_however_pip_spells_it(name):
    assert arguments({name: "5"}) == ("--no-cov",)


def test_all_options_together_keep_their_order():
    everything = arguments(dict.fromkeys(OPTIONS, "1"))
    assert everything == tuple(option for options in OPTIONS.values() for option in options)
    assert everything.count("-p") == sum(options[0] == "-p" for options in OPTIONS.values())


def test_variables_are_for_crates_that_are_built_in():
    assert variables(["pyo3"]) == {}
    assert variables({"pyo3": "0.30.1", "libmimalloc-sys": "0.1"}) == {
        "MIMALLOC_ARENA_RESERVE": "0"
    }
