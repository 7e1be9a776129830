"""Which rules are for which cell: files in layers, composed and judged together."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from packaging.specifiers import SpecifierSet

from leakgrid.errors import ConfigError
from leakgrid.suppression.lint import lint
from leakgrid.suppression.matching import matches
from leakgrid.suppression.proofs import Proof
from leakgrid.suppression.rules import BY_HAND, Rule, specifier

_VERSION = re.compile(r"\d+\.\d+\Z")


@dataclass(frozen=True, slots=True)
class Layer:
    """One file of rules: ``kind`` is ``common``, ``python``, ``pyo3`` or ``target``.

    ``name`` is the minor version or the target that it is for, ``path`` the file as messages name
    it, ``proofs`` the captured stacks by rule.
    """

    kind: str
    name: str
    path: str
    rules: tuple[Rule, ...] = ()
    proofs: Mapping[str, Proof] = field(default_factory=dict)

    def is_for(self, python: str, pyo3: str, target: str) -> bool:
        """Whether a cell loads this file; an empty word stands for every version or target."""
        wanted = {
            "python": _minor(python.rstrip("t")),
            "pyo3": _minor(pyo3),
            "target": target,
        }.get(self.kind, "")
        return not wanted or wanted == self.name


def layer_of(path: str, folder: str = "") -> Layer:
    """The layer that a file below the rules' folder is. Raises ConfigError where it is none."""
    parts = path.removesuffix(".supp").split("/")
    told = f"{folder}/{path}" if folder else path
    if parts == ["common"]:
        return Layer("common", "", told)
    if len(parts) == 2 and (
        parts[0] == "target" or (parts[0] in ("python", "pyo3") and _VERSION.match(parts[1]))
    ):
        return Layer(parts[0], parts[1], told)
    raise ConfigError(
        f"{told} belongs to no layer, so no cell would load it",
        next="Layers are common.supp, python/3.13.supp, pyo3/0.29.supp and target/NAME.supp.",
    )


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])


def applicable(rules: Iterable[Rule], python: str, pyo3: str) -> tuple[Rule, ...]:
    """The rules that claim this Python (``3.13``, ``3.13.0``, ``3.13t``) and this PyO3.

    An empty version stands for every one.
    """
    return tuple(
        rule
        for rule in rules
        if (not python or _claims(rule.python, python.rstrip("t")))
        and (not pyo3 or _claims(rule.pyo3, pyo3))
    )


def _claims(versions: str, version: str) -> bool:
    return SpecifierSet(specifier(versions)).contains(version, prereleases=True)


def compose(
    layers: Iterable[Layer],
    *,
    python: str = "",
    pyo3: str = "",
    target: str = "",
    by_hand: bool = False,
) -> tuple[Rule, ...]:
    """The rules of one cell, the general layers first.

    Without ``by_hand`` only what leakgrid itself loads. Raises ConfigError where two files use one
    name: hits are counted by name.
    """
    order = ("common", "python", "pyo3", "target")
    chosen: dict[str, tuple[Rule, Layer]] = {}
    faults = []
    for layer in sorted(layers, key=lambda layer: (order.index(layer.kind), layer.name)):
        if not layer.is_for(python, pyo3, target):
            continue
        for rule in applicable(layer.rules, python, pyo3):
            if rule.run == BY_HAND and not by_hand:
                continue
            if rule.name in chosen:
                other = chosen[rule.name][1].path
                faults.append(f"{layer.path}:{rule.line}: {rule.name}: the name is in {other} too")
            chosen[rule.name] = (rule, layer)
    if faults:
        raise ConfigError(
            "suppressions that are loaded together share a name",
            faults=tuple(faults),
            next="Rename one of the rules.",
        )
    return tuple(rule for rule, _ in chosen.values())


def lint_layers(layers: Iterable[Layer]) -> tuple[str, ...]:
    """Every complaint about all files, each with its file, line and rule."""
    told = []
    bodies: dict[tuple[object, ...], str] = {}
    names: dict[str, str] = {}
    for layer in layers:
        for complaint in lint(layer.rules):
            told.append(f"{layer.path}:{complaint.line}: {complaint.rule}: {complaint.text}")
        for rule in layer.rules:
            where = f"{layer.path}:{rule.line}"
            body = (rule.tool, rule.kind, rule.detail, rule.leak_kinds, rule.frames)
            if body in bodies:
                told.append(f"{where}: {rule.name}: says the same as {bodies[body]}")
            if rule.name in names:
                told.append(f"{where}: {rule.name}: the name is taken by {names[rule.name]}")
            bodies.setdefault(body, where)
            names.setdefault(rule.name, where)
            told += [f"{where}: {rule.name}: {text}" for text in _unproved(layer, rule)]
        known = {rule.name for rule in layer.rules}
        told += [
            f"{layer.path}: {name}: is proved, but no rule"
            for name in sorted(layer.proofs.keys() - known)
        ]
    return tuple(told)


def _unproved(layer: Layer, rule: Rule) -> list[str]:
    """What is missing between a rule, its layer and its captured stack."""
    texts = []
    versions = {"python": rule.python, "pyo3": rule.pyo3}.get(layer.kind)
    if versions is not None and not _overlaps(versions, layer.name):
        texts.append(f"its {layer.kind} versions ({versions}) are not those of this file")
    proof = layer.proofs.get(rule.name)
    if proof is None:
        texts.append("has no captured stack as its proof (the .toml file beside this one)")
    elif not matches(rule, proof.kind, proof.frames):
        texts.append("does not match the captured stack that is its proof")
    return texts


def _overlaps(versions: str, minor: str) -> bool:
    """Whether any patch release of this minor version is meant; 99 stands for the newest."""
    return any(_claims(versions, f"{minor}.{patch}") for patch in range(100))
