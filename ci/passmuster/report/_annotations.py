"""Remarks on lines of files at the head: limits that were not held or are changed, and what else matters there.

Where a remark stands is found in the texts that the posting brings, whose paths are ours; a file that is not there, or
can't be read, has no remark. What a remark says is others' text, cleaned, plain, on one line.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

import yaml

from passmuster.policy import PART
from passmuster.pull_request import Annotation, Level, Posting
from passmuster.report import _changes, _conclusion, _evidence, _row
from passmuster.report._conclusion import Entry, Standing
from passmuster.report._escape import clean
from passmuster.report._facts import ReportFacts
from passmuster.verdict import Judgement, Outcome

#: Remarks on one model, so that one with a thousand failing slices leaves room for the others; and of all.
_MOST_OF_ONE, _MOST = 50, 300

#: Most characters of a file that is read for its lines, and levels that it may be nested.
_LONGEST, _DEEPEST = 200_000, 50

#: Where outputs of the pipeline are named.
_PIPELINES = ("dvc.yaml", "dvc.lock")

_LEVELS: Mapping[Outcome, Level] = {
    Outcome.FAIL: Level.FAILURE,
    Outcome.ERROR: Level.FAILURE,
    Outcome.INCONCLUSIVE: Level.WARNING,
}


def remarks(posting: Posting) -> list[Annotation]:
    """Return the remarks, the worst model's first; none of a model that could not be believed."""
    found: list[Annotation] = []
    for entry in _conclusion.entries(posting):
        if entry.facts:
            found += list(_of_model(entry, entry.facts, posting.sources))[:_MOST_OF_ONE]
    return list(dict.fromkeys(found))[:_MOST]


def _of_model(entry: Entry, facts: ReportFacts, sources: Mapping[str, str]) -> Iterator[Annotation]:
    config = _config(entry.model, sources)
    if config:
        yield from (_of_limit(judgement, config) for judgement in facts.judgements if judgement.blocks)
        yield from (_of_change(line, config, entry.model) for line in _changes.policy_changes(facts))
    if entry.standing is not Standing.PASSES:
        yield from _of_parameters(entry, facts, sources)
    if entry.standing is Standing.NOT_REPRODUCIBLE:
        yield from _of_outputs(facts, sources)


@dataclass(frozen=True, kw_only=True)
class _Source:
    """A file at the head, and where its keys stand."""

    path: str
    text: str

    def line(self, keys: tuple[str, ...]) -> int:
        """Return the line of the longest beginning of `keys` that stands there; 1 where none does."""
        lines = _lines(self.text)
        return next((lines[keys[:n]] for n in range(len(keys), 0, -1) if keys[:n] in lines), 1)

    def remark(self, line: int, level: Level, title: str, message: str) -> Annotation:
        return Annotation(
            path=self.path,
            start_line=line,
            end_line=line,
            level=level,
            title=clean(title, 200),
            message=clean(message, 2000),
        )


def _config(model: str, sources: Mapping[str, str]) -> _Source | None:
    names = (f"{model}.yaml", f"{model}.yml")
    return next(
        (_Source(path=path, text=text) for path, text in sources.items() if posixpath.basename(path) in names), None
    )


def _of_limit(judgement: Judgement, config: _Source) -> Annotation:
    name = judgement.name.split(PART)
    under = ("gates", judgement.gate)
    places = [(*under, *keys) for keys in (("limits", name[-1]), ("rules", name[-1]), ("limit",), ())]
    lines = _lines(config.text)
    at = next((lines[keys] for keys in places if keys in lines), config.line(under))
    words = {Outcome.INCONCLUSIVE: "can't be decided", Outcome.ERROR: "could not be measured"}
    title = f"{judgement.gate}, {_row.label(judgement)}: {words.get(judgement.outcome, 'is not held')}"
    return config.remark(at, _LEVELS.get(judgement.outcome, Level.FAILURE), title, judgement.reason)


def _of_change(line: str, config: _Source, model: str) -> Annotation:
    where, _, _ = line.rpartition(": ")
    does = "loosens" if _changes.loosens(line) else "changes"
    title = f"This {does} the policy of {model}"
    told = f"{line}. The candidate is judged by the base branch's policy, without this change."
    return config.remark(config.line(tuple(_keys(where))), Level.WARNING, title, told)


def _keys(where: str) -> list[str]:
    """Return the keys of a dotted path, in which unusual ones are quoted."""
    return [quoted or plain for quoted, plain in re.findall(r'"((?:[^"\\]|\\.)*)"|([^."]+)', where)]


def _of_parameters(entry: Entry, facts: ReportFacts, sources: Mapping[str, str]) -> Iterator[Annotation]:
    for change in _changes.changes(facts)["parameters"]:
        file, _, name = change.what.rpartition(":")
        file = file or "params.yaml"
        keys = tuple(name.split("."))
        if not facts.champion or not change.differs or keys not in _lines(sources.get(file, "")):
            continue
        source = _Source(path=file, text=sources[file])
        told = f"{change.what} is {change.candidate}; of the champion it is {change.champion}."
        title = f"Changed, and {entry.model} {entry.standing.value}"
        yield source.remark(source.line(keys), Level.NOTICE, title, told)


def _of_outputs(facts: ReportFacts, sources: Mapping[str, str]) -> Iterator[Annotation]:
    for output in _evidence.outputs(facts):
        if output["result"] in ("identical", "within tolerance"):
            continue
        for path, text in sources.items():
            lines = text[:_LONGEST].splitlines() if posixpath.basename(path) in _PIPELINES else []
            at = next((n for n, line in enumerate(lines, 1) if output["path"] and output["path"] in line), None)
            if at:
                told = f"{output['path']} is {output['result']}: {output['reason'] or 'no reason was given'}"
                source = _Source(path=path, text=text)
                yield source.remark(at, Level.FAILURE, f"{facts.model} is not reproducible", told)
                break


@lru_cache(64)
def _lines(text: str) -> dict[tuple[str, ...], int]:
    """Return where each key of a YAML file stands, from 1; empty where it can't be read."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader) if len(text) <= _LONGEST else None
    except (yaml.YAMLError, ValueError, RecursionError):
        return {}
    found: dict[tuple[str, ...], int] = {}
    left: list[tuple[tuple[str, ...], yaml.Node]] = [((), root)] if root else []
    seen: set[int] = set()
    while left:
        keys, node = left.pop()
        if not isinstance(node, yaml.MappingNode) or id(node) in seen or len(keys) > _DEEPEST:
            continue  # an alias stands where it was first
        seen.add(id(node))
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                found[(*keys, key.value)] = key.start_mark.line + 1
                left.append(((*keys, key.value), value))
    return found
