"""Gate `artifact`: the model directory's files, looked at and never loaded."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from passmuster.errors import NotMeasured
from passmuster.gates import Champion, Inputs
from passmuster.measurement import Assertion, Failure, Measurement
from passmuster_checks import _mlmodel, _scan
from passmuster_checks._text import shown, some

#: Kinds of files that a model directory has: MLflow's own, text and tables, and formats that hold numbers alone.
_EXPECTED = frozenset(
    {".csv", ".json", ".lock", ".md", ".parquet", ".txt", ".yaml", ".yml"}
    | {".npy", ".npz", ".safetensors", ".skops"}
    | {".bst", ".cbm", ".lgb", ".model", ".onnx", ".ubj"}
)
_EXPECTED_NAMES = frozenset({"MLmodel", "LICENSE", "README"})

#: Loading these runs what they say; so they are allowed only where pickles are.
_RUNS = _scan.PICKLE_SUFFIXES | {".py"}

#: How MLflow's flavours say that the model is a pickle, whatever the file's name.
_PICKLED = frozenset({"pickle", "cloudpickle", "joblib", "dill"})

#: Types that `details` lists.
_LISTED = 500


class Artifact:
    """Looks at the files of the model directory: kinds, size, and what loading them would name."""

    name = "artifact"
    needs = frozenset({"model"})

    def measure(self, inputs: Inputs) -> Sequence[Measurement]:
        """Return one `Assertion` for each of files, size and types."""
        if inputs.model.is_symlink() or not inputs.model.is_dir():
            raise NotMeasured("there is no model directory")
        settings, seen = inputs.config.gates.artifact, _scan.directory(inputs.model)
        files = sorted(inputs.model.rglob("*"))
        size = sum(path.lstat().st_size for path in files)
        return [
            self._asserted("files", list(_strange(inputs.model, files, seen, settings.pickles)), files=len(files)),
            Assertion(
                gate=self.name,
                name="size",
                holds=0 < size <= settings.max_size,
                message=f"{size:,} bytes, at most {settings.max_size:,} are allowed",
                details={"bytes": size},
            ),
            self._types(inputs, seen),
        ]

    def _asserted(self, name: str, violations: Sequence[str], **details: Any) -> Assertion:
        more = f"; and {len(violations) - 5:,} more" if len(violations) > 5 else ""
        return Assertion(
            gate=self.name,
            name=name,
            holds=not violations,
            message="; ".join(violations[:5]) + more or "as the policy allows",
            details={"violations": list(violations[:100]), **details},
        )

    def _types(self, inputs: Inputs, seen: _scan.Seen) -> Measurement:
        if seen.unreadable:
            said = "; ".join(f"{shown(file)}: {why}" for file, why in list(seen.unreadable.items())[:5])
            return Failure(gate=self.name, name="types", reason=f"what the files name can't be seen: {said}")
        try:
            flavours = _mlmodel.flavours(_mlmodel.read(inputs.model))
            declared = set(_declared(flavours))
        except NotMeasured as exc:
            return Failure(gate=self.name, name="types", reason=str(exc))
        found = self._asserted("types", list(_untrusted(inputs, seen, flavours, declared)))
        details = {
            **found.details,
            "types": sorted(seen.named)[:_LISTED],
            "trusted_by_the_model": sorted(declared)[:_LISTED],
            **_against_champion(inputs, set(seen.named), declared),
        }
        return Assertion(gate=self.name, name="types", holds=found.holds, message=found.message, details=details)


def _strange(model: Path, files: Iterable[Path], seen: _scan.Seen, pickles: bool) -> Iterator[str]:
    for path in files:
        mode, name = path.lstat().st_mode, shown(path.relative_to(model).as_posix())
        if stat.S_ISDIR(mode):
            continue
        if not stat.S_ISREG(mode):
            yield f"{name} is a link or a special file"
        elif mode & 0o111:
            yield f"{name} may be executed"
        elif path.suffix.lower() in _RUNS:
            if not pickles:
                yield f"{name} runs code when it is loaded; save the model as skops, or allow `pickles`"
        elif path.suffix.lower() not in _EXPECTED and path.name not in _EXPECTED_NAMES:
            yield f"{name} is of a kind that no model directory needs"
    yield from (f"{shown(file)} is a program ({kind})" for file, kind in sorted(seen.programs.items()))


def _untrusted(
    inputs: Inputs, seen: _scan.Seen, flavours: Mapping[str, Mapping[str, Any]], declared: set[str]
) -> Iterator[str]:
    settings = inputs.config.gates.artifact
    for full, files in sorted(seen.dangerous.items()):
        yield f"{some(sorted(files), 2)} names {shown(full)}, which is dangerous"
    if not settings.pickles:
        if seen.pickles:
            yield f"there are pickles, which the policy does not allow: {some(sorted(seen.pickles))}"
        for name, flavour in sorted(flavours.items()):
            kind = flavour.get("serialization_format", "pickle" if name == "sklearn" else None)  # MLflow's default
            if kind in _PICKLED or "python_model" in flavour:
                yield f"MLmodel says that flavour {shown(name)} is loaded by unpickling, which is not allowed"
    trusted = set(settings.trusted)
    for full, files in sorted(seen.named.items()):
        if full not in seen.dangerous and full not in trusted and not _scan.is_known(full):
            yield f"{some(sorted(files), 2)} names {shown(full)}; add it to `trusted` if it may be loaded"
    for full in sorted(declared - seen.named.keys() - trusted):
        module, _, name = full.rpartition(".")
        if _scan.is_dangerous(module, name) or not _scan.is_known(full):
            yield f"MLmodel asks to trust {shown(full)}, which the policy does not"


def _declared(flavours: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Return the types that a model's own MLmodel asks to trust, by any flavour.

    Raises:
        NotMeasured: it asks in another form than a list of names, which a loader may understand all the same.
    """
    for name, flavour in flavours.items():
        types = flavour.get("skops_trusted_types")
        if types is None:
            continue
        if not isinstance(types, list) or not all(isinstance(one, str) for one in types):
            raise NotMeasured(f"what flavour {shown(name)} asks to trust in MLmodel is no list of names")
        yield from types


def _against_champion(inputs: Inputs, named: set[str], declared: set[str]) -> dict[str, Any]:
    """Return how types and trust differ from the champion's; a champion that can't be read is said to be so."""
    if not isinstance(inputs.champion, Champion):
        return {}
    try:
        theirs = set(_declared(_mlmodel.flavours(_mlmodel.read(inputs.champion.model))))
    except NotMeasured as exc:
        return {"champion": f"not read: {exc}"}
    known = set(_scan.directory(inputs.champion.model).named)
    return {
        "champion": {
            "types_added": sorted(named - known)[:_LISTED],
            "types_removed": sorted(known - named)[:_LISTED],
            "trust_added": sorted(declared - theirs)[:_LISTED],
            "trust_removed": sorted(theirs - declared)[:_LISTED],
        }
    }
