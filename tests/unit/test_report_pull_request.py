"""The report of a whole run: its verdict is the worst of its models', and no text of others does anything in it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from passmuster import report
from passmuster.errors import ExitCode
from passmuster.pull_request import Conclusion, Earlier, Level, Posting, PullRequest, Revision
from passmuster.report import _changes, _markdown
from passmuster.report import _pull_request as comment
from passmuster.report._words import Status
from support import github_markdown, records

SNAPSHOTS = Path(__file__).parent / "snapshots"
HEAD, BASE = "b1" * 20, "a0" * 20
CONFIG = "model-configs/credit-default.yaml"

Told = Callable[[str], report.ReportFacts]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    """The facts of a scenario, each written and read once."""
    return cache(lambda name: report.facts(records.scenario(tmp_path_factory.mktemp(name), name)))


def posting(*models: report.ReportFacts, **other: Any) -> Posting:
    """A run on a pull request that judged `models`, all that was planned."""
    return Posting(
        **{
            "pull_request": PullRequest(repository="acme/credit", number=7, head=HEAD, base=BASE, fork=False),
            "revision": Revision(run_id=18, attempt=1, head=HEAD),
            "models": models,
            "plan": {"models": [facts.model for facts in models], "untouched": [], "removed": {}},
            "links": {"HTML report": "https://github.example/acme/credit/actions/runs/18"},
            **other,
        }
    )


def named(facts: report.ReportFacts, model: str) -> report.ReportFacts:
    return replace(facts, model=model)


def page(told_of: Posting) -> str:
    return github_markdown.render(comment.render(told_of))


def seen(told_of: Posting) -> str:
    """What a reader sees of the comment, on one line."""
    return " ".join(github_markdown.shown(page(told_of)).split())


# --- the conclusion ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "expected", "said"),
    [
        (["passing"], Conclusion.SUCCESS, "✅ credit-default passes muster"),
        (["first"], Conclusion.SUCCESS, "✅ credit-default passes muster · first model: nothing was compared"),
        (["failing"], Conclusion.FAILURE, "❌ credit-default does not pass muster"),
        (["inconclusive"], Conclusion.NEUTRAL, "❓ credit-default can't be decided"),
        (["error"], Conclusion.FAILURE, "❗ credit-default could not be judged"),
        (["not-reproducible"], Conclusion.FAILURE, "❌ credit-default is not reproducible"),
        (["passing", "inconclusive"], Conclusion.NEUTRAL, "❓ m1 can't be decided · ✅ m0 passes muster"),
        (["inconclusive", "failing"], Conclusion.FAILURE, "❌ m1 does not pass muster · ❓ m0 can't be decided"),
        (["failing", "error"], Conclusion.FAILURE, "❗ m1 could not be judged · ❌ m0 does not pass muster"),
        (
            ["passing", "failing", "passing", "failing"],
            Conclusion.FAILURE,
            "❌ 4 models: 2 do not pass muster, 2 pass muster",
        ),
    ],
)
def test_the_conclusion_is_that_of_the_worst_model(
    told: Told, names: list[str], expected: Conclusion, said: str
) -> None:
    models = [told(name) if len(names) == 1 else named(told(name), f"m{i}") for i, name in enumerate(names)]
    run = posting(*models)

    assert comment.conclusion(run) is expected
    assert seen(run).startswith(said)


PLAN = {"models": ["credit-default"], "untouched": ["loan-pricing"], "removed": {}}

#: What is changed of a run whose one model passes → its conclusion, and what is said of it.
DOUBTFUL: dict[str, tuple[Callable[[report.ReportFacts], dict[str, Any]], Conclusion, str]] = {
    "it can't be believed": (lambda _: {"problems": ("another workflow ran",)}, Conclusion.FAILURE, "another workflow"),
    "it can't be believed, and names an heir": (
        lambda _: {"models": (), "problems": ("another workflow ran",), "plan": {**PLAN, "removed": {"old": "new"}}},
        Conclusion.FAILURE,
        "another workflow",
    ),
    "a model is missing": (lambda _: {"missing": {"x": "its job was cut"}}, Conclusion.FAILURE, "its job was cut"),
    "missing and judged": (lambda _: {"missing": {"credit-default": "cut"}}, Conclusion.FAILURE, "cut"),
    "unknown to the base": (lambda _: {"unknown": ("new",)}, Conclusion.ACTION_REQUIRED, "needs a person"),
    "unknown and judged": (lambda _: {"unknown": ("credit-default",)}, Conclusion.ACTION_REQUIRED, "needs a person"),
    "planned, and not heard of": (
        lambda _: {"plan": {"models": ["x", "credit-default"]}},
        Conclusion.FAILURE,
        "it was planned, and no verdict of it arrived",
    ),
    "not planned": (lambda _: {"plan": {"models": []}}, Conclusion.FAILURE, "the plan does not name it"),
    "told twice": (lambda facts: {"models": (facts, facts)}, Conclusion.FAILURE, "2 verdicts of it arrived"),
    "another code": (
        lambda facts: {"models": (replace(facts, code=ExitCode.GATE_FAILED),)},
        Conclusion.FAILURE,
        "its verdict does not",
    ),
    "no verdict": (
        lambda facts: {"models": (replace(facts, verdict=None),)},
        Conclusion.FAILURE,
        "its verdict does not",
    ),
    "the parent's policy was not held": (
        lambda facts: {"models": (replace(facts, also=replace(facts.verdict, judgements=())),)},
        Conclusion.FAILURE,
        "its verdict does not",
    ),
    "judged in part": (
        lambda facts: {"models": (replace(facts, status=Status.IN_PART),)},
        Conclusion.FAILURE,
        "could not be judged",
    ),
    "a registry's name taken over": (
        lambda _: {"plan": {**PLAN, "removed": {"old": "credit-default"}}},
        Conclusion.ACTION_REQUIRED,
        "it takes over the name of the registered model of old",
    ),
    "a registry's name taken over by one that nobody judged": (
        lambda _: {"plan": {**PLAN, "removed": {"old": "stranger"}}},
        Conclusion.ACTION_REQUIRED,
        "stranger needs a person",
    ),
    "no plan and no model": (
        lambda _: {"models": (), "plan": {}},
        Conclusion.FAILURE,
        "neither a plan nor a verdict arrived",
    ),
    "models of a plan that are no list": (
        lambda _: {"models": (), "plan": {"models": None}},
        Conclusion.FAILURE,
        "Nothing is known of what was judged",
    ),
}


@pytest.mark.parametrize("name", DOUBTFUL)
def test_what_is_not_surely_a_pass_is_no_success(told: Told, name: str) -> None:
    change, expected, said = DOUBTFUL[name]
    facts = told("passing")
    run = replace(posting(facts), **change(facts))

    assert comment.conclusion(run) is expected
    assert said in seen(run)
    assert not comment.render(run).splitlines()[0].startswith("## ✅")


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        ({"models": [], "untouched": ["credit-default"]}, "Nothing to judge: no model is touched"),
        ({"models": [], "removed": {"old": None}}, "old is deleted"),
    ],
)
def test_nothing_to_judge_is_an_explicit_success(plan: dict[str, Any], said: str) -> None:
    run = posting(plan=plan)

    assert comment.conclusion(run) is Conclusion.SUCCESS
    assert said in seen(run)
    assert comment.headline(run).startswith("Nothing to judge")


# --- what is told ------------------------------------------------------------------------------------------------


def test_the_comment_reads_as_it_did(told: Told) -> None:
    """Where the change is meant, write the new text to `snapshots/` and read the difference."""
    run = posting(
        told("failing"),
        named(told("passing"), "loan-pricing"),
        unknown=("churn",),
        claimed=("the figures of training and scoring",),
        earlier=(Earlier(head="c2c2c2c2c2", words="❌ credit-default does not pass muster", reason="slices"),),
    )

    assert comment.render(run) == (SNAPSHOTS / "report-pull-request.md").read_text(encoding="utf-8")


def test_several_models_have_a_line_each_and_those_that_fail_a_section_the_worst_first(told: Told) -> None:
    models = [named(told(name), name) for name in ("passing", "inconclusive", "failing", "error")]
    text = comment.render(posting(*models))

    lines = re.findall(r"^\| (\S+) [^|]*\| <code>([a-z]+)</code> \|", text, re.M)[:4]
    sections = re.findall(r"^### \S+ <code>([a-z]+)</code>", text, re.M)
    assert lines == [("❗", "error"), ("❌", "failing"), ("❓", "inconclusive"), ("✅", "passing")]
    assert sections == ["error", "failing", "inconclusive"]
    assert "<summary>✅ <code>passing</code>" in text


def test_loosened_limits_are_told_with_whose_policy_judges(told: Told) -> None:
    alone = seen(posting(told("failing")))
    among = seen(posting(named(told("passing"), "other"), told("failing")))

    assert "This pull request loosens its own policy. It is judged by the policy of main" in alone
    assert "gates.slices.limit: 0.02 → 0.10" in alone
    assert "This pull request loosens the policy of credit-default. It is judged by the base branch's." in among


def test_a_fork_is_told_that_main_will_compare_with_the_champion(told: Told) -> None:
    first = told("first")
    run = posting(replace(first, score={**first.score, "champion": {"state": "no-access"}}))

    text = seen(run)

    assert comment.conclusion(run) is Conclusion.SUCCESS
    assert "main will judge that" in text.split("Why:")[0]
    assert "no access to the champion" in text
    assert "no champion yet" not in text.split("gates:")[0]
    assert "score credit-default --no-access" in text and "--fork" in text


def test_what_could_have_been_made_up_is_called_a_claim(told: Told) -> None:
    text = seen(posting(told("passing"), claimed=("the metrics of training",)))

    assert "Claimed, not verified" in text and "the metrics of training" in text


def test_a_run_that_is_not_believed_shows_no_models_section(told: Told) -> None:
    text = comment.render(posting(told("passing"), problems=("another workflow ran", "and more")))

    assert "passes muster" not in text
    assert "another workflow ran" in text and "and more" in text
    assert "<details>" not in text


def test_it_says_how_to_see_the_same_with_the_bases_policy(told: Told) -> None:
    text = seen(posting(told("passing")))

    assert f"git fetch origin {records.COMMIT} {BASE}" in text
    assert f"passmuster gate credit-default --policy-ref {BASE}" in text


def test_without_a_pull_request_it_is_the_jobs_summary(told: Told) -> None:
    text = comment.summary(posting(told("failing"), pull_request=None))

    assert "pull request" not in text
    assert "This commit loosens its own policy" in text


def test_the_policy_of_the_first_parent_judges_as_well(tmp_path: Path) -> None:
    folder = records.scenario(tmp_path, "passing")
    facts = report.facts(folder)
    assert facts.verdict
    failing = report.facts(records.scenario(tmp_path / "other", "failing"))
    also = {"commit": "c" * 40, "changes": ["gates.slices.limit: 0.02 → 0.10"]}
    run = posting(
        replace(
            facts,
            also=failing.verdict,
            status=Status.FAILS,
            code=ExitCode.GATE_FAILED,
            gate={**facts.gate, "also": also},
        ),
        pull_request=None,
    )

    assert comment.conclusion(run) is Conclusion.FAILURE
    assert "by the policy of the commit before (cccccccccc), which must hold as well" in seen(run)
    assert "loosens the policy. It is judged by that of cccccccccc, its first parent, as well" in seen(run)


@pytest.mark.parametrize(
    ("line", "loosens"),
    [
        ("gates.slices.limit: 0.02 → 0.10", True),
        ("gates.slices.limit: 0.10 → 0.02", False),
        ("gates.performance.limits.roc_auc_score.min: 0.70 → 0.60", True),
        ("gates.performance.limits.roc_auc_score.min: 0.60 → 0.70", False),
        ('gates.champion.rules.roc_auc_score: {"margin": 0.02} → (not set)', True),
        ('gates.drift.mode: "blocking" → "advisory"', True),
        ('gates.drift.mode: "advisory" → "blocking"', False),
        ('owner: "a" → "margin: 0 → 1"', False),
        ("gates.slices.limit", False),
        ("", False),
    ],
)
def test_only_what_surely_allows_more_is_called_loosening(line: str, loosens: bool) -> None:
    assert _changes.loosens(line) is loosens


# --- size --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["failing", "passing", "error"])
def test_a_hundred_models_fit_and_each_is_named(told: Told, name: str) -> None:
    run = posting(*(named(told(name), f"model-{i}") for i in range(99)), named(told("failing"), "the-worst"))

    text = comment.render(run)

    assert _markdown.length(text) <= comment.LIMIT
    assert all(f"<code>model-{i}</code>" in text for i in range(99))
    assert ("### ❌ <code>the-worst</code>" in text) is (name == "passing")
    assert "100 models" in text.splitlines()[0]


def test_no_text_however_long_makes_it_too_long(told: Told) -> None:
    evil = "@<`|" * 5000
    run = hostile(told("failing"), evil, 100)

    body = comment.render(run) + comment.remember(run)

    assert _markdown.length(body) < 60_000
    assert comment.render(run).startswith("## ")


# --- hostile text ------------------------------------------------------------------------------------------------

#: Elements that the comment is made of; the link is ours.
ELEMENTS = {
    *("h2", "h3", "p", "strong", "em", "code", "table", "thead", "tbody", "tr", "th", "td", "ul", "li", "sub"),
    *("details", "summary", "blockquote", "br", 'th style="text-align:right"', 'td style="text-align:right"'),
    *('th style="text-align:center"', 'td style="text-align:center"'),
}
OURS = 'a href="https://github.example/acme/credit/actions/runs/18"'

HOSTILE = [
    "<script>alert(1)</script>",
    "</code></summary></details><img src=x onerror=alert(1)>",
    "<!-- passmuster-earlier [] --> --> <!--",
    "[click](https://evil.example) ![x](//evil.example/x.png) [a]: //evil.example",
    "@everyone @org/team a@b.example mailto:a@b.example xmpp:a@b.example",
    "#123 GH-7 owner/name#5 org/repo@deadbeefdeadbeef",
    "a5c3785ed8d6a35868bc169f07e40e889087fd2e deadbee user@a5c3785",
    "http://evil.example https://evil.example www.evil.example ftp://evil.example",
    ":tada: :white_check_mark: :+1:",
    "*a* _b_ **c** ~~d~~ `e` | f | $g$ \\* &lt;b&gt; &#64;all",
    "# h\n\n- l\n1. o\n> q\n\n    c\n```\nf\n```\n---\n| a |\n|---|\n- [x] done",
    "passes\u202egnol\u2066x\u2069 zero\u200bwidth\ufeff\u00ad bell\x07 esc\x1b[31m nul\x00 lone \ud800",
    "${{ secrets.TOKEN }} ::error::x",
]

texts = st.one_of(
    st.sampled_from(HOSTILE),
    st.text(min_size=1, max_size=40),
    st.text(alphabet="\\`*_{}[]()<>#+-.!|~@:/&$ \n\tGHw1af", min_size=1, max_size=40),
)


def hostile(facts: report.ReportFacts, text: str, count: int = 1) -> Posting:
    """A run in which every text that others write is `text`."""
    assert facts.verdict
    judged = replace(
        facts.verdict,
        judgements=tuple(
            replace(j, gate=text, name=f"{text}{n}", reason=text) for n, j in enumerate(facts.verdict.judgements)
        ),
    )
    gate = {
        **facts.gate,
        "policy": {"ref": text, "commit": text, "changes": [text] * count},
        "also": {"commit": text, "changes": [text] * count},
        "off": [text] * count,
        "champion": {"version": text},
        "judged_on": text,
    }
    broken = {"commit": text, "params": {text: text}, "outputs": [dict.fromkeys(("path", "result", "reason"), text)]}
    model = replace(facts, model=text, verdict=judged, gate=gate, reproduce={**facts.reproduce, **broken})
    return posting(
        *(replace(model, model=f"{text}{n}") for n in range(count)),
        named(facts, "honest"),
        pull_request=PullRequest(repository=text, number=7, head=text, base=text, fork=False),
        revision=Revision(run_id=18, attempt=1, head=text),
        missing={text: text} | {f"{text}-{n}": text for n in range(count)},
        unknown=(f"{text}?",) * count,
        plan={"models": [text] * count, "untouched": [text], "removed": {text: text}},
        claimed=(text,) * count,
        links={text: "https://github.example/acme/credit/actions/runs/18", "evil": f"https://x.example/{text})"},
        earlier=tuple(Earlier(head=text, words=text, reason=f"{text}{n}") for n in range(count)),
    )


@settings(max_examples=30)
@given(texts)
def test_no_text_of_others_is_a_link_a_tag_a_mention_or_a_picture(told: Told, text: str) -> None:
    run = hostile(told("failing"), text)

    for variant in (run, replace(run, problems=(text,)), replace(run, models=run.models[:1], missing={}, unknown=())):
        rendered = page(variant)
        found = github_markdown.tags(rendered)

        assert found - ELEMENTS <= {OURS}
        assert "<!--" not in rendered


@given(texts)
def test_a_headline_is_one_short_line_of_visible_text(told: Told, text: str) -> None:
    line = comment.headline(hostile(told("failing"), text))

    assert len(line) <= 255 + 30 and line.isprintable()


def test_only_plain_addresses_are_linked(told: Told) -> None:
    links = {"a": "javascript:alert(1)", "b": "https://x.example/) <img src=x>", "c": "https://x.example/1"}

    text = comment.render(posting(told("passing"), links=links))

    assert re.findall(r"\]\([^)]*\)", text) == ["](https://x.example/1)"]


# --- earlier commits ---------------------------------------------------------------------------------------------


def test_a_comment_remembers_the_last_ten_commits_newest_first(told: Told) -> None:
    memory = ""
    for n in range(12):
        revision = Revision(run_id=n, attempt=1, head=f"{n:02d}" * 20)
        run = posting(told("failing"), revision=revision, earlier=comment.remembered(memory))
        memory = f"# text\n{comment.render(run)}\n{comment.remember(run)}\n"

    found = comment.remembered(memory)
    assert [entry.head for entry in found] == [f"{n:02d}" * 5 for n in range(11, 1, -1)]
    assert found[0].words == "❌ credit-default does not pass muster"
    assert found[0].reason.startswith("ROC AUC in Job=part-time")


def test_a_commit_that_is_judged_again_is_told_once(told: Told) -> None:
    run = posting(told("failing"))
    again = replace(run, earlier=comment.remembered(comment.remember(run)))

    assert "Earlier commits" not in comment.render(again)
    assert comment.remember(again) == comment.remember(run)


@given(texts)
def test_what_is_remembered_is_text_that_ends_no_comment(told: Told, text: str) -> None:
    run = hostile(told("failing"), text)
    memory = comment.remember(replace(run, revision=Revision(run_id=1, attempt=1, head=HEAD)))

    assert re.fullmatch(r"<!-- passmuster-earlier [^<>@#`&-]* -->", memory)
    assert _markdown.length(memory) < 3100
    assert comment.remembered(memory)[0].head == HEAD[:10]


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "<!-- passmuster-earlier -->",
        "<!-- passmuster-earlier [[] -->",
        "<!-- passmuster-earlier " + "[" * 50_000 + " -->",
        '<!-- passmuster-earlier ["x", [1, 2, 3], ["zz", "a", "b"], {}] -->',
        '<!-- passmuster-earlier {"head": 1} -->',
    ],
)
def test_a_memory_that_is_broken_holds_nothing(raw: str) -> None:
    assert comment.remembered(raw) == ()


# --- annotations -------------------------------------------------------------------------------------------------

SOURCES = {
    CONFIG: """\
name: credit-default
gates:
  champion:
    rules:
      roc_auc_score: {margin: 0.01}
      brier_score_loss:
        margin: 0.005
  slices:
    columns: [Job]
    limit: 0.10
""",
    "params.yaml": "train:\n  max_depth: 5\n  learning_rate: 0.05\nseed: 7\n",
    "dvc.yaml": "stages:\n  evaluate:\n    metrics:\n    - models/credit-default/metrics.json:\n",
}


def test_limits_that_are_not_held_and_that_change_are_remarked_on_their_lines(told: Told) -> None:
    found = comment.annotations(posting(told("failing"), sources=SOURCES))

    by_line = {(a.path, a.start_line): (a.level, a.title) for a in found}
    assert by_line[CONFIG, 6] == (Level.WARNING, "champion, Brier score: can't be decided")
    assert by_line["params.yaml", 2] == (Level.NOTICE, "Changed, and credit-default does not pass muster")
    assert [(a.start_line, a.level) for a in found if a.path == CONFIG] == [
        (10, Level.FAILURE),
        (6, Level.WARNING),
        (10, Level.WARNING),
    ]
    assert "judged by the base branch's policy" in found[2].message
    assert all(a.start_line == a.end_line for a in found)


def test_an_output_that_differs_is_remarked_where_the_pipeline_names_it(told: Told) -> None:
    found = comment.annotations(posting(told("not-reproducible"), sources=SOURCES))

    assert [(a.path, a.start_line, a.level) for a in found] == [("dvc.yaml", 4, Level.FAILURE)]
    assert "the commit says 0.8611" in found[0].message


@pytest.mark.parametrize(
    "text",
    ["", "[", "a: b: c", "- x", "gates: 1", "&a [*a]", "gates: &g {champion: *g}", "{" * 5000, "\x00", "x" * 300_000],
)
def test_a_config_that_cannot_be_read_has_its_remarks_on_the_first_line(told: Told, text: str) -> None:
    found = comment.annotations(posting(told("failing"), sources={CONFIG: text}))

    assert {(a.path, a.start_line) for a in found} == {(CONFIG, 1)}


@given(texts)
def test_remarks_stand_in_files_that_were_brought_and_are_plain_lines(told: Told, text: str) -> None:
    run = replace(hostile(told("failing"), text), sources={**SOURCES, f"model-configs/{text}.yaml": text})

    for remark in comment.annotations(run):
        assert remark.path in run.sources
        assert 1 <= remark.start_line <= max(len(run.sources[remark.path].splitlines()), 1)
        assert remark.title.isprintable() and remark.message.isprintable()


def test_nothing_is_remarked_without_files_or_belief(told: Told) -> None:
    run = posting(told("failing"), sources=SOURCES)

    assert comment.annotations(replace(run, sources={})) == []
    assert comment.annotations(replace(run, problems=("no",))) == []
    assert comment.annotations(posting(told("passing"), sources=SOURCES)) == []
