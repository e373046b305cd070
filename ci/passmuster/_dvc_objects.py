"""DVC's objects by their names, from a remote into a cache; makes no decisions.

What a `.dvc` file says of where data came from (`dvc import`, `import-url`) is never followed: the file is the
commit's, the credentials are ours.
"""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from passmuster._dvc import Supply
from passmuster.errors import Unavailable, UsageError

#: A hash of DVC's, as `_dvc.Out` has it: of a file, or of a folder's listing.
_HASH = re.compile(r"md5:([0-9a-f]{32}(\.dir)?)")

#: Where objects stand in a cache or remote; those that DVC 2 wrote stand at its top.
_KINDS = (("md5", "files/md5"), ("md5-dos2unix", ""))


@dataclass(frozen=True, kw_only=True)
class Brought:
    """What came of it."""

    names: tuple[str, ...]  #: objects that are in the cache now, as paths below it
    missing: tuple[str, ...]  #: hashes that neither the cache nor the remote has


def bring(hashes: Iterable[str], given: Supply, cache: Path) -> Brought:
    """Put the objects of `hashes`, folders with all their files, into `cache`, from the default remote of `given`.

    Each object is checked against its name. Without a remote, what the cache has is all there is.

    Raises:
        Unavailable: the remote did not answer.
        UsageError: the remote keeps no objects by their names.
    """
    wanted = {found[1] for one in hashes if (found := _HASH.fullmatch(one))}
    missing, names = set(wanted), set()
    logging.getLogger("dvc_data").setLevel(logging.CRITICAL)
    with _translated():
        for hash_name, prefix in _KINDS:
            store = _Store(hash_name, prefix, given, cache)
            here = store.fetched(missing)
            missing -= here
            files = {entry for value in here if value.endswith(".dir") for entry in store.listed(value)}
            lacking = files - store.fetched(files)
            missing |= lacking
            names |= {store.name(value) for value in here | (files - lacking)}
    return Brought(names=tuple(sorted(names)), missing=tuple(sorted(missing)))


class _Store:
    """The objects of one kind, here and at the remote."""

    def __init__(self, hash_name: str, prefix: str, given: Supply, cache: Path) -> None:
        from dvc.fs import LocalFileSystem

        self.hash_name, self.prefix = hash_name, prefix
        self.cache = _store(LocalFileSystem(), str(cache / prefix), hash_name=hash_name)
        self.remote = _remote(hash_name, prefix, given) if given.default else None

    def name(self, value: str) -> str:
        """Return the object's path below the cache."""
        return "/".join(part for part in (self.prefix, value[:2], value[2:]) if part)

    def fetched(self, values: Iterable[str]) -> set[str]:
        """Return those of `values` whose objects are here now."""
        from dvc_data.hashfile.transfer import transfer

        wanted = {self._info(value) for value in values}
        if wanted and self.remote is not None:
            transfer(self.remote, self.cache, wanted, verify=True)
        return {info.value for info in wanted if self._is_whole(info.value)}

    def listed(self, value: str) -> set[str]:
        """Return the objects of the files that a folder's listing names."""
        from dvc_data.hashfile.tree import Tree

        return {str(info.value) for _, _, info in Tree.load(self.cache, self._info(value))}

    def _is_whole(self, value: str) -> bool:
        from dvc_objects.errors import ObjectFormatError

        try:
            self.cache.check(value, check_hash=True)
        except (FileNotFoundError, ObjectFormatError):
            return False
        return True

    def _info(self, value: str) -> Any:
        from dvc_data.hashfile.hash_info import HashInfo

        return HashInfo(self.hash_name, value)


def _remote(hash_name: str, prefix: str, given: Supply) -> Any:
    from dvc.fs import get_cloud_fs

    cls, settings, path = get_cloud_fs({"remote": dict(given.remotes)}, name=given.default)
    if settings.get("worktree") or settings.get("version_aware"):
        raise UsageError(f"DVC remote {given.default!r} is versioned by the cloud; fetch needs one that keeps objects")
    fs = cls(**settings)
    where = fs.join(path, *prefix.split("/")) if prefix else path
    return _store(fs, where, **{**settings, "hash_name": hash_name})


def _store(fs: Any, path: str, **settings: Any) -> Any:
    from dvc_data.hashfile import db

    make: Any = db.get_odb  # it has no types
    return make(fs, path, **settings)


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (UsageError, Unavailable):
        raise
    except Exception as exc:  # each cloud's library has errors of its own
        raise Unavailable(
            f"the DVC remote did not give the data: {exc}; check its settings and credentials, and try again"
        ) from exc
