"""Gate `schema`: every split's columns, types, missing values and categories against the config, and the signature."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from passmuster.config import Column, ColumnType, ModelConfig
from passmuster.errors import NotMeasured
from passmuster.gates import Inputs
from passmuster.measurement import Assertion, Failure, Measurement, NotApplicable
from passmuster_checks import _data, _mlmodel
from passmuster_checks._text import shown, some

#: Violations that `details` lists; of the rest only the count is.
LISTED = 100

#: MLflow's types of a column, and the types of the contract that they can hold.
_SIGNATURE_TYPES: Mapping[str, frozenset[ColumnType]] = {
    "long": frozenset({ColumnType.INTEGER}),
    "integer": frozenset({ColumnType.INTEGER}),
    "double": frozenset({ColumnType.NUMBER, ColumnType.INTEGER}),  # MLflow's advice for integers with missing values
    "float": frozenset({ColumnType.NUMBER, ColumnType.INTEGER}),
    "string": frozenset({ColumnType.STRING}),
    "boolean": frozenset({ColumnType.BOOLEAN}),
    "datetime": frozenset({ColumnType.DATETIME}),
}


@dataclass
class _Found:
    """Violations of one part of the contract, and what else people may want to see."""

    violations: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)


class Schema:
    """Holds the data files and the model's signature to the contract that the config states."""

    name = "schema"
    needs = frozenset({"data", "model"})

    def measure(self, inputs: Inputs) -> Sequence[Measurement]:
        """Return one `Assertion` for each of columns, types, nulls, categories and signature."""
        wanted = ("train", "test", *(("reference",) if inputs.config.data.reference else ()))
        if missing := [split for split in wanted if split not in inputs.data]:
            raise NotMeasured(f"there is no data file for {', '.join(missing)}")
        found = {part: _Found() for part in ("columns", "types", "nulls", "categories")}
        for split, path in inputs.data.items():
            self._split(split, path, inputs.config, found)
        return [*(self._part(part, what) for part, what in found.items()), self._signature(inputs)]

    def _split(self, split: str, path: Path, config: ModelConfig, found: dict[str, _Found]) -> None:
        names, contract = _data.file_schema(path).names, config.data.columns
        columns = found["columns"].violations
        columns += [f"{split}: column {shown(name)} is missing" for name in contract if name not in names]
        columns += [f"{split}: column {shown(name)} is not in the config" for name in names if name not in contract]
        columns += [f"{split}: column {shown(n)} is there twice" for n in dict.fromkeys(names) if names.count(n) > 1]
        for name, column in contract.items():
            if names.count(name) != 1:
                continue
            where, values = f"{split}.{shown(name)}", _data.column(path, name)
            found["types"].violations += _types(where, values, column)
            share, nulls = _nulls(where, values, column)
            found["nulls"].violations += nulls
            if share:
                found["nulls"].facts[where] = share
            found["categories"].violations += _categories(where, values, column)

    def _part(self, part: str, found: _Found) -> Measurement:
        details: dict[str, Any] = {"violations": found.violations[:LISTED], "count": len(found.violations)}
        if part == "nulls":
            details["shares"] = found.facts
        message = "; ".join(found.violations[:5]) + _more(len(found.violations) - 5)
        return Assertion(
            gate=self.name,
            name=part,
            holds=not found.violations,
            message=message or "as the config says, in every split",
            details=details,
        )

    def _signature(self, inputs: Inputs) -> Measurement:
        try:
            columns = _mlmodel.inputs(_mlmodel.read(inputs.model))
        except NotMeasured as exc:
            return Failure(gate=self.name, name="signature", reason=str(exc))
        if columns is not None and any("name" not in column for column in columns):
            reason = "the signature names no columns (a tensor), so it can't be compared with the config"
            return NotApplicable(gate=self.name, name="signature", reason="tensor-signature", message=reason)
        violations = list(_against_contract(columns, inputs.config))
        return Assertion(
            gate=self.name,
            name="signature",
            holds=not violations,
            message="; ".join(violations[:5]) + _more(len(violations) - 5)
            or "the model asks for columns of the config",
            details={"violations": violations[:LISTED], "columns": [str(c["name"]) for c in columns or ()][:1000]},
        )


def _more(count: int) -> str:
    return f"; and {count:,} more" if count > 0 else ""


def _types(where: str, values: pa.Array, column: Column) -> Iterator[str]:
    kind = _kind(values, column)
    wanted = column.type
    if kind is None and values.null_count == len(values):
        return  # all missing: said by `nulls`
    if kind != wanted and not (wanted is ColumnType.NUMBER and kind is ColumnType.INTEGER):
        yield f"{where} is {values.type}, not {wanted}"
    elif pa.types.is_floating(values.type) and (infinite := _count(pc.is_inf(values))):
        yield f"{where} holds {infinite:,} infinite values"


def _kind(values: pa.Array, column: Column) -> ColumnType | None:
    kind = values.type
    if pa.types.is_integer(kind):
        return ColumnType.INTEGER
    if pa.types.is_floating(kind):
        # pandas keeps whole numbers as floats where some are missing, also in a split that has none missing.
        whole = column.type is ColumnType.INTEGER and column.nullable and _are_whole(values)
        return ColumnType.INTEGER if whole else ColumnType.NUMBER
    if pa.types.is_decimal(kind):
        return ColumnType.NUMBER
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return ColumnType.STRING
    if pa.types.is_boolean(kind):
        return ColumnType.BOOLEAN
    return ColumnType.DATETIME if pa.types.is_timestamp(kind) or pa.types.is_date(kind) else None


def _are_whole(values: pa.Array) -> bool:
    numbers = _data.numbers(values)
    there = numbers[~np.isnan(numbers)]
    return bool((there == np.floor(there)).all())


def _count(mask: pa.Array) -> int:
    return int(pc.sum(mask).as_py() or 0)


def _nulls(where: str, values: pa.Array, column: Column) -> tuple[float, list[str]]:
    """Return the share of missing values, NaN among them, and what is wrong with it."""
    missing = _count(pc.is_null(values, nan_is_null=True))
    share = round(missing / len(values), 6)
    if missing == len(values):
        return share, [f"{where} has no value at all"]
    if missing and not column.nullable:
        return share, [f"{where} is missing in {missing:,} of {len(values):,} rows"]
    return share, []


def _categories(where: str, values: pa.Array, column: Column) -> Iterator[str]:
    if column.categories is None:
        return
    strange: dict[str, int] = {}
    found = _data.encoded(values)
    counts = np.bincount(found.codes, minlength=len(found.values))
    for word, count in zip(found.values, counts.tolist(), strict=True):
        if count and isinstance(word, str) and word not in column.categories:
            strange[word] = strange.get(word, 0) + count
    if strange:
        yield f"{where}: {sum(strange.values()):,} rows are not of its categories: {some(sorted(strange))}"


def _against_contract(columns: Sequence[Mapping[str, Any]] | None, config: ModelConfig) -> Iterator[str]:
    if columns is None:
        yield "the model was saved without a signature; give `signature=infer_signature(…)` to `save_model`"
        return
    if not columns:
        yield "the signature names no input"
    for column in columns:
        name, kind = str(column["name"]), str(column.get("type"))
        contract = config.data.columns.get(name)
        if name == config.data.label:
            yield f"the model asks for the label {shown(name)}, which nobody knows yet when it is used"
        elif contract is None:
            yield f"the model asks for {shown(name)}, which is not in the config"
        elif contract.type not in _SIGNATURE_TYPES.get(kind, frozenset()):
            yield f"the model asks for {shown(name)} as {shown(kind)}, but in the config it is {contract.type}"
