"""``python -m leakgrid``."""

from leakgrid.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
