"""What programs that run in a model's environment, and `uv` which makes it, see of the user's machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

from passmuster import _process, environments
from passmuster.errors import UsageError

SECRET = "a-secret-of-the-users"

#: Looks for the secret in the environment of every process that it can see, and leaves one behind that lives on.
CURIOUS = f"""
import os, pathlib, time
for environ in pathlib.Path("/proc").glob("[0-9]*/environ"):
    try:
        if {SECRET.encode()!r} in environ.read_bytes():
            print("found in", environ)
    except OSError:
        pass
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        pathlib.Path("started").touch()
        time.sleep(1.5)
        pathlib.Path("alive").touch()
    os._exit(0)
while not os.path.exists("started"):
    time.sleep(0.01)
"""

RUN = """
import sys
from pathlib import Path
from passmuster import _process, environments
command = getattr(environments, sys.argv[1])([sys.executable, "-P", "-c", sys.argv[2]])
done = _process.run(command, cwd=Path("."), env=environments.scrubbed(Path(".")), timeout=60)
print(done.returncode, done.stdout + done.stderr, sep="\\n")
"""


#: Whether this system can take the view of other processes away; where it can't, nothing is promised.
ALONE = any(
    subprocess.run(["unshare", *how, "--pid", "--fork", "--mount-proc", "true"], check=False).returncode == 0
    for how in (["--net"], ["--map-root-user", "--net"])
    if shutil.which("unshare")
)

#: Whether it can also close the user's files.
SEALED = ALONE and tuple(map(int, os.uname().release.split(".")[:2])) >= (5, 12)


@pytest.mark.parametrize("how", ["without_network", "alone"])
def test_a_program_reads_no_secret_in_another_process_and_leaves_none_behind(how: str, tmp_path: Path) -> None:
    """Its own environment has none; but all of a user's processes can read each other's."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", RUN, how, CURIOUS],
        cwd=tmp_path,
        env={**os.environ, "AWS_SECRET_ACCESS_KEY": SECRET},
        capture_output=True,
        text=True,
        check=True,
    )
    time.sleep(2)

    assert (tmp_path / "started").exists()
    assert done.stdout.splitlines()[0] == "0"
    assert (done.stdout.strip() == "0", (tmp_path / "alive").exists()) == (True, False) or not ALONE


#: Tries to write where a user can, and to make that possible again; says what it could write to.
VANDAL = """
import os, pathlib, subprocess, sys
for path in sys.argv[2:]:
    for at in (path, *pathlib.Path(path).parents):
        for how in ("remount,rw", "remount,bind,rw"):
            tried = f"mount -o {how} {at}; unshare --map-root-user --mount mount -o {how} {at}"
            subprocess.run(tried, shell=True, capture_output=True)
    try:
        pathlib.Path(path, "planted").touch()
        print(path)
    except OSError:
        pass
pathlib.Path(sys.argv[1]).touch()
"""


@pytest.mark.parametrize("how", ["without_network", "alone"])
def test_a_program_can_write_to_folders_of_its_own_alone(how: str, tmp_path: Path) -> None:
    """Not to environments, known predictions and checkouts of the user that it runs as; `/tmp` is its own."""
    folders = {name: tmp_path / name for name in ("cache", "checkout", "home", "given", "cwd")}
    for folder in folders.values():
        folder.mkdir()
    (folders["checkout"] / "data").write_text("7")
    read = f"assert open({str(folders['checkout'] / 'data')!r}).read() == '7'"
    in_tmp = Path("/tmp", f"passmuster-test-{uuid.uuid4().hex}")
    code = [sys.executable, "-P", "-c", VANDAL + read, str(in_tmp), *map(str, folders.values())]
    done = _process.run(
        getattr(environments, how)(code, [folders["given"]]),
        cwd=folders["cwd"],
        env=environments.scrubbed(folders["home"]),
        timeout=60,
    )

    assert done.returncode == 0, done.stderr
    assert (done.stdout.splitlines() == [str(folders[name]) for name in ("home", "given", "cwd")]) or not SEALED
    assert not in_tmp.exists() or not SEALED


def test_a_program_in_such_a_world_can_put_another_into_one_of_its_own(tmp_path: Path) -> None:
    """Tests that judge ask the model by the scoring program, which must not write down what the tests said."""
    outer, inner = tmp_path / "outer", tmp_path / "outer" / "inner"
    inner.mkdir(parents=True)
    touch = [sys.executable, "-P", "-c", "from pathlib import Path; Path('x').touch(); Path('../results').touch()"]
    code = f"""
from pathlib import Path
from passmuster import _process, environments
home = Path({str(inner)!r})
done = _process.run(environments.without_network({touch!r}), cwd=home, env=environments.scrubbed(home), timeout=60)
print(done.stderr)
"""
    command = environments.without_network([sys.executable, "-P", "-c", code])
    done = _process.run(command, cwd=outer, env=environments.scrubbed(outer), timeout=60)

    assert (inner / "x").exists(), done.stdout + done.stderr
    assert not (outer / "results").exists() or not SEALED


def test_a_program_that_ends_itself_by_a_signal_is_seen_to_have_ended_so(tmp_path: Path) -> None:
    """The first process of such a world would be immune to it."""
    command = environments.without_network([sys.executable, "-c", "import os, signal; os.kill(os.getpid(), 9)"])
    done = _process.run(command, cwd=tmp_path, env=environments.scrubbed(tmp_path), timeout=60)

    assert done.returncode == (137 if ALONE else -9)


def test_uv_gets_its_own_settings_and_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """Building a package runs the package's code."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("UV_INDEX_URL", "https://index.example")
    monkeypatch.setenv("https_proxy", "http://proxy.example")
    found = environments.for_uv()

    assert SECRET not in found.values()
    assert {"UV_INDEX_URL", "https_proxy", "PATH", "HOME"} <= found.keys()


def test_an_environment_is_made_where_it_belongs_whatever_the_checkout_tells_uv(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A `uv.toml` of the commit could send the packages to any folder, and leave the environment without them."""
    checkout, elsewhere = tmp_path / "checkout", tmp_path / "elsewhere"
    wheel = _wheel(tmp_path)
    checkout.mkdir()
    (checkout / "uv.toml").write_text(f'[pip]\ntarget = "{elsewhere}"\n')
    (checkout / "lock.txt").write_text(f"tiny==1.0 --hash={_hash(wheel)}\n")
    monkeypatch.chdir(checkout)
    monkeypatch.setenv("PASSMUSTER_CACHE", str(tmp_path / "cache"))
    for name, value in {"FIND_LINKS": str(tmp_path), "NO_INDEX": "1", "OFFLINE": "1"}.items():
        monkeypatch.setenv(f"UV_{name}", value)
    python = environments.ensure(Path("lock.txt"))

    assert not elsewhere.exists()
    assert subprocess.run([python, "-c", "import tiny"], check=False).returncode == 0


def _wheel(folder: Path) -> Path:
    import zipfile

    wheel = folder / "tiny-1.0-py3-none-any.whl"
    info = "tiny-1.0.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("tiny.py", "")
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", f"tiny.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
    return wheel


def _hash(wheel: Path) -> str:
    from passmuster import digest

    return digest.of_file(wheel)


def test_a_python_that_is_not_there_is_named_and_not_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = tmp_path / "requirements.txt"
    lock.write_text("# nothing\n")
    monkeypatch.setenv("PASSMUSTER_CACHE", str(tmp_path / "cache"))

    with pytest.raises(UsageError, match=r"No interpreter found for Python >=3\.99(.|\n)*install the Python"):
        environments.ensure(lock, python=">=3.99")
