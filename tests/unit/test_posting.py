"""A report's text carries its revision, and is never longer than GitHub takes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from passmuster.posting import LONGEST_COMMENT, cut, marked, revision_of
from passmuster.pull_request import Revision

REVISION = Revision(run_id=123, attempt=2, head="a" * 40)


@given(st.text())
def test_the_revision_is_read_as_it_was_written_whatever_follows(text: str) -> None:
    assert revision_of(marked(REVISION, text)) == REVISION


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<!-- passmuster: run=1 attempt=1 head=zz -->",
        f"quoted: <!-- passmuster: run=9 attempt=1 head={'b' * 40} -->",
        f"\n<!-- passmuster: run=9 attempt=1 head={'b' * 40} -->",
        f"<!-- passmuster: run={'9' * 400} attempt=1 head={'b' * 40} -->",
        f"<!-- passmuster: run=９ attempt=1 head={'b' * 40} --> and more",
    ],
)
def test_what_stands_elsewhere_is_no_revision(text: str) -> None:
    assert revision_of(text) is None


def test_a_later_run_is_newer_and_so_is_a_later_attempt() -> None:
    first, again, later = (Revision(run_id=run, attempt=n, head="a" * 40) for run, n in ((9, 1), (9, 2), (10, 1)))

    assert first < again < later


@pytest.mark.parametrize("line", ["x" * 79 + "\n", "😀" * 40 + "\n", "x" * 200_000])
def test_a_comment_is_never_longer_than_github_takes(line: str) -> None:
    text = marked(REVISION, line * 3000)

    assert len(text.encode("utf-16-le")) // 2 <= LONGEST_COMMENT
    assert revision_of(text) == REVISION
    assert "left out" in text


def test_what_is_cut_keeps_its_folds_closed() -> None:
    inner = "<details><summary>a</summary>\n\n<details><summary>b</summary>\n\n" + "line\n" * 300
    text = cut(inner + "</details>\n</details>\n", 900, len)

    assert len(text) <= 900
    assert text.count("<details") == text.count("</details") == 2


def test_what_fits_is_left_alone() -> None:
    assert cut("x" * 10, 10, len) == "x" * 10
