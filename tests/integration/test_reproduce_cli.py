"""The scripted failures of DVC on the command line: what each ends with, what it says, and that nothing goes on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from passmuster.__main__ import main_inner
from passmuster.errors import ExitCode
from support.tiny_project import TinyProject

CONFIG = """\
    name: tiny
    owner: someone@example.com
    task: regression
    requirements: requirements.txt
    pipeline: {targets: [train], model: out/model, outputs: {out/model: {compare: bytes}}}
    data:
      train: raw.csv
      test: raw.csv
      label: y
      id: id
      columns: {id: {type: integer}, x: {type: integer}, y: {type: integer}}
    gates:
      performance: {limits: {r2_score: {min: 0}}}
      champion: {rules: {r2_score: {margin: 0.01}}}
    registry: {name: tiny, ledger: local}
"""
PIPELINE = """\
    stages:
      train:
        cmd: python train.py
        deps: [train.py, raw.csv]
        outs: [out/model]
"""
TRAIN = """\
    from pathlib import Path
    {before}
    Path("out/model").mkdir(parents=True, exist_ok=True)
    Path("out/model/weights").write_text({weights})
"""


@pytest.fixture
def project(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> TinyProject:
    monkeypatch.setenv("PASSMUSTER_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    made = TinyProject(tmp_path / "project")
    made.write("model-configs/tiny.yaml", CONFIG)
    made.write("dvc.yaml", PIPELINE)
    train(made, "'HONEST'")
    monkeypatch.chdir(made.root)
    return made


def train(project: TinyProject, weights: str, before: str = "") -> None:
    project.write("train.py", TRAIN.format(weights=weights, before=before))


def honest(project: TinyProject) -> None:
    project.commit()


def r1_other_bytes_each_time(project: TinyProject) -> None:
    train(project, "repr(random.random())", "import random")
    project.commit()


def r2_a_model_made_by_hand(project: TinyProject) -> None:
    project.commit()
    project.write("out/model/weights", "FABRICATED")
    project.dvc("commit", "-q", "-f")
    project.commit(repro=False)


def r3_a_poisoned_run_cache(project: TinyProject) -> None:
    """The helper is untracked, and gone once the run-cache and the lock know what it made."""
    helper = "\n    ".join(["try:", "    from helper import V", "except ImportError:", "    V = 'HONEST'"])
    train(project, "V", helper)
    project.write("helper.py", "V = 'POISONED'\n")
    project.repro()
    (project.root / "helper.py").unlink()
    project.commit(repro=False)


def r4_code_edited_while_it_ran(project: TinyProject) -> None:
    """DVC hashes dependencies after the command, so its lock pairs the new code with the old output."""
    train(project, "'OLD'", "Path('train.py').write_text(Path('train.py').read_text().replace('OLD', 'NEW'))")
    project.repro()
    train(project, "'NEW'")
    project.dvc("commit", "-q", "-f")
    project.commit(repro=False)


PLANTED = [r1_other_bytes_each_time, r2_a_model_made_by_hand, r3_a_poisoned_run_cache, r4_code_edited_while_it_ran]


def test_an_honest_commit_ends_with_0(project: TinyProject, capsys: pytest.CaptureFixture[str]) -> None:
    honest(project)
    capsys.readouterr()  # what DVC said while the project was made

    assert main_inner(["reproduce", "tiny"]) is ExitCode.OK
    assert capsys.readouterr().out == "tiny: reproducible\n  out/model: identical\n"


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__)
def test_a_scripted_failure_of_dvc_ends_with_13(
    project: TinyProject, plant: Callable[[TinyProject], None], capsys: pytest.CaptureFixture[str]
) -> None:
    plant(project)

    assert main_inner(["reproduce", "tiny"]) is ExitCode.NOT_REPRODUCIBLE
    assert "out/model: different" in capsys.readouterr().out


def test_run_ends_with_13_promotes_nothing_and_leaves_a_report_that_says_why(
    project: TinyProject, capsys: pytest.CaptureFixture[str]
) -> None:
    r2_a_model_made_by_hand(project)

    assert main_inner(["run", "tiny", "--first"]) is ExitCode.NOT_REPRODUCIBLE
    assert "not reproducible" in capsys.readouterr().out
    assert project.git("tag") == ""
    assert not (project.root / ".passmuster/tiny/score.json").exists()
    assert "out/model" in (project.root / ".passmuster/tiny/report.md").read_text()


@pytest.mark.parametrize(
    ("step", "code"),
    [("score", ExitCode.NOT_REPRODUCIBLE), ("gate", ExitCode.REFUSED), ("promote", ExitCode.REFUSED)],
)
def test_no_later_step_goes_on_from_what_is_not_reproducible(project: TinyProject, step: str, code: ExitCode) -> None:
    r2_a_model_made_by_hand(project)
    main_inner(["reproduce", "tiny"])

    assert main_inner([step, "tiny"]) is code


def test_a_commit_that_does_not_exist_is_a_wrong_call(project: TinyProject, capsys: pytest.CaptureFixture[str]) -> None:
    honest(project)

    assert main_inner(["reproduce", "tiny", "--commit", "nowhere"]) is ExitCode.USAGE
    assert "there is no commit 'nowhere'" in capsys.readouterr().err


def test_uncommitted_changes_are_not_judged_and_the_user_is_told(
    project: TinyProject, capsys: pytest.CaptureFixture[str]
) -> None:
    honest(project)
    train(project, "'UNFINISHED'")

    assert main_inner(["reproduce", "tiny"]) is ExitCode.OK
    assert "changes that are not committed; what is judged is HEAD" in capsys.readouterr().err
