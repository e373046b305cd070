"""The report says what the records say, in every format, and never more."""

from __future__ import annotations

import dataclasses
import io
import json
import re
import shutil
import types
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from html import unescape
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from markdown_it import MarkdownIt
from rich.console import Console

from passmuster import _cli, record, report
from passmuster.config import Mode
from passmuster.errors import ExitCode, UsageError
from passmuster.measurement import Assertion, Estimate, Measurement
from passmuster.policy import DetectHarm, GatePolicy, Holds, Policy
from passmuster.progress import Silent
from passmuster.record import Record
from passmuster.report import _changes, _curves, _html, _markdown, _plot, _row, _rows, _why, _words
from passmuster.report._words import SIGNS, Status
from passmuster.verdict import Outcome, judge
from support import records

SNAPSHOTS = Path(__file__).parent / "snapshots"

Told = Callable[[str], report.ReportFacts]

STATUSES = {
    "passing": (Status.PASSES, ExitCode.OK),
    "promoted": (Status.PASSES, ExitCode.OK),
    "first": (Status.PASSES, ExitCode.OK),
    "waived": (Status.PASSES, ExitCode.OK),
    "regression": (Status.PASSES, ExitCode.OK),
    "failing": (Status.FAILS, ExitCode.GATE_FAILED),
    "inconclusive": (Status.UNDECIDED, ExitCode.INCONCLUSIVE),
    "error": (Status.NOT_JUDGED, ExitCode.NOT_MEASURED),
    "no-deepchecks": (Status.PASSES, ExitCode.OK),
    "not-reproducible": (Status.NOT_REPRODUCIBLE, ExitCode.NOT_REPRODUCIBLE),
}


def as_text(facts: report.ReportFacts, width: int = 80) -> str:
    stream = io.StringIO()
    report.text(facts, Console(file=stream, width=width, color_system=None))
    return stream.getvalue()


def every_format(facts: report.ReportFacts) -> dict[str, str]:
    return {
        "markdown": report.markdown(facts),
        "html": report.html(facts),
        "json": json.dumps(report.to_json(facts)),
        "junit": report.junit(facts),
        "text": as_text(facts),
    }


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], report.ReportFacts]:
    """The facts of a scenario, each written and read once."""
    return cache(lambda name: report.facts(records.scenario(tmp_path_factory.mktemp(name), name)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return records.scenario(tmp_path, "passing")


def altered(
    folder: Path, step: str, change: Callable[[dict[str, Any]], None], *, inputs: dict[str, str] | None = None
) -> None:
    """Rewrite a record with a digest that is right for its altered body, as one who plants it would."""
    path = folder / f"{step}.json"
    old = record.read(path, step)
    body = json.loads(json.dumps(old.body))
    change(body)
    record.write(replace(old, body=body, inputs={**old.inputs, **(inputs or {})}), path)


# --- the verdict -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", records.SCENARIOS)
def test_the_status_is_what_the_records_come_to(told: Told, name: str) -> None:
    facts = told(name)

    assert (facts.status, facts.code) == STATUSES[name]


@pytest.mark.parametrize("name", records.SCENARIOS)
def test_every_format_says_the_status_and_the_model(told: Told, name: str) -> None:
    facts = told(name)

    for text in (report.markdown(facts), as_text(facts), report.to_json(facts)["status"]):
        assert facts.status.value in text
    assert f"<title>{records.MODEL} {facts.status.value.replace(chr(39), '&#39;')}" in report.html(facts)


def test_an_advisory_gate_that_could_not_be_measured_blocks_nothing_and_is_shown_as_an_error(told: Told) -> None:
    facts = told("no-deepchecks")
    shown = every_format(facts)
    cases = {
        case.get("classname"): [child.tag for child in case] for case in ET.fromstring(shown["junit"]).iter("testcase")
    }

    assert not any(j.blocks for j in facts.judgements)
    for name, text in shown.items():
        assert "Deepchecks could not be started" in " ".join(text.split()), name
    assert "error (advisory)" in shown["markdown"]
    assert re.search(r"deepchecks \(advisory\) .*error", shown["text"])
    assert cases["deepchecks"] == ["skipped"]


def test_a_first_model_says_that_nothing_was_compared(told: Told) -> None:
    facts = told("first")

    for name, text in every_format(facts).items():
        assert "nothing was compared" in text, name


def test_what_only_advises_is_counted_apart(told: Told) -> None:
    facts = told("failing")

    assert _rows.gate_counts(facts) == "13 gates: 1 fail, 1 inconclusive, 10 pass, 1 advisory fail"
    assert "1 fail (advisory)" in re.sub(r"<[^>]*>", "", report.html(facts))


def test_a_waiver_is_named_beside_the_verdict_and_is_no_pass(told: Told) -> None:
    facts = told("waived")

    for name, text in every_format(facts).items():
        assert "Head of Retail Credit Risk" in text and "2026-06-30" in text, name
    assert "1 blocking outcome waived" in report.markdown(facts).splitlines()[0]
    assert report.to_json(facts)["outcomes"]["waived"] == 1


def test_no_outcome_looks_like_a_pass_but_a_pass() -> None:
    passes = SIGNS[Outcome.PASS]

    for outcome in set(Outcome) - {Outcome.PASS}:
        sign = SIGNS[outcome]
        assert not {sign.symbol, sign.emoji, sign.word, sign.css} & {
            passes.symbol,
            passes.emoji,
            passes.word,
            passes.css,
        }


def test_why_is_the_worst_blocking_judgement_with_its_interval(told: Told) -> None:
    facts = told("failing")

    why = _why.why(facts)

    assert why.text.startswith("ROC AUC in Job=part-time is worse than the champion's: gain −0.094 (99.9995 % interval")
    assert why.more == "and 1 more blocking outcome"


@pytest.mark.parametrize(
    ("level", "said"),
    [(0.95, "95 %"), (0.998, "99.8 %"), (0.999565, "99.957 %"), (0.999999, "99.9999 %"), (0.5, "50 %")],
)
def test_a_level_of_confidence_is_never_rounded_to_certainty(level: float, said: str) -> None:
    assert _words.percent(level) == said


def test_inconclusive_says_how_many_rows_would_decide(told: Told) -> None:
    facts = told("inconclusive")
    rows = next(j.rows_to_decide for j in facts.judgements if j.outcome is Outcome.INCONCLUSIVE)

    assert rows
    assert f"about {rows:,} rows would decide" in _why.why(facts).text
    for name in ("markdown", "html", "text"):
        assert f"about {rows:,} rows would decide" in " ".join(every_format(facts)[name].split()), name


def test_a_policy_that_the_commit_changes_is_warned_of(told: Told) -> None:
    facts = told("failing")

    for name, text in every_format(facts).items():
        assert "gates.slices.limit" in text or name == "junit", name


def test_what_changed_compares_with_the_champions_own_record(told: Told) -> None:
    facts = told("passing")

    changed = {kind: [c.what for c in found if c.differs] for kind, found in _changes.changes(facts).items()}

    assert changed["data"] == ["train"]
    assert changed["parameters"] == ["seed", "train.max_depth"]
    assert changed["environment"] == []


def test_a_re_run_of_another_model_is_not_shown_as_the_champions(tmp_path: Path) -> None:
    folder = records.scenario(tmp_path, "passing")
    altered(folder / "champion", "reproduce", lambda body: body.update(model_digest=records.fingerprint("stranger")))

    facts = report.facts(folder)

    assert facts.champion == {}
    assert {c.champion for c in _changes.changes(facts)["parameters"]} == {"not known"}


def test_a_promotion_is_told_only_of_this_verdict(tmp_path: Path) -> None:
    folder = records.scenario(tmp_path, "promoted")
    promoted = report.facts(folder)
    altered(folder, "promote", lambda body: None, inputs={"gate": records.fingerprint("other")})

    assert "promoted as v7" in report.markdown(promoted)
    assert "promoted as" not in report.markdown(report.facts(folder))


# --- fail closed -------------------------------------------------------------------------------------------------


def lie(key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda body: body.update({key: value})


def lie_of_one(**values: Any) -> Callable[[dict[str, Any]], None]:
    return lambda body: body["judgements"][0].update(values)


LIES: dict[str, tuple[str, str, Callable[[dict[str, Any]], None]]] = {
    "a refusal called a promotion": ("failing", "gate", lie("decision", "promote")),
    "a refusal with the code of a pass": ("failing", "gate", lambda b: b.update(decision="promote", code=0)),
    "no judgement at all": ("passing", "gate", lie("judgements", [])),
    "judgements that are no list": ("passing", "gate", lie("judgements", None)),
    "a failure called a pass": ("error", "gate", lie_of_one(outcome="pass")),
    "a failure called skipped": ("error", "gate", lie_of_one(outcome="skipped")),
    "a blocking failure called advisory": ("failing", "gate", lie_of_one(mode="advisory")),
    "an unknown mode": ("passing", "gate", lie_of_one(mode="off the record")),
    "an unknown outcome": ("passing", "gate", lie_of_one(outcome="passed")),
    "a waiver by nobody": ("waived", "gate", lie_of_one(waiver=None)),
    "a waiver that has expired": ("waived", "gate", lie("judged_on", "2026-07-01")),
    "a waiver until never": (
        "waived",
        "gate",
        lambda b: b["judgements"][0]["waiver"].update(until="never"),
    ),
    "a measurement that is none": ("passing", "gate", lie_of_one(measurement={"kind": "estimate"})),
    "a reason that is no text": ("passing", "gate", lie_of_one(reason=["a"])),
    "another model": ("passing", "gate", lie("model", "other")),
    "another commit": ("passing", "gate", lie("commit", "0" * 40)),
    "another model's digest": ("passing", "gate", lie("model_digest", records.fingerprint("x"))),
    "another policy": ("passing", "gate", lambda b: b["policy"].update(digest=records.fingerprint("x"))),
    "nothing compared, with a champion": ("passing", "gate", lie("compared", False)),
    "another champion": ("passing", "gate", lambda b: b["champion"].update(digest=records.fingerprint("x"))),
    "no day": ("passing", "gate", lie("judged_on", None)),
    "other scores": ("passing", "score", lie("isolated", False)),
    "another re-run": ("passing", "reproduce", lie("metrics", {"roc_auc": 0.99})),
    "a re-run that ended in an error": ("passing", "reproduce", lie("decision", "error")),
    "a re-run that says nothing": ("passing", "reproduce", lie("decision", None)),
}


@pytest.mark.parametrize("name", LIES)
def test_records_that_contradict_each_other_could_not_be_judged(tmp_path: Path, name: str) -> None:
    scenario, step, change = LIES[name]
    folder = records.scenario(tmp_path, scenario)
    altered(folder, step, change)

    facts = report.facts(folder)

    assert facts.status is Status.NOT_JUDGED
    assert facts.code is not ExitCode.OK
    for text in every_format(facts).values():
        assert "passes muster" not in text


@pytest.mark.parametrize("step", ["reproduce", "score", "gate"])
@pytest.mark.parametrize(
    "content", [None, "", "{}", "[]", '{"schema": NaN}', "\x00", "[" * 100_000, '{"a": "\\ud800"}']
)
def test_a_record_that_is_missing_or_broken_could_not_be_judged(folder: Path, step: str, content: str | None) -> None:
    path = folder / f"{step}.json"
    path.unlink() if content is None else path.write_text(content)

    facts = report.facts(folder)

    assert facts.status is Status.NOT_JUDGED
    assert step in report.markdown(facts)


def test_one_changed_byte_in_a_record_could_not_be_judged(folder: Path) -> None:
    path = folder / "gate.json"
    path.write_text(path.read_text().replace("0.8439", "0.8539", 1))

    facts = report.facts(folder)

    assert facts.status is Status.NOT_JUDGED
    assert any("altered" in problem for problem in facts.problems)


def test_text_that_is_no_unicode_is_no_record(folder: Path) -> None:
    path = folder / "gate.json"
    raw = json.loads(path.read_text())
    raw["body"]["model"] = "\ud800"
    path.write_text(json.dumps(raw))

    assert report.facts(folder).status is Status.NOT_JUDGED


def also(of: Path, **said: Any) -> Callable[[dict[str, Any]], None]:
    """What the policy of the first parent came to, as the verdict in `of`; the whole says `said`."""
    other = record.read(of / "gate.json", "gate").body
    own = {key: other[key] for key in ("decision", "code", "judgements")}
    return lambda body: body.update(
        also={"ref": "first parent", "commit": records.COMMIT, "changes": [], **own}, **said
    )


def test_what_fails_by_the_policy_of_the_first_parent_fails(tmp_path: Path) -> None:
    failing = records.scenario(tmp_path / "failing", "failing")
    folder = records.scenario(tmp_path / "passing", "passing")
    altered(folder, "gate", also(failing, decision="refuse", code=ExitCode.GATE_FAILED))

    facts = report.facts(folder)

    assert (facts.status, facts.code) == (Status.FAILS, ExitCode.GATE_FAILED)
    for name in ("markdown", "html", "text", "json"):
        assert "by the policy of the commit before" in " ".join(every_format(facts)[name].split()), name


@pytest.mark.parametrize("said", [{}, {"decision": "refuse", "code": ExitCode.NOT_MEASURED}])
def test_two_policies_come_to_the_worse_of_both(tmp_path: Path, said: dict[str, Any]) -> None:
    failing = records.scenario(tmp_path / "failing", "failing")
    folder = records.scenario(tmp_path / "passing", "passing")
    altered(folder, "gate", also(failing, **said))

    assert report.facts(folder).status is Status.NOT_JUDGED


def test_an_old_verdict_of_another_re_run_does_not_cover_a_new_one(folder: Path) -> None:
    altered(folder, "reproduce", lie("decision", "not reproducible"))

    facts = report.facts(folder)

    assert facts.status is Status.NOT_REPRODUCIBLE
    assert facts.verdict is None


def test_no_record_at_all_reads_as_not_judged(tmp_path: Path) -> None:
    facts = report.facts(tmp_path / "credit-default")

    assert facts.status is Status.NOT_JUDGED
    assert "no gate record" in as_text(facts)
    assert ET.fromstring(report.junit(facts)).get("errors") == "1"


# --- formats -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["passing", "failing", "first", "not-reproducible"])
@pytest.mark.parametrize("kind", ["md", "txt"])
def test_the_report_reads_as_it_did(told: Told, name: str, kind: str) -> None:
    """Where the change is meant, write the new text to `snapshots/` and read the difference."""
    facts = told(name)
    rendered = report.markdown(facts) if kind == "md" else as_text(facts)

    assert rendered == (SNAPSHOTS / f"report-{name}.{kind}").read_text(encoding="utf-8")


def test_the_same_records_give_the_same_bytes_wherever_they_lie(tmp_path: Path) -> None:
    first = records.scenario(tmp_path / "a", "failing")
    second = tmp_path / "b" / "c" / first.name
    shutil.copytree(first, second)

    assert every_format(report.facts(first)) == every_format(report.facts(second))


def test_problems_do_not_tell_where_the_machine_keeps_its_files(folder: Path) -> None:
    (folder / "gate.json").write_text("{}")

    for text in every_format(report.facts(folder)).values():
        assert str(folder.parent) not in text


def test_the_step_writes_the_formats_asked_for(folder: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    shutil.copytree(folder, root / ".passmuster" / folder.name)

    written = report.report(root, folder.name, formats=("markdown", "html", "json", "junit", "text"), progress=Silent())

    assert {path.name for path in written.values()} == {
        "report.md",
        "report.html",
        "report.json",
        "report.xml",
        "report.txt",
    }
    assert json.loads(written["json"].read_text())["schema"] == "passmuster/report"
    assert all(path.stat().st_size for path in written.values())


@pytest.mark.parametrize("name", ["unknown", "../credit-default", "", "."])
def test_a_name_of_which_nothing_is_recorded_is_a_mistake_of_the_caller(tmp_path: Path, name: str) -> None:
    (tmp_path / "credit-default").mkdir()
    (tmp_path / ".passmuster").mkdir()

    with pytest.raises(UsageError, match="nothing is recorded"):
        report.report(tmp_path, name, progress=Silent())


def test_an_unknown_format_is_a_mistake_of_the_caller(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="pdf"):
        report.report(tmp_path, "x", formats=("pdf",), progress=Silent())


def test_text_fits_eighty_columns_without_any_escape_code(told: Told) -> None:
    for name in records.SCENARIOS:
        text = as_text(told(name))

        assert max(map(len, text.splitlines())) <= 80
        assert "\x1b" not in text


def test_junit_has_a_suite_for_each_gate_and_only_passes_without_a_child(told: Told) -> None:
    facts = told("failing")

    suites = ET.fromstring(report.junit(facts))

    assert {suite.get("name") for suite in suites} == {j.gate for j in facts.judgements}
    cases = {(c.get("classname"), c.get("name")): [child.tag for child in c] for c in suites.iter("testcase")}
    for judgement in facts.judgements:
        assert (cases[judgement.gate, judgement.name] == []) is (judgement.outcome is Outcome.PASS)
    assert cases["champion", "brier_score_loss"] == ["failure"]
    assert suites.find(".//testcase[@name='brier_score_loss']/failure").get("type") == "inconclusive"  # type: ignore[union-attr]
    assert cases["deepchecks", "TrainTestPerformance"] == ["skipped"]
    assert (suites.get("tests"), suites.get("failures"), suites.get("errors")) == (str(len(facts.judgements)), "2", "0")


def test_junit_shows_a_waiver_as_skipped_with_who_and_until_when(told: Told) -> None:
    suites = ET.fromstring(report.junit(told("waived")))

    skipped = suites.find(".//testcase[@name='Job=part-time']/skipped")

    assert skipped is not None
    assert "waived by Head of Retail Credit Risk until 2026-06-30" in skipped.get("message", "")


def test_junit_of_a_candidate_that_is_not_reproducible_fails(told: Told) -> None:
    suites = ET.fromstring(report.junit(told("not-reproducible")))

    assert suites.get("failures") == "1"


def test_html_asks_for_nothing_and_runs_nothing(told: Told) -> None:
    for name in records.SCENARIOS:
        page = report.html(told(name))

        assert "default-src 'none'" in page
        assert not re.search(
            r"(?i)<(?:script|img|link|iframe|object|form)|\s(?:on\w+|src|href|style)=|https?://|@import|url\(", page
        )


def test_html_tables_svgs_and_folds_are_closed(told: Told) -> None:
    page = report.html(told("failing"))

    for tag in ("table", "tr", "td", "th", "svg", "details", "section", "figure", "div", "span", "p", "ol", "li", "dl"):
        assert len(re.findall(rf"<{tag}[ >]", page)) == page.count(f"</{tag}>"), tag
    for svg in re.findall(r"<svg.*?</svg>", page, re.S):
        assert "<title>" in svg
        ET.fromstring(svg)


def test_html_has_the_plots_that_the_records_hold_numbers_for(told: Told) -> None:
    binary = report.html(told("passing"))
    regression = report.html(told("regression"))

    assert "<h3>ROC</h3>" in binary and "<h3>Reliability</h3>" in binary and "<h2>Drift</h2>" in binary
    assert "<h3>Residuals</h3>" in regression and "<h3>ROC</h3>" not in regression
    assert (
        binary.count('<svg class="forest"') == 4 + 5 + 2 + 3
    )  # comparisons, slices, against the reference, their axes
    assert binary.count('<svg class="pair"') == len(records.DRIFT)


# --- hostile and huge --------------------------------------------------------------------------------------------

EVIL = "{x}<script>alert(1)</script>|@org/team [x](http://evil.example) `\n# passes\u202e\x1b[31m #1"


def hostile(root: Path, count: int, text: str = EVIL) -> report.ReportFacts:
    """Facts in which every text that others write is hostile, with 50 failing slices and `count` more."""
    gate = "user" + text[:40]
    rules = Policy(
        gates=(
            GatePolicy(gate=gate, mode=Mode.BLOCKING, expected=(), other=Holds()),
            GatePolicy(gate="slices", mode=Mode.BLOCKING, expected=(), other=DetectHarm(limit=0.02), alarms=True),
        ),
        confidence=0.95,
        false_alarms=0.005,
    )
    found: list[Measurement] = [
        Assertion(gate=gate, name=f"{text[:200]}{i}", holds=False, message=text) for i in range(count)
    ]
    found += [
        records.estimate("slices", f"{text[:50]}={i}", -0.5, 0.01, 100, level=0.999999, champion=0.9) for i in range(50)
    ]
    lines = [text] * min(count, 300)
    small = report.facts(records.write(root / "credit-default", found[-1:], rules, changes=lines[:3], off=lines[:3]))
    policy = {**small.gate["policy"], "changes": lines}
    verdict = judge(found, rules, compared=True, today=records.TODAY)
    gate_body = {**small.gate, "policy": policy, "off": lines}
    return replace(small, verdict=verdict, gate=gate_body, status=Status.FAILS, code=verdict.code)


def hostile_reproduce(folder: Path, text: str = EVIL) -> Path:
    """The same for the re-run, which did not reproduce."""
    old = records.reproduce_record(folder.name, decision="not reproducible")
    body = dict(old.body)
    body["params"] = {f"{text}{i}": text for i in range(100)}
    body["environment"] = {text: text}
    body["outputs"] = [dict.fromkeys(("path", "compare", "result", "reason"), text)] * 100
    record.write(Record(schema="reproduce", version=1, inputs=old.inputs, body=body), folder / "reproduce.json")
    return folder


@pytest.mark.parametrize("step", ["gate", "reproduce"])
def test_text_of_others_is_markup_in_no_format(tmp_path: Path, step: str) -> None:
    facts = hostile(tmp_path, 3) if step == "gate" else report.facts(hostile_reproduce(tmp_path / "credit-default"))
    found = every_format(facts)

    assert facts.status in (Status.FAILS, Status.NOT_REPRODUCIBLE)
    for name in ("markdown", "html", "junit"):
        assert "<script" not in found[name], name
    for name in ("markdown", "html", "text", "junit"):
        assert "\u202e" not in found[name] or name == "junit", name
        assert "\x1b" not in found[name], name
    rendered = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(found["markdown"])
    assert set(re.findall(r"</?([a-z0-9]+)", rendered)) <= {
        *("h2", "p", "strong", "em", "code", "table", "thead", "tbody", "tr", "th", "td", "ul", "li", "sub"),
        *("details", "summary", "blockquote", "br"),
    }
    assert not re.search(r"@org|#1\b|://", unescape(re.sub(r"<[^>]*>", "", rendered)))
    ET.fromstring(found["junit"])


@pytest.mark.parametrize(
    ("count", "text"), [(100_000, "x"), (1500, EVIL * 20), (30, '"' * 300_000), (5, "@" * 2_000_000)]
)
def test_markdown_and_html_keep_their_limits_and_the_verdict(tmp_path: Path, count: int, text: str) -> None:
    facts = hostile(tmp_path, count, text)

    markdown, page = report.markdown(facts), report.html(facts)

    assert len(markdown.encode("utf-16-le")) // 2 <= _markdown.LIMIT
    assert len(page.encode()) <= _html.LIMIT
    assert markdown.splitlines()[0].endswith("does not pass muster")
    assert "does not pass muster" in page
    assert markdown.count("❌ fail") >= 10
    rest = re.search(r"^\| \| \| \| _and ([\d,]+) more_ \|$", markdown, re.M)
    rows = len(re.findall(r"^\| ❌ fail \| <code>", markdown, re.M))
    assert rows + (int(rest[1].replace(",", "")) if rest else 0) >= count + 50
    assert f"{count + 50:,} fail" in markdown
    assert "2 gates: 2 fail" in markdown


def test_even_the_smallest_level_names_the_failures_and_counts_the_rest(tmp_path: Path) -> None:
    facts = hostile(tmp_path, 1000, '"@#|' * 5000)

    smallest = _markdown.Document(facts, _markdown.LEVELS[-1]).render()

    assert len(smallest) < _markdown.LIMIT
    assert "| | | | _and 1,040 more_ |" in smallest


def test_a_huge_re_run_keeps_the_limits_too(tmp_path: Path) -> None:
    facts = report.facts(hostile_reproduce(tmp_path / "credit-default", "<@" * 10_000))

    assert len(report.markdown(facts)) <= _markdown.LIMIT
    assert len(report.html(facts).encode()) <= _html.LIMIT


def test_shortening_leaves_out_what_is_folded_first(tmp_path: Path) -> None:
    facts = hostile(tmp_path, 40, "reason " * 60)
    whole, shorter = (_markdown.Document(facts, level).render() for level in (_markdown.LEVELS[0], _markdown.LEVELS[3]))

    assert "<details>" in whole and "<details>" not in shorter
    assert whole.splitlines()[0] == shorter.splitlines()[0]
    assert shorter.count("❌ fail") >= 40


# --- plots -------------------------------------------------------------------------------------------------------


def comparison(value: float, error: float) -> Estimate:
    return records.estimate("champion", "roc_auc_score", value, error, 100, champion=0.8)


def test_zero_and_limit_stand_at_the_same_place_for_every_metric() -> None:
    small, large = _plot.text(comparison(0.001, 0.004), -0.01), _plot.text(comparison(1.0, 4.0), -10.0)

    assert small == large
    assert small.index("╎") == 6 and len(small) == 19


def test_what_lies_outside_the_axis_is_marked_by_an_arrow() -> None:
    left, right = _plot.text(comparison(-0.094, 0.019), -0.02), _plot.text(comparison(0.5, 0.01), -0.02)

    assert left.startswith("◂") and "●" not in left
    assert right.endswith("▸") and "●" not in right
    assert "arrow" in _plot.forest_row(comparison(-0.094, 0.019), -0.02, "fail", "said")


def test_a_difference_of_nothing_is_a_point_on_zero() -> None:
    same = replace(comparison(0.0, 0.0))

    assert _plot.text(same, -0.01)[9] == "●"
    assert _plot.text(same, 0.0)[9] == "●"


def test_the_limit_is_read_from_the_kernels_own_words(told: Told) -> None:
    facts = told("failing")

    bounds = {j.name: _row.bound(j) for j in (*_rows.comparisons(facts), *_rows.slices(facts))}

    assert bounds["roc_auc_score"] == -0.01
    assert bounds["Job=part-time"] == -0.02
    assert None not in bounds.values()


@pytest.mark.parametrize(
    "curves",
    [
        None,
        [],
        "roc",
        {"roc": None},
        {"roc": {"candidate": None}},
        {"roc": {"candidate": [[0, 0]]}},
        {"roc": {"candidate": [[0, 0], [2, 1]]}},
        {"roc": {"candidate": [[0], [1]]}},
        {"roc": {"candidate": [["0", "0"], ["1", "1"]]}},
        {"roc": {"candidate": [[True, False], [True, True]]}},
        {"residuals": {"candidate": [[0, 1e300], [1, 2]]}},
        {"roc": {"candidate": [[0, 0]] * 2001}},
        {"<script>": {"candidate": [[0, 0], [1, 1]]}},
    ],
)
def test_curves_that_are_malformed_are_left_out(tmp_path: Path, curves: Any) -> None:
    broken = records.estimate("performance", "r2_score", 0.61, 0.012, 1972, details={"curves": curves})
    other = records.estimate("performance", "root_mean_squared_error", 1.91, 0.03, 1972)
    found = records.replaced(records.measurements(regression=True), broken, other)
    facts = report.facts(records.write(tmp_path / "credit-default", found, records.policy(regression=True)))

    assert facts.status is Status.PASSES
    assert _curves.figures(facts) == []
    assert "<figure>" not in report.html(facts)


def test_residuals_of_nothing_but_zero_are_drawn() -> None:
    flat = _curves._residuals({"candidate": [(0.0, 0.0), (1.0, 0.0)]})

    ET.fromstring(flat.svg)


def test_it_says_where_the_champion_was_given_its_own_preparation_of_the_rows(told: Told) -> None:
    facts = told("passing")
    prepared = dataclasses.replace(facts, score={"champion": {"state": "scored", "prepared": True}})

    assert "its own preparation" not in report.markdown(facts)
    assert "its own preparation" in report.markdown(prepared)
    assert "its own preparation" in report.html(prepared)


@pytest.mark.parametrize("names", [["credit-default"], ["credit-default", "loan-pricing"]])
def test_json_of_several_models_is_one_document(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], names: list[str]
) -> None:
    for name in names:
        records.write(tmp_path / ".passmuster" / name, records.measurements())
    chosen = [types.SimpleNamespace(name=name) for name in names]
    monkeypatch.setattr(_cli, "_here", lambda _: (tmp_path, chosen))

    code = _cli.run(["report", *names, "--format", "json"])

    said = json.loads(capsys.readouterr().out)
    assert code is ExitCode.OK
    assert [one["model"] for one in (said if len(names) > 1 else [said])] == names


def test_a_verdict_for_information_says_that_it_decides_nothing(folder: Path) -> None:
    judged = record.read(folder / "gate.json", "gate")

    text = as_text(report.part(replace(judged, schema="gate-head")))

    assert "was judged for information, which decides nothing" in " ".join(text.split())
    assert "passes muster" not in text
