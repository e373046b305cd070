"""The facts that a model's config states: one frozen dataclass for each mapping of the file.

The reader, the JSON Schema and the reference in `docs/configuration.md` are all generated from these classes: the key
is the field's name with hyphens, its documentation the text in `Annotated`, further constraints stand beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Annotated, Any

from passmuster.config._folder import folder


class Task(StrEnum):
    """What the model predicts."""

    BINARY = "binary"
    MULTICLASS = "multiclass"
    REGRESSION = "regression"


class Mode(StrEnum):
    """How much a gate's outcome weighs."""

    BLOCKING = "blocking"
    ADVISORY = "advisory"
    OFF = "off"


class Compare(StrEnum):
    """How equal an output of a re-run must be to the committed one."""

    BYTES = "bytes"
    METRICS = "metrics"
    PREDICTIONS = "predictions"


class ServingMode(StrEnum):
    """How answers are asked for."""

    REALTIME = "realtime"
    BATCH = "batch"
    BOTH = "both"


class EnvironmentFact(StrEnum):
    """What is recorded of the environment of a re-run."""

    LOCK = "lock"
    PYTHON = "python"
    PLATFORM = "platform"


class ColumnType(StrEnum):
    """What a column holds, whatever its width or encoding."""

    INTEGER = "integer"
    NUMBER = "number"
    STRING = "string"
    BOOLEAN = "boolean"
    DATETIME = "datetime"


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """A constraint for numbers: `minimum <= value <= maximum`, or strict where `exclusive`."""

    minimum: float | None = None
    maximum: float | None = None
    exclusive: bool = False


@dataclass(frozen=True, kw_only=True)
class NonEmpty:
    """A constraint for lists, mappings and texts: at least one entry."""


@dataclass(frozen=True, kw_only=True)
class RepositoryPath:
    """A constraint for paths: relative to the repository's root, inside it, and there (`kind`: file or output)."""

    kind: str = "file"  #: "file": must exist now; "output": a pipeline makes it


@dataclass(frozen=True, kw_only=True)
class Matches:
    """A constraint for texts: the whole text matches `pattern`, which `words` explains to people."""

    pattern: str
    words: str


@dataclass(frozen=True, kw_only=True)
class AsWritten:
    """A constraint for texts that stand for values of the data: `1` or `true` is taken as written, without quotes."""


POSITIVE = Bounds(minimum=0, exclusive=True)
NOT_NEGATIVE = Bounds(minimum=0)
#: MLflow's and GTO's rules for names, both at once; also fit for a file's name.
NAME = Matches(
    pattern="[A-Za-z0-9]([A-Za-z0-9_-]{0,98}[A-Za-z0-9])?",
    words="at most 100 letters, digits, `-` and `_`, beginning and ending with a letter or digit",
)
#: Handed to git and DVC as an argument, so it must not look like an option.
ARGUMENT = Matches(pattern=r"[^-\s].*", words="not beginning with `-` or a space")


@dataclass(frozen=True, kw_only=True)
class Tolerance:
    """How equal one output of a re-run must be."""

    compare: Annotated[
        Compare,
        "`bytes`: the same hash; `metrics`: numbers in JSON or YAML; "
        "`predictions`: the same rows, numbers in CSV or Parquet.",
    ]
    rtol: Annotated[float, "Relative tolerance of a number.", NOT_NEGATIVE] = 0.0
    atol: Annotated[float, "Absolute tolerance of a number.", NOT_NEGATIVE] = 0.0
    id: Annotated[str | None, "`predictions`: the column that names a row."] = None
    by: Annotated[
        str | None,
        "The output whose comparison stands for this one. For a model directory, whose bytes never repeat.",
        RepositoryPath(kind="output"),
    ] = None


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """How DVC makes the model."""

    targets: Annotated[
        tuple[str, ...],
        "DVC stages (or outputs) that make and evaluate the model; what is upstream of them belongs to it.",
        NonEmpty(),
        ARGUMENT,
    ]
    model: Annotated[str, "The MLflow model directory that the pipeline saves.", RepositoryPath(kind="output")]
    outputs: Annotated[
        Mapping[str, Tolerance],
        "How equal each output of a re-run must be. One that is not named must have the same bytes.",
        RepositoryPath(kind="output"),
    ] = field(default_factory=dict)
    timeout: Annotated[float, "Seconds that a re-run may take.", POSITIVE] = 3600.0


@dataclass(frozen=True, kw_only=True)
class Column:
    """What one column of the data must be."""

    type: Annotated[ColumnType, "What the column holds."]
    nullable: Annotated[bool, "Whether a value may be missing."] = False
    categories: Annotated[tuple[str, ...] | None, "The only values allowed.", NonEmpty(), AsWritten()] = None
    min: Annotated[float | None, "The least number allowed."] = None
    max: Annotated[float | None, "The greatest number allowed."] = None


@dataclass(frozen=True, kw_only=True)
class Data:
    """The data files that gates see."""

    train: Annotated[str, "Rows that the model was trained on: Parquet or CSV.", RepositoryPath(kind="output")]
    test: Annotated[str, "Rows that the model is judged on.", RepositoryPath(kind="output")]
    reference: Annotated[
        str | None, "Rows that stand for production when the model was made.", RepositoryPath(kind="output")
    ] = None
    prepare: Annotated[
        tuple[str, ...],
        "The DVC stages that make these files from raw data; "
        "the champion's own are run where they are others, or it can't take the candidate's columns.",
        ARGUMENT,
    ] = ()
    label: Annotated[str, "The column that the model predicts."]
    positive: Annotated[str | None, "`binary`: the label's value that counts as positive.", AsWritten()] = None
    id: Annotated[str, "The column that names a row; unique."]
    time: Annotated[str | None, "The column that says when a row came to be."] = None
    categorical: Annotated[tuple[str, ...], "Columns whose values are categories."] = ()
    protected: Annotated[tuple[str, ...], "Columns by which nobody may be treated worse."] = ()
    columns: Annotated[
        Mapping[str, Column],
        "The contract that gate `schema` holds the data to; every column of the files.",
        NonEmpty(),
    ]


@dataclass(frozen=True, kw_only=True)
class Gate:
    """What every gate's section may say."""

    mode: Annotated[
        Mode,
        "`blocking`: only a pass promotes; `advisory`: shown, does not block; `off`: not run, and the report says so.",
    ] = Mode.BLOCKING
    accept: Annotated[
        tuple[str, ...],
        "Reasons, as the gate names them, for which *not applicable* may count as skipped. Any other is an error.",
    ] = ()
    timeout: Annotated[float, "Seconds that the gate may take; after that its outcome is an error.", POSITIVE] = 120.0


@dataclass(frozen=True, kw_only=True)
class Limit:
    """An absolute limit; where the value has an interval, the whole interval must keep it."""

    min: Annotated[float | None, "The least value that passes."] = None
    max: Annotated[float | None, "The greatest value that passes."] = None


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What the candidate must prove against the champion, on the same rows; say one of both."""

    margin: Annotated[float | None, "Not worse by more than this: the *prove no harm* rule.", POSITIVE] = None
    better_by: Annotated[float | None, "Better by at least this.", NOT_NEGATIVE] = None


@dataclass(frozen=True, kw_only=True)
class Check:
    """One check of Deepchecks, under its own names."""

    options: Annotated[Mapping[str, Any], "Arguments of the check's class."] = field(default_factory=dict)
    conditions: Annotated[
        Mapping[str, Mapping[str, Any]],
        "Conditions without `add_condition_`, each with its arguments. A check without a condition is an error.",
        NonEmpty(),
    ]
    mode: Annotated[Mode | None, "Where it differs from the gate's."] = None
    timeout: Annotated[float, "Seconds that the check may take.", POSITIVE] = 60.0


@dataclass(frozen=True, kw_only=True)
class ChecksGate(Gate):
    """Checks of Deepchecks. Advisory unless it says otherwise: their limits know no interval, and what must not happen
    is asked by a gate that does.
    """

    mode: Annotated[Mode, "As for every gate; without a word of the config it only advises."] = Mode.ADVISORY
    timeout: Annotated[float, "Seconds for all of it: Deepchecks' start and every check.", POSITIVE] = 120.0
    checks: Annotated[
        Mapping[str, Check] | None,
        "The checks by Deepchecks' class names, of any of its suites. Not given: the curated list of `docs/gates.md`.",
        NonEmpty(),
    ] = None


@dataclass(frozen=True, kw_only=True)
class PerformanceGate(Gate):
    """Absolute limits on the test rows."""

    limits: Annotated[Mapping[str, Limit], "Limits by scikit-learn's names of metrics.", NonEmpty()]


@dataclass(frozen=True, kw_only=True)
class ChampionGate(Gate):
    """Candidate against champion on the same test rows."""

    rules: Annotated[Mapping[str, Comparison], "What to prove, by scikit-learn's names of metrics.", NonEmpty()]


@dataclass(frozen=True, kw_only=True)
class ProfileGate(Gate):
    """The statistics of every column, in every split, against the config and against the reference."""

    null_rise: Annotated[
        float,
        "A column may have more missing values than the reference by this share of its rows.",
        Bounds(minimum=0, maximum=1),
    ] = 0.05
    sentinel: Annotated[
        float,
        "The least share of a column's rows with which one value at its edge, far from the others, counts as a "
        "sentinel such as -999.",
        Bounds(minimum=0, maximum=1, exclusive=True),
    ] = 0.001
    outside: Annotated[
        float, "The share of a column's rows that may lie outside the reference's range.", Bounds(minimum=0, maximum=1)
    ] = 0.01
    ignore: Annotated[tuple[str, ...], "Columns that are profiled, but not judged."] = ()


@dataclass(frozen=True, kw_only=True)
class LeakageGate(Gate):
    """What the test rows could have told to the training."""

    limit: Annotated[
        float,
        "The share of test rows that may be training rows, beyond what the rows' own repetitions explain.",
        Bounds(minimum=0, maximum=1),
    ] = 0.001
    duplicates: Annotated[
        float,
        "The share of a split's rows that may repeat another, the id apart. Raise it where rows repeat by nature.",
        Bounds(minimum=0, maximum=1),
    ] = 0.01
    predictor: Annotated[
        float,
        "How well one feature alone may tell the label: ROC AUC, or the share of variance explained in regression.",
        Bounds(minimum=0.5, maximum=1),
    ] = 0.99
    unavailable: Annotated[
        tuple[str, ...], "Columns that are not known yet when the model is asked; it must not take them."
    ] = ()


@dataclass(frozen=True, kw_only=True)
class DriftGate(Gate):
    """How far the distributions are apart: the *detect harm* rule on effect sizes."""

    limits: Annotated[
        Mapping[str, float],
        "The largest effect by its name in `docs/statistics.md`. Those that are not named are shown, not judged.",
        NonEmpty(),
    ] = field(
        default_factory=lambda: {
            "kolmogorov_smirnov": 0.15,
            "total_variation": 0.15,
            "share_ratio": 3.0,
            "null_share": 0.1,
            "domain_auc": 0.7,
        }
    )
    ignore: Annotated[tuple[str, ...], "Columns that drift by their nature, such as a date; shown, not judged."] = ()


@dataclass(frozen=True, kw_only=True)
class SlicesGate(Gate):
    """Candidate against champion, and against the reference, within every slice: the *detect harm* rule."""

    columns: Annotated[
        tuple[str, ...], "Columns whose values and ranges are the slices. Not given: all but the id."
    ] = ()
    metric: Annotated[str | None, "A scikit-learn name. Not given: the first of gate `champion`."] = None
    limit: Annotated[float, "A slice may be worse than under the champion by this.", NOT_NEGATIVE] = 0.02
    reference_limit: Annotated[float, "A slice may be worse than in the reference data by this.", NOT_NEGATIVE] = 0.1
    min_rows: Annotated[int, "Smaller slices are counted, not judged.", Bounds(minimum=2)] = 50
    bins: Annotated[int, "Quantile bins of a column of numbers.", Bounds(minimum=2, maximum=100)] = 10
    pairs: Annotated[
        int,
        "The most telling columns, whose values are also taken in pairs; 0: no pairs.",
        Bounds(minimum=0, maximum=20),
    ] = 5
    detectable: Annotated[
        float | None, "Where the rows could not have shown a loss of this size, the slice is inconclusive.", POSITIVE
    ] = None


@dataclass(frozen=True, kw_only=True)
class CalibrationGate(Gate):
    """Whether probabilities mean what they say; for classifiers."""

    bins: Annotated[int, "Bins of equally many rows.", Bounds(minimum=2, maximum=100)] = 10
    limit: Annotated[float, "The largest expected calibration error.", Bounds(minimum=0, maximum=1, exclusive=True)] = (
        0.1
    )
    worse: Annotated[
        float, "It may be larger than the champion's by this.", Bounds(minimum=0, maximum=1, exclusive=True)
    ] = 0.03


@dataclass(frozen=True, kw_only=True)
class FairnessGate(Gate):
    """Rates by group, for the protected columns. Advisory unless it says otherwise: which criterion counts is chosen by
    law and purpose, and a limit that nobody chose must not decide.
    """

    mode: Annotated[Mode, "As for every gate; without a word of the config it only advises."] = Mode.ADVISORY
    columns: Annotated[tuple[str, ...], "Not given: the protected ones."] = ()
    limits: Annotated[Mapping[str, Limit], "Limits by fairlearn's names of metrics.", NonEmpty()] = field(
        default_factory=lambda: {
            "demographic_parity_ratio": Limit(min=0.8),
            "equalized_odds_difference": Limit(max=0.2),
        }
    )
    min_rows: Annotated[int, "Smaller groups are listed, not judged.", Bounds(minimum=2)] = 50


@dataclass(frozen=True, kw_only=True)
class Costs:
    """What a wrong decision costs, in the owner's own unit."""

    false_positive: Annotated[float, "Of a negative that is taken for a positive.", NOT_NEGATIVE] = 1.0
    false_negative: Annotated[float, "Of a positive that is taken for a negative.", NOT_NEGATIVE] = 1.0


@dataclass(frozen=True, kw_only=True)
class DecisionGate(Gate):
    """What is decided at the deployed threshold, for binary classifiers; off until limits or rules are named."""

    threshold: Annotated[
        float | None,
        "Of the positive class's probability, from which a row counts as positive. Not given: as the model predicts.",
        Bounds(minimum=0, maximum=1),
    ] = None
    costs: Annotated[Costs, "Gives the metric `cost`, per row."] = field(default_factory=Costs)
    limits: Annotated[
        Mapping[str, Limit],
        "Absolute limits: `recall_score`, `precision_score`, `false_positive_rate`, `selection_rate`, `cost`.",
    ] = field(default_factory=dict)
    rules: Annotated[Mapping[str, Comparison], "What to prove against the champion, by the same names."] = field(
        default_factory=dict
    )


@dataclass(frozen=True, kw_only=True)
class EnvironmentGate(Gate):
    """Lock, Python and platform of the re-run."""

    python: Annotated[
        tuple[str, ...], "Python versions (`3.11` means any 3.11) that the model may be made with. Not given: any."
    ] = ()
    platform: Annotated[tuple[str, ...], "Platforms, as `linux-x86_64`. Not given: any."] = ()
    same_as_champion: Annotated[
        tuple[EnvironmentFact, ...],
        "Which of `lock`, `python`, `platform` must be the champion's; a difference in the others is shown.",
    ] = ()


@dataclass(frozen=True, kw_only=True)
class ArtifactGate(Gate):
    """The files of the model directory; none is ever unpickled."""

    max_size: Annotated[int, "Bytes that the model directory may have.", POSITIVE] = 500_000_000
    pickles: Annotated[bool, "Whether pickle files are allowed at all; loading one runs the code that it names."] = (
        False
    )
    trusted: Annotated[
        tuple[str, ...], "Types (`module.name`) that the model's files may name beyond the scanner's safe ones."
    ] = ()


@dataclass(frozen=True, kw_only=True)
class BehaviourGate(Gate):
    """The user's pytest tests."""

    tests: Annotated[tuple[str, ...], "Files or folders of pytest tests.", RepositoryPath()] = ()
    timeout: Annotated[float, "Seconds that all tests may take together.", POSITIVE] = 300.0


@dataclass(frozen=True, kw_only=True)
class UserGate(Gate):
    """A gate of the user's own: a Python file with a class `Gate`."""

    file: Annotated[str, "The Python file.", RepositoryPath()]
    limits: Annotated[Mapping[str, Limit], "Limits by the names of its measurements. Assertions need none."] = field(
        default_factory=dict
    )
    options: Annotated[Mapping[str, Any], "Handed to the gate as it stands."] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Gates:
    """The gates. One that is not named runs with its defaults; turn one off by `mode: off`."""

    schema: Annotated[
        Gate, "Columns, types, missing values and categories against the config and the MLflow signature."
    ] = field(default_factory=Gate)
    profile: Annotated[ProfileGate, "The statistics of every column, against the config and the reference."] = field(
        default_factory=ProfileGate
    )
    leakage: Annotated[LeakageGate, "What the test rows could have told to the training."] = field(
        default_factory=LeakageGate
    )
    drift: Annotated[DriftGate, "How far train, test and reference are apart."] = field(default_factory=DriftGate)
    deepchecks: Annotated[ChecksGate, "Checks of Deepchecks on train, test and the predictions."] = field(
        default_factory=ChecksGate
    )
    performance: Annotated[PerformanceGate, "Absolute limits on metrics, each with its interval."]
    champion: Annotated[ChampionGate, "Candidate against champion, paired."]
    slices: Annotated[SlicesGate, "The same within every slice of the rows."] = field(default_factory=SlicesGate)
    calibration: Annotated[CalibrationGate, "Whether probabilities mean what they say."] = field(
        default_factory=CalibrationGate
    )
    fairness: Annotated[FairnessGate, "Rates by group, for the protected columns."] = field(
        default_factory=FairnessGate
    )
    decision: Annotated[DecisionGate, "What is decided at the deployed threshold."] = field(
        default_factory=lambda: DecisionGate(mode=Mode.OFF)
    )
    environment: Annotated[EnvironmentGate, "Lock, Python and platform of the re-run."] = field(
        default_factory=EnvironmentGate
    )
    artifact: Annotated[ArtifactGate, "The model directory's files."] = field(default_factory=ArtifactGate)
    behaviour: Annotated[BehaviourGate, "The user's pytest tests."] = field(
        default_factory=lambda: BehaviourGate(mode=Mode.OFF)
    )
    user: Annotated[Mapping[str, UserGate], "Gates of the user's own, by name."] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Waiver:
    """A named person lets one gate's outcome through, for a while. Never shown as a pass."""

    gate: Annotated[str, "The gate's name.", NonEmpty()]
    name: Annotated[str | None, "One of its measurements. Not given: all of the gate's."] = None
    who: Annotated[str, "The person who answers for it.", NonEmpty()]
    reason: Annotated[str, "Why it is acceptable.", NonEmpty()]
    until: Annotated[date, "The last day on which it counts, YYYY-MM-DD."]


@dataclass(frozen=True, kw_only=True)
class PolicySettings:
    """What holds for all gates together."""

    confidence: Annotated[float, "Level of the intervals that prove no harm.", Bounds(minimum=0.5, maximum=0.9999)] = (
        0.95
    )
    false_alarms: Annotated[
        float,
        "Chance that an honest candidate is refused by the *detect harm* rules of one run, all together.",
        Bounds(minimum=1e-6, maximum=0.2),
    ] = 0.005
    four_eyes: Annotated[
        bool,
        "Whether a promotion or rollback needs the approval, in GitHub Actions, of a reviewer of its environment who "
        "is no author of what it brings; outside of Actions it is refused then.",
    ] = False
    waivers: Annotated[
        tuple[Waiver, ...],
        "What is let through, by whom, why and until when; not yet for the merge that brings the waiver.",
    ] = ()


@dataclass(frozen=True, kw_only=True)
class Serving:
    """How the model is served."""

    mode: Annotated[
        ServingMode, "`realtime`: a service that answers; `batch`: the scoring program over files; `both`."
    ] = ServingMode.REALTIME


@dataclass(frozen=True, kw_only=True)
class Registry:
    """Where a promoted model is registered."""

    name: Annotated[str, "The registered model's name in MLflow, and in the ledger.", NAME]
    ledger: Annotated[
        str,
        "The git remote that holds the ledger's tags, or `local`: this repository alone.",
        Matches(pattern="[A-Za-z0-9][A-Za-z0-9._/-]*", words="the name of a git remote"),
    ] = "origin"


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """All that a file `model-configs/<name>.yaml` says."""

    name: Annotated[str, "The model's name; also the file's.", NAME]
    owner: Annotated[str, "Who answers for the model.", NonEmpty()]
    description: Annotated[str, "One sentence for readers of the report."] = ""
    task: Annotated[Task, "What it predicts."]
    requirements: Annotated[
        str, "The model's lock: requirements with hashes, made by `passmuster lock`.", RepositoryPath()
    ]
    pipeline: Annotated[Pipeline, "How DVC makes it."]
    data: Annotated[Data, "The data that gates see."]
    gates: Annotated[Gates, "What it must pass."]
    policy: Annotated[PolicySettings, "What holds for all gates together."] = field(default_factory=PolicySettings)
    serving: Annotated[Serving, "How it is served."] = field(default_factory=Serving)
    registry: Annotated[Registry, "Where it is registered."]

    @property
    def path(self) -> PurePosixPath:
        """Where the config stands in the repository."""
        return PurePosixPath(folder(), f"{self.name}.yaml")
