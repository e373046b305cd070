"""A model's lock: its own requirements and those of scoring and serving, compiled together, each with its hashes.

One file, so that the environment in which a model is trained is the one in which it is scored and served.
"""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from passmuster.config import ModelConfig
from passmuster.environments import for_uv, uv_program
from passmuster.errors import Unavailable, UsageError

#: What a person writes, beside the lock.
SOURCE = "requirements.in"

_REQUIREMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(\[[^\]]*\])?==[^\s;]+(\s*;.*)?")
_HASH = re.compile(r"--hash=sha(256:[0-9a-f]{64}|384:[0-9a-f]{96}|512:[0-9a-f]{128})")
_TRANSIENT = ("error sending request", "timed out", "dns error", "Failed to fetch", "error trying to connect")


def lock(root: Path, config: ModelConfig, *, check: bool = False, upgrade: bool = False) -> bool:
    """Write the model's lock and return whether it differs from what was there; with `check`, write nothing.

    Versions in the lock stay where they still fit; `upgrade` takes the newest ones. For the running Python's minor
    version and newer, on every platform.

    Raises:
        UsageError: there are no requirements, they contradict each other or those of scoring and serving, one can't
            have a hash, or (with `check`) the lock is not in step with them.
        Unavailable: `uv` could not be run, or the package index did not answer.
    """
    target = root / config.requirements
    own, ours = _sources(target)
    before = target.read_text(encoding="utf-8") if target.is_file() else None
    with tempfile.TemporaryDirectory(prefix="passmuster-") as folder:
        made = Path(folder, "lock.txt")
        if before is not None and not upgrade:
            made.write_text(before, encoding="utf-8")
        _compile(root, config, own, ours, made)
        after = made.read_text(encoding="utf-8")
    if found := list(faults(after)):
        raise UsageError(f"{config.requirements} would not be a lock: line {'; line '.join(found)}")
    if check and after != before:
        raise UsageError(f"{config.requirements} is not in step with {SOURCE}: run `passmuster lock {config.name}`")
    if after != before:
        target.write_text(after, encoding="utf-8")
    return after != before


def faults(text: str) -> Iterator[str]:
    """Yield what keeps a text from being a lock, as `line: message`: a requirement without version or hash, or none.

    A lock names no index, no file and no address: where packages come from is the installing machine's affair.
    """
    count = 0
    for number, line in _logical_lines(text):
        count += 1
        words = line.split(" --hash=")
        requirement = words[0].strip()
        if requirement.startswith("-"):
            yield f"{number}: {requirement.split()[0]!r} is an option; a lock has requirements only"
        elif not _REQUIREMENT.fullmatch(requirement):
            yield f"{number}: {requirement!r} has no exact version"
        elif len(words) < 2 or not all(_HASH.fullmatch(f"--hash={word.strip()}") for word in words[1:]):
            yield f"{number}: {requirement!r} has no hash, or a weak one"
    if not count:
        yield "1: no requirement; scoring needs some"


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield the number and text of each line that is not a comment, with its continuations."""
    parts: list[str] = []
    start = 0
    for number, line in enumerate(text.splitlines(), 1):
        bare = re.sub(r"(^|\s)#.*$", "", line).strip()
        start = start if parts else number
        parts.append(bare.removesuffix("\\").strip())
        if not bare.endswith("\\"):
            if joined := " ".join(filter(None, parts)):
                yield start, joined
            parts = []
    if joined := " ".join(filter(None, parts)):
        yield start, joined


def _sources(target: Path) -> tuple[Path, Path]:
    own = target.with_name(SOURCE)
    if not own.is_file():
        raise UsageError(f"there is no {own}: write the packages that the model's training needs there, a line each")
    if own == target:
        raise UsageError(f"{target} is where requirements are written; name the lock otherwise, e.g. requirements.txt")
    spec = importlib.util.find_spec("passmuster_serving")
    ours = Path(spec.origin or "").with_name(SOURCE) if spec else None
    if ours is None or not ours.is_file():
        raise UsageError("passmuster_serving's requirements.in is not installed; install passmuster again")
    return own, ours


def _compile(root: Path, config: ModelConfig, own: Path, ours: Path, made: Path) -> None:
    """Run `uv`; what scoring and serving need comes through its standard input, so that no path gets into the lock."""
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    command = [
        *(uv_program(), "pip", "compile", "--quiet", "--no-progress", "--universal", "--generate-hashes"),
        *("--python", sys.executable, "--python-version", python, "--output-file", str(made)),
        *("--custom-compile-command", f"passmuster lock {config.name}", "--no-emit-index-url", "--no-emit-find-links"),
        *(own.relative_to(root).as_posix(), "-"),
    ]
    needs = ours.read_text(encoding="utf-8")
    try:
        done = subprocess.run(command, cwd=root, env=for_uv(), input=needs, capture_output=True, text=True, check=False)
    except (OSError, ImportError) as exc:
        raise Unavailable(f"uv could not be started, so {config.requirements} was not compiled: {exc}") from exc
    if done.returncode == 0:
        return
    said = done.stderr.strip()[-4000:]
    if any(word in said for word in _TRANSIENT):
        raise Unavailable(f"{config.requirements} was not compiled, since the package index did not answer:\n{said}")
    raise UsageError(
        f"{config.requirements} can't be compiled: what {own.relative_to(root)} asks for and what scoring and serving "
        f"need must fit together.\n{said}\n\n{own.relative_to(root)} says:\n{_listed(own)}\n\n"
        f"scoring and serving need:\n{_listed(ours)}"
    )


def _listed(source: Path) -> str:
    lines = (line for _, line in _logical_lines(source.read_text(encoding="utf-8")))
    return "\n".join(f"  {line}" for line in lines) or "  (nothing)"
