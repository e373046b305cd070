"""The step `score`: candidate and champion, each in its own environment, answer the candidate's rows."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from passmuster import (
    __version__,
    _base_rows,
    _preparation,
    _profile,
    _recipe,
    _scoring,
    digest,
    environments,
    record,
    reproduce,
)
from passmuster._git import Repository
from passmuster.config import ModelConfig
from passmuster.errors import NotMeasured, NotReproducible, Refused, UsageError
from passmuster.progress import Progress
from passmuster.record import Record

#: The record's file, below the model's folder.
RECORD = "score.json"

#: The split whose rows are not compared: the candidate was trained on them.
TRAIN = "train"


@dataclass(frozen=True, kw_only=True)
class ChampionSource:
    """The version in production, as ledger and registry give it."""

    version: str  #: the ledger's name of it, e.g. "v3"
    promotion: int  #: the number of the event that made it champion
    commit: str  #: 40 hex digits
    digest: str  #: of its model directory
    directory: Path  #: its model directory, with its lock
    environment: Mapping[str, Any] = field(default_factory=dict)  #: of its re-run: lock, python, platform
    train_ids: Path | None = None  #: Parquet with the ids of the rows that it was trained on
    profile: Path | None = None  #: its reference profile; None: it was promoted without
    profile_digest: str | None = None  #: of that


@dataclass(frozen=True, kw_only=True)
class NoAccess:
    """There may be a champion, but it is out of reach, as it is from a fork."""


def score(
    root: Path,
    config: ModelConfig,
    *,
    commit: str | None = None,
    base: str | None = None,
    champion: ChampionSource | NoAccess | None,
    waiting: _scoring.Waiting | None = None,
    progress: Progress,
) -> Record:
    """Score the candidate that `reproduce` left, and the champion on the same rows; write the record `score.json`.

    Where the candidate prepares its data otherwise than the champion's commit does, or the champion can't take the
    candidate's columns, the champion's own preparation makes its rows from the candidate's raw data, and the record
    says why in `prepared_because`. Where that fails, it says `unreadable`, which no gate takes for *no champion*.

    Args:
        root: the user's checkout.
        config: the model's.
        commit: the commit that must have been re-run; not given: whichever was.
        base: the commit whose test rows count as well, where the candidate's are others; not given: the champion's.
        champion: None only where there really is none.
        waiting: scoring programs that were started ahead; without them, each is started when it is needed.
        progress: told what is going on.

    Raises:
        Refused: the evidence of `reproduce` is missing or altered, or a champion's directory is not the one promoted.
        NotReproducible: `reproduce` did not end as reproducible.
        NotMeasured: the candidate's answers are refused: too few, NaN, outside [0, 1], not in time.
        Unavailable: a remote or the package index did not answer.
    """
    target = reproduce.folder(root, config.name)
    found = record.read(target / reproduce.RECORD, "reproduce")
    if found.body["decision"] != reproduce.REPRODUCIBLE:
        raise NotReproducible(f"{config.name} is {found.body['decision']}; there is nothing to score")
    if commit not in (None, found.body["commit"]):
        raise Refused(
            f"{config.name}: commit {str(found.body['commit'])[:12]} was re-run, not {str(commit)[:12]}; run "
            "`passmuster reproduce` with that --commit"
        )
    reproduce.verify_files(target, found)
    record.begin(target, "score")
    with _scoring.Waiting() as own:
        return _Scoring(root, config, target, found, waiting or own, progress).record(champion, base)


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """Rows that the champion is asked, and how they were made."""

    config: ModelConfig
    commit: str
    lock: Path
    made: Mapping[str, str | None]  #: path of each output of the pipeline → its hash
    data: Mapping[str, Path]


class _Scoring:
    """One run of the step."""

    def __init__(
        self,
        root: Path,
        config: ModelConfig,
        target: Path,
        found: Record,
        waiting: _scoring.Waiting,
        progress: Progress,
    ) -> None:
        self.root, self.config, self.target = root, config, target
        self.found, self.waiting, self.progress = found, waiting, progress
        self.data = {split: target / item["path"] for split, item in found.body["data"].items()}
        self.isolation = dict.fromkeys(environments.Isolation().to_json(), True)

    def record(self, champion: ChampionSource | NoAccess | None, base: str | None) -> Record:
        """Score both, and write the record."""
        began = time.time()
        _empty(self.target / "predictions")
        model_digest = str(self.found.body["model_digest"])
        self.progress.step(f"{self.config.name}: scoring the candidate")
        predictions = self._predictions(self.target / "model", model_digest, self.data, "candidate")
        body = {
            "model": self.config.name,
            "candidate": {"digest": model_digest, "predictions": predictions},
            "champion": (said := self._champion(champion)),
            "base": self._base(champion, base, compared=said["state"] == "scored"),
            "isolated": self.isolation["network"],
            "isolation": self.isolation,
        }
        # Both models ran code of their own as this user: what they were asked with must still be what it was.
        reproduce.verify_files(self.target, self.found)
        inputs = {"reproduce": self.found.digest, "model": model_digest}
        inputs |= {f"data/{split}": str(item["digest"]) for split, item in self.found.body["data"].items()}
        if isinstance(champion, ChampionSource):
            inputs["champion"] = champion.digest
        context = {"began": began, "seconds": time.time() - began}
        result = Record(schema="score", version=1, inputs=inputs, body=body, context=context)
        record.write(result, self.target / RECORD)
        return result

    # The champion

    def _champion(self, source: ChampionSource | NoAccess | None) -> dict[str, Any]:
        if source is None:
            return {"state": "none"}
        if isinstance(source, NoAccess):
            return {"state": "no-access", "message": "the champion is out of reach here"}
        self.progress.step(f"{self.config.name}: scoring the champion, {source.version}")
        model = self._own_copy(source)
        try:
            predictions, because = self._champions_answers(model, source)
        except (NotMeasured, UsageError) as exc:
            _empty(self.target / "predictions" / "champion")
            return {
                "state": "unreadable",
                "version": source.version,
                "promotion": source.promotion,
                "digest": source.digest,
                "message": str(exc),
            }
        if digest.of_path(model) != source.digest:
            raise Refused(f"{model} changed while it was scored; run `passmuster score` again")
        return {
            "state": "scored",
            "version": source.version,
            "promotion": source.promotion,
            "commit": source.commit,
            "digest": source.digest,
            "model": "champion/model",
            "predictions": predictions,
            "environment": dict(source.environment),
            "prepared": bool(because),
            "prepared_because": because,
            "profile": self._own_profile(source),
            **self._overlap(source),
        }

    def _own_copy(self, source: ChampionSource) -> Path:
        """Return the champion's directory in the model's folder, after checking that it is the one promoted."""
        if digest.of_path(source.directory) != source.digest:
            raise Refused(f"{source.directory} is not the model that was promoted as {source.version}")
        copy = self.target / "champion" / "model"
        if source.directory.resolve() != copy.resolve():
            _empty(copy)
            shutil.copytree(source.directory, copy, dirs_exist_ok=True)
        return copy

    def _own_profile(self, source: ChampionSource) -> dict[str, str] | None:
        """Return path and digest of the champion's reference profile, in the model's folder; None: it has none."""
        if source.profile is None:
            return None
        path = f"champion/{_profile.FILE}"
        if source.profile.resolve() != (copy := self.target / path).resolve():
            shutil.copyfile(source.profile, copy)
        told = _profile.told(path, copy)
        if told["digest"] != source.profile_digest:
            raise Refused(f"{source.profile} is not the profile that {source.version} was promoted with")
        return told

    def _champions_answers(self, model: Path, source: ChampionSource) -> tuple[dict[str, Any], str]:
        """Return the predictions, and why the champion's own preparation was needed; empty where it was not."""
        asked = _Asked(
            config=self.config,
            commit=self.commit,
            lock=self.target / "model" / _scoring.LOCK,
            made=self._made(),
            data=self.data,
        )
        return self._asked(model, source, asked)

    def _asked(self, model: Path, source: ChampionSource, asked: _Asked) -> tuple[dict[str, Any], str]:
        """Return the champion's predictions on other rows than its own, and why its own preparation was needed."""
        why = _preparation.difference(
            self.root,
            asked.config,
            champion=source.commit,
            candidate=asked.commit,
            locks=(model / _scoring.LOCK, asked.lock),
            made=asked.made,
        )
        if not why:
            try:
                return self._predictions(model, source.digest, asked.data, "champion"), ""
            except _scoring.CannotTakeColumns as exc:
                why = f"the champion can't take the candidate's columns: {exc}"
        self.progress.step(f"{self.config.name}: {why.splitlines()[0]}")
        # A program that waits sees what lies here; it need not see what was made in `/tmp` after its start.
        with tempfile.TemporaryDirectory(dir=self.target, prefix=".prepared-") as folder:
            try:
                made = _preparation.prepare(
                    self.root,
                    asked.config,
                    champion=source.commit,
                    candidate=asked.commit,
                    lock=model / _scoring.LOCK,
                    splits=asked.data,
                    to=Path(folder),
                    progress=self.progress,
                )
                # The candidate's own files where they are the same: known predictions serve again.
                data = {
                    split: path if _preparation.same(made[split], path) else made[split]
                    for split, path in asked.data.items()
                }
                return self._predictions(model, source.digest, data, "champion"), "" if data == asked.data else why
            except NotMeasured as exc:
                raise NotMeasured(f"{why}\n{exc}") from exc

    @property
    def commit(self) -> str:
        """The candidate's commit."""
        return str(self.found.body["commit"])

    def _made(self) -> dict[str, str | None]:
        """Return path of each output of the candidate's pipeline → its hash."""
        return {str(output["path"]): output["actual"] for output in self.found.body.get("outputs", ())}

    # The base's test rows

    def _base(
        self, champion: ChampionSource | NoAccess | None, base: str | None, *, compared: bool
    ) -> dict[str, Any] | None:
        """Return what the record says of the base's test rows; None: no commit rules, so there are no such rows."""
        if base is None and isinstance(champion, ChampionSource):
            base = champion.commit
        if base is None:
            return None
        with tempfile.TemporaryDirectory(dir=self.target, prefix=".base-") as folder:
            found = _base_rows.find(
                self.root,
                self.config,
                base=base,
                candidate=self.commit,
                data=self.data,
                made=self._made(),
                lock=self.target / "model" / _scoring.LOCK,
                to=Path(folder),
                progress=self.progress,
            )
            if found.rows is None:
                return dict(found.told)
            try:
                return {**found.told, **self._on_base(found.rows, champion if compared else None)}
            except (NotMeasured, UsageError) as exc:
                return dict(_base_rows.unknown(base, f"on the test rows of {base[:12]}: {exc}").told)

    def _on_base(self, rows: _base_rows.Rows, champion: ChampionSource | NoAccess | None) -> dict[str, Any]:
        """Let both models answer the base's rows; return the files."""
        split = _base_rows.BASE
        self.progress.step(f"{self.config.name}: scoring on the test rows of {rows.commit[:12]}")
        data = self.target / "data" / f"{split}.parquet"
        shutil.copyfile(rows.candidates, data)
        answers = self._predictions(
            self.target / "model", str(self.found.body["model_digest"]), {split: data}, "candidate"
        )
        told: dict[str, Any] = {
            "data": reproduce.described(self.target, f"data/{split}.parquet"),
            "candidate": answers[split],
            "champion": None,
            "leave_out": None,
        }
        if isinstance(champion, ChampionSource):
            asked = _Asked(
                config=rows.config,
                commit=rows.commit,
                lock=rows.lock,
                made=_recipe.recorded(Repository(self.root), rows.commit),
                data={split: rows.own},
            )
            told["champion"] = self._asked(self.target / "champion" / "model", champion, asked)[0][split]
            if champion.train_ids is not None:
                told["leave_out"] = self._seen(champion.train_ids, data, f"leave_out/{split}.parquet")
        return told

    def _overlap(self, source: ChampionSource) -> dict[str, Any]:
        """Count the rows that the champion was trained on, and list them, so that comparisons leave them out."""
        if source.train_ids is None:
            return {"overlap": "unknown", "leave_out": {}}
        leave_out = {}
        for split, path in self.data.items():
            if split != TRAIN:
                leave_out[split] = self._seen(source.train_ids, path, f"leave_out/{split}.parquet")
        return {"overlap": {split: item["rows"] for split, item in leave_out.items()}, "leave_out": leave_out}

    def _seen(self, train_ids: Path, data: Path, path: str) -> dict[str, Any]:
        import pyarrow as pa
        from pyarrow import compute as pc
        from pyarrow import parquet as pq

        key = self.config.data.id
        ids = pq.ParquetFile(data).read(columns=[key])
        try:
            trained = pq.ParquetFile(train_ids).read().column(0)
            seen = pc.is_in(ids.column(key), value_set=trained.cast(ids.column(key).type).combine_chunks())
        except (OSError, pa.ArrowException, IndexError) as exc:
            raise Refused(f"the ids that the champion was trained on can't be compared with {key}: {exc}") from exc
        (self.target / path).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(ids.filter(seen), self.target / path)
        return reproduce.described(self.target, path)

    # Predictions, by way of the cache

    def _predictions(
        self, model: Path, model_digest: str, data: Mapping[str, Path], who: str
    ) -> dict[str, dict[str, Any]]:
        """Return split → path, digest and rows of the predictions; those already known are not made again."""
        out = {split: self.target / "predictions" / who / f"{split}.parquet" for split in data}
        kept = {split: _Kept(self._key(model_digest, path)) for split, path in data.items()}
        missing = {data[split]: out[split] for split in data if not self._taken(kept[split], data[split], out[split])}
        if missing:
            found = environments.isolation(network=False) if self._run(model, missing) else environments.Isolation()
            for split in data:
                if data[split] in missing:
                    kept[split].keep(out[split], found.to_json())
        for one in kept.values():
            self.isolation = {fact: held and one.isolation[fact] for fact, held in self.isolation.items()}
        return {split: reproduce.described(self.target, f"predictions/{who}/{split}.parquet") for split in data}

    def _run(self, model: Path, files: Mapping[Path, Path]) -> bool:
        names = self.config.data
        return _scoring.run(
            model,
            files,
            task=self.config.task,
            id=names.id,
            label=names.label,
            timeout=self.config.pipeline.timeout,
            waiting=self.waiting,
            progress=self.progress,
        )

    def _key(self, model_digest: str, data: Path) -> str:
        names = self.config.data
        facts = {
            "framework": __version__,
            "program": digest.of_file(_scoring.program()),
            "model": model_digest,
            "data": digest.of_file(data),
            "id": names.id,
            "label": names.label,
            "task": str(self.config.task),
        }
        return digest.of_json(facts).removeprefix("sha256:")

    def _taken(self, kept: _Kept, data: Path, out: Path) -> bool:
        """Return whether the predictions were in the cache, whole, and pass the check that new ones must pass."""
        names = self.config.data
        if not kept.take(out):
            return False
        try:
            _scoring.check(out, data, task=self.config.task, id=names.id, label=names.label)
        except NotMeasured:
            out.unlink()
            return False
        return True


class _Kept:
    """Predictions in the user's cache, by what they follow from."""

    def __init__(self, key: str) -> None:
        folder = environments.cache_folder() / "predictions"
        self.path, self.note = folder / f"{key}.parquet", folder / f"{key}.json"
        self.isolation: dict[str, bool] = {}

    def take(self, out: Path) -> bool:
        """Copy them to `out`; the answer is whether they were there, unaltered."""
        try:
            note = json.loads(self.note.read_text(encoding="utf-8"))
            out.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self.path, out)
            if digest.of_file(out) != note["digest"]:
                return False
            self.isolation = {fact: note["isolation"][fact] is True for fact in environments.Isolation().to_json()}
        except (OSError, ValueError, KeyError, TypeError):
            return False
        return True

    def keep(self, made: Path, isolation: dict[str, bool]) -> None:
        """Copy `made` into the cache, with what its model was kept from; a full disk there is no reason to fail."""
        self.isolation = isolation
        with contextlib.suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self.path.parent, delete=False) as stream:
                stream.write(made.read_bytes())
            Path(stream.name).replace(self.path)
            note = {"digest": digest.of_file(made), "isolation": isolation}
            record.write_atomically(self.note, json.dumps(note))


def _empty(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
