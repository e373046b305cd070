"""Reads one column at a time from a Parquet file, a folder of them, or CSV; never the whole table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from passmuster.errors import NotMeasured
from passmuster_checks._arrow import is_text
from passmuster_checks._text import shown

#: Rows that a split may have: more is another engine's work, or a file that lies about itself.
MOST_ROWS = 200_000_000

#: Bytes of a CSV that are read at a time.
_BLOCK = 16 << 20


@dataclass(frozen=True, kw_only=True, eq=False)
class _File:
    path: Path
    metadata: Any  #: pyarrow's, read once; a column is then found without reading it again
    schema: pa.Schema
    types: Mapping[str, pa.DataType]  #: what a column's values are; of a CSV, what its texts look like


@dataclass(frozen=True, kw_only=True, eq=False)
class Source:
    """One split's files, and what their headers say."""

    files: tuple[_File, ...]
    rows: int
    names: tuple[str, ...]  #: of the first file, in its order, one that is there twice also twice
    types: Mapping[str, pa.DataType]  #: the columns that can be read
    faults: Mapping[str, str]  #: the columns that can't be, and why

    @property
    def all_names(self) -> tuple[str, ...]:
        """Every column of every file, once."""
        return tuple(dict.fromkeys((*self.names, *self.types, *self.faults)))

    def check(self, name: str) -> None:
        """Refuse a column that can't be read.

        Raises:
            NotMeasured: it is not there, or not once, or differs between the files.
        """
        if name not in self.types:
            raise NotMeasured(self.faults.get(name, f"there is no column {shown(name)}"))

    def parts(self, name: str) -> Iterator[pa.Array]:
        """Yield a column piece by piece, in the order of the rows; texts are dictionary-encoded, nothing else is.

        Raises:
            OSError, pa.ArrowException: the file is broken.
            NotMeasured: it has other rows than its header says.
        """
        rows, text = 0, is_text(self.types[name])
        for file in self.files:
            for part in _parts(file, name):
                rows += len(part)
                if rows > self.rows:
                    break
                yield _encoded(part) if text else _decoded(part, self.types[name])
        if rows != self.rows:
            raise NotMeasured(f"{rows:,} rows were found where the header says {self.rows:,}")


def _parts(file: _File, name: str) -> Iterator[pa.Array]:
    encoded = [name] if is_text(file.schema.field(name).type) else None
    with pq.ParquetFile(file.path, metadata=file.metadata, read_dictionary=encoded) as opened:
        for group in range(opened.num_row_groups):
            # Threads go over columns; more of them inside a column would only compete.
            table = opened.read_row_group(group, columns=[name], use_threads=False)
            yield from table.column(name).chunks


def _encoded(part: pa.Array) -> pa.Array:
    if isinstance(part, pa.DictionaryArray) and part.dictionary.null_count:
        part = part.dictionary_decode()
    if not isinstance(part, pa.DictionaryArray):
        part = part.cast(pa.large_binary()).dictionary_encode()
    return pa.DictionaryArray.from_arrays(part.indices.cast(pa.int32()), part.dictionary.cast(pa.large_binary()))


def _decoded(part: pa.Array, wanted: pa.DataType) -> pa.Array:
    if isinstance(part, pa.DictionaryArray):
        part = part.dictionary_decode()
    return part.cast(wanted) if is_text(part.type) else part


def opened(path: Path, scratch: Path, most: int = MOST_ROWS) -> Source:
    """Return what the headers of a split's files say.

    Args:
        path: a Parquet or CSV file, or a folder of either.
        scratch: a folder; CSV is written there as Parquet first, so that a column can be read alone.
        most: rows that it may have.

    Raises:
        NotMeasured: there is no file, or one can't be read.
    """
    try:
        paths, texts = paths_of(path)
        folder = Path(mkdtemp(dir=scratch))
        files = [_from_csv(one, folder / f"{i}.parquet") if texts else _header(one) for i, one in enumerate(paths)]
    except (OSError, ValueError, KeyError, pa.ArrowException) as exc:
        raise NotMeasured(f"{path.name} can't be read: {str(exc) or type(exc).__name__:.300}") from exc
    rows = sum(file.metadata.num_rows for file in files)
    if not 0 <= rows <= most:
        raise NotMeasured(f"{path.name} has {rows:,} rows; {most:,} can be looked at")
    types, faults = _columns(files)
    return Source(files=tuple(files), rows=rows, names=tuple(files[0].schema.names), types=types, faults=faults)


def paths_of(path: Path) -> tuple[list[Path], bool]:
    if path.is_file():
        return [path], path.suffix.lower() == ".csv"
    if not path.exists():
        raise NotMeasured(f"{path.name} is not there")
    found = sorted(p for p in path.rglob("*") if p.is_file() and not p.name.startswith((".", "_")))
    if any("=" in part for p in found for part in p.relative_to(path).parent.parts):
        raise NotMeasured(f"{path.name} keeps columns in the names of its folders; write them into the files")
    kinds = {p.suffix.lower() for p in found}
    if kinds not in ({".parquet"}, {".csv"}):
        raise NotMeasured(f"{path.name} should hold Parquet files, or CSV files, and nothing else")
    return found, kinds == {".csv"}


def _header(path: Path) -> _File:
    with pq.ParquetFile(path) as file:
        schema = file.schema_arrow
        types = {field.name: _plain(field.type) for field in schema}
        return _File(path=path, metadata=file.metadata, schema=schema, types=types)


def _plain(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _from_csv(path: Path, to: Path) -> _File:
    """Write a CSV as Parquet, all of it as text: what a column is can't be told before its last row."""
    from pyarrow import csv

    reading: dict[str, Any] = {
        "read_options": csv.ReadOptions(block_size=_BLOCK),
        "parse_options": csv.ParseOptions(newlines_in_values=True),
    }
    with csv.open_csv(path, **reading) as file:
        names = file.schema.names
    options = csv.ConvertOptions(
        column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True, check_utf8=False
    )
    with (
        csv.open_csv(path, **reading, convert_options=options) as reader,
        pq.ParquetWriter(to, reader.schema) as writer,
    ):
        for batch in reader:
            writer.write_batch(batch)
    file = _header(to)
    return replace(file, types={name: _looks_like(file, name) for name in names if names.count(name) == 1})


def _looks_like(file: _File, name: str) -> pa.DataType:
    """Return the first type that every text of a column reads as; null where there is none."""
    if not any(len(part.dictionary) for part in _parts(file, name)):
        return pa.null()
    for kind in (pa.int64(), pa.float64(), pa.bool_(), pa.timestamp("us"), pa.timestamp("us", "UTC")):
        try:
            for part in _parts(file, name):
                part.dictionary.cast(kind)
        except pa.ArrowException:
            continue
        return kind
    return pa.string()


def _columns(files: Sequence[_File]) -> tuple[dict[str, pa.DataType], dict[str, str]]:
    types: dict[str, pa.DataType] = {}
    faults: dict[str, str] = {}
    for name in dict.fromkeys(name for file in files for name in file.schema.names):
        times = {Counter(file.schema.names)[name] for file in files}
        if times != {1}:
            faults[name] = f"it is there {' or '.join(map(str, sorted(times)))} times in a file; once is needed"
            continue
        found = list(dict.fromkeys(file.types[name] for file in files))
        joined = _joined(found)
        if joined is None:
            faults[name] = f"its type differs between the files: {', '.join(map(shown, map(str, found)))}"
        else:
            types[name] = joined
    return types, faults


def _joined(types: Sequence[pa.DataType]) -> pa.DataType | None:
    """Return the type of a column whose files have these types; None: they don't go together."""
    some = [kind for kind in types if not pa.types.is_null(kind)]
    if len(some) <= 1:
        return some[0] if some else types[0]
    if all(map(is_text, some)):
        return pa.large_string()
    if all(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind) for kind in some):
        return pa.float64()
    return None
