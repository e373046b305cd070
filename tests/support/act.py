"""GitHub Actions in small: the project's own workflows, run by act on a repository that calls them.

What differs from what GitHub runs is here, and all of it: `edition` rewrites the lines with words that act does not
know; actions of others are doubles (`act-actions/`); and `setup` finds the framework that was installed once, by the
real `install.sh`, for all runs.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from passmuster.environments import cache_folder

PROJECT = Path(__file__).parents[2]
DOUBLES = Path(__file__).parent / "act-actions"
#: What the project's own workflows and actions are called by; the ref is act's alone.
SELF = "passmuster/passmuster"
REF = "ac7" + 37 * "0"

_USES = re.compile(r"uses:\s*([\w.-]+/[\w.-]+)(/[\w./-]+)?@([\w.-]+)")
_SELF = re.compile(r"uses: \$/(\S+)")
_UNKNOWN = re.compile(r"^ *(queue|cache-mode|deployment): .*\n", re.MULTILINE)


def edition(text: str) -> str:
    """Return a workflow in the words that act knows."""
    return _UNKNOWN.sub("", _SELF.sub(rf"uses: {SELF}/\1@{REF}", text))


@dataclass(frozen=True, kw_only=True)
class Framework:
    """The framework as installed by `setup`, and its workflows for act."""

    folder: Path

    @property
    def repository(self) -> Path:
        """Where act finds the project's workflows and actions."""
        return self.folder / "repository"

    @property
    def programs(self) -> Path:
        """Where the installed commands are."""
        return self.folder / "temp/passmuster/environment/bin"

    @property
    def cache(self) -> Path:
        """Where models' environments are kept."""
        return self.folder / "temp/passmuster/cache"

    @classmethod
    def install(cls, folder: Path) -> Framework:
        """Install the framework by the real script, and write act's edition of the workflows."""
        made = cls(folder=folder)
        temp = folder / "temp"
        temp.mkdir(parents=True)
        action = PROJECT / ".github/actions/setup"
        files = {f"GITHUB_{name}": str(temp / name) for name in ("PATH", "ENV", "OUTPUT")}
        settings = {"RUNNER_TEMP": str(temp), "GITHUB_ACTION_PATH": str(action), "PYTHON": sys.executable}
        _run(["bash", str(action / "install.sh")], folder, {**os.environ, **files, **settings})
        envs = cache_folder() / "envs"
        envs.mkdir(parents=True, exist_ok=True)
        (made.cache / "envs").symlink_to(envs)  # made once for all tests, and kept for the next session
        shutil.copytree(PROJECT / ".github", made.repository / ".github")
        for path in made.repository.rglob("*.yml"):
            path.write_text(edition(path.read_text()))
        again = "".join(f'cat "{temp}/{name}" >>"${{GITHUB_{name}}}"\n' for name in ("PATH", "ENV", "OUTPUT"))
        (made.repository / ".github/actions/setup/install.sh").write_text(again)
        _commit_all(made.repository)
        return made

    def doubles(self) -> Iterator[str]:
        """Yield act's options that put doubles in the place of others' actions, and this project in its own."""
        yield f"{SELF}@{REF}={self.repository}"
        used = {
            (match[1], match[3])
            for path in (PROJECT / ".github").rglob("*.yml")
            for match in _USES.finditer(path.read_text())
        }
        for name, ref in sorted(used):
            double = DOUBLES / name.partition("/")[2]
            folder = self.folder / "doubles" / name.replace("/", "-")
            if not folder.exists():
                shutil.copytree(double if double.is_dir() else DOUBLES / "unused", folder)
                shutil.copy(DOUBLES / "protocol.cjs", folder)
            yield f"{name}@{ref}={folder}"


@dataclass(frozen=True, kw_only=True)
class Ran:
    """What a run of act came to."""

    code: int
    log: str
    jobs: Mapping[
        str, str
    ]  #: job's name, without its number in a matrix → `success` or `failure`; one that was skipped is not in it
    outputs: Mapping[str, str] = field(default_factory=dict)  #: what steps said last, by name
    artifacts: Path  #: artifact's folders

    def bundle(self, name: str) -> Path | None:
        """Return the zip of an artifact."""
        return next(iter(self.artifacts.glob(f"*/{name}/*.zip")), None)


def run(
    framework: Framework,
    clone: Path,
    workflow: str,
    event: str,
    payload: Mapping[str, Any],
    *,
    home: Path,
    scratch: Path,
    variables: Mapping[str, str] | None = None,
    repository_variables: Mapping[str, str] | None = None,
    secrets: Mapping[str, str] | None = None,
) -> Ran:
    """Run a workflow file of the checkout `clone`, whose HEAD is the event's commit.

    Args:
        framework: what the workflow's calls resolve to.
        clone: the checkout of the repository that calls.
        workflow: the file's name below `.github/workflows`.
        event: the event's name.
        payload: the event, as GitHub would send it.
        home: where git's settings are; the same for all runs of a repository.
        scratch: a folder for this run alone.
        variables: environment variables of all steps.
        repository_variables: the repository's variables.
        secrets: the repository's secrets.
    """
    (scratch / "artifacts/1").mkdir(parents=True)  # where none was uploaded, act's server breaks
    (scratch / "event.json").write_text(json.dumps(payload))
    caller = scratch / workflow
    caller.write_text(edition((clone / ".github/workflows" / workflow).read_text()))
    settings = scratch / "home/.config/act"
    settings.mkdir(parents=True)
    (settings / "actrc").touch()  # without it act asks a question
    shutil.copy(home / ".gitconfig", scratch / "home")
    variables = {"PASSMUSTER_TEST_PYTHON": sys.executable, "DVC_NO_ANALYTICS": "1", "TERM": "dumb", **(variables or {})}
    # fmt: off
    command = [
        str(Path(sys.executable).with_name("act")), event, "--json",
        "--workflows", str(caller), "--eventpath", str(scratch / "event.json"),
        "--platform", "ubuntu-24.04=-self-hosted",
        "--artifact-server-path", str(scratch / "artifacts"), "--artifact-server-addr", "127.0.0.1",
        "--artifact-server-port", str(_free_port()), "--cache-server-addr", "127.0.0.1",
        *(word for double in framework.doubles() for word in ("--local-repository", double)),
        *(word for name, value in variables.items() for word in ("--env", f"{name}={value}")),
        *(word for name, value in (repository_variables or {}).items() for word in ("--var", f"{name}={value}")),
        *(word for name, value in (secrets or {}).items() for word in ("--secret", f"{name}={value}")),
    ]
    # fmt: on
    environment = {**os.environ, "HOME": str(scratch / "home"), "XDG_CACHE_HOME": str(scratch / "cache")}
    done = subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True, check=False)
    return _told(done, scratch / "artifacts")


def _told(done: subprocess.CompletedProcess[str], artifacts: Path) -> Ran:
    jobs: dict[str, str] = {}
    outputs: dict[str, str] = {}
    log = []
    for line in done.stdout.splitlines() + done.stderr.splitlines():
        try:
            said = json.loads(line)
        except ValueError:
            log.append(line)
            continue
        log.append(f"[{said.get('job', '')}] {said.get('msg', '')}".rstrip())
        if "jobResult" in said:
            jobs[re.sub(r"-\d+$", "", said["job"].rpartition("/")[2].strip())] = said["jobResult"]
        if said.get("command") == "set-output":
            outputs[said["name"]] = said["arg"]
    return Ran(code=done.returncode, log="\n".join(log), jobs=jobs, outputs=outputs, artifacts=artifacts)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _commit_all(folder: Path) -> None:
    person = ["-c", "user.name=someone", "-c", "user.email=someone@example.com"]
    for arguments in (["init", "-q", "-b", "main"], ["add", "-A"], [*person, "commit", "-q", "-m", "act's edition"]):
        _run(["git", *arguments], folder, dict(os.environ))


def _run(command: list[str], cwd: Path, environment: Mapping[str, str]) -> str:
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise AssertionError(f"{command} failed:\n{done.stdout}\n{done.stderr}")
    return done.stdout.strip()
