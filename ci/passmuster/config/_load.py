"""All configs of a checkout or of a commit, or every complaint about them at once."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path, PurePosixPath

from passmuster._git import Repository
from passmuster._tree import Tree
from passmuster.config import _rules
from passmuster.config._complaints import Complaint, ConfigError
from passmuster.config._folder import folder
from passmuster.config._model import ModelConfig
from passmuster.config._reader import Reading, read
from passmuster.errors import UsageError


def load(root: Path, *, only: Collection[str] = ()) -> dict[str, ModelConfig]:
    """Return the configs of the checkout at `root`, by model, sorted.

    Args:
        root: the checkout.
        only: names of models, where all of them have a config: the others are not returned, and nothing that is wrong
            with them counts, since a rollback must not wait for them. Empty, or with an unknown name: all.

    Raises:
        ConfigError: with every complaint about every file that counts.
        UsageError: there is none.
    """
    return whole(_chosen(read_all(files_below(root)), only))


def load_at(repository: Repository, revision: str, *, only: Collection[str] = ()) -> dict[str, ModelConfig]:
    """Return the configs at a commit, by model, sorted; empty where the commit has none. Nothing is checked out.

    Args:
        repository: where the commit is.
        revision: the commit.
        only: as for `load`.

    Raises:
        ConfigError: with every complaint about every file that counts.
        UsageError: there is no such commit.
    """
    tree = Tree.at(repository, revision)
    return whole(_chosen(read_all(tree.read(config_paths(tree.paths))), only))


def _chosen(readings: list[Reading], only: Collection[str]) -> list[Reading]:
    chosen = [reading for reading in readings if PurePosixPath(reading.file).stem in only]
    return chosen if len(chosen) == len(set(only)) and chosen else readings


def files_below(root: Path) -> dict[str, bytes]:
    """Return the contents of the configs below `root`, by path from there.

    Raises:
        UsageError: there is no config: a run without a model would look like a pass.
    """
    where = root / folder()
    if not where.resolve().is_relative_to(root.resolve()):
        raise UsageError(f"{where} is a link that leaves the repository; configs stand inside it")
    found = [path.relative_to(root).as_posix() for path in where.iterdir()] if where.is_dir() else []
    if not (paths := config_paths(found)):
        raise UsageError(
            f"there is no model in {where}; docs/configuration.md says how to write the first {folder()}/<name>.yaml"
        )
    try:
        return {path: (root / path).read_bytes() for path in paths}
    except OSError as exc:
        raise UsageError(f"{exc.filename} could not be read: {exc.strerror}") from exc


def config_paths(paths: Iterable[str]) -> list[str]:
    """Return those of `paths` that are configs; `.yml` counts, to be complained about, not overlooked."""
    return sorted(path for path in paths if is_config(path))


def is_config(path: str) -> bool:
    """Return whether a path is that of a config."""
    where, _, name = path.rpartition("/")
    return where == folder() and name.lower().endswith((".yaml", ".yml"))


def read_all(contents: Mapping[str, bytes]) -> list[Reading]:
    """Read configs and check them, each and together; `contents` is by path. Never raises for what they say."""
    readings = []
    for path, content in sorted(contents.items()):
        reading = read(content, path)
        _rules.check(reading)
        if PurePosixPath(path).suffix != ".yaml":
            reading.complain((), "a config's name ends with `.yaml`; rename the file")
        readings.append(reading)
    _rules.check_together(readings)
    return readings


def whole(readings: list[Reading]) -> dict[str, ModelConfig]:
    """Return the configs by model.

    Raises:
        ConfigError: there is a complaint about any of them.
    """
    complaints: list[Complaint] = [complaint for reading in readings for complaint in reading.complaints]
    if complaints:
        raise ConfigError(complaints)
    return {r.config.name: r.config for r in readings if r.config is not None}
