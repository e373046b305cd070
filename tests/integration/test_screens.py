"""The comment as reviewers see it: GitHub's dialect rendered in a browser, light and dark, and the page measured."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from passmuster import report
from passmuster.pull_request import Earlier, Posting, PullRequest, Revision
from passmuster.report import _pull_request as comment
from support import github_markdown, records

#: How wide a comment is on GitHub's page, in pixels.
WIDTH = 800

#: The least contrast of text with what lies behind it: WCAG 2.2, 1.4.3, level AA.
CONTRAST = 4.5

STYLE = """
:root { --text: #1f2328; --quiet: #59636e; --back: #ffffff; --line: #d1d9e0; --soft: #f6f8fa; --code: #eff1f3;
        --link: #0969da; }
[data-theme=dark] { --text: #f0f6fc; --quiet: #9198a1; --back: #0d1117; --line: #3d444d; --soft: #151b23;
        --code: #212830; --link: #4493f8; }
body { margin: 0; padding: 16px; color: var(--text); background: var(--back); line-height: 1.5; font-size: 14px;
       font-family: "Noto Sans", "DejaVu Sans", "Noto Color Emoji", sans-serif; overflow-wrap: break-word; }
h2 { font-size: 21px; line-height: 1.25; margin: 0 0 16px; padding-bottom: 6px; border-bottom: 1px solid var(--line); }
h3 { font-size: 17px; margin: 24px 0 16px; }
p, ul, blockquote, details, table { margin: 0 0 16px; }
table { display: block; width: max-content; max-width: 100%; overflow: auto; border-collapse: collapse; }
th, td { padding: 6px 13px; border: 1px solid var(--line); }
tr:nth-child(2n) { background: var(--soft); }
blockquote { padding: 0 1em; color: var(--quiet); border-left: 4px solid var(--line); }
blockquote > :last-child, details > :last-child { margin-bottom: 0; }
code { padding: 2px 5px; background: var(--code); border-radius: 6px; font: 12px "DejaVu Sans Mono", monospace;
       white-space: break-spaces; }
sub { font-size: 11px; vertical-align: baseline; }
a { color: var(--link); }
"""

#: Measures the page, with all folds open, and leaves the facts in it as JSON.
SCRIPT = """
function colour(text) { return (text.match(/[\\d.]+/g) || []).map(Number); }
function behind(node) {
  for (; node; node = node.parentElement) {
    const found = colour(getComputedStyle(node).backgroundColor);
    if (found.length < 4 || found[3] > 0) return found;
  }
}
function light(rgb) {
  const [r, g, b] = rgb.map(x => (x /= 255) <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
function contrast(node) {
  const [a, b] = [light(colour(getComputedStyle(node).color)), light(behind(node))];
  return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
}
const closed = document.body.scrollHeight;
document.querySelectorAll("details").forEach(fold => fold.open = true);
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
const contrasts = [];
while (walker.nextNode()) {
  if (walker.currentNode.data.trim()) contrasts.push(contrast(walker.currentNode.parentElement));
}
const tables = [...document.querySelectorAll("table")];
const facts = {
  width: document.documentElement.scrollWidth,
  closed: closed,
  contrast: Math.min(...contrasts),
  images: document.querySelectorAll("img, svg, picture, iframe, script:not(#measure)").length,
  empty: tables.filter(table => table.rows.length < 2).length,
  wide: tables.filter(table => table.scrollWidth > table.clientWidth + 1).map(table => table.innerText.slice(0, 80)),
  headings: [...document.querySelectorAll("h2")].map(heading => heading.innerText),
  folds: document.querySelectorAll("details > summary").length,
  nested: document.querySelectorAll("details").length,
};
document.querySelectorAll("details").forEach(fold => fold.open = false);
document.body.dataset.facts = JSON.stringify(facts);
"""


@pytest.fixture(scope="module")
def browser() -> str:
    """A browser: without one a newcomer's run goes on and says so; in CI a skip is a failure."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next((path for name in names if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("there is no browser: install Chromium, and fonts with emoji")
    return found


def facts_of(folder: Path, name: str) -> report.ReportFacts:
    return report.facts(records.scenario(folder / name, name))


def postings(folder: Path) -> dict[str, Posting]:
    """What reviewers are told, by what happened."""
    told = cache(lambda name: facts_of(folder, name))
    head = "b1" * 20
    run = Posting(
        pull_request=PullRequest(repository="acme/credit", number=7, head=head, base="a0" * 20, fork=False),
        revision=Revision(run_id=17234567890, attempt=1, head=head),
        models=(),
        plan={"models": [], "untouched": ["loan-pricing"], "removed": {}},
        links={"HTML report and records": "https://github.example/acme/credit/actions/runs/17234567890"},
    )

    def of(*models: report.ReportFacts, **other: Any) -> Posting:
        return replace(run, models=models, plan={**run.plan, "models": [facts.model for facts in models]}, **other)

    earlier = tuple(
        Earlier(
            head=f"{n}" * 10, words="❌ credit-default does not pass muster", reason="ROC AUC in Job=part-time is worse"
        )
        for n in range(3)
    )
    first = told("first")
    fork = replace(first, score={**first.score, "champion": {"state": "no-access"}})
    names = ["failing", "passing", "inconclusive", "error", *["passing"] * 8]
    many = [replace(told(name), model=f"risk-model-{n}") for n, name in enumerate(names)]
    claimed = ("the figures of training and scoring", "that the re-run gave what the commit says")
    return {
        "pass": of(told("passing"), claimed=claimed),
        "fail": of(told("failing"), earlier=earlier),
        "inconclusive": of(told("inconclusive")),
        "could not be judged": of(told("error"), missing={"loan-pricing": "its job was cancelled"}),
        "not believed": of(told("passing"), problems=("the run did not use the base's workflow",)),
        "fork": of(fork, claimed=claimed),
        "policy loosened": of(replace(told("failing"), model="loan-pricing"), told("passing")),
        "twelve models": of(*many, unknown=("churn",)),
        "nothing to judge": run,
    }


CASES = [
    *("pass", "fail", "inconclusive", "could not be judged", "not believed", "fork", "policy loosened"),
    *("twelve models", "nothing to judge"),
]


def page(told: Posting, theme: str) -> str:
    body = github_markdown.render(comment.render(told))
    return (
        f'<!doctype html><html lang="en" data-theme="{theme}"><head><meta charset="utf-8"><style>{STYLE}</style></head>'
        f'<body>{body}<script id="measure">{SCRIPT}</script></body></html>'
    )


def look(browser: str, file: Path, *arguments: str) -> str:
    """Open a page in the browser, and return what it prints."""
    options = [
        *("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-dev-shm-usage"),
        *(f"--user-data-dir={file.parent / 'profile'}", "--virtual-time-budget=2000"),
    ]
    done = subprocess.run(
        [browser, *options, *arguments, file.as_uri()], capture_output=True, text=True, timeout=120, check=True
    )
    return done.stdout


def measured(browser: str, file: Path) -> dict[str, Any]:
    dom = look(browser, file, f"--window-size={WIDTH},1200", "--dump-dom")
    found = re.search(r'data-facts="([^"]*)"', dom)
    assert found, dom[-2000:]
    facts: dict[str, Any] = json.loads(unescape(found[1]))
    return facts


def shots(folder: str | None, browser: str, file: Path, height: int) -> Iterable[Path]:
    """Where a folder for them is named, keep a picture of what a person would see."""
    if folder:
        to = Path(folder, f"{file.stem}.png")
        look(browser, file, f"--window-size={WIDTH},{min(height + 40, 6000)}", f"--screenshot={to}")
        yield to


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("case", CASES)
def test_the_comment_is_readable_at_the_width_of_githubs_page(
    browser: str, tmp_path: Path, case: str, theme: str
) -> None:
    """With `PASSMUSTER_SCREENS` naming a folder the pictures are kept there, to be looked at."""
    told = postings(tmp_path)[case]
    file = tmp_path / f"{case.replace(' ', '-')}-{theme}.html"
    file.write_text(page(told, theme), encoding="utf-8")

    facts = measured(browser, file)
    list(shots(os.environ.get("PASSMUSTER_SCREENS"), browser, file, facts["closed"]))

    assert facts["width"] <= WIDTH
    assert facts["wide"] == []
    assert facts["contrast"] >= CONTRAST
    assert (facts["images"], facts["empty"]) == (0, 0)
    assert len(facts["headings"]) == 1
    assert facts["folds"] == facts["nested"]
