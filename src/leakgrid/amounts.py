"""Numbers for people, the same wherever they read them."""

from __future__ import annotations


def number(value: float) -> str:
    """``1,048,576``, ``112.4``, ``0.08``: two digits after the point below 100, one above."""
    text = f"{value:,.2f}" if abs(value) < 100 else f"{value:,.1f}"
    return text.rstrip("0").rstrip(".")


def counted(value: float, noun: str) -> str:
    """``1 block``, ``0.5 blocks``, ``2 blocks``."""
    text = number(value)
    return f"{text} {noun}" if text == "1" else f"{text} {noun}s"
