"""Which models a change touches: from two commits, through DVC's graph, what the configs name, and the framework.

A model is left out only where nothing that it depends on differs between the two commits. What can't be known (the base
is not here, or can't be read) means all models. Undeclared dependencies are invisible here, as they are to DVC.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

from passmuster import _dvc_graph
from passmuster._change import Change, stage_reasons
from passmuster._dvc_graph import Graph, GraphError
from passmuster._git import Repository
from passmuster._tree import Tree
from passmuster.config import _load
from passmuster.config._complaints import ConfigError
from passmuster.config._folder import folder
from passmuster.config._outline import Outline, outline
from passmuster.errors import Refused, UsageError
from passmuster.ledger import History, histories

#: Reasons given for one model; more add nothing for a reader.
_MOST_REASONS = 12

#: Below these stands the framework, in its own repository.
_FRAMEWORK_FOLDERS = ("ci/", "checks/", "serving/", "requirements/")
_FRAMEWORK_MARK = "ci/passmuster/__init__.py"

#: A line that says which passmuster runs: a requirement, or a workflow of its repository at a ref.
_PIN = re.compile(
    r"^[\s\"'-]*passmuster\s*(\[[^\]]*\])?\s*(==|===|~=|>=|<=|<|>|!=|@|=\s*[\"'{]).*$"
    r"|^.*uses:\s*['\"]?[\w.-]+/passmuster[/@].*$",
    re.MULTILINE | re.IGNORECASE,
)
#: Files that fix a whole environment: where one holds the framework, all of it counts.
_LOCKS = re.compile(r"(^|/)(requirements[^/]*\.(txt|in)|requirements/[^/]+|constraints[^/]*\.txt|[^/]+\.lock)$")
#: Files in which only the line that names the framework counts.
_PINNED_IN = re.compile(r"(^|/)(pyproject\.toml|Pipfile|environment[^/]*\.ya?ml)$|^\.github/.*\.ya?ml$")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The models to judge, and why."""

    base: str | None  #: the commit before the change; None where it is not known
    head: str  #: the commit after it
    reasons: Mapping[str, tuple[str, ...]]  #: each model that is touched → why; never empty
    untouched: tuple[str, ...]  #: the other models
    removed: Mapping[str, str | None]  #: models that the head lacks → the model that took over the registry's name
    all_because: str | None = None  #: why all models are in it, where they are in it for one reason
    #: since the last promotion: each model → the commit that it is compared with; None where none is known
    bases: Mapping[str, str | None] = field(default_factory=dict)

    @property
    def models(self) -> tuple[str, ...]:
        """The models to judge, sorted."""
        return tuple(self.reasons)


def plan(root: Path, base: str | None, head: str = "HEAD") -> Plan:
    """Return the models that the change from `base` to `head` touches, in the repository at `root`.

    The two trees are compared as they are, so `base` should be what `head` is to be merged into, or its parent. An
    unknown base (None, empty, only zeros, or a commit that is not here) means all models.

    Raises:
        ConfigError: a config at `head` that the change touches is faulty.
        UsageError: there is no commit `head`, it has no model, or its pipeline can't be read.
    """
    repository = Repository.containing(root)
    now, models = _head(repository, head)
    if why := _unknown(repository, base):
        return _all(now, None, models, why)
    before = Tree.at(repository, str(base))
    found, why = _touched(Change(before, now), models)
    if why:
        return _all(now, before, models, why)
    return Plan(
        base=before.commit,
        head=now.commit,
        reasons={name: reasons for name, reasons in found.items() if reasons},
        untouched=tuple(name for name, reasons in found.items() if not reasons),
        removed=_removed(before, models),
    )


def since_champion(root: Path, head: str = "HEAD") -> Plan:
    """Return the models that differ at `head` from what was promoted last, each compared with its own commit.

    That commit is of the newest version in the model's ledger; so what was rolled back does not come up again until
    something touches the model. A model without a champion, or whose commit is not known here, is in the plan.

    Raises:
        ConfigError: a config at `head` that the change touches is faulty.
        UsageError: there is no commit `head`, it has no model, or its pipeline can't be read.
        Unavailable: a ledger's remote did not answer.
    """
    repository = Repository.containing(root)
    now, models = _head(repository, head)
    told = histories(repository, {name: model.ledger for name, model in models.items()})
    found: dict[str, tuple[str, ...]] = {}
    bases: dict[str, str | None] = dict.fromkeys(models)
    unknown = cache(lambda commit: _unknown(repository, commit))
    for name, history in told.items():
        version = history.versions[-1] if isinstance(history, History) and history.versions else None
        if isinstance(history, Refused):
            found[name] = (str(history),)
        elif version is None:
            found[name] = ("it has no champion yet",)
        elif why := unknown(version.commit):
            found[name] = (f"{version.version} is the newest version, but {why}",)
        else:
            bases[name] = version.commit
    for base in sorted({base for base in bases.values() if base}):
        those = {name: model for name, model in models.items() if bases[name] == base}
        found |= _touched(Change(Tree.at(repository, base), now), those)[0]
    return Plan(
        base=None,
        head=now.commit,
        reasons={name: found[name] for name in models if found[name]},
        untouched=tuple(name for name in models if not found[name]),
        removed={},
        bases=bases,
    )


def _head(repository: Repository, head: str) -> tuple[Tree, dict[str, Outline]]:
    now = Tree.at(repository, head)
    models = _models(now)
    if not models:
        raise UsageError(f"there is no model in {folder()}/ at {head}; docs/configuration.md says how to write one")
    return now, models


def _touched(change: Change, models: Mapping[str, Outline]) -> tuple[dict[str, tuple[str, ...]], str | None]:
    """Return why the change touches each of `models` (empty: it does not), and why all, where that has one reason."""
    if why := _everything(change):
        return dict.fromkeys(models, (why,)), why
    try:
        old, new = change.graphs
        graph = new if old is new else new.joined(old)
        upstream = {name: graph.upstream(_makers(model, graph)) for name, model in models.items()}
        stages = stage_reasons(change, set().union(*upstream.values()))
    except GraphError as exc:
        _dvc_graph.read(change.now)  # raises where the head's own is at fault: that is the caller's to mend
        why = f"the pipelines can't be compared: {exc}"
        return dict.fromkeys(models, (why,)), why
    return {name: _reasons(model, change, graph, upstream[name], stages) for name, model in models.items()}, None


def _makers(model: Outline, graph: Graph) -> set[str]:
    """Return the stages that make what the config names."""
    found = {maker for path in model.paths for maker in graph.makers(path)}
    return found.union(*map(graph.named, model.targets))


def to_json(plan: Plan) -> dict[str, Any]:
    """Return the plan as JSON types; `matrix` is what a workflow's `strategy.matrix` takes."""
    return {
        "base": plan.base,
        "bases": dict(plan.bases),
        "head": plan.head,
        "all": plan.all_because is not None,
        "all_because": plan.all_because,
        "models": list(plan.models),
        "matrix": {"include": [{"model": name} for name in plan.models]},
        "reasons": {name: list(reasons) for name, reasons in plan.reasons.items()},
        "untouched": list(plan.untouched),
        "removed": dict(plan.removed),
    }


def to_text(plan: Plan) -> str:
    """Return the plan for people."""
    total = len(plan.reasons) + len(plan.untouched)
    base = plan.base[:12] if plan.base else "what was promoted last" if plan.bases else "an unknown base"
    lines = [f"{len(plan.reasons)} of {total} models to judge, from {base} to {plan.head[:12]}"]
    if plan.all_because:
        lines += [f"all models, because {plan.all_because}", *(f"  {name}" for name in plan.models)]
    else:
        for name, reasons in plan.reasons.items():
            lines += [f"  {name}", *(f"    - {reason}" for reason in reasons)]
    for name, successor in plan.removed.items():
        lines.append(f"  {name} is gone" + (f"; {successor} takes over its registry's name" if successor else ""))
    return "\n".join(lines)


def _models(tree: Tree) -> dict[str, Outline]:
    contents = tree.read(_load.config_paths(tree.paths))
    found = [outline(path, content) for path, content in sorted(contents.items())]
    return {model.name: model for model in found}


def _unknown(repository: Repository, base: str | None) -> str | None:
    """Return why the base is not known, if it is not."""
    if not base or not base.strip("0"):
        return "no base commit was given"
    if repository.has(base):
        return None
    shallow = "; the clone is shallow, `git fetch --unshallow` brings it" if repository.shallow else ""
    return f"the base commit {base!r} is not in this clone{shallow}"


def _all(now: Tree, before: Tree | None, models: Mapping[str, Outline], why: str) -> Plan:
    return Plan(
        base=before.commit if before else None,
        head=now.commit,
        reasons=dict.fromkeys(models, (why,)),
        untouched=(),
        removed=_removed(before, models) if before else {},
        all_because=why,
    )


def _removed(before: Tree, models: Mapping[str, Outline]) -> dict[str, str | None]:
    """Return the models that are gone; a base's config that can't be read any more still names its file."""
    gone = [path for path in _load.config_paths(before.paths) if PurePosixPath(path).stem not in models]
    heirs = {model.registry: model.name for model in models.values()}
    found: dict[str, str | None] = {}
    for path, content in before.read(gone).items():
        try:
            found[PurePosixPath(path).stem] = heirs.get(outline(path, content).registry)
        except (ConfigError, AttributeError, KeyError, TypeError, ValueError):
            found[PurePosixPath(path).stem] = None
    return dict(sorted(found.items()))


def _everything(change: Change) -> str | None:
    """Return why the change touches all models at once, if it does."""
    own = any(_FRAMEWORK_MARK in tree.entries for tree in (change.before, change.now))
    for path in sorted(change.paths):
        if path == ".dvc/config" or posixpath.basename(path) == ".dvcignore":
            return f"DVC's settings changed ({change.said_of(path)})"
        if own and (path.startswith(_FRAMEWORK_FOLDERS) or path == "pyproject.toml"):
            return f"the framework itself changed ({change.said_of(path)})"
        if _repins(path, change):
            return f"the framework's version or environment changed ({change.said_of(path)})"
    return None


def _repins(path: str, change: Change) -> bool:
    """Return whether a file that differs may bring another framework, or another environment for it."""
    whole = _LOCKS.search(path) is not None and not path.endswith("dvc.lock")
    if not whole and not _PINNED_IN.search(path):
        return False
    before, now = ([match.group().strip() for match in _PIN.finditer(text)] for text in change.texts(path))
    return before != now or (whole and bool(before))


def _reasons(
    model: Outline, change: Change, graph: Graph, upstream: set[str], stages: Mapping[str, tuple[str, ...]]
) -> tuple[str, ...]:
    """Return why the change touches a model; empty where it does not."""
    found: list[str] = []
    if model.file in change.paths:
        found.append(f"its config: {change.said_of(model.file)}")
        _load.whole(_load.read_all(change.now.read([model.file])))
    found += (change.said_of(path) for path in map(change.at, model.paths) if path is not None)
    for path in model.gate_code:
        found += (f"{change.said_of(changed)}, beside {path}" for changed in _beside(path, change))
    for target in model.targets:
        if not graph.named(target):
            found.append(f"DVC knows no target {target!r}; `passmuster validate` says more")
    for address in sorted(upstream & stages.keys()):
        found += stages[address]
    return _shortened(list(dict.fromkeys(found)))


def _shortened(reasons: list[str]) -> tuple[str, ...]:
    if len(reasons) <= _MOST_REASONS:
        return tuple(reasons)
    return (*reasons[: _MOST_REASONS - 1], f"and {len(reasons) - _MOST_REASONS + 1} more")


def _beside(path: str, change: Change) -> Iterator[str]:
    """Yield changed Python files that the code at `path` may import or be set up by: its folder's, and conftests."""
    folder = posixpath.dirname(path) if path.endswith(".py") else path
    setups = {posixpath.join(parent, "conftest.py").removeprefix("./") for parent in _dvc_graph.parents(path)}
    for changed in change.code:
        within = posixpath.dirname(changed) == folder or changed.startswith(f"{folder}/")
        if changed != path and (within or changed in setups):
            yield changed
