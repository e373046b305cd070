"""What a config must say beyond its shape: rules between its parts, and between configs. Facts alone, no files.

A rule yields the place and the complaint; where it needs a value that could not be read it ends (`Incomplete`), since
the complaint about that value has been made.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import TypeVar

from passmuster.config._complaints import nearest, shown
from passmuster.config._model import ColumnType, Compare, Comparison, Gates, Limit, Mode, ModelConfig, Task
from passmuster.config._reader import BROKEN, Path, Reading, fields_of

Complaints = Iterator[tuple[Path, str]]
_T = TypeVar("_T")

#: Names that no model may have, since a call could not tell them from the words of a command.
_TAKEN = ("post",)

#: The names of the gates that the framework brings.
BUILT_IN = tuple(key for key in fields_of(Gates) if key != "user")


def check(reading: Reading) -> None:
    """Complain about one config."""
    if reading.config is None:
        return
    reading.run(_name(reading.config, PurePosixPath(reading.file).stem))
    for rule in _RULES:
        reading.run(rule(reading.config))


def check_together(readings: Sequence[Reading]) -> None:
    """Complain about what several configs claim for themselves."""
    owners: dict[str, Reading] = {}
    for reading in readings:
        if reading.config is not None:
            reading.run(_registry(reading.config, reading, owners))


def _registry(config: ModelConfig, reading: Reading, owners: dict[str, Reading]) -> Complaints:
    name = config.registry.name
    first = owners.setdefault(name.casefold(), reading)
    if first is not reading:
        line, column = first.marks["registry", "name"]
        place = f"{first.file}:{line}:{column}"
        yield ("registry", "name"), f"{shown(name)} is taken by {place}; two models can't share one champion"


def _name(config: ModelConfig, stem: str) -> Complaints:
    if config.name != stem:
        yield ("name",), f"the name {shown(config.name)} differs from the file's, {shown(stem)}; make them the same"
    if config.name in _TAKEN:
        yield ("name",), f"{shown(config.name)} is a word of the command line (`report {config.name}`); choose another"


def _positive(config: ModelConfig) -> Complaints:
    positive = config.data.positive
    if config.task == Task.BINARY and positive is None:
        yield ("data",), "the key 'positive' is missing in 'data': which label counts as positive"
    if config.task != Task.BINARY and positive is not None:
        yield ("data", "positive"), f"only task `binary` has a positive label; the task here is `{config.task}`"


def _positive_is_a_category(config: ModelConfig) -> Complaints:
    label, positive = config.data.columns.get(config.data.label), config.data.positive
    if label is None or positive is None or label.categories is None:
        return
    if positive not in label.categories:
        said = nearest(positive, label.categories)
        yield ("data", "positive"), f"{shown(positive)} is not among the label's categories{said}"


def _columns(config: ModelConfig) -> Complaints:
    data = config.data
    named: dict[Path, str | None] = {("data", key): getattr(data, key) for key in ("label", "id", "time")}
    named |= _numbered(("data", "categorical"), data.categorical)
    named |= _numbered(("data", "protected"), data.protected)
    yield from _unknown(named, data.columns, "is not in `data.columns`")


def _gates_columns(config: ModelConfig) -> Complaints:
    gates = config.gates
    lists = {
        ("profile", "ignore"): gates.profile.ignore,
        ("leakage", "unavailable"): gates.leakage.unavailable,
        ("drift", "ignore"): gates.drift.ignore,
        ("slices", "columns"): gates.slices.columns,
        ("fairness", "columns"): gates.fairness.columns,
    }
    for path, names in lists.items():
        yield from _unknown(_numbered(("gates", *path), names), config.data.columns, "is not in `data.columns`")


def _ranges(config: ModelConfig) -> Complaints:
    for name, column in _readable(config.data.columns):
        at = ("data", "columns", name)
        if (column.min, column.max) == (None, None):
            continue
        if column.type not in (ColumnType.INTEGER, ColumnType.NUMBER):
            yield at, f"only numbers have `min` and `max`; the type here is `{column.type}`"
        elif column.min is not None and column.max is not None and column.min > column.max:
            yield at, f"no number is at least {column.min:g} and at most {column.max:g}"


def _effects(config: ModelConfig) -> Complaints:
    from passmuster.metrics import EFFECTS

    path = ("gates", "drift", "limits")
    limits = config.gates.drift.limits
    yield from _unknown({(*path, name): name for name in limits}, EFFECTS, "is not an effect that drift is measured by")
    for name, limit in _readable(limits):
        if limit <= 0:
            yield (*path, name), f"{limit:g} is too small; it must be more than 0"


def _groups(config: ModelConfig) -> Complaints:
    from passmuster.metrics import FAIRNESS

    path = ("gates", "fairness", "limits")
    limits = config.gates.fairness.limits
    yield from _unknown({(*path, name): name for name in limits}, FAIRNESS, "is not a metric of fairness")
    for name, limit in _readable(limits):
        yield from _limit((*path, name), limit)
    if config.gates.fairness.columns and config.task != Task.BINARY:
        yield ("gates", "fairness", "columns"), f"rates by group need task `binary`; the task here is `{config.task}`"


def _decisions(config: ModelConfig) -> Complaints:
    from passmuster.metrics import DECISION

    gate = config.gates.decision
    for key, named in (("limits", gate.limits), ("rules", gate.rules)):
        yield from _unknown({("gates", "decision", key, name): name for name in named}, DECISION, "is not measured")
    for name, limit in _readable(gate.limits):
        yield from _limit(("gates", "decision", "limits", name), limit)
    yield from _comparisons_of(("gates", "decision", "rules"), gate.rules)
    if gate.mode != Mode.OFF and not (gate.limits or gate.rules):
        yield ("gates", "decision"), "say what must hold, by `limits` or `rules`; or turn it off: `mode: off`"
    if gate.mode != Mode.OFF and config.task != Task.BINARY:
        yield ("gates", "decision"), f"a threshold decides between two classes; the task here is `{config.task}`"


def _roles(config: ModelConfig) -> Complaints:
    data = config.data
    if data.label == data.id:
        yield ("data", "id"), f"{shown(data.id)} is the label as well; the id only names a row"
    if data.label in data.protected:
        yield ("data", "protected"), f"{shown(data.label)} is the label; it can't be protected"


def _limited_metrics(config: ModelConfig) -> Complaints:
    path = ("gates", "performance", "limits")
    yield from _unknown_metrics(config, {(*path, name): name for name in config.gates.performance.limits})


def _compared_metrics(config: ModelConfig) -> Complaints:
    path = ("gates", "champion", "rules")
    yield from _unknown_metrics(config, {(*path, name): name for name in config.gates.champion.rules})


def _slices_metric(config: ModelConfig) -> Complaints:
    yield from _unknown_metrics(config, {("gates", "slices", "metric"): config.gates.slices.metric})


def _unknown_metrics(config: ModelConfig, named: Mapping[Path, str | None]) -> Complaints:
    from passmuster.metrics import METRICS

    yield from _unknown(named, METRICS[config.task], f"is not a metric of task `{config.task}`")


def _limits(config: ModelConfig) -> Complaints:
    for name, limit in _readable(config.gates.performance.limits):
        yield from _limit(("gates", "performance", "limits", name), limit)


def _user_limits(config: ModelConfig) -> Complaints:
    for gate, settings in _readable(config.gates.user):
        for name, limit in _readable(settings.limits):
            yield from _limit(("gates", "user", gate, "limits", name), limit)


def _limit(path: Path, limit: Limit) -> Complaints:
    if limit.min is None and limit.max is None:
        yield path, "a limit needs `min`, `max` or both; without one it would pass everything"
    elif limit.min is not None and limit.max is not None and limit.min > limit.max:
        yield path, f"no value is at least {limit.min:g} and at most {limit.max:g}"


def _comparisons(config: ModelConfig) -> Complaints:
    yield from _comparisons_of(("gates", "champion", "rules"), config.gates.champion.rules)


def _comparisons_of(path: Path, rules: Mapping[str, Comparison]) -> Complaints:
    for name, rule in _readable(rules):
        if (rule.margin is None) == (rule.better_by is None):
            both = "both are here" if rule.margin is not None else "none is here"
            yield (*path, name), f"say `margin` or `better-by`, one of the two; {both}"


def _outputs(config: ModelConfig) -> Complaints:
    for path, output in _readable(config.pipeline.outputs):
        at = ("pipeline", "outputs", path)
        if output.by is not None and output.id is not None:
            yield (*at, "id"), f"belongs to {shown(output.by)}, which stands for this output"
        elif output.compare == Compare.PREDICTIONS and output.by is None and output.id is None:
            yield at, "predictions are compared row by row: name the rows' column by `id`"
        elif output.compare != Compare.PREDICTIONS and output.id is not None:
            yield (*at, "id"), f"only predictions have rows with an id; this is compared by `{output.compare}`"
        if output.compare == Compare.BYTES and (output.rtol or output.atol):
            yield at, "`bytes` are the same or not; a tolerance needs `metrics` or `predictions`"


def _stand_ins(config: ModelConfig) -> Complaints:
    outputs = config.pipeline.outputs
    for path, output in _readable(outputs):
        if output.by is None:
            continue
        at, other = ("pipeline", "outputs", path, "by"), outputs.get(output.by)
        if output.by == path:
            yield at, "an output can't stand for itself"
        elif other is None:
            yield at, f"{shown(output.by)} is not in `pipeline.outputs`{nearest(output.by, outputs)}"
        elif other.by is not None:
            yield at, f"{shown(output.by)} is itself compared by another; name that one"
        elif other.compare != output.compare:
            yield at, f"{shown(output.by)} is compared by `{other.compare}`, this by `{output.compare}`"


def _model_output(config: ModelConfig) -> Complaints:
    pipeline = config.pipeline
    if pipeline.model not in pipeline.outputs:
        yield (
            ("pipeline", "model"),
            "how equal must the model directory be? Its bytes never repeat (MLflow writes times and ids); "
            "name it in `pipeline.outputs`, with `by` the predictions that stand for it",
        )


def _waivers(config: ModelConfig) -> Complaints:
    gates = [*BUILT_IN, *config.gates.user]
    named: dict[Path, str | None] = {
        ("policy", "waivers", number, "gate"): waiver.gate for number, waiver in enumerate(config.policy.waivers)
    }
    yield from _unknown(named, gates, "is not a gate")


def _user_gates(config: ModelConfig) -> Complaints:
    for name, gate in config.gates.user.items():
        if name in BUILT_IN or name == "user":
            yield ("gates", "user", name), f"{shown(name)} is the name of a gate that passmuster brings; take another"
        if gate is not BROKEN and not gate.file.endswith(".py"):
            yield ("gates", "user", name, "file"), f"{shown(gate.file)} is not a Python file"


def _behaviour(config: ModelConfig) -> Complaints:
    gate = config.gates.behaviour
    if gate.mode != Mode.OFF and not gate.tests:
        yield ("gates", "behaviour"), "the key 'tests' is missing or empty in 'behaviour'; or turn it off: `mode: off`"


_RULES: tuple[Callable[[ModelConfig], Complaints], ...] = (
    _positive,
    _positive_is_a_category,
    _columns,
    _gates_columns,
    _ranges,
    _effects,
    _groups,
    _decisions,
    _roles,
    _limited_metrics,
    _compared_metrics,
    _slices_metric,
    _limits,
    _user_limits,
    _comparisons,
    _outputs,
    _stand_ins,
    _model_output,
    _waivers,
    _user_gates,
    _behaviour,
)


def _readable(mapping: Mapping[str, _T]) -> Iterable[tuple[str, _T]]:
    return [(key, value) for key, value in mapping.items() if value is not BROKEN]


def _numbered(path: Path, names: Sequence[str]) -> dict[Path, str | None]:
    return {(*path, number): name for number, name in enumerate(names)}


def _unknown(named: Mapping[Path, str | None], known: Collection[str], said: str) -> Complaints:
    """Complain about each text that is not known; None (not given) and what could not be read are passed over."""
    for path, name in named.items():
        if isinstance(name, str) and name not in known:
            yield path, f"{shown(name)} {said}{nearest(name, known)}"
