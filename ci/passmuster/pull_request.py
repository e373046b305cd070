"""What is known of a pull request and of the run that judged it: facts that are posted, and facts of where to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from passmuster.report import ReportFacts


@dataclass(frozen=True, kw_only=True, order=True)
class Revision:
    """Which run told it; the order is that of the runs, so that an older one never overwrites a newer."""

    run_id: int
    attempt: int
    head: str = field(compare=False)  #: the head's commit, 40 hex digits


@dataclass(frozen=True, kw_only=True)
class PullRequest:
    """Where a report is posted; every text in it is the author's of the pull request."""

    repository: str  #: "owner/name" of the base
    number: int
    head: str  #: the head's commit
    base: str  #: the commit of the base whose policy rules
    fork: bool  #: whether the head is in another repository


class Conclusion(StrEnum):
    """A check run's conclusion, in GitHub's words."""

    SUCCESS = "success"
    FAILURE = "failure"
    NEUTRAL = "neutral"  #: inconclusive
    ACTION_REQUIRED = "action_required"  #: a person must decide: the base does not know the model


class Level(StrEnum):
    """How much an annotation weighs, in GitHub's words."""

    FAILURE = "failure"
    WARNING = "warning"
    NOTICE = "notice"


@dataclass(frozen=True, kw_only=True)
class Annotation:
    """A remark on lines of a file at the head; plain text, on one line each."""

    path: str
    start_line: int  #: from 1
    end_line: int
    level: Level
    title: str
    message: str


@dataclass(frozen=True, kw_only=True)
class Earlier:
    """What was told of an earlier commit; its texts are shown, and believed for nothing."""

    head: str  #: the commit, shortened
    words: str  #: the verdict in a few words
    reason: str


@dataclass(frozen=True, kw_only=True)
class Posting:
    """All that a reviewer is told of one run; renderers are pure functions of it."""

    pull_request: PullRequest | None  #: None: posted nowhere but to the job's summary
    revision: Revision
    models: tuple[ReportFacts, ...]  #: those that were judged; the order of the plan
    missing: Mapping[str, str] = field(default_factory=dict)  #: models that the plan names, not judged → why
    unknown: tuple[str, ...] = ()  #: models that the base does not know: a person must bring their config there
    plan: Mapping[str, Any] = field(default_factory=dict)  #: what `plan` said, as JSON
    problems: tuple[str, ...] = ()  #: why the run as a whole can't be believed; then nothing in it passes
    claimed: tuple[str, ...] = ()  #: what the pull request's own code could have made up, one sentence each
    links: Mapping[str, str] = field(default_factory=dict)  #: name → address, made by us, e.g. of the run
    earlier: tuple[Earlier, ...] = ()  #: what the comment said before, newest first; see `report.remembered`
    sources: Mapping[str, str] = field(default_factory=dict)  #: path → text at the head, for the lines of annotations
