"""Post a report where reviewers read: one comment, a check run, the job's summary.

Several runs may post at once, and GitHub has no compare-and-swap. So every reporter first leaves a check run, which
nobody deletes and which carries the whole report; then it writes the comment; and then it looks, until nothing is
left to do: one comment of ours stands, the oldest, and no newer report is known. Whoever overwrote a newer report, by
what it read before, thereby finds that report on the pull request's head and puts it back.

A report's revision is the first line of its text. A revision that claims to be newer is believed where GitHub knows its
run, since a pull request's own workflow may write as the same author.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from passmuster._console import harmless
from passmuster.errors import PassmusterError, Unavailable
from passmuster.github import actions
from passmuster.github.client import MOST_ANNOTATIONS
from passmuster.github.transport import MissingPermission, NotThere
from passmuster.pull_request import Annotation, Conclusion, Level, Posting, PullRequest, Revision

if TYPE_CHECKING:
    from passmuster.github.client import GitHub
    from passmuster.github.facts import CheckRun, Comment

#: The check run's name.
CHECK = "passmuster / verdict"

#: Who a job's own token comments as.
BOT = "github-actions[bot]"

#: UTF-16 units of a comment; GitHub takes 65,536.
LONGEST_COMMENT = 60_000

#: Bytes of a check run's summary.
LONGEST_SUMMARY = 65_535

_MARKER = re.compile(r"<!-- passmuster: run=(\d{1,18}) attempt=(\d{1,9}) head=([0-9a-f]{40}) -->")
_CHECK_ID = re.compile(r"passmuster:(\d{1,18}):(\d{1,9})")
_ROUNDS = 20
_LONGEST_TITLE = 250
_CUT = "\n\n*The rest is left out: GitHub takes no longer text. The records have all of it.*\n"


@dataclass(frozen=True, kw_only=True)
class Texts:
    """A posting in the forms that GitHub takes."""

    title: str  #: the verdict in one line
    conclusion: Conclusion
    annotations: Sequence[Annotation]
    summary: str  #: Markdown of the job's summary
    body: Callable[[str], str]  #: the comment's text, made of what our comment said before, "" where there was none


@dataclass(frozen=True, kw_only=True)
class Posted:
    """Where a report stands."""

    comment: int | None  #: its id; None where a newer report stands, or none was posted
    check_run: int | None


@dataclass(frozen=True, kw_only=True)
class _Told:
    """A report with its revision, ready to be posted."""

    revision: Revision
    text: str


def post(github: GitHub, posting: Posting, *, dry_run: bool = False) -> Posted:
    """Post a report; with `dry_run` print what would be.

    Raises:
        Unavailable: it could not be posted; its Markdown is in the job's summary, or printed.
    """
    return publish(github, posting.pull_request, posting.revision, texts(posting), dry_run=dry_run)


def texts(posting: Posting) -> Texts:
    """Return a posting in the forms that GitHub takes."""
    from passmuster.report import _pull_request as report

    def body(before: str) -> str:
        now = replace(posting, earlier=report.remembered(before))
        return f"{report.remember(now)}\n{report.render(now)}"

    return Texts(
        title=report.headline(posting),
        conclusion=report.conclusion(posting),
        annotations=report.annotations(posting),
        summary=report.summary(posting),
        body=body,
    )


def publish(
    github: GitHub, target: PullRequest | None, revision: Revision, texts: Texts, *, dry_run: bool = False
) -> Posted:
    """Post the texts of a report, as `post` does."""
    if dry_run:
        print(marked(revision, texts.body("")) if target else texts.summary)  # noqa: T201  data
        remarks = f"{len(texts.annotations)} annotations"
        print(harmless(f"{CHECK}: {texts.conclusion}, {texts.title}; {remarks}"), file=sys.stderr)  # noqa: T201  talk
        return Posted(comment=None, check_run=None)
    if target is None or actions.in_actions():
        actions.summary(texts.summary)  # before anything can fail
    if target is None:
        return Posted(comment=None, check_run=None)
    reporter = _Reporter(github, target, revision, texts)
    failures: list[PassmusterError] = []
    check = _attempt(reporter.check, failures)
    comment = _attempt(reporter.comment, failures)
    if failures:
        if not actions.in_actions():
            actions.summary(texts.summary)
        _log(texts)
        reasons = "\n".join(dict.fromkeys(str(failure) for failure in failures))
        where = "is in the job's summary" if actions.in_actions() else "was printed"
        raise Unavailable(f"the report could not be posted; it {where}\n{reasons}")
    return Posted(comment=comment, check_run=check)


def marked(revision: Revision, text: str) -> str:
    """Return a comment's text with its revision, no longer than GitHub takes."""
    marker = f"<!-- passmuster: run={revision.run_id} attempt={revision.attempt} head={revision.head} -->"
    return cut(f"{marker}\n{text}", LONGEST_COMMENT, lambda part: len(part.encode("utf-16-le", "replace")) // 2)


def revision_of(text: str) -> Revision | None:
    """Return the revision that a text carries in its first line, None where it carries none."""
    found = _MARKER.fullmatch(text.partition("\n")[0].rstrip("\r"))
    return found and Revision(run_id=int(found[1]), attempt=int(found[2]), head=found[3])


def cut(text: str, limit: int, size: Callable[[str], int]) -> str:
    """Return Markdown of at most `limit` as `size` counts: whole lines from its start, folds closed."""
    if size(text) <= limit:
        return text
    kept: list[str] = []
    left = limit - size(_CUT)
    depth = 0
    for line in text.splitlines(keepends=True):
        depth += line.count("<details") - line.count("</details")
        left -= size(line)
        if left < max(0, depth) * len("</details>\n"):
            break
        kept.append(line)
    whole = "".join(kept)
    folds = whole.count("<details") - whole.count("</details")
    return f"{whole}{'</details>' * max(0, folds)}{_CUT}"


def _attempt(what: Callable[[], int | None], failures: list[PassmusterError]) -> int | None:
    try:
        return what()
    except PassmusterError as exc:
        failures.append(exc)
        return None


def _log(texts: Texts) -> None:
    """Say in the job's log what could not be posted."""
    say = {Level.FAILURE: actions.error, Level.WARNING: actions.warning, Level.NOTICE: actions.notice}
    for remark in texts.annotations:
        say[remark.level](remark.message, file=remark.path, line=remark.start_line, title=remark.title)
    actions.error(texts.title, title=CHECK)


class _Reporter:
    """One report on its way to one pull request."""

    def __init__(self, github: GitHub, target: PullRequest, revision: Revision, texts: Texts) -> None:
        self._github = github
        self._target = target
        self._revision = revision
        self._texts = texts
        self._asked = False
        self._user: str | None = None
        self._author: str | None = None  #: whom our comments are by
        self._real = {revision: True}
        self._before: str | None = None

    def check(self) -> int | None:
        """Leave a check run with the whole report; where a newer one stands on the commit, none.

        Only apps may make check runs, a job's token among them; a user's may not, whatever its permissions.
        """
        if self._login() is not None:
            actions.notice("no check run is made: GitHub lets apps do that, and this is a user's token", title=CHECK)
            return None
        found = self._checks(self._revision.head)
        if any(revision > self._revision for revision in found):
            return None
        mine = self._complete(found.get(self._revision))
        self._line_up()
        return mine.id

    def comment(self) -> int | None:
        """Bring our one comment to the newest report that is known, and return its id where that is this one."""
        written = False
        for _ in range(_ROUNDS):
            ours = self._ours()
            wanted = self._newest(ours)
            if wanted is None:
                return None
            if not ours:
                self._author = self._github.create_comment(self._target.number, wanted.text).author or self._author
                written = True
                continue
            keep, *others = ours
            held = self._believed(revision_of(keep.body))
            rewrite = held is None or held < wanted.revision or (not written and self._differs(keep, wanted))
            if rewrite:
                self._rewrite(keep, wanted)
                written = True
            for other in others:
                self._github.delete_comment(other.id)
            if not rewrite and not others:
                return keep.id if held == self._revision else None
        raise Unavailable(f"other runs keep changing the comment on #{self._target.number}; run this again later")

    def _complete(self, mine: CheckRun | None) -> CheckRun:
        """Create or finish the check run; the conclusion comes with the last annotations, until then it is pending."""
        texts = self._texts
        title, summary = texts.title[:_LONGEST_TITLE], _summary(self._mine().text)
        rest = list(texts.annotations)[mine.annotations if mine else 0 :]
        while True:
            part, rest = rest[:MOST_ANNOTATIONS], rest[MOST_ANNOTATIONS:]
            conclusion = None if rest else texts.conclusion
            if mine is None:
                mine = self._github.create_check_run(
                    self._revision.head,
                    CHECK,
                    external_id=f"passmuster:{self._revision.run_id}:{self._revision.attempt}",
                    title=title,
                    summary=summary,
                    conclusion=conclusion,
                    annotations=part,
                )
            else:
                mine = self._github.update_check_run(
                    mine, title=title, summary=summary, conclusion=conclusion, annotations=part
                )
            if not rest:
                return mine

    def _line_up(self) -> None:
        """Let older check runs that were made after the newest, and so hide it, say what it says; look again until so.

        While the newest is still being written they say "cancelled", which is no pass; its writer comes here too.
        """
        for _ in range(_ROUNDS):
            found = self._checks(self._revision.head)
            newest = found[max(found)]
            conclusion = newest.conclusion or "cancelled"
            others = [
                check
                for check in found.values()
                if check.id > newest.id
                and (check.conclusion, check.summary.strip()) != (conclusion, newest.summary.strip())
            ]
            if not others:
                return
            for check in others:
                self._github.update_check_run(check, title=newest.title, summary=newest.summary, conclusion=conclusion)
        raise Unavailable(f"other runs keep changing the check runs of {self._revision.head}; run this again later")

    def _newest(self, ours: Sequence[Comment]) -> _Told | None:
        """Return the newest report of those that are known: ours, those in comments, that on the pull request's head.

        A report for another commit than the head is not posted any more: its successor is on its way.
        """
        head = self._github.pull_request(self._target.number).head_sha
        known = {told.revision: told for told in map(self._told, ours) if told}
        known |= {told.revision: told for told in self._announced(head) if told.revision not in known}
        if head == self._revision.head:
            known[self._revision] = self._mine()
        return known[max(known)] if known else None

    def _mine(self) -> _Told:
        """Return our report; it tells what our comment said when it was first read."""
        if self._before is None:
            try:
                self._before = next((one.body for one in self._ours()), "")
            except MissingPermission:
                self._before = ""  # the comment will say so; the check run may still be written
        return _Told(revision=self._revision, text=marked(self._revision, self._texts.body(self._before)))

    def _told(self, comment: Comment) -> _Told | None:
        revision = self._believed(revision_of(comment.body))
        return None if revision is None else _Told(revision=revision, text=comment.body)

    def _announced(self, head: str) -> list[_Told]:
        """Return the reports in check runs of a commit; none where the token may not read them."""
        try:
            found = self._checks(head)
        except MissingPermission:
            return []
        return [
            _Told(revision=revision, text=check.summary)
            for revision, check in found.items()
            if revision_of(check.summary) == revision
        ]

    def _checks(self, sha: str) -> dict[Revision, CheckRun]:
        """Return the check runs of our making on a commit, by revision."""
        found: dict[Revision, CheckRun] = {}
        for check in self._github.check_runs(sha, CHECK):
            if ident := _CHECK_ID.fullmatch(check.external_id):
                claimed = Revision(run_id=int(ident[1]), attempt=int(ident[2]), head=sha)
                if revision := self._believed(claimed):
                    found.setdefault(revision, check)
        return found

    def _ours(self) -> list[Comment]:
        """Return our comments, oldest first."""
        if self._author is None:
            self._author = self._login() or BOT
        found = self._github.comments(self._target.number)
        return [one for one in found if one.author == self._author and revision_of(one.body)]

    def _login(self) -> str | None:
        """Return the login of the user that the token is of, None for an app's."""
        if not self._asked:
            self._user, self._asked = self._github.me(), True
        return self._user

    def _believed(self, claimed: Revision | None) -> Revision | None:
        """Return a revision that is older than ours, or whose run GitHub knows as one of the same workflow."""
        if claimed is None or claimed <= self._revision:
            return claimed
        if claimed not in self._real:
            self._real[claimed] = self._known(claimed)
        return claimed if self._real[claimed] else None

    def _known(self, claimed: Revision) -> bool:
        try:
            run, own = self._github.run(claimed.run_id), self._github.run(self._revision.run_id)
        except NotThere:
            return False
        return (run.head_sha, run.path) == (claimed.head, own.path) and run.attempt >= claimed.attempt

    def _differs(self, keep: Comment, wanted: _Told) -> bool:
        """Return whether a comment of the wanted revision has another text: the same run is posted again."""
        return revision_of(keep.body) == wanted.revision and keep.body.strip() != wanted.text.strip()

    def _rewrite(self, keep: Comment, wanted: _Told) -> None:
        try:
            self._github.update_comment(keep.id, wanted.text)
        except NotThere:
            return  # somebody deleted it: the next look finds none


def _summary(text: str) -> str:
    return cut(text, LONGEST_SUMMARY, lambda part: len(part.encode("utf-8", "replace")))
