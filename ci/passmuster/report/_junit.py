"""The report as JUnit XML, for what shows test results: a suite for each gate, a case for each judgement."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree as ET

from passmuster.report import _rows, _why
from passmuster.report._escape import xml
from passmuster.report._facts import ReportFacts
from passmuster.report._words import Status
from passmuster.verdict import Judgement, Outcome


def render(facts: ReportFacts) -> str:
    """Return the XML. Only a pass has no child element: a waiver is `skipped`, what can't be decided is a `failure`.

    An advisory outcome does not fail the candidate, so it does not fail the suite either: it is `skipped`, and says
    what it was. Where nothing was judged there is one case, an `error`: a file without cases would read as a success.
    """
    suites = ET.Element("testsuites", name=xml(f"passmuster {facts.model}"))
    if facts.status in (Status.NOT_JUDGED, Status.NOT_REPRODUCIBLE) and not any(j.blocks for j in facts.judgements):
        _unjudged(suites, facts)
    for gate, group in _rows.by_gate(facts).items():
        suite = ET.SubElement(suites, "testsuite", name=xml(gate))
        for judgement in group:
            _case(suite, judgement)
    for parent in [*suites, suites]:
        _count(parent)
    ET.indent(suites)
    return ET.tostring(suites, encoding="unicode", xml_declaration=False).join(
        ('<?xml version="1.0" encoding="UTF-8"?>\n', "\n")
    )


def _unjudged(suites: ET.Element, facts: ReportFacts) -> None:
    suite = ET.SubElement(suites, "testsuite", name="evidence")
    case = ET.SubElement(suite, "testcase", classname="evidence", name=facts.status.value)
    reasons = _why.why(facts)
    if facts.status is Status.NOT_REPRODUCIBLE:
        _say(case, "failure", "not reproducible", reasons.text)
    else:
        _say(case, "error", "error", "; ".join(facts.problems) or reasons.text)


def _case(suite: ET.Element, judgement: Judgement) -> None:
    case = ET.SubElement(suite, "testcase", classname=xml(judgement.gate), name=xml(judgement.name))
    outcome, reason = judgement.outcome, judgement.reason
    if outcome is Outcome.PASS:
        return
    if outcome is Outcome.WAIVED and judgement.waiver:
        who, until = judgement.waiver.who, judgement.waiver.until.isoformat()
        _say(case, "skipped", "", f"waived by {who} until {until}: {judgement.waiver.reason}; {reason}")
    elif outcome is Outcome.SKIPPED:
        _say(case, "skipped", "", reason)
    elif not judgement.blocks:
        _say(case, "skipped", "", f"advisory {outcome.value}: {reason}")
    else:
        _say(case, "error" if outcome is Outcome.ERROR else "failure", outcome.value, reason)


def _say(case: ET.Element, tag: str, kind: str, message: str) -> None:
    attributes = {"type": kind} if kind else {}
    ET.SubElement(case, tag, attributes, message=xml(message, 2000)).text = xml(message)


def _count(parent: ET.Element) -> None:
    cases: Sequence[ET.Element] = list(parent.iter("testcase"))
    parent.set("tests", str(len(cases)))
    for attribute, tag in {"failures": "failure", "errors": "error", "skipped": "skipped"}.items():
        parent.set(attribute, str(sum(case.find(tag) is not None for case in cases)))
