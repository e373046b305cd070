"""The ledger: annotated git tags that say which version was champion when, and on which evidence.

`<model>@v<N>.0.0` registers the N-th version at its commit, `<model>#champion#<k>` is the k-th promotion; both names
are GTO's, so `gto show` and `gto history` read them. A tag's message is an event (`passmuster.events`) that names the
digest of the event before. One atomic push, which must create its tags, is the compare-and-swap: of two promoters
who saw the same champion, only one can create the next number.

What counts is what the ledger's remote has. A remote that can't be asked is never an empty ledger.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from passmuster import events
from passmuster._git import FALLBACK_IDENTITY, GitError, Repository
from passmuster.errors import RaceLost, Refused, Unavailable, UsageError
from passmuster.events import Event, Promoted, Promotion, Registered, RolledBack

if TYPE_CHECKING:
    from passmuster.config import ModelConfig

#: In a config: the ledger is this repository alone.
LOCAL = "local"

#: Seconds that a remote may take to answer.
_TIMEOUT = 300.0

#: Names that git and GTO both take as part of a tag.
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9/_-]*[A-Za-z0-9])?")
_OURS = re.compile(r"@v[1-9]\d{0,8}\.0\.0|#champion#[1-9]\d{0,8}")
_PREFIX = "refs/tags/"


@dataclass(frozen=True, kw_only=True)
class History:
    """What a ledger holds for one model, oldest first."""

    model: str
    versions: tuple[Registered, ...] = ()
    promotions: tuple[Promotion, ...] = ()

    @property
    def champion(self) -> Promotion | None:
        """The version in production; None: there never was one."""
        return self.promotions[-1] if self.promotions else None

    @property
    def replaced(self) -> Promotion | None:
        """The champion of another version that the present one replaced."""
        before = [p for p in self.promotions if self.champion and p.version != self.champion.version]
        return before[-1] if before else None

    def at(self, when: datetime) -> Promotion | None:
        """Return the champion at a time, or None where there was none yet."""
        return next((p for p in reversed(self.promotions) if p.when <= when), None)

    def version(self, name: str) -> Registered | None:
        """Return the registration of version `name`, e.g. "v3"."""
        return next((v for v in self.versions if v.version == name), None)

    def of_nonce(self, nonce: str) -> Promotion | None:
        """Return the promotion that one attempt made, if it was made."""
        return next((p for p in self.promotions if p.nonce == nonce), None)


@dataclass(frozen=True, kw_only=True)
class Examined:
    """A ledger as it was found, with all that is wrong with it."""

    history: History
    problems: tuple[str, ...] = ()
    only_here: tuple[str, ...] = ()  #: tags of the ledger that the remote does not have; they do not count


@dataclass(frozen=True, kw_only=True)
class _Tag:
    """One tag object, unchecked."""

    name: str  #: of the ref
    sha: str  #: of the object
    kind: str  #: of the object; "tag" for an annotated one
    target_kind: str
    target: str  #: what it points at
    header: str  #: the name that stands in the object
    date: str  #: seconds since the epoch
    message: str


class Ledger:
    """The ledger of one model, at one remote of a repository."""

    def __init__(self, repository: Repository, model: str, remote: str) -> None:
        """`remote` is the name of a git remote, or "local" for the repository itself."""
        if not _NAME.fullmatch(model):
            raise UsageError(f"{model!r} can't be the name of a ledger: use letters, digits, '-', '_' and '/'")
        self.repository = repository
        self.model = model
        self.remote = remote

    @classmethod
    def of(cls, root: Path, config: ModelConfig) -> Ledger:
        """Return the ledger of `config`'s model for the clone at `root`."""
        return cls(Repository(root), config.name, config.registry.ledger)

    @property
    def champion(self) -> Promotion | None:
        """The version in production; None only where the ledger was asked and never had one.

        Raises:
            Refused: the ledger is broken, or can't be the whole one.
            Unavailable: the remote did not answer.
        """
        return self.read().champion

    def read(self, *, offline: bool = False) -> History:
        """Return the ledger's history, fetched from its remote unless `offline`.

        Raises:
            Refused: tags are missing, altered or unreadable, or a tagless remote stands against tags that are here.
            Unavailable: the remote did not answer.
        """
        return self._whole(self.examine(offline=offline))

    def _whole(self, found: Examined) -> History:
        """Return the history of a ledger with which nothing is wrong, or refuse."""
        if found.problems:
            listed = "\n  ".join(found.problems)
            raise Refused(
                f"the ledger of {self.model} is not intact, so nothing can follow from it:\n  {listed}\n"
                "compare with another clone, and restore the tags at the remote"
            )
        if not found.history.promotions and found.only_here:
            raise Refused(
                f"remote {self.remote!r} has no tag of {self.model}'s ledger, but this clone has "
                f"{', '.join(found.only_here[:3])}; either they were deleted there (push them again), or they never "
                "counted (`git tag --delete` them)"
            )
        return found.history

    def examine(self, *, offline: bool = False) -> Examined:
        """Return the ledger with its problems instead of refusing; what can't be read is left out of the history.

        Raises:
            Refused: the remote is not configured, or is not the whole repository.
            Unavailable: the remote did not answer.
        """
        source = "." if offline else self._source()
        here = self._listed(".")
        there = here if source == "." else self._listed(source)
        if not there and not offline:
            self._refuse_shallow(source)
        if source != ".":
            self._fetch(source, [name for name in there if name not in here])
        return self._compared(here, there, _tags(self.repository, f"{self.model}@v*", f"{self.model}#champion*"))

    def _compared(self, here: Mapping[str, str], there: Mapping[str, str], all_tags: Iterable[_Tag]) -> Examined:
        """Return what the tags tell: those count that the clone and the remote agree on."""
        tags = [tag for tag in all_tags if there.get(tag.name) == tag.sha]
        problems = [
            f"{name}: the remote's tag is not the one that this clone has; one of both was rewritten"
            for name in sorted(there.keys() - {tag.name for tag in tags})
        ]
        history, found = _build(self.model, tags)
        return Examined(
            history=history,
            problems=(*problems, *found),
            only_here=tuple(sorted(name for name in here if name not in there)),
        )

    def append(self, *new: Event) -> None:
        """Create the tags of `new` in one swap; all of them or none.

        Raises:
            RaceLost: another event has one of these numbers.
            Refused: the remote did not take the tags, or this clone holds others of the same names.
            Unavailable: the remote did not answer, and what became of the push is unknown: run it again.
        """
        source = self._source()
        refs = {event.tag: _PREFIX + event.tag for event in new}
        if source != "." and (stale := [tag for tag in refs if tag in self._listed(".")]):
            if taken := [tag for tag in stale if tag in self._listed(source)]:
                raise RaceLost(
                    f"another promotion was faster: {', '.join(taken)} exists in the ledger; run score and gate again, "
                    "against the new champion"
                )
            raise Refused(
                f"this clone has {', '.join(stale)}, which remote {self.remote!r} does not have; if it was deleted "
                "there, push it again; if it never was there, `git tag --delete` it here"
            )
        objects = {event.tag: self._object(event) for event in new}
        try:
            self._ask(
                "push",
                "--quiet",
                "--atomic",
                "--no-follow-tags",
                "--no-verify",  # a hook of the user's (`dvc install` makes one) is about branches and data
                "--no-recurse-submodules",
                *(f"--force-with-lease={ref}:" for ref in refs.values()),
                source,
                *(f"{objects[tag]}:{ref}" for tag, ref in refs.items()),
            )
        except (GitError, Unavailable) as exc:
            self._after_failure(objects, exc)
        there = self._listed(source)
        if any(there.get(tag) != sha for tag, sha in objects.items()):
            raise Unavailable(
                f"the push succeeded, but remote {self.remote!r} does not show {', '.join(refs)}; is what is fetched "
                "from another server than what is pushed to? Run it again when they agree"
            )
        if source != ".":
            self._fetch(source, list(refs))

    def others(self) -> list[Promotion]:
        """Return the last promotion of every other model that has a ledger at the same remote."""
        source = self._source()
        last: dict[str, int] = {}
        for name in self._refs(source):
            model, sign, number = name.rpartition("#champion#")
            if sign and model != self.model and _NAME.fullmatch(model) and _OURS.fullmatch(sign + number):
                last[model] = max(last.get(model, 0), int(number))
        ledgers = (Ledger(self.repository, model, self.remote) for model in sorted(last))
        return [champion for ledger in ledgers if (champion := ledger.champion) is not None]

    def who(self) -> str:
        """Return who acts: the GitHub actor in CI, else git's identity."""
        actor = os.environ.get("GITHUB_ACTOR", "")
        name = actor if actor else self._identity().rsplit(" ", 2)[0]
        return "".join(c for c in name if c.isprintable())[:200]

    def _identity(self) -> str:
        """Return git's committer, as `Name <mail> seconds zone`."""
        try:
            return self.repository.run("var", "GIT_COMMITTER_IDENT", env=self.repository.identity())
        except GitError:
            return self.repository.run("var", "GIT_COMMITTER_IDENT", env=FALLBACK_IDENTITY)

    def _source(self) -> str:
        if self.remote == LOCAL:
            if self.repository.shallow:
                raise Refused(
                    "the ledger is declared `local`, but this clone is shallow, so it may lack the ledger's tags; "
                    "work in the full repository, or name a remote in `registry.ledger`"
                )
            return "."
        if self.remote not in self.repository.remotes:
            raise Refused(
                f"the ledger of {self.model} is at git remote {self.remote!r}, which this clone does not have; add it "
                "(`git remote add`), or declare `registry.ledger: local` if this repository alone holds the ledger"
            )
        return self.remote

    def _refuse_shallow(self, source: str) -> None:
        """Refuse a remote that is itself a shallow clone: that it has no tags says nothing."""
        url = "." if source == "." else self.repository.run("remote", "get-url", source)
        path = self.repository.root / url.removeprefix("file://")
        if path.is_dir() and Repository(path).shallow:
            raise Refused(
                f"remote {self.remote!r} is a shallow clone, so it may lack the ledger's tags; name the full one"
            )

    def _ask(self, *arguments: str) -> str:
        """Run git against the remote; a remote that takes too long counts as unreachable."""
        try:
            return self.repository.run(*arguments, timeout=None if "." in arguments else _TIMEOUT)
        except GitError as exc:
            if "timed out" in exc.stderr or "did not complete in" in exc.stderr:
                raise Unavailable(f"git remote {self.remote!r} did not answer within {_TIMEOUT:.0f} s") from exc
            raise

    def _refs(self, source: str) -> dict[str, str]:
        """Return every tag's name and object at `source`."""
        out = self._ask("ls-remote", "--tags", "--refs", source)
        pairs = (line.split("\t", 1) for line in out.splitlines())
        return {ref.removeprefix(_PREFIX): sha for sha, ref in pairs}

    def _listed(self, source: str) -> dict[str, str]:
        """Return the tags of this ledger at `source`: what is or looks like a version or a promotion."""
        marks = (f"{self.model}@v", f"{self.model}#champion")
        return {name: sha for name, sha in self._refs(source).items() if name.startswith(marks)}

    def _fetch(self, source: str, names: Sequence[str]) -> None:
        for start in range(0, len(names), 500):
            specs = [f"{_PREFIX}{name}:{_PREFIX}{name}" for name in names[start : start + 500]]
            try:
                self._ask("fetch", "--quiet", "--no-tags", "--no-prune", "--no-recurse-submodules", source, *specs)
            except GitError as exc:
                if self._listed(".").keys() >= set(names):
                    continue  # another process in this clone fetched them at the same time
                raise Refused(f"the ledger's tags could not be fetched from {source!r}: {exc.stderr.strip()}") from exc

    def _object(self, event: Event) -> str:
        """Write the event's tag object, which no ref names yet, and return its SHA.

        Raises:
            Refused: the event could not be read back, so nobody may write it.
        """
        if events.parse(events.text(event)) != event:
            raise Refused(f"{event.tag}: the event does not survive being written")
        person = self._identity().rsplit(" ", 2)[0]
        content = (
            f"object {event.commit}\ntype commit\ntag {event.tag}\n"
            f"tagger {person} {int(event.when.timestamp())} +0000\n\n{events.text(event)}\n"
        )
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", newline="") as stream:
            stream.write(content)
            stream.flush()
            return self.repository.run("hash-object", "-t", "tag", "-w", "--no-filters", stream.name)

    def _after_failure(self, objects: Mapping[str, str], exc: GitError | Unavailable) -> None:
        """Return if the failed push was taken all the same; else raise what it came to."""
        there = self._listed(self._source())
        if all(there.get(tag) == sha for tag, sha in objects.items()):
            return
        if taken := [tag for tag in objects if tag in there]:
            raise RaceLost(
                f"another promotion was faster: {', '.join(taken)} exists in the ledger; run score and gate again, "
                "against the new champion"
            ) from exc
        if isinstance(exc, Unavailable):
            raise exc
        raise Refused(f"remote {self.remote!r} did not take the ledger's tags: {exc.stderr.strip()}") from exc


def _tags(repository: Repository, *names: str) -> list[_Tag]:
    """Return the tags whose names match one of the patterns `names`, unchecked."""
    patterns = [f"{_PREFIX}{name}" for name in names]
    sizes = repository.run("for-each-ref", "--format=%(objectsize) %(refname)", *patterns)
    for size, _, ref in (line.partition(" ") for line in sizes.splitlines()):
        if int(size) > 2 * events.SIZE_LIMIT:
            raise Refused(f"tag {ref} has {size} bytes; no event is that large")
    fields = ("refname", "objectname", "objecttype", "type", "object", "tag", "taggerdate:unix", "contents")
    form = "".join(f"%({name})%00" for name in fields)
    values = repository.run("for-each-ref", f"--format={form}", *patterns).split("\0")[:-1]
    rows = (values[i : i + len(fields)] for i in range(0, len(values), len(fields)))
    return [
        _Tag(
            name=ref.lstrip("\n").removeprefix(_PREFIX),
            sha=sha,
            kind=kind,
            target_kind=target_kind,
            target=target,
            header=header,
            date=date,
            message=message,
        )
        for ref, sha, kind, target_kind, target, header, date, message in rows
    ]


def histories(repository: Repository, remotes: Mapping[str, str]) -> dict[str, History | Refused]:
    """Return each model's history as `Ledger.read` gives it, or its refusal; each remote is asked once.

    Args:
        repository: the clone.
        remotes: model → the remote of its ledger.

    Raises:
        Unavailable: a remote did not answer.
    """
    found: dict[str, History | Refused] = {}
    for remote in sorted(set(remotes.values())):
        ledgers = [Ledger(repository, model, remote) for model, its in remotes.items() if its == remote]
        try:
            found |= _histories_at(ledgers)
        except Refused as exc:
            found |= dict.fromkeys((ledger.model for ledger in ledgers), exc)
    return found


def _histories_at(ledgers: Sequence[Ledger]) -> dict[str, History | Refused]:
    """Return the histories of ledgers at one remote.

    Raises:
        Refused: for all of them.
    """
    first = ledgers[0]
    source = first._source()
    here = _by_model(first._refs("."))
    there = here if source == "." else _by_model(first._refs(source))
    if any(not there.get(ledger.model) for ledger in ledgers):
        first._refuse_shallow(source)
    if source != ".":
        wanted = (name for ledger in ledgers for name in there.get(ledger.model, ()))
        known = {name for names in here.values() for name in names}
        first._fetch(source, [name for name in wanted if name not in known])
    tags: dict[str, list[_Tag]] = {}
    for tag in _tags(first.repository, "*@v*", "*#champion*"):
        tags.setdefault(_model(tag.name), []).append(tag)
    found: dict[str, History | Refused] = {}
    for ledger in ledgers:
        model = ledger.model
        try:
            found[model] = ledger._whole(
                ledger._compared(here.get(model, {}), there.get(model, {}), tags.get(model, ()))
            )
        except Refused as exc:
            found[model] = exc
    return found


def _by_model(refs: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Return model → its ledger's tags, name → object, of all tags `refs`."""
    found: dict[str, dict[str, str]] = {}
    for name, sha in refs.items():
        model = _model(name)
        if name.removeprefix(model).startswith(("@v", "#champion")):
            found.setdefault(model, {})[name] = sha
    return found


def _model(tag: str) -> str:
    """Return the model that a tag of a ledger is of."""
    return re.split("[@#]", tag, maxsplit=1)[0]


def champion(root: Path, config: ModelConfig) -> Promotion | None:
    """Return the version of `config`'s model in production, as by `Ledger.champion`."""
    return Ledger.of(root, config).champion


def _build(model: str, tags: Iterable[_Tag]) -> tuple[History, list[str]]:
    """Return the history that `tags` tell, and what is wrong with it."""
    found: list[Event] = []
    problems: list[str] = []
    for tag in tags:
        try:
            found.append(_event(model, tag))
        except Refused as exc:
            problems.append(f"{tag.name}: {exc}")
    history = History(
        model=model,
        versions=tuple(sorted((e for e in found if isinstance(e, Registered)), key=lambda e: e.number)),
        promotions=tuple(sorted((e for e in found if isinstance(e, Promotion)), key=lambda e: e.promotion)),
    )
    return history, problems + chain_problems(history)


def _event(model: str, tag: _Tag) -> Event:
    if not _OURS.fullmatch(tag.name.removeprefix(model)):
        raise Refused("no tag of a ledger has such a name, so passmuster did not make it; rename or delete it")
    if tag.kind != "tag" or tag.target_kind != "commit":
        raise Refused("not an annotated tag of a commit")
    event = events.parse(tag.message.removesuffix("\n"))
    said = (event.tag, event.model, event.commit, str(int(event.when.timestamp())))
    if said != (tag.name, model, tag.target, tag.date) or tag.header != tag.name:
        raise Refused("its event is of another tag, model, commit or time")
    return event


def chain_problems(history: History) -> list[str]:
    """Return what is wrong with the chain of events: gaps, other digests, contradictions; empty: it is whole."""
    versions = {event.version: event for event in history.versions}
    return [
        *_links([(e.number, e) for e in history.versions], f"{history.model}@v", ".0.0"),
        *_links([(e.promotion, e) for e in history.promotions], f"{history.model}#champion#", ""),
        *(problem for i, event in enumerate(history.promotions) if (problem := _contradiction(history, i, versions))),
        *(
            f"{event.tag}: no promotion belongs to it; its tag was deleted"
            for event in history.versions
            if history.of_nonce(event.nonce) is None
        ),
    ]


def _links(numbered: Sequence[tuple[int, Event]], before: str, after: str) -> list[str]:
    problems = []
    last: Event | None = None
    expected = 1
    for number, event in numbered:
        problems += [f"{before}{missing}{after}: missing; it was deleted" for missing in range(expected, number)[:10]]
        if expected == number and event.previous != (last.digest if last else None):
            problems.append(f"{event.tag}: does not follow from the event before it; one of both was altered")
        if last is not None and event.when <= last.when:
            problems.append(f"{event.tag}: is not later than the event before it")
        last, expected = event, number + 1
    return problems


def _contradiction(history: History, index: int, versions: Mapping[str, Registered]) -> str | None:
    event = history.promotions[index]
    before = history.promotions[:index]
    registered = versions.get(event.version)
    if registered is None:
        return f"{event.tag}: version {event.version} is not registered; its tag was deleted"
    facts = ("commit", "model_digest", "evidence", "registry", "targets", "environment")
    if differing := [name for name in facts if getattr(event, name) != getattr(registered, name)]:
        return f"{event.tag}: contradicts {registered.tag} about {', '.join(differing)}"
    match event:
        case Promoted():
            if event.nonce != registered.nonce or any(p.version == event.version for p in before):
                return f"{event.tag}: promotes {event.version} a second time"
            if event.first != (event.promotion == 1):
                return f"{event.tag}: only the first promotion is a first one"
        case RolledBack():
            if before and (before[-1].version != event.replaced or event.replaced == event.version):
                return f"{event.tag}: rolls back from {event.replaced}, which was not champion"
            if not any(p.version == event.version for p in before):
                return f"{event.tag}: rolls back to {event.version}, which never was champion"
    return None
