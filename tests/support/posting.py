"""Reports that are posted in tests: short texts that name their run."""

from __future__ import annotations

from passmuster.posting import Texts
from passmuster.pull_request import Annotation, Conclusion, Level, PullRequest, Revision


def target(head: str, number: int = 3) -> PullRequest:
    """Return the pull request that tests post to."""
    return PullRequest(repository="octo/models", number=number, head=head, base="c" * 40, fork=False)


def report(revision: Revision, *, remarks: int = 0, text: str = "") -> Texts:
    """Return a report that names its run, and says what it found before; run 82 fails."""
    words = f"report of {revision.run_id}.{revision.attempt} {text}".strip()
    return Texts(
        title=f"title of {revision.run_id}.{revision.attempt}",
        conclusion=Conclusion.FAILURE if revision.run_id == 82 else Conclusion.SUCCESS,
        annotations=[remark(line) for line in range(1, remarks + 1)],
        summary=f"summary: {words}",
        body=lambda before: f"{words}\n" + (f"before: {before.splitlines()[1]}" if before else ""),
    )


def remark(line: int) -> Annotation:
    """Return a remark on a line."""
    return Annotation(
        path="params.yaml", start_line=line, end_line=line, level=Level.WARNING, title="a limit", message="changed"
    )
