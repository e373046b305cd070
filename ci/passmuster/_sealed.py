"""Closes a program's files: `python _sealed.py [WRITABLE …] -- PROGRAM [ARGUMENT …]`, in a mount namespace of its own.

Everything that is mounted becomes read-only, but for the working folder, `HOME` and each WRITABLE; `/tmp` and
`/dev/shm` become its own, and what else lies in `/tmp` can be read there. Then this gives up what could undo it, and
becomes PROGRAM. Needs Linux 5.12, and the right to mount in its namespace, as `unshare` gives it. Imports nothing
of the framework, so that it starts at once.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

#: The first process of a PID namespace takes no signal that it has no handler for, so that is not the program itself;
#: a signal that ends the program becomes the exit code 128 + its number.
FIRST = ("sh", "-c", '"$@"; exit $?', "sh")

#: What a superuser may keep, since files are read-only and no process is seen: to own, to kill, to become another;
#: and what the kernel asks of one who makes the next such world.
_HARMLESS = frozenset({0, 1, 3, 4, 5, 6, 7, 31})  # CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETFCAP

_TMP = Path("/tmp")  # noqa: S108  what programs write to, whatever `TMPDIR` says

#: A read-only one is none.
_SEMAPHORES = Path("/dev/shm")  # noqa: S108  the place is the system's

_MS_BIND, _MS_REC = 4096, 16384
_AT_FDCWD, _AT_RECURSIVE = -100, 0x8000
_MOUNT_ATTR_RDONLY, _SYS_MOUNT_SETATTR = 1, 442
_PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT, _CLEAR_ALL = 24, 38, 47, 4
_CAPABILITY_VERSION = 0x20080522

_libc = ctypes.CDLL(None, use_errno=True)


def main(arguments: list[str]) -> None:
    """Close the files, then become the program."""
    split = arguments.index("--")
    home = Path(os.environ["HOME"]).absolute()
    own = {home, Path.cwd(), *map(Path, arguments[:split])}
    _own_tmp(Path(tempfile.mkdtemp(prefix="tmp-", dir=home)))
    for path in own:
        _mount(str(path), path)
    if _SEMAPHORES.is_dir():
        _mount("tmpfs", _SEMAPHORES, "tmpfs")
        own.add(_SEMAPHORES)
    _set_readonly(Path("/"), True)
    # The namespace's own `/proc` shows no other process; a read-only one would forbid to make the next such world.
    for path in (*own, _TMP, Path("/proc")):
        _set_readonly(path, False)
    os.chdir(Path.cwd())  # the folder that was entered before is still the read-only one
    _give_up()
    variables = {**os.environ, "TMPDIR": str(_TMP)}
    os.execvpe(FIRST[0], [*FIRST, *arguments[split + 1 :]], variables)  # noqa: S606  it becomes the program


def _own_tmp(folder: Path) -> None:
    """Mount `folder` as `/tmp`, in which all that was there can still be found."""
    before = os.open(_TMP, os.O_RDONLY | os.O_DIRECTORY)
    _mount(str(folder), _TMP)
    for entry in os.scandir(before):
        with contextlib.suppress(FileNotFoundError):  # gone meanwhile
            if entry.is_dir(follow_symlinks=False):
                (_TMP / entry.name).mkdir()
            elif entry.is_file(follow_symlinks=False):
                (_TMP / entry.name).touch()
            else:
                continue
            _mount(f"/proc/self/fd/{before}/{entry.name}", _TMP / entry.name)


def _mount(source: str, target: Path, kind: str | None = None) -> None:
    flags = 0 if kind else _MS_BIND | _MS_REC
    given = (os.fsencode(source), bytes(target), kind.encode() if kind else None)
    _checked(_libc.mount(*given, ctypes.c_ulong(flags), None), f"mount {target}")


def _set_readonly(path: Path, readonly: bool) -> None:
    """Make what is mounted at `path` and below read-only; or writable again, that mount alone."""
    values = (_MOUNT_ATTR_RDONLY, 0, 0, 0) if readonly else (0, _MOUNT_ATTR_RDONLY, 0, 0)
    attributes = (ctypes.c_uint64 * 4)(*values)
    flags = ctypes.c_uint(_AT_RECURSIVE if readonly else 0)
    size = ctypes.c_size_t(ctypes.sizeof(attributes))
    where = (ctypes.c_int(_AT_FDCWD), bytes(path), flags)
    _checked(_libc.syscall(ctypes.c_long(_SYS_MOUNT_SETATTR), *where, attributes, size), f"change {path}")


def _give_up() -> None:
    """Give up every right to mount, and to get one again by a program that has it."""
    _prctl(_PR_CAP_AMBIENT, _CLEAR_ALL)
    for capability in _to_drop():
        _prctl(_PR_CAPBSET_DROP, capability)
    kept = _permitted() & sum(1 << capability for capability in _HARMLESS)
    header, sets = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0), (ctypes.c_uint32 * 6)(kept, kept)
    _checked(_libc.capset(header, sets), "give up capabilities")
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def _permitted() -> int:
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("CapPrm:")), 16)


def _to_drop() -> Iterable[int]:
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text(encoding="ascii"))
    return [capability for capability in range(last + 1) if capability not in _HARMLESS]


def _prctl(option: int, value: int) -> None:
    _checked(_libc.prctl(option, *(ctypes.c_ulong(number) for number in (value, 0, 0, 0))), f"prctl {option}")


def _checked(answer: int, what: str) -> None:
    if answer != 0:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")


if __name__ == "__main__":
    main(sys.argv[1:])
