"""Bundles: what one job of a workflow hands to the next, as one tar file, packed and unpacked by these rules alone.

A bundle may come from a job that ran a pull request's code, so that everything in it is hostile. Taken are plain files
whose names the kind of bundle allows, up to a number and a size, all of it looked at before the first byte is written.
Law, tested: what `pack` wrote, `unpack` puts into place byte by byte; the same files give the same tar.
"""

from __future__ import annotations

import json
import re
import shutil
import stat
import tarfile
import tempfile
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO

from passmuster import _dvc, record, workspace
from passmuster.errors import Refused, Unavailable, UsageError
from passmuster.record import Record

#: What `fetch` leaves for `pack`: the names of the DVC objects that the commit needs, as a list in JSON.
OBJECTS = "objects.json"

#: Bytes of one JSON file; a record of 500 columns has a few million.
_LARGEST_JSON = 32 * 1024 * 1024

#: Bytes that a tar needs for each file beyond its content, at most, and at its end.
_PER_FILE, _END = 1024, 64 * 1024

_MODEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_-]{0,98}[A-Za-z0-9])?")
_CHAMPION = r"champion/(model/.+|reproduce\.json|gate\.json|train_ids\.parquet|profile\.json)"
_OBJECT = r"(files/md5/)?[0-9a-f]{2}/[0-9a-f]{30}(\.dir)?"


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What a bundle of one kind may hold."""

    names: re.Pattern[str]  #: of its files, below the model's folder
    files: int  #: at most
    size: int  #: bytes of all files together, at most
    records: Mapping[str, str] = field(default_factory=dict)  #: file of a record → its schema

    def allows(self, name: str) -> bool:
        """Return whether a file of this name may be in it."""
        return self.names.fullmatch(name) is not None


_OF_CANDIDATE = {"reproduce.json": "reproduce", "score.json": "score"}
_OF_CHAMPION = {"champion/reproduce.json": "reproduce", "champion/gate.json": "gate"}

KINDS: Mapping[str, Kind] = {
    # What a job with secrets hands to one without: the champion, and the data that the commit's sources name.
    "supply": Kind(
        names=re.compile(rf"{_CHAMPION}|objects/{_OBJECT}"),
        files=1_000_000,
        size=64 * 1024**3,
        records=_OF_CHAMPION,
    ),
    # What the job that ran the commit's code hands to the one that judges.
    "candidate": Kind(
        names=re.compile(
            rf"reproduce\.json|score\.json|train_ids\.parquet|model/.+|{_CHAMPION}"
            r"|(data|predictions/candidate|predictions/champion|leave_out)/[^/]+\.parquet"
        ),
        files=20_000,
        size=16 * 1024**3,
        records=_OF_CANDIDATE | _OF_CHAMPION,
    ),
    # What is told: the verdict and what it follows from.
    "records": Kind(
        names=re.compile(
            r"(reproduce|score|gate|gate-head|profile)\.json|report\.(md|html|json|xml)|champion/reproduce\.json"
        ),
        files=20,
        size=128 * 1024**2,
        records=_OF_CANDIDATE
        | {"gate.json": "gate", "gate-head.json": "gate-head", "champion/reproduce.json": "reproduce"},
    ),
}


def kind(what: str) -> Kind:
    """Return the rules of a kind of bundle.

    Raises:
        UsageError: there is no such kind.
    """
    if what not in KINDS:
        raise UsageError(f"there is no bundle of kind {what!r}; there are: {', '.join(KINDS)}")
    return KINDS[what]


def largest(what: str) -> int:
    """Return how many bytes a bundle of kind `what` has at most."""
    rules = kind(what)
    return rules.size + rules.files * _PER_FILE + _END


def pack(root: Path, model: str, what: str, to: Path) -> Path:
    """Write the files of kind `what` that `.passmuster/<model>/` holds to the tar file `to`, and return that.

    Raises:
        Refused: there is nothing of the kind, a file of it is a link or has a name that can't be shown, or it is more
            than a bundle of the kind may hold.
    """
    rules, folder = kind(what), workspace.folder(root, _checked(model))
    files = {name: folder / name for name in _present(folder) if rules.allows(name)}
    if what == "supply":
        files |= _objects(root, folder)
    if not files:
        raise Refused(f"{model}: there is nothing of kind {what!r} to pack; run the steps before it first")
    _refuse({name: _size(path) for name, path in files.items()}, what)
    to.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(to, "w", format=tarfile.USTAR_FORMAT, encoding="utf-8") as archive:
        for name, path in sorted(files.items()):
            _append(archive, name, path)
    return to


def unpack(root: Path, model: str, what: str, archive: Path) -> tuple[str, ...]:
    """Put the files of the tar file `archive` in place of those of kind `what` in `.passmuster/<model>/`.

    DVC's objects go into the checkout's cache instead, each under its own name; DVC checks them when it reads them.
    The answer is the names of all files.

    Raises:
        Refused: the bundle breaks a rule; then nothing in the folder has changed.
        Unavailable: the disk is full.
    """
    folder = workspace.folder(root, _checked(model))
    workspace.make(folder)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".unpack-") as name:
        staged = Path(name)
        names = extract(archive, model, what, staged)
        if what == "candidate":
            record.begin(folder, "reproduce")  # what was judged before is not judged of these files
        _swap(folder, staged, [one for one in names if not one.startswith("objects/")], kind(what))
        _adopt(root, staged / "objects")
    return names


def extract(archive: Path, model: str | None, what: str, to: Path) -> tuple[str, ...]:
    """Write the files of the bundle `archive` into the empty folder `to`, every rule checked; return their names.

    Its records must be of `model`; None: of any.

    Raises:
        Refused: it is no bundle of kind `what`, or a record in it is none, or of another model than `model`.
        Unavailable: the disk is full.
    """
    rules = kind(what)
    _check_file(archive, what)
    try:
        with archive.open("rb") as stream, _open(stream) as tar:
            members = _members(tar, what)
            for member in members:
                tar.extract(member, to, set_attrs=False, filter="data")
    except (tarfile.TarError, UnicodeError, EOFError, OverflowError, ValueError) as exc:
        raise Refused(f"{archive.name} is not a bundle: {exc}") from exc
    except OSError as exc:
        raise Unavailable(f"{archive.name} can't be unpacked: {exc.strerror}; is the disk full?") from exc
    names = tuple(member.name for member in members)
    for name in names:
        if name in rules.records:
            _check_record(to / name, rules.records[name], model if "/" not in name else None)
    return names


def owner(archive: Path, what: str) -> str:
    """Return the model that the records in a bundle are of; it may not be a bundle at all but for that.

    Raises:
        Refused: it breaks a rule of its kind, holds no record of a re-run, or names no model.
    """
    with tempfile.TemporaryDirectory(prefix="passmuster-bundle-") as folder:
        extract(archive, None, what, Path(folder))
        try:
            model = record.read(Path(folder) / "reproduce.json", "reproduce").body.get("model")
        except Refused as exc:
            raise Refused(f"{archive.name} does not say which model it is of: reproduce.json is missing") from exc
    if not isinstance(model, str) or not is_name(model):
        raise Refused(f"{archive.name} is of a model that can't be: {str(model)[:100]!a}")
    return model


# Rules


def is_name(model: str) -> bool:
    """Return whether a model may have this name, which becomes a folder's."""
    return _MODEL.fullmatch(model) is not None


def _checked(model: str) -> str:
    if not is_name(model):
        raise UsageError(f"{model!r} can't be the name of a model: use letters, digits, '-' and '_'")
    return model


class _Plain(tarfile.TarInfo):
    """A member's header, refused before more of it is read unless it is that of a plain file.

    Extended headers among others, whose length is the writer's to say, are read into memory whole.
    """

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _Plain:
        found = super().frombuf(buf, encoding, errors)
        if found.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or found.name.endswith("/"):
            raise Refused(
                f"the bundle holds {found.name[:200]!a}, which is {_sort(found)}; only plain files may be in it"
            )
        if found.size < 0:
            raise Refused(f"the bundle holds {found.name[:200]!a} of {found.size} bytes")
        return found


def _sort(member: tarfile.TarInfo) -> str:
    sorts = {
        tarfile.SYMTYPE: "a link",
        tarfile.LNKTYPE: "a hard link",
        tarfile.CHRTYPE: "a device",
        tarfile.BLKTYPE: "a device",
        tarfile.FIFOTYPE: "a pipe",
        tarfile.DIRTYPE: "a folder",
        tarfile.GNUTYPE_SPARSE: "a sparse file",
    }
    return sorts.get(member.type, "a folder" if member.name.endswith("/") else f"of type {member.type!r}")


def _open(stream: IO[bytes]) -> tarfile.TarFile:
    return tarfile.TarFile(fileobj=stream, mode="r", tarinfo=_Plain, encoding="utf-8", errors="surrogateescape")


def _check_file(archive: Path, what: str) -> None:
    try:
        facts = archive.lstat()
    except FileNotFoundError as exc:
        raise Refused(f"{archive} is missing; the job that makes it has not come to its end") from exc
    if not stat.S_ISREG(facts.st_mode):
        raise Refused(f"{archive} is not a plain file")
    if facts.st_size > largest(what):
        raise Refused(f"{archive.name} has {facts.st_size:,} bytes; a bundle of kind {what!r} has {largest(what):,}")


def _members(tar: tarfile.TarFile, what: str) -> list[tarfile.TarInfo]:
    """Return the members, after looking at all of them; nothing is written yet."""
    rules = kind(what)
    found: list[tarfile.TarInfo] = []
    sizes: dict[str, int] = {}
    total = 0
    while (member := tar.next()) is not None:
        total += member.size
        if len(found) == rules.files or total > rules.size:
            raise Refused(
                f"the bundle holds more than {rules.files:,} files or {rules.size:,} bytes, as {what} may not"
            )
        if member.name in sizes:
            raise Refused(f"the bundle holds {member.name[:200]!a} twice")
        sizes[member.name] = member.size
        found.append(member)
    if not found:
        raise Refused("the bundle is empty")
    _refuse_rest(tar, found[-1])
    _refuse(sizes, what)
    return found


def _refuse_rest(tar: tarfile.TarFile, last: tarfile.TarInfo) -> None:
    """Refuse what does not end as a tar does: the library takes a broken header for the end."""
    stream = tar.fileobj
    if stream is None:
        raise Refused("the bundle can't be read")
    stream.seek(last.offset_data + -(-last.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE)
    if stream.read(2 * tarfile.BLOCKSIZE) != bytes(2 * tarfile.BLOCKSIZE):
        raise Refused("the bundle is cut off, or damaged, after its last whole file")


def _refuse(sizes: Mapping[str, int], what: str) -> None:
    """Refuse names and sizes that a bundle of kind `what` may not have."""
    rules = kind(what)
    if len(sizes) > rules.files or sum(sizes.values()) > rules.size:
        raise Refused(
            f"{len(sizes):,} files with {sum(sizes.values()):,} bytes are more than a bundle of kind {what!r} may hold "
            f"({rules.files:,} files, {rules.size:,} bytes)"
        )
    for name, size in sizes.items():
        if not _is_safe(name) or not rules.allows(name):
            raise Refused(f"a bundle of kind {what!r} may not hold a file named {name[:200]!a}")
        if name in rules.records and size > _LARGEST_JSON:
            raise Refused(f"{name} has {size:,} bytes; no step writes such a record")
    _refuse_clashes(sizes)


def _is_safe(name: str) -> bool:
    """Return whether `name` is a path below a folder on every file system, and can be shown."""
    parts = name.split("/")
    return (
        name.isprintable()
        and not set(name) & set('\\:*?"<>|')
        and not any(part in ("", ".", "..") or part != part.strip(" ") or part.endswith(".") for part in parts)
    )


def _refuse_clashes(names: Iterable[str]) -> None:
    """Refuse names that are one on some file system, and a file where another name has a folder."""
    folded: dict[str, str] = {}
    for name in names:
        key = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
        if key in folded:
            raise Refused(f"the bundle holds {folded[key]!a} and {name!a}, which are one name on some file systems")
        folded[key] = name
    for key, name in folded.items():
        if clash := next((folded[str(p)] for p in PurePosixPath(key).parents if str(p) in folded), None):
            raise Refused(f"the bundle holds {clash!a} as a file, and {name!a} below it")


def _check_record(path: Path, schema: str, model: str | None) -> Record:
    """Return the record at `path`, of `model` where one is given."""
    try:
        found = record.parse(path.read_text(encoding="utf-8"), schema, origin=path.name)
    except (ValueError, RecursionError) as exc:  # text that is no Unicode, numbers that are infinite
        raise Refused(f"{path.name} is not a record: {exc}") from exc
    if model is not None and found.body.get("model") != model:
        raise Refused(f"{path.name} is of model {str(found.body.get('model'))[:100]!a}, not of {model!r}")
    return found


# Files


def _present(folder: Path) -> list[str]:
    """Return the names of all that is below `folder` and no folder itself."""
    found = (path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    return sorted(path.relative_to(folder).as_posix() for path in found)


def _size(path: Path) -> int:
    facts = path.lstat()
    if not stat.S_ISREG(facts.st_mode):
        raise Refused(f"{path} is a link or a special file; a bundle holds plain files only")
    return facts.st_size


def _append(archive: tarfile.TarFile, name: str, path: Path) -> None:
    """Add a file with nothing of this machine: no time, owner or mode."""
    member = tarfile.TarInfo(name)
    member.size, member.mode = _size(path), 0o644
    try:
        with path.open("rb") as stream:
            archive.addfile(member, stream)
    except (ValueError, UnicodeError) as exc:
        raise Refused(f"{name[:200]!a} does not fit into a bundle: {exc}; shorten its path, or split the file") from exc


def _swap(folder: Path, staged: Path, names: Sequence[str], rules: Kind) -> None:
    """Move `names` from `staged` into `folder`, in place of all that is there of the kind; records come last."""
    for old in _present(folder):
        if rules.allows(old):
            (folder / old).unlink()
    for name in sorted(names, key=lambda one: (one in rules.records, one)):
        target = folder / name
        if not target.parent.resolve().is_relative_to(folder.resolve()):
            raise Refused(f"{target.parent} is a link that leaves {folder}; remove it")
        target.parent.mkdir(parents=True, exist_ok=True)
        (staged / name).replace(target)


def _cache(root: Path) -> Path:
    """Return the cache of the checkout, by its own settings; it need not be there yet."""
    return _dvc.supply(root).cache or root / ".dvc" / "cache"


def _objects(root: Path, folder: Path) -> dict[str, Path]:
    """Return the DVC objects that `fetch` brought: name in the bundle → file in the cache."""
    path = folder / OBJECTS
    if not path.is_file():
        return {}
    try:
        names = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(names, list) or not all(isinstance(n, str) and re.fullmatch(_OBJECT, n) for n in names):
            raise ValueError("not a list of names of objects")
    except ValueError as exc:
        raise Refused(f"{path} can't be read: {exc}; run `passmuster fetch` again") from exc
    cache = _cache(root)
    return {f"objects/{name}": cache / name for name in names}


def _adopt(root: Path, objects: Path) -> None:
    """Move DVC's objects into the checkout's cache; one that is there stays."""
    cache = _cache(root)
    for path in (found for found in objects.rglob("*") if found.is_file()):
        target = cache / path.relative_to(objects)
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(path, target)
