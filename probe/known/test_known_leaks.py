"""Leaks that the newest PyO3 still has. Not part of the suite: ``pytest known`` runs them."""

import leakgrid_probe as probe


def test_c_function_keeps_its_method_definition():
    # PyCFunction::new leaks its PyMethodDef; PyO3's source says so.
    assert probe.method_definition_kept()() is None
