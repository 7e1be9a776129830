import sys
from pathlib import Path

import pytest

from leakgrid.detectors import valgrind
from leakgrid.errors import PlatformError, ToolMissing


def command(**changes) -> list[str]:
    options = {"undefined": True, "stacks": True, "suppressions": ()} | changes
    return list(valgrind.command("/usr/bin/valgrind", Path("/x/xml"), **options))


def test_every_process_has_an_xml_file_of_its_own_and_no_log_file():
    assert "--xml-file=/x/xml/mc.%p.xml" in command()
    assert not [option for option in command() if option.startswith("--log-file")]


def test_checks_are_made_on_request_only():
    assert "--leak-check=no" in command()


def test_origins_are_asked_for_with_the_stacks():
    assert "--track-origins=yes" in command()
    assert "--track-origins=no" in command(stacks=False)
    assert "--undef-value-errors=yes" in command(stacks=False)


def test_uninitialised_use_is_switched_off_with_its_origins():
    off = command(undefined=False)
    assert "--undef-value-errors=no" in off
    assert "--track-origins=no" in off


def test_suppressions_are_handed_on():
    assert "--suppressions=/s/a.supp" in command(suppressions=(Path("/s/a.supp"),))


@pytest.mark.parametrize("system", ["darwin", "win32"])
def test_without_linux_it_says_what_to_do_instead(monkeypatch, system):
    monkeypatch.setattr(sys, "platform", system)
    with pytest.raises(PlatformError, match="Use a Linux machine"):
        valgrind.locate()


def test_another_processor_is_refused(monkeypatch):
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    monkeypatch.setattr(sys, "platform", "linux")
    with pytest.raises(PlatformError, match="riscv64"):
        valgrind.locate()


def test_a_missing_valgrind_says_how_to_install_it(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    with pytest.raises(ToolMissing, match="apt-get install valgrind"):
        valgrind.locate()


def test_a_valgrind_that_does_not_answer_is_told(tmp_path):
    broken = tmp_path / "valgrind"
    broken.write_text("#!/bin/sh\necho no tool >&2\nexit 1\n")
    broken.chmod(0o755)
    with pytest.raises(ToolMissing, match="no tool") as error:
        valgrind.version(str(broken))
    assert "install it again" in error.value.next


def test_the_version_is_a_number(tmp_path):
    program = tmp_path / "valgrind"
    program.write_text("#!/bin/sh\necho valgrind-3.19.0\n")
    program.chmod(0o755)
    assert valgrind.version(str(program)) == "3.19.0"
