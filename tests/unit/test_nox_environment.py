import pytest

from leakgrid import provenance
from leakgrid.nox_environment import Environment, own_source


class Session:
    def error(self, message: str) -> None:
        raise RuntimeError(message)


def test_leakgrid_is_installed_from_where_this_one_came_from(monkeypatch):
    monkeypatch.setattr(provenance, "installed_from", lambda: "git+https://example.org/x@1")

    assert own_source(Session()) == ("leakgrid[nox] @ git+https://example.org/x@1",)


def test_the_bare_name_is_never_installed(monkeypatch):
    monkeypatch.setattr(provenance, "installed_from", lambda: None)

    with pytest.raises(RuntimeError, match="the package index is not taken"):
        own_source(Session())
    assert Environment().install == ()


def test_an_interpreter_without_a_needed_package_gets_a_session_that_makes_one():
    assert Environment(distributions=("nox",)).requires == []
    assert Environment(distributions=("no-such-package",)).requires == ["leakgrid-environment"]
