"""What programs that run in a model's environment, and `uv` which makes it, see of the user's machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
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
