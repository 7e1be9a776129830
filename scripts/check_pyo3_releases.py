#!/usr/bin/env python3
"""What PyO3 released, and why a re-evaluation is due: `leakgrid watch`, from a checkout.

    python scripts/check_pyo3_releases.py [--since 0.29.0] [--json FILE] [--write] ...

The options are those of `leakgrid watch --help`. Exits 0 where nothing is due, 10 where something
is, 3 where something could not be looked at, 4 where an answer cannot be trusted.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

try:
    from leakgrid import cli
except ModuleNotFoundError as error:
    print(
        f"{error.name} is not installed for {sys.executable}.\n"
        "Use the environment that scripts/bootstrap.py makes: .venv/bin/python " + sys.argv[0],
        file=sys.stderr,
    )
    sys.exit(2)

if __name__ == "__main__":
    sys.exit(cli.main(["watch", *sys.argv[1:]]))
