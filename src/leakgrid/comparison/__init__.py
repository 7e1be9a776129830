"""A cell against its baseline, or one result against another: new, gone, changed, known."""

from leakgrid.comparison.causes import Cause, causes, mechanism, subject
from leakgrid.comparison.matching import compare_baseline, compare_results
from leakgrid.comparison.model import Comparison, Entry, grown

__all__ = [
    "Cause",
    "Comparison",
    "Entry",
    "causes",
    "compare_baseline",
    "compare_results",
    "grown",
    "mechanism",
    "subject",
]
