"""What a measurement is about, in people's words, from the parts of its name."""

from __future__ import annotations

from dataclasses import dataclass

from passmuster.policy import ALL_COLUMNS, ANSWERS, PART
from passmuster.report import _words

#: Gates whose measurements are named by a metric.
_OF_METRICS = ("champion", "performance", "calibration", "decision")

_SUBJECTS = {ALL_COLUMNS: "all columns together", ANSWERS: "predictions"}


@dataclass(frozen=True, kw_only=True)
class About:
    """The parts of a label; "" where there is none."""

    subject: str = ""  #: a column, a slice, or a test
    side: str = ""  #: what is compared with what, e.g. "train against test"
    measure: str = ""  #: a metric or effect

    @property
    def label(self) -> str:
        """All parts in one line, e.g. "Age, train against test: KS"."""
        what = _joined(self.subject or self.measure, self.side)
        return f"{what}: {self.measure}" if self.subject and self.measure else what

    @property
    def listed(self) -> str:
        """All parts as a list within a sentence, e.g. "Age, train against test, KS"."""
        return _joined(self.subject, self.side, self.measure) if self.subject else self.label

    @property
    def short(self) -> str:
        """What is measured alone, for where the comparison is stated elsewhere."""
        return self.subject or self.measure


def _joined(*parts: str) -> str:
    return ", ".join(part for part in parts if part)


def about(gate: str, name: str) -> About:
    """Return what the measurement `name` of `gate` is about; a name of another form is its own subject."""
    parts = name.split(PART)
    match gate, len(parts):
        case "drift", 2 | 3:
            return _drift(*parts)
        case "fairness", 2:
            return About(subject=parts[0], measure=_words.metric(parts[1]))
        case "slices", 2 if parts[0] == "reference":
            return About(subject=parts[1], side="against the reference")
        case "behaviour", _:
            return About(subject=name.removeprefix("tests::"))
        case "performance" | "champion", 2 if parts[0] == "base":
            return About(side="on the base's test rows", measure=_words.metric(parts[1]))
        case "calibration" | "decision", 2 if parts[0] == "champion":
            return About(side="against the champion", measure=_words.metric(parts[1]))
    return About(measure=_words.metric(name)) if gate in _OF_METRICS else About(subject=name)


def _drift(pair: str, column: str, effect: str = "") -> About:
    # A column's own "::" is kept apart by a space without width.
    name = column.replace(":\u200b:", PART)
    return About(
        subject=_SUBJECTS.get(column, name),
        side=pair.replace("-", " against ", 1),
        measure=_words.metric(effect),
    )
