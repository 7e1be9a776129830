"""The in-cell code is no part of leakgrid: its folder goes on the path, as in a cell."""

import sys
from pathlib import Path

import leakgrid

sys.path.insert(0, str(Path(leakgrid.__file__).parent / "incell"))
