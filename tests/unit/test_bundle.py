"""Bundles: what is packed arrives as it was, and what breaks a rule is refused before anything is written."""

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from passmuster import bundle, record
from passmuster.errors import Refused, UsageError
from passmuster.record import Record
from support import candidate as made
from support import records

MODEL = "credit"
Planted = Callable[[tarfile.TarFile], None]


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def project(root: Path) -> Path:
    root.mkdir()
    subprocess.run(["git", "init", "-q", "."], cwd=root, check=True)
    return root


def reproduced(model: str = MODEL) -> bytes:
    found = records.reproduce_record(model)
    return json.dumps({**found.covered(), "digest": found.digest, "context": {}}).encode()


def a_file(name: str, content: bytes = b"x", **fields: object) -> Planted:
    def plant(archive: tarfile.TarFile) -> None:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        for key, value in fields.items():
            setattr(member, key, value)
        archive.addfile(member, io.BytesIO(content))

    return plant


def header(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> Planted:
    """A header alone, of a file whose content the tar does not have."""

    def plant(archive: tarfile.TarFile) -> None:
        member = tarfile.TarInfo(name)
        member.size, member.type = size, kind
        assert archive.fileobj is not None
        archive.fileobj.write(member.tobuf(tarfile.GNU_FORMAT))

    return plant


def planted(path: Path, *plants: Planted, form: int = tarfile.GNU_FORMAT) -> Path:
    with tarfile.open(path, "w", format=form) as archive:
        for plant in plants:
            plant(archive)
    return path


def test_what_is_packed_arrives_byte_by_byte(tmp_path: Path) -> None:
    """Of the kind alone: what is not of it stays at home, and what was there of it before goes."""
    here, there = project(tmp_path / "here"), project(tmp_path / "there")
    folder = made.Candidate().write(here)
    (folder / "report.md").write_text("passes")
    old = there / ".passmuster" / MODEL
    for name in ("model/stale.bin", "gate.json", "notes.txt"):
        (old / name).parent.mkdir(parents=True, exist_ok=True)
        (old / name).write_text("old")
    tar = bundle.pack(here, MODEL, "candidate", tmp_path / "candidate.tar")

    names = bundle.unpack(there, MODEL, "candidate", tar)

    assert contents(old) == {**{n: c for n, c in contents(folder).items() if n != "report.md"}, "notes.txt": b"old"}
    assert set(names) == contents(folder).keys() - {"report.md"}
    assert not list((there / ".passmuster").glob(".unpack-*"))


def test_the_same_files_give_the_same_tar(tmp_path: Path) -> None:
    root = project(tmp_path / "here")
    folder = made.Candidate().write(root)
    one = bundle.pack(root, MODEL, "candidate", tmp_path / "one.tar").read_bytes()
    for path in folder.rglob("*"):
        os.utime(path, (0, 0))

    assert bundle.pack(root, MODEL, "candidate", tmp_path / "two.tar").read_bytes() == one


def test_the_records_leave_the_candidates_files_where_they_are(tmp_path: Path) -> None:
    """The job that promotes unpacks the candidate, and then the verdict on it."""
    here, there = project(tmp_path / "here"), project(tmp_path / "there")
    folder = made.Candidate().write(here)
    candidate = bundle.pack(here, MODEL, "candidate", tmp_path / "candidate.tar")
    scored = record.read(folder / "score.json", "score")
    record.write(
        Record(schema="gate", version=1, inputs={"score": scored.digest}, body={"model": MODEL}), folder / "gate.json"
    )
    told = bundle.pack(here, MODEL, "records", tmp_path / "records.tar")
    bundle.unpack(there, MODEL, "candidate", candidate)

    assert set(bundle.unpack(there, MODEL, "records", told)) == {"reproduce.json", "score.json", "gate.json"}
    assert contents(there / ".passmuster" / MODEL) == contents(folder)


def test_dvcs_objects_travel_from_cache_to_cache(tmp_path: Path) -> None:
    here, there = project(tmp_path / "here"), project(tmp_path / "there")
    name, legacy = "files/md5/ab/" + "c" * 30, "ab/" + "d" * 30 + ".dir"
    for one in (name, legacy):
        (here / ".dvc" / "cache" / one).parent.mkdir(parents=True, exist_ok=True)
        (here / ".dvc" / "cache" / one).write_text(one)
    folder = here / ".passmuster" / MODEL
    folder.mkdir(parents=True)
    (folder / bundle.OBJECTS).write_text(json.dumps([name, legacy]))

    bundle.unpack(there, MODEL, "supply", bundle.pack(here, MODEL, "supply", tmp_path / "supply.tar"))

    assert contents(there / ".dvc" / "cache") == {name: name.encode(), legacy: legacy.encode()}
    assert contents(there / ".passmuster" / MODEL) == {}


REFUSED = {
    "a path out of the folder": ([a_file("../escaped")], "may not hold"),
    "a path out of the folder, deep in it": ([a_file("model/../../../escaped")], "may not hold"),
    "an absolute path": ([a_file("/tmp/escaped")], "may not hold"),
    "a path for Windows": ([a_file("model/C:\\escaped")], "may not hold"),
    "a name that is not of the kind": ([a_file("promote.json", b"{}")], "may not hold"),
    "a name below a record": ([a_file("reproduce.json/x")], "may not hold"),
    "a link": ([a_file("model/x", b"", type=tarfile.SYMTYPE, linkname="/etc/passwd")], "a link"),
    "a hard link": ([a_file("model/x", b"", type=tarfile.LNKTYPE, linkname="/etc/passwd")], "a hard link"),
    "a device": ([a_file("model/x", b"", type=tarfile.CHRTYPE)], "a device"),
    "a pipe": ([a_file("model/x", b"", type=tarfile.FIFOTYPE)], "a pipe"),
    "a folder": ([a_file("model", b"", type=tarfile.DIRTYPE)], "a folder"),
    "a sparse file of a terabyte": ([header("model/x", 0, tarfile.GNUTYPE_SPARSE)], "a sparse file"),
    "an extended header of a gigabyte": ([header("x", 2**30, tarfile.XHDTYPE)], "only plain files"),
    "a long name of a gigabyte": ([header("x", 2**30, tarfile.GNUTYPE_LONGNAME)], "only plain files"),
    "a file of a petabyte that is not there": ([header("model/x", 2**50)], "more than"),
    "a file of a negative size": ([header("model/x", -5)], "bytes"),
    "a record that is too large": ([header("reproduce.json", 2**30)], "no step writes|not a bundle|cut off"),
    "the same name twice": ([a_file("model/x"), a_file("model/x")], "twice"),
    "names that differ by case": ([a_file("model/Weights"), a_file("model/weights")], "one name"),
    "names that differ by their form in Unicode": ([a_file("model/é"), a_file("model/e\u0301")], "one name"),
    "a file where another needs a folder": ([a_file("model/a"), a_file("model/a/b")], "below it"),
    "a file where another needs a folder, by case": ([a_file("model/a/b"), a_file("model/A")], "below it"),
    "a name that turns its text around": ([a_file("model/\u202egnp.exe")], "may not hold"),
    "a name that moves the cursor": ([a_file("model/\x1b[2J")], "may not hold"),
    "a name that is not UTF-8": ([a_file("model/\udcff")], "may not hold"),
    "a name that ends with a dot": ([a_file("model/x.")], "may not hold"),
    "nothing": ([], "empty"),
    "a record of another model": ([a_file("reproduce.json", reproduced("other"))], "is of model 'other'"),
    "a record that is none": ([a_file("reproduce.json", b'{"a": 1}')], "not a record"),
    "a record that was altered": (
        [a_file("reproduce.json", reproduced().replace(b'"reproducible"', b'"reproducible "'))],
        "altered",
    ),
    "a record of another step": ([a_file("score.json", reproduced())], "expected 'passmuster/score'"),
    "a record with a key twice": ([a_file("reproduce.json", b'{"a": 1, "a": 2}')], "twice"),
    "a record with NaN": ([a_file("reproduce.json", b'{"body": NaN}')], "NaN"),
    "a record with an infinite number": (
        [a_file("reproduce.json", reproduced().replace(b"31.4", b"1").replace(b"0.8439", b"1e999"))],
        "not a record",
    ),
    "a record with a number of a million digits": ([a_file("reproduce.json", b"1" * 10**6)], "not a record"),
    "a record as deep as a well": ([a_file("reproduce.json", b"[" * 10**6)], "not a record"),
    "a record with half a character": (
        [a_file("reproduce.json", reproduced().replace(b'"prepare"', rb'"\ud800"'))],
        "not a record",
    ),
    "a record that is not text": ([a_file("reproduce.json", b"\xff\xfe")], "not a record"),
}


@pytest.mark.parametrize(("plants", "said"), REFUSED.values(), ids=REFUSED.keys())
def test_a_bundle_that_breaks_a_rule_is_refused_and_changes_nothing(
    tmp_path: Path, plants: list[Planted], said: str
) -> None:
    root = project(tmp_path / "here")
    folder = made.Candidate().write(root)
    before = contents(folder)
    tar = planted(tmp_path / "bundle.tar", *plants)

    with pytest.raises(Refused, match=said):
        bundle.unpack(root, MODEL, "candidate", tar)
    assert contents(folder) == before
    assert not (tmp_path / "escaped").exists()
    assert {path.name for path in (root / ".passmuster").iterdir()} <= {MODEL, ".gitignore"}


def test_a_gigabyte_of_zeros_is_refused_by_its_size(tmp_path: Path) -> None:
    root = project(tmp_path / "here")
    with (tmp_path / "zeros.tar").open("wb") as stream:
        stream.truncate(2**30)

    with pytest.raises(Refused, match="bytes"):
        bundle.unpack(root, MODEL, "records", tmp_path / "zeros.tar")


def test_a_million_files_are_refused_while_they_are_counted(tmp_path: Path) -> None:
    """More than the kind has, though each is empty."""
    root = project(tmp_path / "here")
    many = bundle.KINDS["candidate"].files + 1
    block = tarfile.TarInfo("model/x").tobuf(tarfile.USTAR_FORMAT)

    def plant(archive: tarfile.TarFile) -> None:
        for number in range(many):
            name = b"model/%07d" % number
            header = bytearray(name + bytes(100 - len(name)) + block[100:148] + b" " * 8 + block[156:])
            header[148:156] = b"%06o\0 " % sum(header)
            assert archive.fileobj is not None
            archive.fileobj.write(header)

    with pytest.raises(Refused, match="more than 20,000 files"):
        bundle.unpack(root, MODEL, "candidate", planted(tmp_path / "many.tar", plant))


@pytest.mark.parametrize("cut", [100, 700, 1600])
def test_a_bundle_that_is_cut_off_is_refused(tmp_path: Path, cut: int) -> None:
    root = project(tmp_path / "here")
    whole = planted(tmp_path / "whole.tar", a_file("model/a", b"a" * 600), a_file("model/b"), form=tarfile.USTAR_FORMAT)
    (tmp_path / "cut.tar").write_bytes(whole.read_bytes()[:cut])

    with pytest.raises(Refused):
        bundle.unpack(root, MODEL, "candidate", tmp_path / "cut.tar")
    assert contents(root / ".passmuster" / MODEL) == {}


def test_a_bundle_whose_second_header_is_damaged_is_refused(tmp_path: Path) -> None:
    root = project(tmp_path / "here")
    tar = planted(tmp_path / "b.tar", a_file("model/a"), a_file("model/b"), form=tarfile.USTAR_FORMAT)
    content = bytearray(tar.read_bytes())
    content[1024 + 148 : 1024 + 156] = b"0000000\0"
    tar.write_bytes(content)

    with pytest.raises(Refused, match="damaged"):
        bundle.unpack(root, MODEL, "candidate", tar)


def test_a_link_in_the_models_folder_leads_nothing_out_of_it(tmp_path: Path) -> None:
    """Neither does packing read through it, nor unpacking write."""
    root = project(tmp_path / "here")
    folder = root / ".passmuster" / MODEL
    folder.mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    tar = planted(tmp_path / "b.tar", a_file("data/x.parquet"))
    (folder / "data").symlink_to(tmp_path / "outside")

    with pytest.raises(Refused, match="link"):
        bundle.unpack(root, MODEL, "candidate", tar)
    assert not list((tmp_path / "outside").iterdir())

    (folder / "data").unlink()
    (folder / "reproduce.json").symlink_to("/etc/passwd")
    with pytest.raises(Refused, match="link"):
        bundle.pack(root, MODEL, "candidate", tmp_path / "out.tar")


def test_there_must_be_something_to_pack_of_a_known_kind_and_model(tmp_path: Path) -> None:
    root = project(tmp_path / "here")

    with pytest.raises(Refused, match="nothing of kind"):
        bundle.pack(root, MODEL, "records", tmp_path / "x.tar")
    with pytest.raises(UsageError, match="no bundle of kind"):
        bundle.pack(root, MODEL, "secrets", tmp_path / "x.tar")
    with pytest.raises(UsageError, match="name of a model"):
        bundle.unpack(root, "../../x", "records", tmp_path / "x.tar")
    with pytest.raises(Refused, match="missing"):
        bundle.unpack(root, MODEL, "records", tmp_path / "x.tar")
