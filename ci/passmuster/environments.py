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
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from passmuster import _sealed, digest
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


@functools.cache
def quick_sorting() -> dict[str, str]:
    """Return the environment variables with which NumPy sorts quickly on this processor.

    On AMD's processors, its AVX-512 sort takes five times as long as its AVX2 sort (seen with NumPy 2.4 on an EPYC:
    55 ms against 9 ms for a million numbers), and sorting is most of what the gates do.
    """
    from importlib.metadata import version

    from packaging.version import Version

    try:
        processor = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return {}
    if "AuthenticAMD" not in processor or "avx512f" not in processor or "NPY_DISABLE_CPU_FEATURES" in os.environ:
        return {}
    general = "X86_V4" if Version(version("numpy")) >= Version("2.4") else "AVX512_SKX"
    return {"NPY_DISABLE_CPU_FEATURES": f"{general} AVX512_ICL AVX512_SPR"}


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

#: Makes all files read-only but those of the program's own folders.
_SEAL = (sys.executable, "-I", "-S", str(Path(_sealed.__file__)))


@dataclass(frozen=True, kw_only=True)
class Isolation:
    """What this system lets a program be kept from."""

    network: bool = False  #: it has none
    processes: bool = False  #: it sees none but its own, and none of them outlives it
    files: bool = False  #: it can write to its own folders only
    prefix: tuple[str, ...] = ()  #: the programs that see to it

    def of(self, command: Sequence[str], writable: Iterable[Path] = ()) -> list[str]:
        """Return `command` behind what isolates it; `writable` are folders of its own."""
        if self.files:
            return [*self.prefix, *(str(path.absolute()) for path in writable), "--", *command]
        return [*self.prefix, *(_sealed.FIRST if self.processes else ()), *command]

    def to_json(self) -> dict[str, bool]:
        """Return what a record says of it."""
        return {"network": self.network, "processes": self.processes, "files": self.files}


def without_network(command: Sequence[str], writable: Iterable[Path] = ()) -> list[str]:
    """Return `command` behind what takes the network away, where the system allows; else unchanged.

    Where the system allows that too, the program sees no process but its own, none of them outlives it, and it can
    write to nothing but its working folder, its `HOME`, `writable`, and a `/tmp` of its own.
    """
    return isolation(network=False).of(command, writable)


def alone(command: Sequence[str], writable: Iterable[Path] = ()) -> list[str]:
    """Return `command` so that it keeps the network, but nothing else that `without_network` takes away.

    Where the system does not allow that, `command` unchanged.
    """
    return isolation(network=True).of(command, writable)


@functools.cache
def isolation(*, network: bool) -> Isolation:
    """Return the most that this system allows; callers record it.

    Args:
        network: whether the program keeps the network.
    """
    net = () if network else ("--net",)
    attempts = [(True, True), (True, False), *([] if network else [(False, False)])]
    for processes, files in attempts:
        # Rights in a user namespace are needed where the user has none, and are given up before the program begins.
        for user in ((), ("--map-current-user", *(["--keep-caps"] if files else []))):
            prefix = ("unshare", *user, *net, *(_ALONE if processes else ()), *(_SEAL if files else ()))
            found = Isolation(network=not network, processes=processes, files=files, prefix=prefix)
            if _works(found):
                return found
    return Isolation()


def _works(found: Isolation) -> bool:
    with tempfile.TemporaryDirectory(prefix="passmuster-try-", ignore_cleanup_errors=True) as folder:
        try:
            command, variables = found.of(["true"]), scrubbed(Path(folder))
            done = subprocess.run(command, cwd=folder, env=variables, capture_output=True, check=False)
        except OSError:
            return False
    return done.returncode == 0
