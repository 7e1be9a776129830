"""Stacks and what makes two of them the same on another machine."""

from leakgrid.signature.identity import (
    Caused,
    cause_key,
    kind_family,
    own_functions,
    signature_id,
)
from leakgrid.signature.model import Frame, Origins, Owner, RawFrame
from leakgrid.signature.names import (
    UNKNOWN_FUNCTION,
    clean_function,
    clean_object,
    without_version,
)
from leakgrid.signature.owners import is_glue, native_segment, normalise, owner_of
from leakgrid.signature.telling import story

__all__ = [
    "UNKNOWN_FUNCTION",
    "Caused",
    "Frame",
    "Origins",
    "Owner",
    "RawFrame",
    "cause_key",
    "clean_function",
    "clean_object",
    "is_glue",
    "kind_family",
    "native_segment",
    "normalise",
    "own_functions",
    "owner_of",
    "signature_id",
    "story",
    "without_version",
]
