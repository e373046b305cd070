"""`passmuster init` in a foreign repository: what it sees, what it writes, and what it leaves alone."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from passmuster import config, init, validate
from passmuster.config import Task
from passmuster.errors import UsageError
from passmuster.init import State
from support.tiny_project import TinyProject

PIN = f"passmuster/passmuster@{'a' * 40}"
LATER = f"passmuster/passmuster@{'b' * 40}"
RAW = "row_id,x,target\n" + "".join(f"{i},{i % 3},{i % 2}\n" for i in range(1, 41))


@pytest.fixture(scope="module")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    project = TinyProject(tmp_path_factory.mktemp("foreign") / "churn model")
    project.write("raw.csv", RAW)
    project.write("requirements.txt", "mlflow\n")
    project.git("remote", "add", "origin", "git@github.com:acme/churn.git")
    project.commit()
    return project.root


@pytest.fixture
def root(made_once: Path, tmp_path: Path) -> Path:
    import shutil

    return Path(shutil.copytree(made_once, tmp_path / "churn model", symlinks=True))


def wanted(root: Path, pin: str = PIN) -> init.Made:
    return init.plan(root, pin=pin)


def test_a_dry_run_writes_nothing(root: Path) -> None:
    before = sorted(root.rglob("*"))

    made = wanted(root)

    assert {change.state for change in made.changes} == {State.NEW}
    assert sorted(root.rglob("*")) == before


def test_the_first_config_comes_from_the_stages_and_the_columns(root: Path) -> None:
    init.make(root, wanted(root))
    (root / "models/churn-model/requirements.txt").write_text(f"a==1 --hash=sha256:{'0' * 64}\n")

    found = validate.validate(root)["churn-model"]

    assert (found.task, found.data.label, found.data.id) == (Task.BINARY, "target", "row_id")
    assert found.data.train == "out/data/train.csv"
    assert found.data.test == "out/data/test.csv"
    assert found.data.positive == "1"
    assert found.data.prepare == ("prepare",)
    assert found.pipeline.targets == ("train",)
    assert str(found.pipeline.outputs["out/model"].compare) == "predictions"
    assert list(found.data.columns) == ["row_id", "x", "target"]
    assert (root / "models/churn-model/requirements.in").read_text() == "-r ../../requirements.txt\n"


def test_workflows_are_pinned_to_the_commit_and_to_the_default_branch(root: Path) -> None:
    init.make(root, wanted(root))

    for name in init.CALLERS:
        read = yaml.safe_load((root / ".github/workflows" / name).read_text())
        (job,) = read["jobs"].values()
        assert job["uses"].endswith(f"@{'a' * 40}")
        assert job["uses"].startswith("passmuster/passmuster/.github/workflows/")
        assert read["permissions"] == {}
    assert yaml.load((root / ".github/workflows/passmuster.yml").read_text(), yaml.BaseLoader)["on"] == {
        "pull_request": {"branches": ["main"]}
    }


def test_running_it_again_changes_nothing(root: Path) -> None:
    init.make(root, wanted(root))

    again = wanted(root)

    assert {change.state for change in again.changes} == {State.SAME}
    assert not any(change.writes for change in again.changes)


def test_a_later_version_upgrades_what_nobody_changed(root: Path) -> None:
    init.make(root, wanted(root))

    init.make(root, wanted(root, LATER))

    assert "b" * 40 in (root / ".github/workflows/passmuster.yml").read_text()
    assert {change.state for change in wanted(root, LATER).changes} == {State.SAME}


def test_of_a_file_that_a_person_changed_only_the_pins_are_brought_forward(root: Path) -> None:
    init.make(root, wanted(root))
    path = root / ".github/workflows/passmuster.yml"
    path.write_text(path.read_text() + "    with:\n      runner: ours\n")

    made = wanted(root, LATER)
    init.make(root, made)

    assert [c.state for c in made.changes if c.path.endswith("/passmuster.yml")] == [State.PINNED]
    assert path.read_text().endswith("runner: ours\n")
    assert "b" * 40 in path.read_text()


def test_what_a_person_wrote_is_left_alone_and_the_difference_is_shown(root: Path) -> None:
    path = root / ".github/workflows/passmuster.yml"
    path.parent.mkdir(parents=True)
    path.write_text("name: ours\n")

    made = wanted(root)
    init.make(root, made)

    assert path.read_text() == "name: ours\n"
    assert "-name: ours" in init.to_text(made)


def test_lines_for_the_owners_are_added_to_what_is_there(root: Path) -> None:
    (root / "CODEOWNERS").write_text("* @acme/all")

    init.make(root, init.plan(root, pin=PIN, owners=["@acme/risk"]))

    read = (root / "CODEOWNERS").read_text().splitlines()
    assert read[0] == "* @acme/all"
    assert "/model-configs/ @acme/risk" in read
    assert "/CODEOWNERS @acme/risk" in read
    assert not (root / ".github/CODEOWNERS").exists()


def test_a_config_that_is_there_is_the_persons_own(root: Path) -> None:
    init.make(root, wanted(root))
    (root / "model-configs/churn-model.yaml").write_text("name: churn-model\n")

    init.make(root, wanted(root, LATER))

    assert (root / "model-configs/churn-model.yaml").read_text() == "name: churn-model\n"


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        pytest.param(RAW.replace("target", "z"), "--label COLUMN", id="label"),
        pytest.param(RAW.replace("row_id", "z"), "--id COLUMN", id="id"),
    ],
)
def test_what_cannot_be_guessed_is_asked_for(root: Path, raw: str, said: str) -> None:
    for split in ("train", "test"):
        (root / f"out/data/{split}.csv").write_text(raw)

    made = wanted(root)

    assert any(said in reason for reason in made.missing)
    assert not any(change.path.startswith("model-configs/") for change in made.changes)


def test_a_column_that_a_person_names_counts(root: Path) -> None:
    made = init.plan(root, pin=PIN, label="x", key="row_id")
    init.make(root, made)

    assert config.load(root)["churn-model"].data.label == "x"


@pytest.mark.parametrize(
    "call",
    [
        {"pin": "passmuster/passmuster@v1"},
        {"pin": PIN, "label": "no such"},
        {"pin": PIN, "model": "…"},
    ],
)
def test_a_wrong_call_is_refused(root: Path, call: dict[str, str]) -> None:
    with pytest.raises(UsageError):
        init.plan(root, **call)


def test_a_link_out_of_the_repository_is_not_followed(root: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (root / ".github").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(UsageError, match="leads out of the repository"):
        wanted(root)


def test_a_repository_without_a_pipeline_gets_workflows_and_is_told_what_lacks(tmp_path: Path) -> None:
    project = TinyProject(tmp_path / "empty")
    (project.root / "dvc.yaml").unlink()

    made = wanted(project.root)

    assert any("makes something called a model" in reason for reason in made.missing)
    assert any(change.path.startswith(".github/workflows/") for change in made.changes)
