"""Whether all configs can be used: what they say, and whether the files and DVC targets that they name are there."""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from passmuster import _dvc_graph
from passmuster._dvc_graph import Graph
from passmuster._git import Repository
from passmuster._tree import Folder
from passmuster.config import Mode, ModelConfig
from passmuster.config import _load as load
from passmuster.config._complaints import near, shown
from passmuster.config._reader import BROKEN, Reading
from passmuster.config._reader import Path as Place
from passmuster.lock import faults

Complaints = Iterator[tuple[Place, str]]


def validate(root: Path) -> dict[str, ModelConfig]:
    """Return the configs of the checkout at `root`, by model, if nothing is wrong with any of them.

    Raises:
        ConfigError: with every complaint about every config, each `file:line:col: …`.
        UsageError: there is no config, `root` is not in a git work tree, or DVC's files can't be read.
    """
    root = Repository.containing(root).root
    readings = load.read_all(load.files_below(root))
    checkout = _Checkout(root)
    for reading in readings:
        if reading.config is not None:
            for check in (_files, _targets, _outputs, _lock):
                reading.run(check(reading.config, checkout))
    _shared_stages(readings, checkout)
    return load.whole(readings)


def to_text(configs: Mapping[str, ModelConfig]) -> str:
    """Return a line for each config that was found in order."""
    width = max(map(len, configs), default=0)
    return "\n".join(f"ok  {name:{width}}  {config.task}  {config.path}" for name, config in configs.items())


@dataclass(frozen=True)
class _Checkout:
    """What is there: files (not those that git ignores), and what DVC makes."""

    root: Path

    @cached_property
    def files(self) -> Folder:
        return Folder(self.root)

    @cached_property
    def graph(self) -> Graph:
        return _dvc_graph.read(self.files)

    @cached_property
    def known(self) -> Collection[str]:
        """Paths of files, of their folders, and of what DVC makes."""
        paths = set(self.files.paths)
        folders = {parent for path in paths for parent in _dvc_graph.parents(path)}
        return paths | folders | self.outs

    @cached_property
    def outs(self) -> frozenset[str]:
        """Paths of what DVC makes or brings."""
        return frozenset(out for stage in self.graph.stages.values() for out in stage.outs)

    def made_by(self, config: ModelConfig) -> set[str]:
        """Return what the stages that belong to the model make."""
        return {out for address in self.belonging(config) for out in self.graph.stages[address].outs}

    def is_made(self, path: str) -> bool:
        """Return whether DVC makes `path` or a folder that holds it, or git has it."""
        return any(held in self.outs for held in (path, *_dvc_graph.parents(path))) or path in self.known

    def belonging(self, config: ModelConfig) -> set[str]:
        """Return the stages that make the model: its targets, and all upstream of them."""
        targets = {address for target in config.pipeline.targets for address in self.graph.named(target)}
        return self.graph.upstream(targets)


def _files(config: ModelConfig, checkout: _Checkout) -> Complaints:
    """Complain about files that a person writes and that are not there."""
    named: dict[Place, str] = {}
    if config.gates is not BROKEN:
        if config.gates.behaviour is not BROKEN and config.gates.behaviour.mode != Mode.OFF:
            tests = config.gates.behaviour.tests
            named = {("gates", "behaviour", "tests", n): path for n, path in enumerate(tests)}
        if config.gates.user is not BROKEN:
            gates = {name: gate for name, gate in config.gates.user.items() if gate is not BROKEN}
            named |= {("gates", "user", name, "file"): gate.file for name, gate in gates.items()}
    for place, path in named.items():
        if path is not BROKEN and not (checkout.root / path).exists():
            yield place, f"there is no {shown(path)}{near(path, checkout.known)}"


def _targets(config: ModelConfig, checkout: _Checkout) -> Complaints:
    named: list[tuple[Place, str]] = [(("pipeline", "targets", n), t) for n, t in enumerate(config.pipeline.targets)]
    if config.data is not BROKEN:
        named += [(("data", "prepare", n), target) for n, target in enumerate(config.data.prepare)]
    for place, target in named:
        if not checkout.graph.named(target):
            like = checkout.graph.near(target)
            hint = f"; perhaps you meant {shown(like)}?" if like else "; `dvc stage list --all` shows what there is"
            yield place, f"DVC knows no stage or output {shown(target)}{hint}"


def _outputs(config: ModelConfig, checkout: _Checkout) -> Complaints:
    """Complain about what no pipeline makes; and, of the model and its outputs, what its own pipeline does not make."""
    pipeline, data = config.pipeline, config.data
    named: list[tuple[Place, str]] = [(("pipeline", "model"), pipeline.model)]
    named += [(("pipeline", "outputs", path), path) for path in pipeline.outputs]
    made = checkout.made_by(config)  # nothing: then the targets are what is complained about
    for place, path in named:
        if made and path is not BROKEN and not made.intersection((path, *_dvc_graph.parents(path))):
            yield place, f"no stage of the targets makes {shown(path)}{near(path, made)}"
    for key in ("train", "test", "reference"):
        path = getattr(data, key)
        if isinstance(path, str) and not checkout.is_made(path):
            yield ("data", key), f"neither DVC nor git has {shown(path)}{near(path, checkout.known)}"


def _lock(config: ModelConfig, checkout: _Checkout) -> Complaints:
    path = checkout.root / config.requirements
    if not path.is_file():
        hint = near(config.requirements, checkout.known)
        yield ("requirements",), f"there is no lock {shown(config.requirements)}; `passmuster lock` makes it{hint}"
        return
    for fault in faults(path.read_text(encoding="utf-8", errors="replace")):
        yield ("requirements",), f"{config.requirements}:{fault}; `passmuster lock` makes it anew"


def _shared_stages(readings: list[Reading], checkout: _Checkout) -> None:
    """Complain about a stage that two models need, each with a lock of its own: it can run in one environment only."""
    first: dict[str, Reading] = {}
    for reading in readings:
        if reading.config is not None:
            reading.run(_shared(reading, reading.config, checkout, first))


def _shared(reading: Reading, config: ModelConfig, checkout: _Checkout, first: dict[str, Reading]) -> Complaints:
    for address in sorted(checkout.belonging(config)):
        if not checkout.graph.stages[address].runs:
            continue
        other = first.setdefault(address, reading).config
        if other is not None and _content(checkout, other) != _content(checkout, config):
            said = (
                f"stage {shown(address)} also makes model {shown(other.name)}, whose lock {shown(other.requirements)}"
            )
            yield ("requirements",), f"{said} differs; use one lock for both, or a stage for each"


def _content(checkout: _Checkout, config: ModelConfig) -> str:
    path = checkout.root / config.requirements
    return (
        path.read_text(encoding="utf-8", errors="replace")
        if path.is_file()
        else posixpath.normpath(config.requirements)
    )
