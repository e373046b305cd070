"""The report shows what each gate measured: drift, slices, calibration, fairness, decisions; passes in one line."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from markdown_it import MarkdownIt
from rich.console import Console

from passmuster import report
from passmuster.config import Mode
from passmuster.measurement import Assertion, Estimate, Failure, Measurement
from passmuster.policy import DetectEffect, DetectHarm, GatePolicy, Policy
from passmuster.report import _about, _curves, _drift, _evidence, _histogram, _html, _rows, _strain, _tables, _why
from passmuster.report._words import Status
from passmuster.verdict import Outcome
from support import records

EVIL = "<script>alert(1)</script>|@org/team [x](http://evil.example) `\n# passes\u202e\x1b[31m #1"


def told(root: Path, *others: Measurement, rules: Policy | None = None) -> report.ReportFacts:
    """The facts of a candidate that passes, but for `others` that were measured."""
    found = records.replaced(records.measurements(), *others)
    return report.facts(records.write(root / records.MODEL, found, rules or records.policy()))


def as_text(facts: report.ReportFacts) -> str:
    stream = io.StringIO()
    report.text(facts, Console(file=stream, width=80, color_system=None))
    return " ".join(stream.getvalue().split())


def drifted(column: str, value: float, effect: str = "kolmogorov_smirnov", **options: Any) -> Measurement:
    return records.drift({column: (effect, value)}, **options)[0]


# --- words -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gate", "name", "label"),
    [
        ("drift", "train-test::Age::kolmogorov_smirnov", "Age, train against test: KS"),
        ("drift", "reference-test::Age", "Age, reference against test"),
        ("drift", "champion-test::a:\u200b:b::share_ratio", "a::b, champion against test: ratio of shares"),
        (
            "drift",
            "reference-test::(prediction)::total_variation",
            "predictions, reference against test: total variation",
        ),
        ("fairness", "Age::demographic_parity_ratio", "Age: demographic parity ratio"),
        ("slices", "Job=part-time", "Job=part-time"),
        ("slices", "reference::Home=rent", "Home=rent, against the reference"),
        ("calibration", "champion::expected_calibration_error", "calibration error (ECE), against the champion"),
        ("decision", "champion::recall_score", "recall, against the champion"),
        ("decision", "cost", "cost per row"),
        ("champion", "roc_auc_score", "ROC AUC"),
        ("champion", "base::roc_auc_score", "ROC AUC, on the base's test rows"),
        ("performance", "base::roc_auc_score", "ROC AUC, on the base's test rows"),
        ("behaviour", "tests::tests/test_a.py::test_b", "tests/test_a.py::test_b"),
        ("drift", "drift", "drift"),
        ("drift", "a::b::c::d", "a::b::c::d"),
        ("fairness", "fairness", "fairness"),
        ("of-users", "champion::x", "champion::x"),
    ],
)
def test_names_are_shown_as_people_read_them(gate: str, name: str, label: str) -> None:
    assert _about.about(gate, name).label == label


def test_the_passes_of_a_gate_are_one_line_that_names_the_worst(tmp_path: Path) -> None:
    many = {f"c{i}": ("kolmogorov_smirnov", 0.01 + i / 10_000) for i in range(78)}
    facts = told(tmp_path, *records.drift(many))

    for text in (report.markdown(facts), as_text(facts), report.html(facts)):
        assert "worst: Income, train against test, KS 0.0520 of 0.15 allowed" in text
        assert "83 pass" in text
    assert "c77" not in as_text(facts)
    assert report.markdown(facts).count("✅ 83 pass") == 1


@pytest.mark.parametrize(
    ("measured", "said"),
    [
        (drifted("Age", 0.05), "Age, train against test, KS 0.0500 of 0.15 allowed"),
        (
            records.estimate("drift", "train-test::Age::share_ratio", 5.0, 0.9, 99, level=records.SIMULTANEOUS),
            "Age, train against test, ratio of shares 5.00 (0.89 … 9.11) of 3 allowed",
        ),
        (records.slice_("Job=fixed", -0.01, 0.005, 99), "Job=fixed −0.0100, down to −0.02 allowed"),
        (records.fairness()[0], "Age, demographic parity ratio 0.890, down to 0.8 allowed"),
        (records.estimate("performance", "roc_auc_score", 0.85, 0.01, 99), "ROC AUC 0.8500 (≥ 0.78)"),
        (Assertion(gate="schema", name="types", holds=True, message="fine"), "types"),
    ],
)
def test_a_pass_is_said_with_what_is_allowed(tmp_path: Path, measured: Measurement, said: str) -> None:
    facts = told(tmp_path, measured)
    judgement = next(j for j in facts.judgements if (j.gate, j.name) == (measured.gate, measured.name))

    assert judgement.outcome is Outcome.PASS
    assert _strain.said(judgement) == said


def test_what_only_did_not_show_harm_is_not_said_to_be_no_worse(tmp_path: Path) -> None:
    facts = told(tmp_path)
    comparisons = {j.gate: _why.sentence(j) for j in _rows.comparisons(facts)}

    assert "is not shown to be worse than the champion's" in comparisons["calibration"]
    assert "is not worse than the champion's" in comparisons["champion"]
    assert _why.why(facts).text.startswith("Brier score is not worse than the champion's")


@pytest.mark.parametrize(
    ("measured", "why"),
    [
        (drifted("Age", 0.21), "Age, train against test has drifted: KS 0.2100 (99.9995 % interval 0.1872 to 0.2328, "),
        (
            records.against_reference("Home=rent", -0.3),
            "ROC AUC in Home=rent is worse than on the reference: gain −0.300 (99.9995 % interval ",
        ),
        (
            records.estimate("calibration", "expected_calibration_error", 0.2, 0.01, 99, level=records.SIMULTANEOUS),
            "calibration, calibration error (ECE): 0.2000 (99.9995 % interval ",
        ),
    ],
)
def test_why_says_what_broke_its_limit(tmp_path: Path, measured: Measurement, why: str) -> None:
    facts = told(tmp_path, measured)

    assert facts.status is Status.FAILS
    assert _why.why(facts).text.startswith(why)


def test_a_failure_that_only_advises_says_so_wherever_it_is_shown(tmp_path: Path) -> None:
    apart = replace(_estimate(records.fairness()[0]), value=0.3, interval=replace_interval(0.2, 0.5))
    facts = told(tmp_path, apart)

    assert facts.status is Status.PASSES
    assert "❌ fail" not in report.markdown(facts).replace("❌ fail (advisory)", "")
    assert _rows.overview(facts)[-1].gate == "fairness"
    assert re.search(r"widest gap.*✘ fail.*\(advisory\)", as_text(facts))


def _estimate(measured: Measurement) -> Estimate:
    assert isinstance(measured, Estimate)
    return measured


def replace_interval(low: float, high: float) -> Any:
    interval = _estimate(records.fairness()[0]).interval
    assert interval is not None
    return replace(interval, low=low, high=high)


def test_the_users_code_and_the_reference_profile_are_among_the_evidence(tmp_path: Path) -> None:
    facts = told(tmp_path)
    gone = replace(facts, gate={**facts.gate, "judged_by": {"tests/gone.py": None}})

    for shown in (report.markdown(facts), report.html(facts)):
        assert records.fingerprint("test_risk") in shown
        assert records.fingerprint("profile") in shown
    assert ("judged by tests/gone.py", "not there") in _evidence.evidence(gone)


# --- drift -------------------------------------------------------------------------------------------------------


def test_columns_are_sorted_by_how_surely_they_are_near_their_limit(tmp_path: Path) -> None:
    unsure = records.estimate(
        "drift", "train-test::Unsure::kolmogorov_smirnov", 0.2, 0.1, 9, level=records.SIMULTANEOUS
    )
    failed = Failure(gate="drift", name="train-test::Lists", reason="values of type list<int64> have no distance")
    facts = told(tmp_path, unsure, failed, drifted("Far", 0.5), drifted("Rent", 2.9, "share_ratio"))

    found = [column.subject for column in _drift.columns(facts)]

    assert found == ["Lists", "Far", "Rent", "Income", "Age", "Home", "Amount", "Unsure", "Job"]


def test_one_column_of_one_pair_is_one_row_with_all_its_effects(tmp_path: Path) -> None:
    nulls = drifted("Age", 0.02, "null_share")
    facts = told(tmp_path, nulls, drifted("Age", 0.04, pair="reference-test"))

    rows = {(column.subject, column.side): column for column in _drift.columns(facts)}

    age = rows["Age", "train against test"]
    assert [_drift.effect(j) for j in (age.worst, *age.others)] == ["KS", "missing values"]
    assert [name for name, _ in age.sizes] == ["PSI", "Cramér's V"]
    assert rows["Age", "reference against test"].names == ("reference", "test")
    assert report.html(facts).count('<svg class="pair"') == len(rows)


def test_the_histograms_are_said_in_words_too(tmp_path: Path) -> None:
    page = report.html(told(tmp_path))

    titles = re.findall(r'<svg class="pair".*?<title>(.*?)</title><desc>(.*?)</desc>', page)

    said = dict(titles)
    assert said["Home, train against test"].startswith("owner: train 56 %, test 55 %; rent: ")
    assert said["Age, train against test"].startswith("between 18 and 68: train around the middle of 39.25, test of ")
    assert "missing: train 0.3 %, test 0.4 %" in said["Age, train against test"]


def test_bars_are_as_tall_as_their_share_of_all_rows() -> None:
    found = _histogram.histogram({"edges": [0, 1, 2], "base": [30, 50], "current": [8, 8], "missing": [20, 0]})

    assert found is not None
    assert (found.base, found.current, found.missing) == ((0.3, 0.5), (0.5, 0.5), (0.2, 0.0))
    assert found.edges == (0, 1, 2)
    ET.fromstring(_histogram.draw(found, "a", ("b", "c")))


@pytest.mark.parametrize(
    "change",
    [
        {"base": None},
        {"base": []},
        {"base": [1]},
        {"base": ["1", "2"]},
        {"base": [True, False]},
        {"base": [-1, 2]},
        {"base": [float("nan"), 1]},
        {"base": [0, 0], "missing": [0, 5]},
        {"base": [1] * 61, "current": [1] * 61, "edges": list(range(62))},
        {"missing": [1]},
        {"missing": "ab"},
        {"edges": [0, 1]},
        {"edges": [2, 1, 0]},
        {"edges": "abc"},
        {"edges": [0, float("inf"), 1]},
        {"edges": (), "categories": ["a"]},
        {"edges": (), "categories": ["a", 2]},
        {"edges": (), "categories": "ab"},
    ],
)
def test_histograms_that_are_malformed_are_not_drawn(change: Mapping[str, Any]) -> None:
    whole = {"edges": [0, 1, 2], "base": [1, 2], "current": [2, 1], "missing": [0, 0]}

    assert _histogram.histogram(whole) is not None
    assert _histogram.histogram({**whole, **change}) is None


@pytest.mark.parametrize(
    "details", [{}, {"histogram": 1, "sizes": 2, "category": 3}, {"sizes": {"psi": {"value": "x"}}}]
)
def test_drift_without_usable_details_is_still_a_row(tmp_path: Path, details: Mapping[str, Any]) -> None:
    facts = told(tmp_path, replace(_estimate(drifted("Age", 0.04)), details=details))

    column = next(column for column in _drift.columns(facts) if column.subject == "Age")

    assert (column.histogram, column.sizes, column.category) == (None, (), "")
    assert "KS <strong>0.0400</strong>" in report.html(facts)


# --- slices ------------------------------------------------------------------------------------------------------


def test_slices_against_champion_and_reference_are_apart_worst_first(tmp_path: Path) -> None:
    facts = told(tmp_path, records.against_reference("Job=fixed", -0.05))
    page = report.html(facts)

    assert _rows.slices(facts)[0].name == "Home=rent"
    assert [j.name for j in _rows.against_reference(facts)] == ["reference::Job=fixed", "reference::Home=rent"]
    champion, reference = page.index("Against the champion, on"), page.index("Against the same slice of the reference")
    assert champion < page.index("Job=freelance", champion) < reference
    assert not {j.gate for j in _rows.limits(facts)} & {"slices", "drift", "fairness"}


def test_a_condition_is_shown_as_it_has_to_be_pasted(tmp_path: Path) -> None:
    condition = '"Job" = \'a  b <i>\' AND "x" >= 1'
    slice_ = replace(_estimate(records.slice_("Job=a", 0, 0.001, 99)), details={"condition": condition})
    page = report.html(told(tmp_path, slice_))

    shown = [unescape(code) for code in re.findall(r'<span class="condition"><code>(.*?)</code>', page)]

    assert condition in shown
    assert "\"Job\" = 'fixed'" in shown
    assert "\"Job\" = 'fixed'" in unescape(report.markdown(told(tmp_path)))


def test_a_condition_that_markdown_would_alter_is_not_shown_there(tmp_path: Path) -> None:
    slice_ = _estimate(records.slice_("Job=a", -0.01, 0.001, 99))

    for value in ("a  b", "a@b", "#1", "x" * 400):
        facts = told(tmp_path, replace(slice_, details={"condition": f"\"Job\" = '{value}'"}))

        assert '"Job" = \'a' not in report.markdown(facts)
        assert "| ✅ pass | <code>Job=a</code> | 99 |" in report.markdown(facts)


def test_many_slices_that_pass_are_folded(tmp_path: Path) -> None:
    many = [records.slice_(f"Job={i}", 0.001 * i, 0.001, 99) for i in range(40)]
    page = report.html(told(tmp_path, *many))
    first = page[page.index("Against the champion, on") : page.index("more slices, all pass")]

    assert first.count('<span class="condition">') == _html.WORST
    assert f"{45 - _html.WORST} more slices, all pass" in page


# --- calibration, fairness, decisions ----------------------------------------------------------------------------


def test_the_reliability_curve_is_that_of_the_gate_with_its_intervals(tmp_path: Path) -> None:
    facts = told(tmp_path)

    figure = next(figure for figure in _curves.figures(facts) if figure.title == "Reliability")

    assert figure.models == ("candidate", "champion")
    assert figure.svg.count('<line class="between') == 20
    assert "predicted probability of bad" in figure.svg
    assert _tables.brier(facts) is not None


@pytest.mark.parametrize("curve", [None, [[0.1]], [[0.1, 2, 3, 4, 5]], "x", [[0.1, 0.2, 30, 0.3, 0.1]] * 2])
def test_reliability_without_usable_intervals_has_none(tmp_path: Path, curve: Any) -> None:
    details = {"reliability": {"candidate": curve}, "brier": {"candidate": 1}, "probability_of": 7}
    broken = [replace(_estimate(m), details=details) for m in records.calibration()]
    facts = told(tmp_path, *broken)

    figures = {figure.title: figure for figure in _curves.figures(facts)}

    assert '<line class="between' not in figures["Reliability"].svg
    assert _tables.brier(facts) is None
    report.html(facts)


def test_rates_of_groups_are_shown_with_their_intervals(tmp_path: Path) -> None:
    facts = told(tmp_path)
    (column,) = _tables.protected(facts)
    page = re.sub(r"<svg.*?</svg>", "", report.html(facts), flags=re.S)

    assert [group.name for group in column.groups] == ["19 to below 34", "34 to 68", "(missing)"]
    assert column.groups[2].rates["false_positive_rate"] is None
    assert '<strong>0.280</strong> <span class="quiet">0.240 … 0.320</span>' in page
    assert "no such row" in page
    assert "(other) (12)" in page
    assert "| <code>34 to 68</code> | 403 | 0.250 (0.210 … 0.290) |" in report.markdown(facts)


@pytest.mark.parametrize(
    "groups",
    [None, "x", [1], [{"group": 1, "rows": 2}], [{"group": "a", "rows": "2"}], [{"group": "a", "rows": -1}]],
)
def test_groups_that_are_malformed_are_left_out(tmp_path: Path, groups: Any) -> None:
    broken = [replace(_estimate(m), details={"groups": groups, "count": "many"}) for m in records.fairness()]
    facts = told(tmp_path, *broken)

    assert _tables.protected(facts)[0].groups == ()
    assert "demographic parity ratio" in report.html(facts)


@pytest.mark.parametrize("rate", [0.5, [0.5], [0.5, 0.4, "x"], [0.5, 0.6, 0.4], [5, 4, 6], [True, 0, 1]])
def test_rates_that_are_malformed_are_left_out(rate: Any) -> None:
    group = _tables._group({"group": "a", "rows": 1, "selection_rate": rate})

    assert group is not None
    assert group.rates["selection_rate"] is None


def test_decisions_are_shown_of_both_models_with_their_threshold(tmp_path: Path) -> None:
    confusion = _tables.confusion(told(tmp_path))

    assert confusion is not None
    assert confusion.models == ("candidate", "champion")
    assert confusion.rows[0] == ("positive, rightly", ("168", "160"))
    assert confusion.about == "positive from a probability of 0.4 on"


# --- hostile and huge --------------------------------------------------------------------------------------------


def wide(root: Path, columns: int, text: str) -> report.ReportFacts:
    """Facts of `columns` columns, each drifting in two pairs, with as many slices and some protected columns."""
    rules = Policy(
        gates=(
            GatePolicy(gate="drift", mode=Mode.BLOCKING, expected=(), other=DetectEffect(max=0.15), alarms=True),
            GatePolicy(gate="slices", mode=Mode.BLOCKING, expected=(), other=DetectHarm(limit=0.02), alarms=True),
            GatePolicy(gate="fairness", mode=Mode.ADVISORY, expected=(), other=DetectEffect(max=0.2), alarms=True),
            GatePolicy(gate="calibration", mode=Mode.BLOCKING, expected=(), other=DetectEffect(max=0.1), alarms=True),
            GatePolicy(gate="performance", mode=Mode.BLOCKING, expected=(), other=DetectEffect(min=0.1), alarms=True),
        ),
        confidence=0.95,
        false_alarms=0.005,
    )
    found = [m for i in range(columns) for m in _of_column(f"{text}{i}", i)]
    found += [m for i in range(min(columns, 40)) for m in _protected(f"{text}{i}", text)]
    curve = {"reliability": {"candidate": records.reliability(0.1, 9)}, "probability_of": text}
    found.append(_exact("calibration", "expected_calibration_error", 0.05, curve))
    found.append(_exact("performance", "roc_auc_score", 0.85, {}))
    facts = report.facts(records.write(root / records.MODEL, found, rules))
    return replace(facts, gate={**facts.gate, "judged_by": {f"{text}{i}": text for i in range(min(columns, 100))}})


def _of_column(name: str, i: int) -> list[Measurement]:
    effect = ("kolmogorov_smirnov", "total_variation")[i % 2]
    value = 0.3 if i % 5 == 0 else 0.01
    bars = {"categories": [name] * 12, "base": list(range(1, 13)), "current": list(range(12)), "missing": [5, 9]}
    details = {"histogram": bars if i % 2 else records.histogram("kolmogorov_smirnov", 0.1), "category": name}
    details["sizes"] = {name: {"value": 0.1, "low": 0.0, "high": 0.2}}
    pairs = [_exact("drift", f"{pair}::{name}::{effect}", value, details) for pair in ("train-test", "reference-test")]
    slice_ = _exact("slices", f"{name}={i}", -0.5 if i % 5 == 0 else 0.1, {"condition": name, "metric": name})
    return [*pairs, replace(slice_, candidate=0.5, champion=0.6)]


def _protected(name: str, text: str) -> list[Measurement]:
    rates = {rate: [0.5, 0.4, 0.6] for rate in _tables.RATES}
    details = {"groups": [{"group": f"{text}{i}", "rows": 9, **rates} for i in range(100)], "count": 100}
    details |= {"too_small": {f"{text}{i}": 3 for i in range(100)}, "too_small_count": 100}
    return [_exact("fairness", f"{name}::equalized_odds_difference", 0.1, details)]


def _exact(gate: str, name: str, value: float, details: Mapping[str, Any]) -> Estimate:
    return _estimate(records.estimate(gate, name, value, 0.001, 99, level=0.9999999, details=details))


@pytest.mark.parametrize(("columns", "text"), [(500, EVIL), (10, '"' * 2000)])
def test_five_hundred_columns_keep_the_limits_and_the_worst(tmp_path: Path, columns: int, text: str) -> None:
    facts = wide(tmp_path, columns, text)

    markdown, page = report.markdown(facts), report.html(facts)

    assert facts.status is Status.FAILS
    assert len(markdown.encode("utf-16-le")) // 2 <= 60_000
    assert len(page.encode()) < 2_000_000
    assert markdown.splitlines()[0].endswith("does not pass muster")
    assert f"{3 * columns // 5:,} fail" in markdown
    assert page.count('<svg class="pair"') >= 20
    assert len(as_text(facts)) < 20_000


def test_text_of_others_is_markup_in_none_of_the_sections(tmp_path: Path) -> None:
    facts = wide(tmp_path, 4, EVIL)
    page, markdown, junit = report.html(facts), report.markdown(facts), report.junit(facts)

    rendered = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(markdown)

    assert _html._render(facts, _html.LEVELS[0]) == page
    for text in (page, markdown, junit):
        assert "<script" not in text
    for text in (page, markdown, as_text(facts)):
        assert "\u202e" not in text and "\x1b" not in text
    assert set(re.findall(r"</?([a-z0-9]+)", rendered)) <= {
        *("h2", "p", "strong", "em", "code", "table", "thead", "tbody", "tr", "th", "td", "ul", "li", "sub"),
        *("details", "summary", "blockquote", "br"),
    }
    assert not re.search(r"@org|#1\b|://", unescape(re.sub(r"<[^>]*>", "", rendered)))
    for svg in re.findall(r"<svg.*?</svg>", page, re.S):
        ET.fromstring(svg)
    assert len(re.findall("<details[ >]", page)) == page.count("</details>")
