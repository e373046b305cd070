"""Configs come from a checkout or a commit; what several of them claim for themselves is a complaint."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from passmuster._git import Repository
from passmuster.config import ConfigError, load, load_at
from passmuster.errors import UsageError

SMALLEST = (Path(__file__).parents[1] / "examples" / "good" / "smallest.yaml").read_text()


def write(root: Path, name: str, text: str | None = None, suffix: str = ".yaml") -> Path:
    path = root / "model-configs" / f"{name}{suffix}"
    path.parent.mkdir(exist_ok=True)
    path.write_text(SMALLEST.replace("smallest", name) if text is None else text)
    return path


def git(root: Path, *arguments: str) -> str:
    who = ["-c", "user.name=t", "-c", "user.email=t@localhost"]
    return subprocess.run(
        ["git", *who, *arguments], cwd=root, check=True, capture_output=True, text=True
    ).stdout.strip()


def test_configs_come_sorted_by_model(tmp_path: Path) -> None:
    for name in ("b", "a", "c"):
        write(tmp_path, name)

    assert list(load(tmp_path)) == ["a", "b", "c"]


def test_no_config_at_all_is_an_error_and_not_an_empty_success(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no model"):
        load(tmp_path)

    (tmp_path / "model-configs").mkdir()
    with pytest.raises(UsageError, match="there is no model"):
        load(tmp_path)


def test_a_config_with_the_wrong_ending_is_complained_about_not_overlooked(tmp_path: Path) -> None:
    write(tmp_path, "a", suffix=".yml")

    with pytest.raises(ConfigError, match=r"a\.yml:1:1: .*rename the file|a\.yml:\d+:\d+: a config's name ends"):
        load(tmp_path)


def test_two_models_can_not_have_one_name_in_the_registry(tmp_path: Path) -> None:
    write(tmp_path, "a")
    path = write(tmp_path, "b")
    path.write_text(path.read_text().replace("registry: {name: b}", "registry: {name: A}"))

    with pytest.raises(ConfigError) as caught:
        load(tmp_path)

    (complaint,) = caught.value.complaints
    assert complaint.file == "model-configs/b.yaml"
    assert complaint.message == "'A' is taken by model-configs/a.yaml:22:18; two models can't share one champion"


def test_configs_are_read_from_a_commit_whatever_the_checkout_says(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", ".")
    write(tmp_path, "a")
    git(tmp_path, "add", "--all")
    git(tmp_path, "commit", "--quiet", "--message", "one")
    write(tmp_path, "a", "broken: [")
    write(tmp_path, "b")

    assert list(load_at(Repository(tmp_path), "HEAD")) == ["a"]


def test_a_commit_without_configs_knows_no_model(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", ".")
    git(tmp_path, "commit", "--quiet", "--allow-empty", "--message", "empty")

    assert load_at(Repository(tmp_path), "HEAD") == {}


def test_a_commit_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", ".")

    with pytest.raises(UsageError, match="there is no commit"):
        load_at(Repository(tmp_path), "nowhere")


def test_a_config_that_is_a_link_in_a_commit_is_refused_and_not_followed(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", ".")
    write(tmp_path, "a")
    (tmp_path / "model-configs" / "b.yaml").symlink_to("a.yaml")
    git(tmp_path, "add", "--all")
    git(tmp_path, "commit", "--quiet", "--message", "one")

    with pytest.raises(ConfigError, match=r"b\.yaml:1:1: a config is a mapping"):
        load_at(Repository(tmp_path), "HEAD")


def test_a_named_model_does_not_wait_for_the_others_to_be_in_order(tmp_path: Path) -> None:
    write(tmp_path, "a")
    write(tmp_path, "broken", "owner: [")

    assert list(load(tmp_path, only=["a"])) == ["a"]
    for only in ([], ["broken"], ["a", "broken"], ["a", "unknown"]):
        with pytest.raises(ConfigError, match="broken"):
            load(tmp_path, only=only)


def test_where_there_is_no_config_the_message_names_no_command_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"docs/configuration\.md"):
        load(tmp_path)


def test_the_folder_with_the_configs_is_a_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One place reads it, for checkouts and commits alike."""
    write(tmp_path, "a")
    (tmp_path / "ml").mkdir()
    (tmp_path / "model-configs").rename(tmp_path / "ml" / "configs")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", "--all")
    git(tmp_path, "commit", "--quiet", "--message=x")
    monkeypatch.setenv("PASSMUSTER_CONFIGS", "./ml/configs/")

    assert load(tmp_path)["a"].path.as_posix() == "ml/configs/a.yaml"
    assert list(load_at(Repository(tmp_path), "HEAD")) == ["a"]


@pytest.mark.parametrize(
    "said", ["/etc", "../other", "a/../../b", ".", "-x", ".git", ".Git/hooks", "a\\b", "a\nb", " "]
)
def test_a_folder_that_is_not_inside_the_repository_is_a_wrong_call(
    said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "a")
    monkeypatch.setenv("PASSMUSTER_CONFIGS", said)

    with pytest.raises(UsageError, match="PASSMUSTER_CONFIGS"):
        load(tmp_path)


def test_a_folder_that_is_a_link_out_of_the_repository_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    write(tmp_path / "elsewhere", "a")
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "model-configs").symlink_to(tmp_path / "elsewhere" / "model-configs")

    with pytest.raises(UsageError, match="leaves the repository"):
        load(tmp_path / "root")


def test_no_model_has_the_name_of_a_command(tmp_path: Path) -> None:
    write(tmp_path, "post")

    with pytest.raises(ConfigError, match="word of the command line"):
        load(tmp_path)
