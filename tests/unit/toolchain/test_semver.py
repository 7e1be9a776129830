from __future__ import annotations

import pytest

from leakgrid.toolchain.semver import matches


@pytest.mark.parametrize(
    ("requirement", "version", "fits"),
    [
        ("^0.28", "0.28.3", True),
        ("^0.28", "0.29.0", False),
        ("0.28", "0.28.0", True),
        ("^1.2", "1.9.0", True),
        ("^1.2", "1.1.9", False),
        ("^1.2", "2.0.0", False),
        ("^0.0.3", "0.0.3", True),
        ("^0.0.3", "0.0.4", False),
        ("^0", "0.9.9", True),
        ("^0.0", "0.0.9", True),
        ("^0.0", "0.1.0", False),
        (">=0.26, <0.31", "0.30.1", True),
        (">=0.26, <0.31", "0.31.0", False),
        (">=0.26,<0.31", "0.25.9", False),
        (">0.26", "0.26.1", False),
        (">0.26", "0.27.0", True),
        ("<=0.26", "0.26.9", True),
        ("<0.26.1", "0.26.0", True),
        ("~1.2", "1.2.9", True),
        ("~1.2", "1.3.0", False),
        ("~1", "1.9.0", True),
        ("=0.29.0", "0.29.0", True),
        ("=0.29.0", "0.29.1", False),
        ("=0.29", "0.29.7", True),
        ("*", "3.4.5", True),
        ("0.28.*", "0.28.9", True),
        ("0.28.*", "0.29.0", False),
        ("^0.29", "0.29.0-beta.1", False),
        ("=0.29.0-beta.1", "0.29.0-beta.1", True),
    ],
)
def test_cargo_requirements_are_read_as_cargo_reads_them(
    requirement: str, version: str, fits: bool
) -> None:
    assert matches(requirement, version) is fits


def test_what_is_no_requirement_is_refused() -> None:
    with pytest.raises(ValueError, match="no cargo requirement"):
        matches("latest", "1.0.0")
