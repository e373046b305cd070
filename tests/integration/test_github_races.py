"""Reporters that post at once: one comment stands, the newest report's, whoever speaks first at each call.

Who makes the next call is drawn from a seed, so that each interleaving can be had again; nothing is timed.
"""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Callable, Iterator, Sequence

import pytest

from passmuster.github.client import GitHub
from passmuster.github.transport import Patience
from passmuster.posting import CHECK, publish, revision_of
from passmuster.pull_request import Conclusion, Revision
from support.github_server import BOT, FakeGitHub, Repository, Request
from support.posting import report, target

pytestmark = pytest.mark.network

OLD, NEW = "a" * 40, "b" * 40
RUNS = (
    Revision(run_id=71, attempt=1, head=OLD),
    Revision(run_id=71, attempt=2, head=OLD),
    Revision(run_id=82, attempt=1, head=OLD),
)
INTERLEAVINGS = 200


class Turns:
    """Lets one thread at a time make its next call; which one is drawn, and in how long bursts."""

    def __init__(self, seed: int) -> None:
        self._draw = random.Random(seed)
        self._burst = self._draw.choice((0.0, 0.7, 0.9))  #: how likely the same goes on
        self._last = ""
        self._changed = threading.Condition()
        self._waiting: dict[str, threading.Thread] = {}
        self._running = 0
        self._next = ""

    def take(self, _: Request | None = None) -> None:
        """Wait for one's turn."""
        me = threading.current_thread()
        with self._changed:
            self._waiting[me.name] = me
            self._running -= 1
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._next == me.name)
            self._next = ""

    def run(self, jobs: Sequence[Callable[[], object]]) -> list[BaseException]:
        """Run all jobs to their ends and return what they raised."""
        raised: list[BaseException] = []

        def whole(job: Callable[[], object]) -> None:
            try:
                job()
            except BaseException as exc:
                raised.append(exc)
            finally:
                with self._changed:
                    self._running -= 1
                    self._changed.notify_all()

        threads = [threading.Thread(target=whole, args=(job,), name=str(i)) for i, job in enumerate(jobs)]
        self._running = len(threads)
        for thread in threads:
            thread.start()
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._running == 0)
                if not self._waiting:
                    break
                if self._last not in self._waiting or self._draw.random() >= self._burst:
                    self._last = self._draw.choice(sorted(self._waiting))
                self._next = self._last
                del self._waiting[self._next]
                self._running = 1
                self._changed.notify_all()
        for thread in threads:
            thread.join()
        return raised


def race(seed: int) -> tuple[FakeGitHub, Repository, list[BaseException], Revision]:
    """Let two or three reporters post, with what else happens drawn from `seed`."""
    draw = random.Random(f"what {seed}")
    fake = FakeGitHub()
    repository = fake.repository("octo/models")
    repository.open_pull(3, OLD, "c" * 40)
    runs = list(RUNS[-draw.choice((2, 3)) :])
    if pushed := draw.random() < 0.3:
        runs[-1] = Revision(run_id=runs[-1].run_id, attempt=1, head=NEW)
    for run in runs:
        attempts = max(other.attempt for other in runs if other.run_id == run.run_id)
        repository.start_run(run.run_id, run.head, attempt=attempts)
    if draw.random() < 0.5:
        repository.comments[1] = before(draw.choice((BOT, "mallory")))
        next(fake._ids)
    if draw.random() < 0.3:
        fake.plan(method="POST", path="comments|check-runs", reset=True, after=draw.random() < 0.5)
    turns = Turns(seed)

    def reporter(revision: Revision) -> Callable[[], object]:
        patience = Patience(sleep=lambda _: None)
        github = GitHub("octo/models", "token", base_url=fake.url, patience=patience, session=fake.session(turns.take))

        def job() -> None:
            if pushed and revision.head == NEW:
                turns.take()
                repository.open_pull(3, NEW, "c" * 40)
            publish(github, target(revision.head), revision, report(revision, remarks=draw_remarks[revision]))

        return job

    draw_remarks = {run: draw.choice((0, 1, 51)) for run in runs}
    jobs = [reporter(run) for run in runs]
    draw.shuffle(jobs)
    return fake, repository, turns.run(jobs), max(runs)


def before(author: str) -> dict[str, object]:
    """Return a comment of an earlier run, or one of a stranger who forges our marker."""
    run = 5 if author == BOT else 10**17
    text = f"<!-- passmuster: run={run} attempt=1 head={'d' * 40} -->\nearlier"
    return {"id": 1, "number": 3, "user": {"login": author, "id": 1}, "body": text}


@pytest.mark.parametrize("first", range(0, INTERLEAVINGS, 20))
def test_whoever_speaks_first_one_comment_stands_and_it_is_the_newest(first: int) -> None:
    for seed in range(first, first + 20):
        fake, repository, raised, newest = race(seed)
        ours = [one for one in repository.comments.values() if one["user"]["login"] == BOT]

        assert raised == [], seed
        assert [revision_of(one["body"]) for one in ours] == [newest], seed
        assert f"report of {newest.run_id}.{newest.attempt}" in ours[0]["body"], seed
        assert fake.refused == [], seed
        assert_the_newest_check_shows(repository, newest, seed)


@pytest.mark.parametrize("standing", [True, False], ids=["a comment stands", "none stands"])
@pytest.mark.parametrize("order", [(0, 2), (2, 0)], ids=["older interrupted", "newer interrupted"])
def test_whatever_call_another_reporter_comes_before_the_newest_report_stands(
    order: tuple[int, int], standing: bool
) -> None:
    """One reporter is interrupted before each of its calls in turn, and the other meanwhile posts all it has."""
    first, second = (RUNS[number] for number in order)
    for number in range(40):
        fake = FakeGitHub()
        repository = fake.repository("octo/models")
        repository.open_pull(3, OLD, "c" * 40)
        for revision in (first, second):
            repository.start_run(revision.run_id, OLD)
        if standing:
            repository.comments[next(fake._ids)] = before(BOT)
        calls = itertools.count()

        def interrupt(_: Request, calls: Iterator[int] = calls, fake: FakeGitHub = fake, number: int = number) -> None:
            if next(calls) == number:
                publish(client(fake), target(OLD), second, report(second))

        publish(client(fake, interrupt), target(OLD), first, report(first))
        if next(calls) <= number:
            assert number > 8, "so few calls are no report"
            return
        (ours,) = repository.comments.values()

        assert revision_of(ours["body"]) == RUNS[2], number
        assert_the_newest_check_shows(repository, RUNS[2], number)
    raise AssertionError("a report takes more calls than were tried")


def client(fake: FakeGitHub, turn: Callable[[Request], None] = lambda _: None) -> GitHub:
    return GitHub("octo/models", "token", base_url=fake.url, session=fake.session(turn))


def assert_the_newest_check_shows(repository: Repository, newest: Revision, seed: int) -> None:
    """Assert that the check run that GitHub shows for the head, the one made last, says what the newest run says."""
    checks = [one for one in repository.checks.values() if one["head_sha"] == newest.head and one["name"] == CHECK]
    shown = max(checks, key=lambda one: one["id"])

    assert shown["conclusion"] == (Conclusion.FAILURE if newest.run_id == 82 else Conclusion.SUCCESS), seed
    assert f"report of {newest.run_id}.{newest.attempt}" in shown["output"]["summary"], seed
