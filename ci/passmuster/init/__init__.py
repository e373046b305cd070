"""The step `init`: bring a foreign repository what it needs for its models to pass muster.

It looks at what is there, writes callers of the reusable workflows pinned to this very version, a first config from
the pipeline and the data's own columns, the lines of CODEOWNERS that keep policy in the right hands, and a page on what
a person has to set on GitHub. It never overwrites what a person wrote; run again, it upgrades what nobody changed.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from passmuster import config as configs
from passmuster._git import Repository
from passmuster.errors import UsageError
from passmuster.init import _config, _files, _look, _pin
from passmuster.init._files import Change, State
from passmuster.init._look import Columns, Found, Pipeline
from passmuster.init._templates import render
from passmuster.lock import SOURCE

__all__ = ["Change", "Found", "Made", "State", "make", "next_steps", "plan", "to_text"]

#: The workflows that call ours: file below `.github/workflows/`, made of the template of the same name.
CALLERS = ("passmuster.yml", "passmuster-report.yml", "passmuster-main.yml", "passmuster-rollback.yml")
_PAGE = "docs/passmuster.md"
_NOTHING = "# the packages that the model's training needs, a line each\n"
_OWNERS = ("CODEOWNERS", ".github/CODEOWNERS", "docs/CODEOWNERS")


@dataclass(frozen=True, kw_only=True)
class Made:
    """What `init` would do."""

    found: Found
    changes: tuple[Change, ...]
    missing: tuple[str, ...]  #: what keeps the first config from being written
    model: str | None  #: whose config is written now


def plan(
    root: Path,
    *,
    model: str | None = None,
    label: str | None = None,
    key: str | None = None,
    owners: Sequence[str] = (),
    pin: str | None = None,
) -> Made:
    """Return what would be written; writes nothing.

    Args:
        root: the user's checkout.
        model: the name of the first model; not given: the repository's.
        label: the column that is predicted.
        key: the column that names a row.
        owners: who must review a change of policy, as CODEOWNERS names them ("@org/team").
        pin: "owner/name@sha" of the workflows; not given: of this installation.

    Raises:
        UsageError: `pin` or `model` can't be used, or DVC's files can't be read.
    """
    at = _pin.pin(pin)
    found = _look.look(root, configs.folder())
    changes = [_caller(root, name, found, at) for name in CALLERS]
    by = tuple(owners) or ((f"@{found.slug.split('/')[0]}",) if found.slug else ())
    changes.append(_codeowners(root, found, by))
    missing: list[str] = []
    name = None
    if not found.configs:
        name = _name(model or root.name)
        pipeline = found.pipelines[0] if found.pipelines else None
        columns = _columns(root, pipeline, label, key)
        missing = _config.missing(root, pipeline, columns)
        if not missing and pipeline is not None and columns is not None:
            changes += _first(root, name, found, pipeline, columns, by, at)
    changes.append(_page(root, found, at))
    return Made(found=found, changes=tuple(map(_inside(root), changes)), missing=tuple(missing), model=name)


def make(root: Path, made: Made) -> None:
    """Write what `plan` said."""
    for change in made.changes:
        _files.write(root, change)


def to_text(made: Made) -> str:
    """Return what would become of every file, for people, with the differences to what is there."""
    width = max(len(change.path) for change in made.changes)
    out = [f"{change.path:{width}}  {change.state}" for change in made.changes]
    for change in made.changes:
        if change.before and change.state is not State.SAME:
            out += ["", change.difference()]
    for reason in made.missing:
        out += ["", f"no config was written: {reason}"]
    return "\n".join(out)


def next_steps(made: Made) -> str:
    """Return what is left to a person, in order."""
    steps = []
    if made.model and not made.missing:
        config = f"{made.found.config_folder}/{made.model}.yaml"
        steps.append(f"read {config}: what is marked with `?` is a guess")
        if any(change.path.endswith(SOURCE) for change in made.changes):
            steps.append(f"passmuster lock {made.model}")
        steps += ["passmuster validate", f"commit, then: passmuster run {made.model} --first --dry-run"]
    steps.append(f"set on GitHub what {_PAGE} lists: the required check, the environment, the secrets")
    return "\n".join(f"{n}. {step}" for n, step in enumerate(steps, 1))


def _inside(root: Path) -> Callable[[Change], Change]:
    def checked(change: Change) -> Change:
        if not (root / change.path).parent.resolve().is_relative_to(root.resolve()):
            raise UsageError(f"{change.path} leads out of the repository by a link; remove it")
        return change

    return checked


def _caller(root: Path, name: str, found: Found, pin: _pin.Pin) -> Change:
    body = render(f"{name}.j2", {"found": found, "pin": pin})
    return _files.whole(root, f".github/workflows/{name}", _files.marked(body))


def _page(root: Path, found: Found, pin: _pin.Pin) -> Change:
    body = render("passmuster.md.j2", {"found": found, "pin": pin})
    return _files.whole(root, _PAGE, _files.marked(body, comment=("<!-- ", " -->")))


def _codeowners(root: Path, found: Found, owners: Sequence[str]) -> Change:
    path = next((path for path in _OWNERS if (root / path).is_file()), ".github/CODEOWNERS")
    by = " ".join(owners)
    guarded = (f"/{found.config_folder}/", "/.github/", f"/{path}")
    wanted = [(entry, f"{entry} {by}" if by else f"# {entry} @your-org/your-team") for entry in dict.fromkeys(guarded)]
    if not by:
        wanted = [("#", line) for _, line in wanted] if not (root / path).is_file() else []
    return _files.lines(root, path, wanted, "# Limits, gates and workflows decide what reaches production.")


def _columns(root: Path, pipeline: Pipeline | None, label: str | None, key: str | None) -> Columns | None:
    if pipeline is None or pipeline.train is None or not (root / pipeline.train).is_file():
        return None
    columns = _look.columns(root / pipeline.train, label=label, key=key)
    for option, said in (("--label", label), ("--id", key)):
        if said is not None and columns is not None and said not in columns.types:
            raise UsageError(
                f"{option} {said!r}: {pipeline.train} has no such column; it has {', '.join(columns.types)}"
            )
    if columns is None or pipeline.test is None or not (root / pipeline.test).is_file():
        return columns
    test = _look.columns(root / pipeline.test)
    return columns if test is None else replace(columns, nullable=columns.nullable | test.nullable)


def _first(
    root: Path,
    name: str,
    found: Found,
    pipeline: Pipeline,
    columns: Columns,
    owners: Sequence[str],
    pin: _pin.Pin,
) -> list[Change]:
    changes, requirements = [], pipeline.requirements
    if requirements is None:  # what there is has no hashes: a lock is compiled from it, beside it
        requirements = f"models/{name}/requirements.txt"
        changes.append(_files.once(root, f"models/{name}/{SOURCE}", _requirements(found)))
    text = _config.text(
        name,
        pipeline,
        columns,
        owner=owners[0] if owners else "somebody@example.com",
        requirements=requirements,
        ledger="origin" if "origin" in Repository(root).remotes else "local",
        schema=f"https://raw.githubusercontent.com/{pin.repository}/{pin.sha}/docs/model-config.schema.json",
    )
    return [*changes, _files.once(root, f"{found.config_folder}/{name}.yaml", text)]


def _requirements(found: Found) -> str:
    """Return what a model's lock is compiled from, by what the repository says already."""
    plain = [path for path in found.locks if PurePosixPath(path).name in ("requirements.txt", "requirements.in")]
    if plain:
        return f"-r ../../{min(plain, key=len)}\n"
    if "pyproject.toml" in found.locks:
        project = tomllib.loads((found.root / "pyproject.toml").read_text(encoding="utf-8")).get("project", {})
        return "".join(f"{line}\n" for line in project.get("dependencies", ())) or _NOTHING
    return _NOTHING


def _name(text: str) -> str:
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", text).strip("-_")[:100]
    if not name:
        raise UsageError(f"{text!r} gives no name for a model; say one: --model NAME")
    return name
