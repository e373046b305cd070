"""The registry adapter: what it shows of an address, and how it meets MLflow's troubles."""

from __future__ import annotations

from pathlib import Path

import pytest

from passmuster import registry
from passmuster.errors import Refused, Unavailable
from passmuster.registry import NotThere, Registry, without_credentials


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("https://ada:secret@mlflow.example.org/x?token=secret", "https://mlflow.example.org/x"),
        ("https://mlflow.example.org:5000", "https://mlflow.example.org:5000"),
        ("postgresql://ada:p@ss@db.example.org/mlflow", "postgresql://db.example.org/mlflow"),
        ("sqlite:////srv/mlflow.db?key=secret", "sqlite:////srv/mlflow.db"),
    ],
)
def test_an_address_is_shown_without_credentials(uri: str, shown: str) -> None:
    assert without_credentials(uri) == shown


def test_the_registry_of_a_checkout_shows_no_path_of_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    found = Registry.of(tmp_path)

    assert found.uri == f"sqlite:///{tmp_path / 'mlflow.db'}"
    assert found.shown == "sqlite:///mlflow.db"


class Trouble(Exception):
    """An error as MLflow raises them."""

    def __init__(self, text: str, code: str = "BAD_REQUEST") -> None:
        super().__init__(text)
        self.error_code = code


def failing(times: int, error: Exception) -> list[Exception]:
    return [error] * times


@pytest.mark.parametrize("text", ["(sqlite3.IntegrityError) x", "psycopg.UniqueViolation", "database is locked"])
def test_two_writers_that_met_are_tried_again(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry.time, "sleep", lambda _: None)
    errors = failing(3, Trouble(text))

    def call() -> str:
        if errors:
            raise errors.pop()
        return "done"

    assert Registry("sqlite:///x")._call(call) == "done"


def test_a_trouble_that_stays_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry.time, "sleep", lambda _: None)

    def call() -> None:
        raise Trouble("database is locked")

    with pytest.raises(Unavailable):
        Registry("sqlite:///x")._call(call)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("RESOURCE_DOES_NOT_EXIST", NotThere),
        ("INVALID_PARAMETER_VALUE", Refused),
        ("INTERNAL_ERROR", Unavailable),
        ("TEMPORARILY_UNAVAILABLE", Unavailable),
    ],
)
def test_errors_are_translated_and_name_no_secret(code: str, error: type[Exception]) -> None:
    uri = "https://ada:secret@mlflow.example.org"

    def call() -> None:
        raise Trouble(f"no answer from {uri}", code)

    with pytest.raises(error) as caught:
        Registry(uri)._call(call)
    assert "secret" not in str(caught.value)
