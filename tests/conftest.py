"""What holds for every test: nothing of the user's is read or written, and in CI a skip is a failure."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

#: What the user's environment, or a runner of workflows, says of servers, identities and files to write to.
_TAKEN_AWAY = ("GIT_", "GITHUB_", "MLFLOW_", "DVC_", "PASSMUSTER_DEMO")


@pytest.fixture(scope="session", autouse=True)
def _nothing_of_the_users(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Take away identity, configuration and servers that the user's environment names; keep the caches of packages."""
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    if (settings := Path.home() / ".config" / "uv" / "uv.toml").exists():
        os.environ.setdefault("UV_CONFIG_FILE", str(settings))  # where this machine's package index is named
    for name in [name for name in os.environ if name.startswith(_TAKEN_AWAY)]:
        del os.environ[name]
    os.environ.update(
        HOME=str(tmp_path_factory.mktemp("home")),
        XDG_CACHE_HOME=cache,
        GIT_CONFIG_NOSYSTEM="1",
        DVC_NO_ANALYTICS="1",
    )
    os.environ.pop("XDG_CONFIG_HOME", None)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a run in CI in which a test was skipped: a component is missing, and nobody would notice."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") and reporter and reporter.stats.get("skipped"):
        reporter.write_line("tests were skipped, which counts as a failure in CI", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
