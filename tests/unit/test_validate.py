"""All that a config names must be there; what is not, is complained about at its place."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from passmuster.config import ConfigError
from passmuster.errors import UsageError
from passmuster.validate import to_text, validate

SMALLEST = (Path(__file__).parents[1] / "examples" / "good" / "smallest.yaml").read_text()
ROOT = Path(__file__).parents[2]
LOCK = f"numpy==2.0.0 \\\n    --hash=sha256:{'0' * 64}\n"
PIPELINE = """\
stages:
  prepare:
    cmd: python prepare.py
    outs: [out/data]
  train:
    cmd: python train.py
    deps: [out/data]
    outs: [out/model]
  other:
    cmd: python other.py
    outs: [out/other]
"""


class Project:
    """A checkout with one model in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        subprocess.run(["git", "init", "--quiet", "."], cwd=root, check=True)
        data = {"train: train.csv": "train: out/data/train.csv", "test: test.csv": "test: test.csv"}
        self.config = SMALLEST
        for old, new in data.items():
            self.config = self.config.replace(old, new)
        files = {"dvc.yaml": PIPELINE, "requirements.txt": LOCK, "test.csv": "", "gates/mine.py": "", "tests/t.py": ""}
        for path, text in {**files, "model-configs/smallest.yaml": self.config}.items():
            self.write(path, text)

    def write(self, path: str, text: str) -> None:
        (self.root / path).parent.mkdir(exist_ok=True, parents=True)
        (self.root / path).write_text(text)

    def complaints(self, **replaced: str) -> list[str]:
        text = self.config
        for old, new in replaced.items():
            assert f"{old}:" in text
            text = text.replace(f"{old}:", new, 1)
        self.write("model-configs/smallest.yaml", text)
        with pytest.raises(ConfigError) as caught:
            validate(self.root)
        return [complaint.message for complaint in caught.value.complaints]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_a_model_whose_things_are_all_there_is_in_order(project: Project) -> None:
    configs = validate(project.root)

    assert list(configs) == ["smallest"]
    assert to_text(configs) == "ok  smallest  regression  model-configs/smallest.yaml"


def test_the_example_models_of_this_repository_are_in_order() -> None:
    assert set(validate(ROOT)) == {"credit-default", "loan-pricing"}


@pytest.mark.parametrize(
    ("key", "text", "complaint"),
    [
        ("  targets", "  targets: [trian] #", "DVC knows no stage or output 'trian'; perhaps you meant 'train'?"),
        ("  label", "  prepare: [prepar]\n  label:", "DVC knows no stage or output 'prepar'; perhaps you meant 'prep"),
        ("  test", "  test: tset.csv #", "neither DVC nor git has 'tset.csv'; perhaps you meant 'test.csv'?"),
        ("  train", "  train: out/dat/train.csv #", "neither DVC nor git has 'out/dat/train.csv'"),
        (
            "registry",
            "  behaviour: {tests: [tests/u.py]}\nregistry:",
            "there is no 'tests/u.py'; perhaps you meant 'tests/t.py'?",
        ),
        (
            "registry",
            "  user: {mine: {file: gates/min.py}}\nregistry:",
            "there is no 'gates/min.py'; perhaps you meant 'gates/mine.py'?",
        ),
        (
            "    out/model",
            "    out/other: {compare: bytes}\n    out/model:",
            "no stage of the targets makes 'out/other'; perhaps you meant 'out/model'?",
        ),
    ],
)  # fmt: skip
def test_what_is_not_there_is_named_with_what_looks_like_it(
    project: Project, key: str, text: str, complaint: str
) -> None:
    (found,) = project.complaints(**{key: text})

    assert found.startswith(complaint)


def test_a_name_has_a_hundred_characters_at_most(project: Project) -> None:
    """Longer ones do not fit into the ledger's tags and files; that the file is named otherwise is another matter."""
    (longer,) = project.complaints(name=f"name: {'a' * 101} #")
    (long,) = project.complaints(name=f"name: {'a' * 100} #")

    assert "does not fit: at most 100 letters" in longer
    assert "does not fit" not in long


def test_complaints_about_what_is_said_and_about_what_is_missing_come_together(project: Project) -> None:
    (project.root / "test.csv").unlink()

    found = project.complaints(owner="ownr:")

    assert len(found) == 3
    assert any("neither DVC nor git has 'test.csv'" in message for message in found)


def test_data_that_no_gate_could_see_since_it_is_ignored_is_not_there(project: Project) -> None:
    project.write(".gitignore", "test.csv\n")

    assert "neither DVC nor git has 'test.csv'" in project.complaints()[0]


def test_a_missing_lock_is_said_with_what_makes_it(project: Project) -> None:
    (project.root / "requirements.txt").unlink()

    assert project.complaints() == ["there is no lock 'requirements.txt'; `passmuster lock` makes it"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("numpy==2.0.0\n", "requirements.txt:1: 'numpy==2.0.0' has no hash"),
        (f"# x\nnumpy>=2 --hash=sha256:{'0' * 64}\n", "requirements.txt:2: 'numpy>=2' has no exact version"),
        (f"numpy==2 --hash=md5:{'0' * 32}\n", "requirements.txt:1: 'numpy==2' has no hash, or a weak one"),
        (f"--index-url https://x/\n{LOCK}", "requirements.txt:1: '--index-url' is an option"),
        ("# nothing\n", "requirements.txt:1: no requirement"),
    ],
)
def test_a_lock_has_a_version_and_a_hash_for_everything(project: Project, text: str, complaint: str) -> None:
    project.write("requirements.txt", text)

    assert project.complaints()[0].startswith(complaint)


def second_model(project: Project, lock: str, target: str) -> None:
    text = project.config.replace("smallest", "second").replace("requirements.txt", "second.txt")
    project.write("model-configs/second.yaml", text.replace("[train]", f"[train, {target}]"))
    project.write("second.txt", lock)


def test_a_stage_that_two_models_with_different_locks_need_is_a_complaint(project: Project) -> None:
    second_model(project, LOCK.replace("2.0.0", "2.1.0"), "other")

    found = project.complaints()

    assert len(found) == 2  # the stages prepare and train
    assert found[0] == (
        "stage 'prepare' also makes model 'second', whose lock 'second.txt' differs; "
        "use one lock for both, or a stage for each"
    )


def test_models_with_equal_locks_may_share_stages(project: Project) -> None:
    second_model(project, LOCK, "other")

    assert set(validate(project.root)) == {"second", "smallest"}


def test_a_pipeline_that_can_not_be_read_is_an_error(project: Project) -> None:
    project.write("dvc.yaml", "stages: [")

    with pytest.raises(UsageError, match=r"dvc\.yaml"):
        validate(project.root)


def test_outside_a_repository_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not in a git work tree"):
        validate(tmp_path)
