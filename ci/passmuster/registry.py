"""The MLflow Model Registry, as promote, rollback and audit need it; makes no decisions.

MLflow's alias knows no expected value and no history, so it only ever mirrors the ledger. What is registered is the
model directory as it was judged: its files are uploaded as they are, never loaded and saved again.
"""

from __future__ import annotations

import contextlib
import logging
import os
import posixpath
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, urlsplit, urlunsplit

from passmuster import digest
from passmuster.errors import Refused, Unavailable

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from passmuster.events import Event

#: The alias that mirrors the ledger's last event, and that of the version it replaced.
CHAMPION, PREVIOUS = "champion", "previous"

#: Tags of a registered version; `passmuster.promotion.<k>` holds the digest of the k-th promotion's event.
COMMIT, DIGEST, DECISION, NONCE, VERSION, LOST = (
    f"passmuster.{word}" for word in ("commit", "digest", "decision", "nonce", "version", "lost")
)
PROMOTION = "passmuster.promotion."

#: Where the artifacts of a run stand.
MODEL, RECORDS, REPORT = "model", "records", "report"

#: What MLflow's stores say where two writers met; the same call works a moment later.
_TRANSIENT = (
    "IntegrityError",
    "UniqueViolation",
    "UNIQUE constraint",
    "database is locked",
    "deadlock",
)
_ATTEMPTS = 6

_T = TypeVar("_T")


class NotThere(Refused):
    """MLflow has no such model, version, run or artifact."""


@dataclass(frozen=True, kw_only=True)
class Version:
    """A registered version as MLflow shows it."""

    name: str
    number: str  #: MLflow's own
    source: str  #: where its model directory is
    run_id: str
    tags: Mapping[str, str]

    @property
    def lost(self) -> bool:
        """Whether its promoter lost the race, or gave up."""
        return self.tags.get(LOST) == "true"


class Registry:
    """The tracking server at `uri`, and the registry that belongs to it."""

    def __init__(self, uri: str, *, shown: str | None = None) -> None:
        """`shown` is what the ledger says instead of `uri`, which may hold credentials or a path of this machine."""
        self.uri = uri
        self.shown = shown or without_credentials(uri)

    @classmethod
    def of(cls, root: Path) -> Registry:
        """Return the registry that `MLFLOW_TRACKING_URI` names, else the SQLite file of the checkout at `root`."""
        if uri := os.environ.get("MLFLOW_TRACKING_URI"):
            return cls(uri)
        return cls(f"sqlite:///{root.resolve() / 'mlflow.db'}", shown="sqlite:///mlflow.db")

    @cached_property
    def client(self) -> MlflowClient:
        """MLflow's client; importing it costs seconds, so it is made when it is first asked.

        Raises:
            Unavailable: the server did not answer, or the address is wrong.
        """
        return self._call(self.import_client(), tracking_uri=self.uri)

    def import_client(self) -> type[MlflowClient]:
        """Import MLflow's client and, where `uri` is a database, its store; nothing is asked or written."""
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
        from mlflow import MlflowClient

        if self.uri.startswith("sqlite:"):
            import mlflow.store.model_registry.sqlalchemy_store
            import mlflow.store.tracking.sqlalchemy_store  # noqa: F401
        for noisy in ("mlflow", "alembic"):
            logging.getLogger(noisy).setLevel(logging.ERROR)
        client: type[MlflowClient] = MlflowClient
        return client

    def find(self, name: str, nonce: str) -> Version | None:
        """Return the version that one attempt of a promotion registered, if it came that far."""
        return next(iter(self._search(f"name = '{name}' and tags.`{NONCE}` = '{nonce}'")), None)

    def versions(self, name: str) -> list[Version]:
        """Return all versions of a registered model, lost ones too; of an unknown model, none."""
        return self._search(f"name = '{name}'")

    def version(self, name: str, number: str) -> Version:
        """Return one version.

        Raises:
            NotThere: MLflow has none of this number.
        """
        return _version(self._call(self.client.get_model_version, name, number))

    def log(
        self,
        name: str,
        nonce: str,
        *,
        files: Mapping[str, Sequence[Path]],
        params: Mapping[str, object],
        metrics: Mapping[str, float],
        tags: Mapping[str, str],
    ) -> str:
        """Log a finished run with parameters, metrics and files, and return its id; a second call finishes the first.

        Args:
            name: the registered model's; its runs are in the experiment `passmuster/<name>`.
            nonce: of the attempt.
            files: artifact folder → what to put there, as it is: files, or a folder whose content is meant.
            params: parameters of the training.
            metrics: metrics of the re-run.
            tags: tags of the run.
        """
        from mlflow.entities import Metric, Param

        experiment = self._experiment(name)
        run_id = self._run(experiment, nonce, tags)
        for folder, path in ((folder, path) for folder, paths in files.items() for path in paths):
            upload = self.client.log_artifacts if path.is_dir() else self.client.log_artifact
            self._call(upload, run_id, str(path), folder or None)
        points = [Metric(key, value, int(time.time() * 1000), 0) for key, value in _loggable(metrics).items()]
        settings = [Param(key, str(value)[:6000]) for key, value in _loggable(params).items()]
        for start in range(0, max(len(points), len(settings)), 100):
            part = slice(start, start + 100)
            self._call(self.client.log_batch, run_id, metrics=points[part], params=settings[part])
        self._call(self.client.set_terminated, run_id, "FINISHED")
        return run_id

    def register(self, name: str, run_id: str, tags: Mapping[str, str]) -> Version:
        """Create a version from a run's model directory, tagged from the start, and return it."""
        try:
            self._call(self.client.get_registered_model, name)
        except NotThere:
            self._create(self.client.create_registered_model, name)
        source = f"{self._call(self.client.get_run, run_id).info.artifact_uri}/{MODEL}"
        made = self._call(self.client.create_model_version, name, source, run_id, tags=dict(tags))
        return _version(made)

    def tag(self, name: str, number: str, key: str, value: str) -> None:
        """Set a tag of a version."""
        self._call(self.client.set_model_version_tag, name, number, key, value)

    def aliases(self, name: str) -> dict[str, str]:
        """Return alias → version number; of an unknown model, none."""
        try:
            model = self._call(self.client.get_registered_model, name)
        except NotThere:
            return {}
        return {alias: str(number) for alias, number in model.aliases.items()}

    def set_alias(self, name: str, alias: str, number: str) -> None:
        """Point an alias at a version, whatever it pointed at."""
        self._call(self.client.set_registered_model_alias, name, alias, number)

    def drop_alias(self, name: str, alias: str) -> None:
        """Remove an alias."""
        self._call(self.client.delete_registered_model_alias, name, alias)

    def check(self, event: Event) -> Version:
        """Return the version that `event` names, after checking that MLflow still says what was registered.

        Raises:
            Refused: it is gone, or its source, run or tags are others.
        """
        entry = event.registry
        try:
            found = self.version(entry.name, entry.mlflow_version)
            run = self._call(self.client.get_run, entry.run_id)
        except NotThere as exc:
            raise NotThere(
                f"{event.model} {event.version}: {exc}; it was registered at {entry.uri}: is that what "
                "MLFLOW_TRACKING_URI names here?"
            ) from exc
        expected = {COMMIT: event.commit, DIGEST: event.model_digest, VERSION: event.version}
        altered = [key for key, value in expected.items() if found.tags.get(key) != value]
        if found.run_id != entry.run_id:
            altered.append("run")
        if found.source != f"{run.info.artifact_uri}/{MODEL}":
            altered.append("source")
        if altered:
            raise Refused(
                f"{event.model} {event.version}: MLflow's version {found.number} of {found.name} was altered: "
                f"{', '.join(altered)} is not what was registered"
            )
        return found

    def download(self, event: Event, folder: Path) -> Path:
        """Return `folder` filled with the model directory that `event` names, its digest verified.

        Raises:
            Refused: it is gone or altered; then `folder` is left as it was.
        """
        self.check(event)
        with self.fetched(event.registry.run_id, MODEL, beside=folder) as found:
            got = digest.of_path(found)
            if got != event.model_digest:
                raise Refused(
                    f"{event.model} {event.version}: the model directory in MLflow was altered: it has {got}, "
                    f"promoted was {event.model_digest}"
                )
            shutil.rmtree(folder, ignore_errors=True)
            found.rename(folder)
        return folder

    @contextlib.contextmanager
    def fetched(self, run_id: str, path: str, *, beside: Path | None = None) -> Iterator[Path]:
        """Yield where an artifact of a run was downloaded to; gone afterwards.

        Args:
            run_id: MLflow's.
            path: the artifact's path in the run.
            beside: a path on whose file system the download is made, so that it can be renamed to it.
        """
        parent = beside.parent if beside else None
        if parent:
            parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".passmuster-", dir=parent) as folder:
            found = Path(self._call(self.client.download_artifacts, run_id, path, folder))
            if not found.exists():
                raise NotThere(f"MLflow at {self.shown}: run {run_id} has no {path}")
            yield found

    def _search(self, condition: str) -> list[Version]:
        found: list[Version] = []
        token: str | None = None
        while True:
            page = self._call(self.client.search_model_versions, condition, page_token=token)
            found += [_version(item) for item in page]
            token = page.token
            if not token:
                return found

    def _experiment(self, name: str) -> str:
        title = f"passmuster/{name}"
        experiment = self._call(self.client.get_experiment_by_name, title)
        if experiment is None:
            self._create(self.client.create_experiment, title, artifact_location=self._artifacts(name))
            experiment = self._call(self.client.get_experiment_by_name, title)
        return str(experiment.experiment_id)

    def _artifacts(self, name: str) -> str | None:
        """Return where artifacts go: beside a SQLite file, else where the server puts them."""
        if not self.uri.startswith("sqlite:///"):
            return None
        database = Path(self.uri.removeprefix("sqlite:///").partition("?")[0]).resolve()
        return (database.parent / "mlartifacts" / quote(name, safe="")).as_uri()

    def _run(self, experiment: str, nonce: str, tags: Mapping[str, str]) -> str:
        found = self._call(self.client.search_runs, [experiment], f"tags.`{NONCE}` = '{nonce}'", max_results=1)
        if found:
            return str(found[0].info.run_id)
        run = self._call(self.client.create_run, experiment, tags={NONCE: nonce, **tags}, run_name=tags.get(COMMIT))
        return str(run.info.run_id)

    def _create(self, create: Callable[..., object], *arguments: object, **options: object) -> None:
        """Create what another promoter may create at the same moment."""
        try:
            self._call(create, *arguments, **options)
        except Refused as exc:
            if "already exists" not in str(exc).lower():
                raise

    def _call(self, function: Callable[..., _T], *arguments: Any, **options: Any) -> _T:
        """Call MLflow, again where two writers met, and translate its errors.

        Raises:
            NotThere: what was asked for does not exist.
            Refused: MLflow does not accept the call.
            Unavailable: the server, its database or its artifact store failed.
        """
        for attempt in range(_ATTEMPTS):
            try:
                return function(*arguments, **options)
            except Exception as exc:  # MLflow lets errors of HTTP, SQL and cloud libraries through
                text = str(exc)
                if attempt + 1 < _ATTEMPTS and any(sign in text for sign in _TRANSIENT):
                    time.sleep(0.1 * 2**attempt)
                    continue
                raise self._translated(exc) from exc
        raise AssertionError("unreachable")

    def _translated(self, exc: Exception) -> Exception:
        code = getattr(exc, "error_code", None)
        said = f"MLflow at {self.shown}: {str(exc).replace(self.uri, self.shown)}"
        if code in ("RESOURCE_DOES_NOT_EXIST", "NOT_FOUND") or isinstance(exc, FileNotFoundError):
            return NotThere(said)
        if code in ("RESOURCE_ALREADY_EXISTS", "INVALID_PARAMETER_VALUE", "INVALID_STATE", "PERMISSION_DENIED"):
            return Refused(said)
        return Unavailable(f"{said}; check MLFLOW_TRACKING_URI and try again")


def _loggable(values: Mapping[str, _T]) -> dict[str, _T]:
    """Return `values` under names that MLflow takes: of `recall@10`, `recall_10`. The records keep the true ones."""
    found: dict[str, _T] = {}
    for name, value in values.items():
        plain = re.sub(r"[^/\w.\- :]", "_", name)[:240] or "_"
        if posixpath.normpath(plain) != plain or plain.startswith(("/", ".")):  # as a path it would lead elsewhere
            plain = re.sub(r"/|^\.+", "_", plain)
        names = (plain, *(f"{plain}_{number}" for number in range(2, len(values) + 2)))
        found[next(one for one in names if one not in found)] = value
    return found


def _version(found: Any) -> Version:
    return Version(
        name=str(found.name),
        number=str(found.version),
        source=str(found.source),
        run_id=str(found.run_id or ""),
        tags=dict(found.tags),
    )


def without_credentials(uri: str) -> str:
    """Return `uri` without user, password and query."""
    parts = urlsplit(uri)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", "")) if parts.netloc else uri.partition("?")[0]
