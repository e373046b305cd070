"""Environments of their own, made by `uv` from a lock with hashes: the models' and Deepchecks'.

An environment is named by the digest of its lock and by its Python, made in a folder beside and renamed into place, so
that two makers at once, or one that is killed, leave no half-made one.
"""

from __future__ import annotations

import functools
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from passmuster import digest
from passmuster.errors import Unavailable, UsageError

#: Passed on to programs that run in an environment: what finds programs, files and text encodings. No secrets.
_PASSED_ON = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "SSL_CERT_FILE")

#: Passed on to `uv` as well: where the user's settings, caches, compilers and certificates are.
_PASSED_ON_TO_UV = (
    *("HOME", "USER", "LOGNAME", "NETRC", "SSL_CERT_DIR", "CC", "CXX", "CFLAGS", "LDFLAGS", "SDKROOT"),
    *("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_CONFIG_DIRS", "XDG_DATA_HOME"),
)


def cache_folder() -> Path:
    """Return where environments and predictions are kept between runs: `PASSMUSTER_CACHE`, else the user's cache."""
    if chosen := os.environ.get("PASSMUSTER_CACHE"):
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base, "passmuster")


def ensure(lock: Path, *, python: str | None = None) -> Path:
    """Return the `python` of the environment that `lock` describes, made by `uv` if it is not there yet.

    Args:
        lock: a requirements file in which every line has its hashes.
        python: versions that it needs, as `>=3.11,<3.13`; None: the Python that runs the framework.

    Raises:
        UsageError: the lock does not install on this Python: a missing hash, a conflict, another Python needed.
        Unavailable: `uv` could not be run, or the package index did not answer.
    """
    lock = lock.absolute()  # `uv` works in another folder
    base, version = _interpreter(python)
    name = f"{digest.of_file(lock).removeprefix('sha256:')[:20]}-{version}"
    folder = cache_folder() / "envs" / name
    program = folder / "bin" / "python"
    if program.exists():
        return program
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{name}."))
    inside = str(made / "bin" / "python")
    # Programs run there without the right to write byte code, so it is compiled once, here.
    install = ["pip", "install", "--quiet", "--require-hashes", "--compile-bytecode", "--python", inside]
    try:
        _uv(["venv", "--quiet", "--relocatable", "--clear", "--python", base, str(made)], f"{lock} (Python {version})")
        _uv([*install, "-r", str(lock)], f"{lock} (Python {version})")
        made.chmod(0o755)
        made.rename(folder)
    except OSError:
        if not program.exists():  # else another maker was first: the same lock, so the same environment
            raise
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return program


def _interpreter(wanted: str | None) -> tuple[str, str]:
    """Return an environment's interpreter and its version: this one where it will do, else one that `uv` finds."""
    from packaging.specifiers import SpecifierSet

    if wanted is None or platform.python_version() in SpecifierSet(wanted):
        return sys.executable, platform.python_version()
    found = _uv(["python", "find", "--no-python-downloads", "--show-version", wanted], f"Python {wanted}")
    program = _uv(["python", "find", "--no-python-downloads", wanted], f"Python {wanted}")
    return program, found


def uv_program() -> str:
    """Return the path of the `uv` that was installed with the framework."""
    from uv import find_uv_bin

    return str(find_uv_bin())


def for_uv() -> dict[str, str]:
    """Return the environment variables for `uv`, its own settings among them; building a package runs its code."""
    kept = {*_PASSED_ON, *_PASSED_ON_TO_UV}
    return {k: v for k, v in os.environ.items() if k in kept or k.startswith("UV_") or k.upper().endswith("_PROXY")}


def _uv(arguments: list[str], what: str) -> str:
    try:
        # In a folder where nobody's `uv.toml` lies: one in the checkout could send packages elsewhere.
        with tempfile.TemporaryDirectory(prefix="passmuster-uv-") as elsewhere:
            done = subprocess.run(
                [uv_program(), *arguments], cwd=elsewhere, env=for_uv(), capture_output=True, text=True, check=False
            )
    except (OSError, ImportError) as exc:
        raise Unavailable(f"uv could not be started, so there is no environment of {what}: {exc}") from exc
    if done.returncode == 0:
        return done.stdout.strip()
    said = done.stderr.strip()[-2000:]
    transient = any(word in said for word in ("error sending request", "timed out", "dns error", "Failed to fetch"))
    message = (
        f"the environment of {what} could not be made:\n{said}\n"
        "Either the package index did not answer (try again), or the lock does not fit this Python: "
        "compile it again with `passmuster lock`, or install the Python that it was made for."
    )
    raise (Unavailable if transient else UsageError)(message)


def scrubbed(home: Path, **extra: str) -> dict[str, str]:
    """Return the environment variables for a program that must see no secret: few, and `HOME` at `home`."""
    kept = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return {
        **kept,
        "HOME": str(home),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
        "PYTHONSAFEPATH": "1",
        **extra,
    }


#: Takes the view of other processes away, whose environment can be read in `/proc`, and ends all that was started.
_ALONE = ("--pid", "--fork", "--kill-child", "--mount-proc")

#: The first process of such a world takes no signal that it has no handler for, so that is not the program itself; a
#: signal that ends the program becomes the exit code 128 + its number.
_FIRST = ("sh", "-c", '"$@"; exit $?', "sh")


def without_network(command: list[str]) -> list[str]:
    """Return `command` behind `unshare`, which takes the network away, where the system allows; else unchanged.

    Where the system allows that too, the program sees no process but its own, and none of them outlives it.
    Callers record which it was: `isolated = result != command`.
    """
    for more, first in ((_ALONE, _FIRST), ((), ())):
        for prefix in (("unshare", "--net", *more), ("unshare", "--map-root-user", "--net", *more)):
            if _works(prefix):
                return [*prefix, *first, *command]
    return command


def alone(command: list[str]) -> list[str]:
    """Return `command` so that it keeps the network, but sees no process but its own, and none of them outlives it.

    Where the system does not allow that, `command` unchanged.
    """
    for prefix in (("unshare", *_ALONE), ("unshare", "--map-current-user", *_ALONE)):
        if _works(prefix):
            return [*prefix, *_FIRST, *command]
    return command


@functools.cache
def _works(prefix: tuple[str, ...]) -> bool:
    try:
        return subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False
