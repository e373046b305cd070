"""What a gate is: the protocol that others implement, and the facts that a gate is given. A stable promise.

A gate measures one property of a candidate from data files and predictions; it never sees a model object, and never
judges. Gates are found by the entry point group `passmuster.gates`; a user's repository adds its own as Python files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from passmuster.config import ModelConfig
from passmuster.measurement import Measurement

#: The entry point group in which distributions register their gates.
ENTRY_POINT_GROUP = "passmuster.gates"

#: What a gate may need, cheapest first.
NEEDS = ("model", "data", "predictions", "champion")


@dataclass(frozen=True, kw_only=True)
class Champion:
    """The version in production, with its answers on the candidate's rows."""

    version: str  #: the ledger's name of it, e.g. "v3"
    digest: str  #: of its model directory
    model: Path  #: its model directory
    predictions: Mapping[str, Path]  #: split → Parquet, in the same rows as the candidate's
    environment: Mapping[str, Any]  #: of its re-run: lock, python, platform
    leave_out: Mapping[str, Path] = field(default_factory=dict)  #: split → Parquet of ids that it was trained on
    profile: Path | None = None  #: the reference profile that it was promoted with, where it has one


@dataclass(frozen=True, kw_only=True)
class NoChampion:
    """There is nothing to compare with; why is a fact, not an absence."""

    #: "no-champion": the ledger has none; "no access from a fork"; "unreadable": it could not be scored
    reason: str
    message: str


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What a gate may look at: files that earlier steps left, named by their records."""

    config: ModelConfig
    root: Path  #: the checkout that holds the user's tests and gates (the policy's commit)
    digest: str  #: of the candidate's model directory
    model: Path  #: the candidate's model directory: files to look at, never to load
    data: Mapping[str, Path]  #: split ("train", "test", "reference") → Parquet
    predictions: Mapping[str, Path]  #: split → Parquet: the id column, `label`, `prediction`, `proba_<class>` …
    champion: Champion | NoChampion
    environment: Mapping[str, Any]  #: of the re-run: lock, python, platform
    workspace: Path  #: an empty folder that the gate may write to
    false_alarms: float = 0.0  #: this gate's share of the policy's budget
    options: Mapping[str, Any] = field(default_factory=dict)  #: a user gate's own options
    engine: str = "local"  #: who measures the columns of data files: one of `passmuster.engines.ENGINES`
    base: Inputs | None = None  #: the same on the test rows of the commit that rules, as split "test", if they differ


@runtime_checkable
class Gate(Protocol):
    """One question about a candidate.

    A gate may also have `prepare(inputs) -> None`, which makes ready what its time limit should not cover (an
    environment of its own).
    """

    name: str  #: the section of the config that it reads
    #: of `NEEDS`: orders the gates, cheapest first; one that needs "champion" is only asked where there is one
    needs: frozenset[str]

    def measure(self, inputs: Inputs) -> Sequence[Measurement]:
        """Return what was measured; at least one, each named uniquely. An exception becomes an error outcome."""
