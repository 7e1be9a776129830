from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[3] / "scripts" / "check_pyo3_releases.py"


def run(*flags: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *flags, str(SCRIPT), "--help"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_script_is_the_command_of_the_checkout() -> None:
    ran = run()
    assert ran.returncode == 0
    assert "a re-evaluation is due" in ran.stdout


def test_without_the_packages_it_says_what_to_use() -> None:
    ran = run("-S")
    assert ran.returncode == 2
    assert "is not installed" in ran.stderr
    assert "Traceback" not in ran.stderr
