"""Gate `artifact`: what loading a model directory would run is found without loading it, wherever it hides."""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from passmuster.config import ArtifactGate
from passmuster.measurement import Assertion, Failure, Measurement
from passmuster_checks.artifact import Artifact
from support import candidate as made
from support.judging import inputs


class Evil:
    """Runs a program when it is unpickled."""

    def __reduce__(self) -> Any:
        return os.system, ("touch /tmp/passmuster-was-here",)


EVIL = pickle.dumps(Evil())
TEXT_EVIL = b"cos\nsystem\n(S'true'\ntR."  # protocol 0 is text


def _zip(**members: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


def _skops(*names: tuple[str, str]) -> bytes:
    nodes = [{"__module__": module, "__class__": name, "__loader__": "ObjectNode"} for module, name in names]
    schema = {"__module__": "builtins", "__class__": "list", "__loader__": "ListNode", "content": nodes}
    return _zip(**{"schema.json": json.dumps(schema).encode()})


def _array(values: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, values, allow_pickle=True)
    return stream.getvalue()


def _measured(root: Path, files: dict[str, bytes], **settings: Any) -> dict[str, Measurement]:
    candidate = made.Candidate()
    candidate.model |= files
    candidate.write(root)
    config = made.config(artifact=ArtifactGate(max_size=settings.pop("max_size", 1_000_000), **settings))
    return {m.name: m for m in Artifact().measure(inputs(root, config))}


def _broken(found: dict[str, Measurement]) -> set[str]:
    return {name for name, m in found.items() if not (isinstance(m, Assertion) and m.holds)}


def _said(found: dict[str, Measurement]) -> str:
    return " ".join(getattr(m, "message", "") + getattr(m, "reason", "") for m in found.values())


def test_a_directory_of_text_and_numbers_holds(tmp_path: Path) -> None:
    """YAML that begins like a pickle, version numbers, arrays and a skops file of known types."""
    files = {
        "conda.yaml": b"channels:\n- conda-forge\nname: x\n",
        "version.txt": b"0.16.0",
        "weights.npy": _array(np.arange(3.0)),
        "model.skops": _skops(
            ("sklearn.pipeline", "Pipeline"),
            ("sklearn.ensemble._bin", "_Mapper"),
            ("numpy", "float64"),
            ("builtins", "dict"),
        ),
    }
    found = _measured(tmp_path, files)

    assert set(found) == {"files", "size", "types"}
    assert not _broken(found), _said(found)


#: Some hundred bytes that are 9 ** 20 values once their aliases are written out.
BOMB = b"\n".join(
    [
        b"a0: &a0 [x]",
        *(b"a%d: &a%d [%s]" % (n, n, b", ".join([b"*a%d" % (n - 1)] * 9)) for n in range(1, 21)),
        b"flavors: {skops: {skops_trusted_types: *a20}}",
    ]
)


@pytest.mark.parametrize(
    ("files", "settings", "word"),
    [
        pytest.param({"model.pkl": EVIL}, {}, "system", id="pickle"),
        pytest.param({"model.pkl": EVIL}, {"pickles": True}, "dangerous", id="pickle where pickles are allowed"),
        pytest.param(
            {"model.pkl": EVIL}, {"pickles": True, "trusted": ("posix.system",)}, "dangerous", id="trusted evil"
        ),
        pytest.param({"notes.json": EVIL}, {"pickles": True}, "system", id="another suffix"),
        pytest.param({"notes.txt": TEXT_EVIL}, {"pickles": True}, "os.system", id="a pickle that is text"),
        pytest.param({"notes.txt": TEXT_EVIL[:-1]}, {"pickles": True}, "os.system", id="cut short"),
        pytest.param(
            {"a.txt": b"cacme\nModel\n."}, {"pickles": True}, "names acme.Model", id="a text that names a type"
        ),
        pytest.param({"model.npz": _zip(a=EVIL)}, {"pickles": True}, "system", id="in an archive"),
        pytest.param({"m.npz": _zip(a=_zip(b=EVIL))}, {"pickles": True}, "system", id="in an archive in an archive"),
        pytest.param({"model.npy": _array(np.array([Evil()]))}, {"pickles": True}, "system", id="array of objects"),
        pytest.param({"model.json": EVIL + _zip(a=b"x")}, {"pickles": True}, "system", id="two formats at once"),
        pytest.param({"model.pkl.json": pickle.dumps({"a": 1})}, {}, "pickles", id="a harmless pickle, not allowed"),
        pytest.param({"m.skops": _skops(("posix", "system"))}, {}, "posix.system", id="skops names a function"),
        pytest.param({"m.skops": _skops(("operator", "methodcaller"))}, {}, "methodcaller", id="skops calls a method"),
        pytest.param({"m.skops": _skops(("lightgbm.sklearn", "LGBMClassifier"))}, {}, "lightgbm", id="unknown type"),
        pytest.param({"m.skops": _skops(("sklearn.datasets._base", "fetch"))}, {}, "fetch", id="a function of sklearn"),
        pytest.param({"m.skops": _skops(("os\nx", "y"))}, {}, "dangerous", id="no name at all"),
    ],
)
def test_what_loading_would_run_is_found(
    files: dict[str, bytes], settings: dict[str, Any], word: str, tmp_path: Path
) -> None:
    """By the types' part, which names it."""
    found = _measured(tmp_path, files, **settings)

    assert "types" in _broken(found)
    assert word in _said({"types": found["types"]})


@pytest.mark.parametrize(
    "files",
    [
        pytest.param({"model.pkl": b"\x80\x04\x95broken"}, id="broken pickle"),
        pytest.param({"model.joblib": gzip.compress(EVIL)}, id="packed pickle"),
        pytest.param({"model.skops": b"no archive"}, id="skops that is no archive"),
        pytest.param({"model.skops": _zip(**{"schema.json": b"{"})}, id="skops with a broken schema"),
        pytest.param({"model.npz": _zip(a=b"1" * 500)[:-40]}, id="archive cut short"),
        pytest.param({"model.npy": b"\x93NUMPY\x01\x00\xff\xff"}, id="broken array"),
        pytest.param({"MLmodel": b"flavors: ["}, id="broken MLmodel"),
        pytest.param({"MLmodel": b"a: 1"}, id="no flavours"),
        pytest.param({"MLmodel": BOMB}, id="MLmodel of aliases of aliases"),
        pytest.param({"MLmodel": b"flavors: {skops: {skops_trusted_types: {os.system: }}}"}, id="trust by a mapping"),
        pytest.param({"MLmodel": b"flavors: {skops: {skops_trusted_types: os.system}}"}, id="trust by a text"),
    ],
)
def test_what_cannot_be_looked_into_is_a_failure(files: dict[str, bytes], tmp_path: Path) -> None:
    """Nothing found is not the same as nothing there."""
    found = _measured(tmp_path, files, pickles=True)

    assert isinstance(found["types"], Failure)


@pytest.mark.parametrize(
    ("name", "content", "word"),
    [
        ("run.sh", b"#!/bin/sh\n", "kind"),
        ("a.txt", b"#!/bin/sh\n", "program"),
        ("lib.json", b"\x7fELF....", "program"),
        ("code.py", b"import os", "runs code"),
    ],
)
def test_a_file_of_another_kind_is_named(name: str, content: bytes, word: str, tmp_path: Path) -> None:
    """Scripts, programs and Python code are not what a model directory holds."""
    found = _measured(tmp_path, {name: content})

    assert "files" in _broken(found)
    assert word in found["files"].message  # type: ignore[union-attr]


def test_a_file_that_may_be_executed_is_named(tmp_path: Path) -> None:
    """Whatever its content."""
    made.Candidate().write(tmp_path)
    given = inputs(tmp_path, made.config())
    (given.model / "weights.json").chmod(0o755)
    found = {m.name: m for m in Artifact().measure(given)}

    assert _broken(found) == {"files"}


def test_a_directory_that_is_too_large_does_not_hold(tmp_path: Path) -> None:
    """By its bytes."""
    assert "size" in _broken(_measured(tmp_path, {}, max_size=10))


def _mlmodel(**flavour: Any) -> bytes:
    return yaml.safe_dump({**made.MLMODEL, "flavors": {"sklearn": flavour}}).encode()


def test_a_pickle_by_another_name_is_seen_in_mlmodel(tmp_path: Path) -> None:
    """MLflow's own default for scikit-learn is to unpickle."""
    assert "types" in _broken(_measured(tmp_path, {"MLmodel": _mlmodel(pickled_model="weights.json")}))


def test_a_model_cannot_widen_its_own_trust(tmp_path: Path) -> None:
    """What MLmodel asks to trust must be known or trusted by the policy."""
    files = {"MLmodel": _mlmodel(serialization_format="skops", skops_trusted_types=["acme.Model"])}
    asked = _measured(tmp_path / "a", files)
    granted = _measured(tmp_path / "b", files, trusted=("acme.Model",))

    assert "asks to trust acme.Model" in _said(asked)
    assert not _broken(granted)


def test_a_changed_trust_is_shown_beside_the_champions(tmp_path: Path) -> None:
    """In the details, for the report."""
    files = {"MLmodel": _mlmodel(serialization_format="skops", skops_trusted_types=["numpy.dtype"])}
    candidate = made.Candidate()
    candidate.champion["files"] = dict(candidate.model)
    candidate.model |= files
    candidate.write(tmp_path)
    found = {m.name: m for m in Artifact().measure(inputs(tmp_path, made.config()))}

    assert found["types"].details["champion"]["trust_added"] == ["numpy.dtype"]
