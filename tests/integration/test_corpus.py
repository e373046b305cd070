"""The corpus of planted defects: each is refused by the gate that is there for it, under the default policy.

`tests/corpus` makes them; `docs/corpus.md` lists them beside what other tools say. Seeds are fixed and were never
chosen again. `test_corpus_clean.py` is the other half: what nobody broke is let through.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from corpus import judging
from corpus.defects import DEFECTS, ROWS, Defect
from corpus.peers import PAGE, described
from passmuster.measurement import Estimate
from passmuster.policy import ALL_COLUMNS
from passmuster.verdict import Judgement


def _id(defect: Defect) -> str:
    return f"{defect.gate}: {defect.name}"


@pytest.mark.parametrize("defect", DEFECTS, ids=_id)
def test_a_planted_defect_is_refused_by_its_gate(defect: Defect, tmp_path: Path) -> None:
    """Its outcome is *fail*: neither a pass, nor an error that anything could have caused."""
    case = defect.broken() if ALL_COLUMNS in defect.measurement else judging.without_classifier(defect.broken())
    found = judging.judged(case, tmp_path, only=(defect.gate,))
    of_it = judging.of(found, defect.gate, defect.measurement)
    failed = judging.failed(found, defect.gate, defect.measurement)

    assert failed, [(j.name, j.outcome.value, j.reason) for j in of_it or found.judgements[:5]]
    if defect.size is not None:
        assert any(_shows(j, defect.size) for j in failed), [j.reason for j in failed]


def _shows(judged: Judgement, size: float) -> bool:
    """Whether the measured interval holds the true effect, and the effect is one that the verdict says it would see."""
    measured = judged.measurement
    assert isinstance(measured, Estimate)
    interval = measured.interval
    assert interval is not None
    if judged.detectable is None:
        # An interval of 95 % misses one truth in twenty; one of twice its width, one in ten thousand.
        more = (interval.high - interval.low) / 2
        return interval.low - more <= size <= interval.high + more
    return _is_beyond(size, judged.detectable, judged.limit) and interval.low <= size <= interval.high


def _is_beyond(size: float, detectable: float, limit: str) -> bool:
    """Whether an effect is stronger than the smallest that would show; a loss is negative, and stated without sign."""
    if limit.startswith("not wholly above"):
        return size > detectable
    return -size > detectable if size < 0 else size < detectable


def test_the_corpus_asks_every_gate_of_data_and_predictions_on_three_shapes() -> None:
    """At least 60 defects, each by a name of its own."""
    gates = Counter(defect.gate for defect in DEFECTS)

    assert len({defect.name for defect in DEFECTS}) == len(DEFECTS) >= 60
    assert {defect.shape for defect in DEFECTS} == {"credit", "sales", "machines"}
    assert set(gates) == set(judging.CLASSES)


def test_the_page_lists_every_defect_as_it_is_planted() -> None:
    """With its shape, rows, gate and effect; what others say of it is written there by `make corpus-peers`."""
    lines = PAGE.read_text().splitlines()
    unlisted = [defect.name for defect in DEFECTS if not any(line.startswith(described(defect)) for line in lines)]

    assert unlisted == []


@pytest.mark.parametrize(
    "defect", {(d.shape, d.rows, d.narrow): d for d in DEFECTS}.values(), ids=lambda d: f"{d.shape} {d.rows}"
)
def test_before_the_planting_every_gate_passes(defect: Defect, tmp_path: Path) -> None:
    """So what is caught is what was planted."""
    case = defect.clean() if defect.rows <= ROWS else judging.without_classifier(defect.clean())
    found = judging.judged(case, tmp_path)

    assert [(j.gate, j.name, j.outcome.value, j.reason) for j in found.judgements if j.outcome.value != "pass"] == []
