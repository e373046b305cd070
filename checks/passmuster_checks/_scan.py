"""Looks into a model directory's files for what loading them would name, without loading any.

Pickles are disassembled by picklescan, arrays and archives are looked into, skops' files are read as the JSON that they
are. A file that can't be looked into is said to be so; that is never the same as *nothing found*.
"""

from __future__ import annotations

import io
import json
import logging
import pickletools
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from passmuster.errors import NotMeasured

PICKLE_SUFFIXES = frozenset({".pkl", ".pickle", ".joblib", ".dill", ".pt", ".pth", ".ckpt", ".bin"})

#: Formats that are pickles by name or habit; a file of any name may be one as well.
_PICKLE_STARTS = tuple(b"\x80" + bytes([protocol]) for protocol in range(2, 6))

#: Operations that name something to import.
_NAMING = frozenset({"GLOBAL", "STACK_GLOBAL", "INST", "EXT1", "EXT2", "EXT4"})

_ARRAY_START = b"\x93NUMPY"

#: Packed in a way that is not looked into: what they hold is unknown.
_PACKED = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"7z\xbc\xaf\x27\x1c": "7z",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"Rar!": "rar",
    b"\x04\x22\x4d\x18": "lz4",
}

#: zlib's headers, as joblib writes them; only asked of files that claim to be pickles, since text may begin so.
_ZLIB = (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")

_PROGRAMS = {
    b"\x7fELF": "ELF",
    b"MZ": "Windows",
    b"\xcf\xfa\xed\xfe": "macOS",
    b"\xca\xfe\xba\xbe": "macOS",
    b"#!": "a script",
}

#: An archive in an archive in an archive is deep enough.
_DEPTH = 3
_MEMBERS = 20_000
_UNPACKED_BYTES = 4 * 1024**3

_IDENTIFIER = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")


@dataclass
class Seen:
    """What loading a model directory's files would name."""

    named: dict[str, set[str]] = field(default_factory=dict)  #: `module.name` → files that name it
    dangerous: dict[str, set[str]] = field(default_factory=dict)  #: the same, of what the scanner knows to be dangerous
    pickles: set[str] = field(default_factory=set)  #: files that are pickles, or hold one
    programs: dict[str, str] = field(default_factory=dict)  #: file → what kind of program it is
    unreadable: dict[str, str] = field(default_factory=dict)  #: file → why it can't be looked into

    def name(self, module: str, name: str, file: str) -> None:
        """Note that `file` names `module.name`."""
        full = f"{module}.{name}"
        self.named.setdefault(full, set()).add(file)
        if is_dangerous(module, name):
            self.dangerous.setdefault(full, set()).add(file)


def directory(model: Path) -> Seen:
    """Return what the files of a model directory name; links are not followed."""
    logging.getLogger("picklescan").setLevel(logging.CRITICAL)
    seen, budget = Seen(), [_UNPACKED_BYTES]
    for path in sorted(model.rglob("*")):
        if path.is_file() and not path.is_symlink():
            _look(path.read_bytes(), path.relative_to(model).as_posix(), seen, 0, budget)
    return seen


def _look(content: bytes, file: str, seen: Seen, depth: int, budget: list[int]) -> None:
    """Look into one file, or member of an archive; a file that is two things at once is looked at as both."""
    suffix = Path(file).suffix.lower()
    for start, kind in _PROGRAMS.items():
        if content.startswith(start):
            seen.programs[file] = kind
    packed = next((kind for start, kind in _PACKED.items() if content.startswith(start)), None)
    if packed is None and suffix in PICKLE_SUFFIXES and content.startswith(_ZLIB):
        packed = "zlib"
    if packed:
        seen.unreadable[file] = f"it is packed ({packed}), so what it holds can't be seen; save it unpacked"
    is_zip = zipfile.is_zipfile(io.BytesIO(content))
    try:
        if content.startswith(_ARRAY_START):
            _look_at_array(content, file, seen)
        elif not packed:
            _look_for_pickle(content, file, suffix, is_zip, seen)
        if is_zip:
            _look_into_zip(content, file, seen, depth, budget)
        elif suffix in (".skops", ".npz", ".zip"):
            raise NotMeasured(f"it is no {suffix} file")
    except NotMeasured as exc:
        seen.unreadable[file] = str(exc)
    except Exception as exc:  # the scanner and zipfile raise whatever a broken file makes them
        seen.unreadable[file] = f"{type(exc).__name__}: {exc}"[:300]


def _look_for_pickle(content: bytes, file: str, suffix: str, is_zip: bool, seen: Seen) -> None:
    from picklescan.scanner import SafetyLevel, scan_pickle_bytes

    claims = (suffix in PICKLE_SUFFIXES and not is_zip) or content.startswith(_PICKLE_STARTS)
    result = scan_pickle_bytes(io.BytesIO(content), file)
    dangerous = [found for found in result.globals if found.safety is SafetyLevel.Dangerous]
    # Text reads as the beginning of a pickle by chance ("channels:" names a global), but not to its end.
    whole = _is_whole_pickle(content)
    if claims or whole:
        seen.pickles.add(file)
        for found in result.globals:
            seen.name(str(found.module), str(found.name), file)
    for found in dangerous:
        full = f"{found.module}.{found.name}"
        if claims or whole or _IDENTIFIER.fullmatch(full):
            seen.pickles.add(file)
            seen.dangerous.setdefault(full, set()).add(file)
    if claims and not whole and not _ends(content):
        raise NotMeasured("it should be a pickle, but it is broken or of an unknown kind")


def _is_whole_pickle(content: bytes) -> bool:
    """Whether an unpickler would come to the end; of text, only if it would name something on the way.

    "0.16.0" is a whole pickle too, one that makes nothing.
    """
    try:
        operations = {operation.name for operation, _, _ in pickletools.genops(content)}
    except Exception:
        return False
    return bool(operations & _NAMING) or content.startswith(_PICKLE_STARTS)


def _ends(content: bytes) -> bool:
    try:
        for _ in pickletools.genops(content):
            pass
    except Exception:
        return False
    return True


def _look_at_array(content: bytes, file: str, seen: Seen) -> None:
    from picklescan.scanner import scan_numpy

    result = scan_numpy(io.BytesIO(content), file)
    if result.globals:
        seen.pickles.add(file)
    for found in result.globals:
        seen.name(str(found.module), str(found.name), file)


def _look_into_zip(content: bytes, file: str, seen: Seen, depth: int, budget: list[int]) -> None:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = [member for member in archive.infolist() if not member.is_dir()]
        if depth >= _DEPTH or len(members) > _MEMBERS:
            raise NotMeasured("archives in it are nested too deep, or it has too many members")
        names = [member.filename for member in members]
        if len(set(names)) != len(names):
            raise NotMeasured("two of its members have one name; which one is loaded depends on the reader")
        for member in members:
            budget[0] -= member.file_size
            if budget[0] < 0:
                raise NotMeasured(f"unpacked it is larger than {_UNPACKED_BYTES:,} bytes")
            inside = archive.read(member)  # reads at most `file_size`, and checks the sum
            _look(inside, f"{file}:{member.filename}", seen, depth + 1, budget)
            if member.filename == "schema.json":
                _look_at_skops(inside, file, seen)


def _look_at_skops(content: bytes, file: str, seen: Seen) -> None:
    """Note every type and function that a skops file names: nodes of its schema with `__module__` and `__class__`."""
    try:
        for module, name in _nodes(json.loads(content)):
            seen.name(module, name, file)
    except (ValueError, RecursionError) as exc:
        raise NotMeasured(f"its schema can't be read: {exc}") from exc


def _nodes(tree: Any) -> Iterator[tuple[str, str]]:
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            if "__module__" in node or "__class__" in node:
                yield str(node.get("__module__")), str(node.get("__class__"))
            waiting += node.values()
        elif isinstance(node, list):
            waiting += node


@cache
def is_dangerous(module: str, name: str) -> bool:
    """Whether picklescan's list has `module.name` as dangerous; what is not even a name is."""
    from picklescan.scanner import scan_pickle_bytes

    if not _IDENTIFIER.fullmatch(f"{module}.{name}"):
        return True
    return bool(scan_pickle_bytes(io.BytesIO(f"c{module}\n{name}\n.".encode()), "one").issues_count)


_BUILTINS = frozenset(
    {"bool", "bytearray", "bytes", "complex", "dict", "float", "frozenset"}
    | {"int", "list", "object", "range", "set", "slice", "str", "tuple"}
)
_KNOWN = frozenset(
    {
        "collections.OrderedDict",
        "collections.defaultdict",
        "copyreg._reconstructor",
        "datetime.date",
        "datetime.datetime",
        "datetime.timedelta",
        "joblib.numpy_pickle.NumpyArrayWrapper",
        "numpy._core.multiarray._reconstruct",
        "numpy._core.multiarray.scalar",
        "numpy.core.multiarray._reconstruct",
        "numpy.core.multiarray.scalar",
        "numpy.dtype",
        "numpy.matrix",
        "numpy.ndarray",
        "numpy.random._generator.Generator",
        "numpy.random._mt19937.MT19937",
        "numpy.random._pcg64.PCG64",
        "numpy.random.mtrand.RandomState",
    }
)
#: Classes of scikit-learn hold arrays and parameters; what lies in these modules fetches, tests or is foreign.
_SKLEARN = re.compile(r"sklearn(\.(?!externals|datasets|utils\._testing)\w+)*\._{0,2}[A-Z]\w*")
_SCIPY = re.compile(r"scipy\.(sparse(\.\w+)*\.(bsr|coo|csc|csr|dia|dok|lil)_(array|matrix)|special(\.\w+)*\.[a-z]\w*)")


def is_known(full: str) -> bool:
    """Whether `module.name` is a type of numbers, containers, NumPy, SciPy or scikit-learn that loading may name."""
    module, _, name = full.rpartition(".")
    if module == "builtins":
        return name in _BUILTINS
    if module == "numpy":
        return full in _KNOWN or _is_numpy_type(name)
    return full in _KNOWN or bool(_SKLEARN.fullmatch(full) or _SCIPY.fullmatch(full))


def _is_numpy_type(name: str) -> bool:
    import numpy as np

    found = getattr(np, name, None)
    return isinstance(found, np.ufunc) or (isinstance(found, type) and issubclass(found, np.generic))
