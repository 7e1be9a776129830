import importlib.metadata
import json

import pytest

from leakgrid import provenance
from leakgrid.errors import UsageError


class Distribution:
    def __init__(self, text: str | None) -> None:
        self.text = text

    def read_text(self, name: str) -> str | None:
        assert name == "direct_url.json"
        return self.text


@pytest.mark.parametrize(
    ("direct", "source"),
    [
        ({"url": "file:///opt/leakgrid", "dir_info": {"editable": True}}, "file:///opt/leakgrid"),
        ({"url": "file:///opt/leakgrid", "dir_info": {}}, "file:///opt/leakgrid"),
        (
            {
                "url": "https://example.org/leakgrid.git",
                "vcs_info": {"vcs": "git", "commit_id": "abc", "requested_revision": "main"},
                "subdirectory": "py",
            },
            "git+https://example.org/leakgrid.git@abc#subdirectory=py",
        ),
        (
            {
                "url": "https://example.org/leakgrid-0.1.0-py3-none-any.whl",
                "archive_info": {"hashes": {"sha256": "12ab"}},
            },
            "https://example.org/leakgrid-0.1.0-py3-none-any.whl#sha256=12ab",
        ),
    ],
)
def test_the_source_is_what_pip_noted(monkeypatch, direct, source):
    monkeypatch.setattr(
        importlib.metadata, "distribution", lambda _: Distribution(json.dumps(direct))
    )

    assert provenance.installed_from() == source
    assert provenance.checked(source) == source


@pytest.mark.parametrize("text", [None, "", "{", "{}", "[]", '{"url": "x", "vcs_info": {}}'])
def test_an_installation_from_an_index_has_no_source(monkeypatch, text):
    monkeypatch.setattr(importlib.metadata, "distribution", lambda _: Distribution(text))

    assert provenance.installed_from() is None


def test_a_folder_and_an_archive_become_addresses(tmp_path):
    wheel = tmp_path / "leakgrid-0.1.0-py3-none-any.whl"
    wheel.touch()

    assert provenance.checked(str(tmp_path)) == tmp_path.as_uri()
    assert provenance.checked(str(wheel)) == wheel.as_uri()


@pytest.mark.parametrize("name", ["leakgrid", "leakgrid==0.1.0", "leakgrid[nox]", "leakgrid>=0"])
def test_the_bare_name_is_refused(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    with pytest.raises(UsageError, match="does not say where leakgrid comes from"):
        provenance.checked(name)


@pytest.mark.parametrize(
    "source",
    [
        "https://me:secret@example.org/leakgrid.whl",
        "git+https://token@example.org/leakgrid",
        "http://example.org/leakgrid.whl",
        "git+https://example.org/a b",
        "other",
        "ftp://example.org/x",
        "https:",
    ],
)
def test_passwords_and_what_is_no_source_are_refused(source):
    with pytest.raises(UsageError) as caught:
        provenance.checked(source)

    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("source", "local"),
    [
        ("file:///opt/x", True),
        ("git+file:///opt/x", True),
        ("git+https://example.org/x", False),
        ("git+ssh://git@example.org/x", False),
    ],
)
def test_only_what_others_can_reach_is_not_local(source, local):
    assert provenance.is_local(provenance.checked(source)) == local
