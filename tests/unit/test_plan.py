"""Which models a change touches: none too few, and none without a reason."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from passmuster import digest, events
from passmuster._git import Repository
from passmuster.config import ConfigError
from passmuster.errors import UsageError
from passmuster.events import Promoted, Registered, Registration, RolledBack
from passmuster.ledger import Ledger
from passmuster.plan import Plan, plan, since_champion, to_json, to_text

SMALLEST = (Path(__file__).parents[1] / "examples" / "good" / "smallest.yaml").read_text()

PIPELINE = """\
stages:
  clean:
    cmd: python clean.py
    deps: [clean.py, data/raw.csv]
    outs: [out/clean.csv]
  a-train:
    cmd: python a/train.py
    deps: [a/train.py, a/lib, out/clean.csv]
    params: [a.rate, common, "other.json": [a]]
    outs: [out/a/model]
  b-train:
    cmd: python b/train.py
    deps: [b/train.py]
    params: [b]
    outs: [out/b/model]
    metrics: [{out/b/metrics.json: {cache: false}}]
"""

LOCK = """\
schema: '2.0'
stages:
  clean:
    cmd: python clean.py
    outs: [{path: out/clean.csv, md5: 1}]
  a-train:
    cmd: python a/train.py
    outs: [{path: out/a/model, md5: 2}]
  b-train:
    cmd: python b/train.py
    outs: [{path: out/b/model, md5: 3}]
"""


def config(name: str, target: str | None = None, **replaced: str) -> str:
    text = SMALLEST.replace("smallest", name).replace("out/model", f"out/{name}/model")
    text = text.replace("targets: [train]", f"targets: [{target or f'{name}-train'}]")
    text = text.replace("requirements.txt", f"{name}/requirements.txt").replace(": train.csv", f": {name}/train.csv")
    text = text.replace(": test.csv", f": {name}/test.csv")
    for old, new in replaced.items():
        text = text.replace(f"{old}:", new)
    return text


START: Mapping[str, str] = {
    "model-configs/a.yaml": config("a", gates="gates:\n  behaviour: {tests: [tests/a]}"),
    "model-configs/b.yaml": config("b", gates="gates:\n  user: {mine: {file: gates/mine.py}}"),
    "dvc.yaml": PIPELINE,
    "dvc.lock": LOCK,
    "params.yaml": "a: {rate: 1, unused: 1}\nb: {deep: {er: 1}}\ncommon: 1\n",
    "other.json": '{"a": 1, "b": 1}',
    "clean.py": "",
    "data/raw.csv.dvc": "outs: [{md5: 1, path: raw.csv}]\n",
    "a/train.py": "",
    "a/lib/util.py": "",
    "a/requirements.txt": "six==1\n",
    "a/train.csv": "",
    "b/train.py": "",
    "b/requirements.txt": "six==1\n",
    "tests/a/test_a.py": "",
    "tests/conftest.py": "",
    "gates/mine.py": "",
    "README.md": "",
}


class Project:
    """A git repository of two models."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.git("init", "--quiet", "--initial-branch=main", ".")
        self.commit(START)

    def git(self, *arguments: str) -> str:
        who = ["-c", "user.name=t", "-c", "user.email=t@localhost"]
        done = subprocess.run(["git", *who, *arguments], cwd=self.root, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def commit(self, files: Mapping[str, str | None]) -> str:
        for path, text in files.items():
            target = self.root / path
            target.parent.mkdir(parents=True, exist_ok=True)
            if text is None:
                target.unlink()
            else:
                target.write_text(text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "x")
        return self.git("rev-parse", "HEAD")

    def plan(self, files: Mapping[str, str | None]) -> Plan:
        base = self.git("rev-parse", "HEAD")
        return plan(self.root, base, self.commit(files))


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


@pytest.mark.parametrize(
    ("path", "text", "models", "reason"),
    [
        ("README.md", "x", [], ""),
        ("a/train.py", "x", ["a"], "stage a-train: a/train.py changed"),
        ("a/train.py", None, ["a"], "stage a-train: a/train.py was deleted"),
        ("a/lib/new.py", "x", ["a"], "stage a-train: a/lib/new.py is new"),
        ("clean.py", "x", ["a"], "stage clean: clean.py changed"),
        ("data/raw.csv.dvc", "outs: [{md5: 2, path: raw.csv}]\n", ["a"], "data data/raw.csv.dvc: outs changed"),
        ("a/requirements.txt", "six==2\n", ["a"], "a/requirements.txt changed"),
        ("a/train.csv", "x", ["a"], "a/train.csv changed"),
        ("model-configs/b.yaml", START["model-configs/b.yaml"] + "# x\n", ["b"], "its config: "),
        ("tests/a/test_a.py", "x", ["a"], "tests/a/test_a.py changed"),
        ("tests/a/helper.py", "x", ["a"], "tests/a/helper.py is new"),
        ("tests/conftest.py", "x", ["a"], "tests/conftest.py changed, beside tests/a"),
        ("gates/mine.py", "x", ["b"], "gates/mine.py changed"),
        ("gates/helper.py", "x", ["b"], "gates/helper.py is new, beside gates/mine.py"),
        ("out/b/metrics.json", "{}", ["b"], "stage b-train: out/b/metrics.json is new"),
        ("other.json", '{"a": 2, "b": 1}', ["a"], "stage a-train: parameter a in other.json changed"),
        ("other.json", '{"a": 1, "b": 2}', [], ""),
        ("other.json", "not json", ["a"], "stage a-train: other.json changed"),
        ("dvc.lock", LOCK.replace("md5: 3", "md5: 4"), ["b"], "stage b-train: its entry in dvc.lock changed"),
        ("dvc.lock", LOCK.partition("  b-train")[0], ["b"], "stage b-train: its entry in dvc.lock was removed"),
        ("dvc.yaml", PIPELINE.replace("cmd: python b/", "cmd: python -O b/"), ["b"], "stage b-train: cmd changed"),
        ("dvc.yaml", PIPELINE.replace("a/lib, ", ""), ["a"], "stage a-train: deps changed"),
        ("dvc.yaml", PIPELINE.replace("  clean:\n", "  clean:\n    desc: words\n"), [], ""),
        ("dvc.yaml", f"stages:\n  a-train:{PIPELINE.partition('a-train:')[2]}", ["a"], "stage clean was removed"),
        (".dvc/config", "[core]\n", ["a", "b"], "DVC's settings changed (.dvc/config is new)"),
        (".dvcignore", "x\n", ["a", "b"], "DVC's settings changed (.dvcignore is new)"),
    ],
)  # fmt: skip
def test_a_change_touches_the_models_that_depend_on_it(
    project: Project, path: str, text: str | None, models: list[str], reason: str
) -> None:
    found = project.plan({path: text})

    assert list(found.models) == models
    assert all(any(line.startswith(reason) for line in found.reasons[name]) for name in models)


@pytest.mark.parametrize(
    ("old", "new", "models"),
    [
        ("rate: 1", "rate: 2", ["a"]),
        ("rate: 1", "rate: 1.0", ["a"]),
        ("rate: 1", "rate: true", ["a"]),
        ("rate: 1, ", "", ["a"]),
        ("unused: 1", "unused: 2", []),
        ("er: 1", "er: 2", ["b"]),
        ("common: 1", "common: [1]", ["a"]),
        ("common: 1", "common: 1\nnew: 1", []),
        ("common: 1", "common: [", ["a", "b"]),
        ("common: 1", "common: 1 # with a comment", []),
    ],
)
def test_parameters_count_key_by_key(project: Project, old: str, new: str, models: list[str]) -> None:
    found = project.plan({"params.yaml": START["params.yaml"].replace(old, new)})

    assert list(found.models) == models


def test_nothing_changed_touches_nothing(project: Project) -> None:
    found = project.plan({})

    assert found.models == ()
    assert found.untouched == ("a", "b")
    assert found.all_because is None


def test_a_change_far_upstream_reaches_the_model(project: Project) -> None:
    stages = "".join(f"  s{n}:\n    cmd: go\n    deps: [d{n}]\n    outs: [d{n + 1}]\n" for n in range(1_500))
    text = PIPELINE.replace("data/raw.csv]", "data/raw.csv, d1500]") + stages
    project.commit({"dvc.yaml": text, "d0": "1"})

    assert project.plan({"d0": "2"}).reasons == {"a": ("stage s0: d0 changed",)}


def test_a_cycle_in_the_pipeline_does_not_hang(project: Project) -> None:
    text = PIPELINE.replace("clean.py, data/raw.csv", "clean.py, out/a/model")
    project.commit({"dvc.yaml": text})

    assert project.plan({"clean.py": "x"}).models == ("a",)


def test_nested_pipelines_and_working_folders_are_seen(project: Project) -> None:
    nested = "stages:\n  feed:\n    wdir: ..\n    cmd: x\n    deps: [sub/in.txt]\n    outs: [data/raw.csv]\n"
    project.commit({"data/raw.csv.dvc": None, "sub/dvc.yaml": nested, "sub/in.txt": "1"})

    assert project.plan({"sub/in.txt": "2"}).reasons == {"a": ("stage sub/dvc.yaml:feed: sub/in.txt changed",)}
    assert project.plan({"sub/dvc.yaml": nested.replace("cmd: x", "cmd: y")}).models == ("a",)


TEMPLATED = """\
vars: [names.yaml]
stages:
  train:
    foreach: ${models}
    do:
      cmd: python train.py ${item} ${names.speed}
      outs: ["out/${item}/model"]
"""


@pytest.mark.parametrize(
    ("names", "models"),
    [
        ("models: [a, b]\nnames: {speed: 2}\n", ["a", "b"]),
        ("models: [a]\nnames: {speed: 1}\n", ["b"]),
        ("models: [b, a]\nnames: {speed: 1}\nother: 1\n", []),
    ],
)
def test_templates_are_resolved_by_dvc_before_they_are_compared(
    project: Project, names: str, models: list[str]
) -> None:
    configs = {f"model-configs/{name}.yaml": config(name, f"train@{name}") for name in "ab"}
    project.commit({**configs, "dvc.yaml": TEMPLATED, "names.yaml": "models: [a, b]\nnames: {speed: 1}\n"})

    assert list(project.plan({"names.yaml": names}).models) == models


def test_what_a_link_points_to_counts(project: Project) -> None:
    project.commit({"shared/code.py": "1", "a/lib/util.py": None})
    (project.root / "a" / "lib").mkdir(exist_ok=True)
    (project.root / "a" / "lib" / "util.py").symlink_to("../../shared/code.py")
    project.commit({})

    assert project.plan({"shared/code.py": "2"}).models == ("a",)


@pytest.mark.parametrize(
    ("path", "before", "after", "everything"),
    [
        ("requirements.txt", "passmuster==1 \\\n  --hash=x\n", "passmuster==2 \\\n  --hash=x\n", True),
        ("requirements/ci.txt", "passmuster==1\nnumpy==1\n", "passmuster==1\nnumpy==2\n", True),
        ("requirements.txt", "numpy==1\n", "numpy==2\n", False),
        ("requirements.txt", "#    passmuster lock a\nnumpy==1\n", "#    passmuster lock a\nnumpy==2\n", False),
        (
            "pyproject.toml",
            'dependencies = [\n "passmuster>=1",\n]\n',
            'dependencies = [\n "passmuster>=2",\n]\n',
            True,
        ),
        ("pyproject.toml", '[x]\ny = 1\n"passmuster>=1"\n', '[x]\ny = 2\n"passmuster>=1"\n', False),
        (
            ".github/workflows/pr.yml",
            "  uses: org/passmuster/.github/workflows/gate.yml@v1\n",
            "  uses: org/passmuster/.github/workflows/gate.yml@v2\n",
            True,
        ),
        (".github/workflows/pr.yml", "  uses: actions/checkout@v1\n", "  uses: actions/checkout@v2\n", False),
        ("ci/mine.py", "1", "2", False),
    ],
)
def test_another_framework_touches_every_model(
    project: Project, path: str, before: str, after: str, everything: bool
) -> None:
    project.commit({path: before})
    found = project.plan({path: after})

    assert (found.all_because is not None) == everything
    assert found.models == (("a", "b") if everything else ())


def test_in_the_frameworks_own_repository_its_code_touches_every_model(project: Project) -> None:
    project.commit({"ci/passmuster/__init__.py": "", "serving/x.py": ""})

    assert project.plan({"serving/x.py": "2"}).all_because == "the framework itself changed (serving/x.py changed)"


@pytest.mark.parametrize("base", [None, "", "0" * 40, "f" * 40, "no-such-branch"])
def test_an_unknown_base_means_all_models_and_says_so(project: Project, base: str | None) -> None:
    found = plan(project.root, base)

    assert found.models == ("a", "b")
    assert found.all_because
    assert f"all models, because {found.all_because}" in to_text(found)


def test_a_shallow_clone_that_lacks_the_base_means_all_models_and_says_so(project: Project, tmp_path: Path) -> None:
    base = project.git("rev-parse", "HEAD")
    project.commit({"README.md": "x"})
    shallow = tmp_path / "shallow"
    project.git("clone", "--quiet", "--depth=1", f"file://{project.root}", str(shallow))

    found = plan(shallow, base)

    assert found.models == ("a", "b")
    assert "shallow" in str(found.all_because)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("dvc.yaml", "stages: ["),
        ("dvc.lock", "a: ["),
        ("dvc.lock", "a: 1"),
        ("dvc.yaml", "stages: {x: {cmd: '${no.such}'}}"),
    ],
)
def test_a_base_that_can_not_be_read_means_all_models(project: Project, path: str, text: str) -> None:
    project.commit({path: text})

    found = project.plan({path: START[path]})

    assert found.models == ("a", "b")
    assert path in str(found.all_because)


def test_a_pipeline_that_can_not_be_read_now_is_an_error(project: Project) -> None:
    with pytest.raises(UsageError, match=r"dvc\.yaml"):
        project.plan({"dvc.yaml": "stages: ["})


def test_a_faulty_config_is_an_error_with_its_complaints(project: Project) -> None:
    with pytest.raises(ConfigError, match=r"model-configs/b\.yaml:\d+:\d+: unknown key 'ownr'"):
        project.plan({"model-configs/b.yaml": config("b").replace("owner:", "ownr:")})


def test_a_head_that_is_not_there_is_an_error(project: Project) -> None:
    with pytest.raises(UsageError, match="there is no commit"):
        plan(project.root, "HEAD", "nowhere")


def test_a_commit_without_models_is_an_error_and_not_an_empty_plan(project: Project) -> None:
    with pytest.raises(UsageError, match="there is no model"):
        project.plan({"model-configs/a.yaml": None, "model-configs/b.yaml": None})


def test_a_target_that_dvc_does_not_know_keeps_the_model_in_the_plan(project: Project) -> None:
    project.commit({"model-configs/a.yaml": config("a", "a-trian")})

    found = project.plan({"README.md": "x"})

    assert found.reasons == {"a": ("DVC knows no target 'a-trian'; `passmuster validate` says more",)}


def test_removed_and_renamed_models_are_named(project: Project) -> None:
    renamed = config("c", "a-train").replace("registry: {name: c}", "registry: {name: a}")

    found = project.plan({"model-configs/a.yaml": None, "model-configs/b.yaml": None, "model-configs/c.yaml": renamed})

    assert found.removed == {"a": "c", "b": None}
    assert found.models == ("c",)
    assert "a is gone; c takes over its registry's name" in to_text(found)


def test_the_json_is_a_matrix_for_a_workflow(project: Project) -> None:
    answer = json.loads(json.dumps(to_json(project.plan({"clean.py": "x"}))))

    assert answer["matrix"] == {"include": [{"model": "a"}]}
    assert answer["models"] == ["a"]
    assert answer["all"] is False
    assert answer["reasons"] == {"a": ["stage clean: clean.py changed"]}
    assert answer["removed"] == {}


def test_many_reasons_are_shortened_and_counted(project: Project) -> None:
    found = project.plan({f"tests/a/test_{n}.py": "x" for n in range(40)})

    assert len(found.reasons["a"]) == 12
    assert found.reasons["a"][-1].startswith("and ")


def test_paths_with_spaces_and_foreign_letters_are_understood(project: Project) -> None:
    project.commit({"dvc.yaml": PIPELINE.replace("b/train.py]", '"b/tra in é.py"]'), "b/tra in é.py": "1"})

    assert project.plan({"b/tra in é.py": "2"}).models == ("b",)


def promote(project: Project, model: str, commit: str, *, back: bool = False) -> None:
    """Append a promotion, or a rollback to the first version, to the model's ledger in this repository."""
    ledger = Ledger(Repository(project.root), model, "local")
    history = ledger.read()
    champion, number = history.champion, len(history.promotions) + 1
    facts: dict[str, Any] = {
        "nonce": f"{number:032x}",
        "time": events.now(champion),
        "who": "ada",
        "model": model,
        "version": f"v{len(history.versions) + 1}",
        "commit": commit,
        "model_digest": digest.of_json("model"),
        "evidence": dict.fromkeys(("input", "reproduce", "score", "gate"), digest.of_json("evidence")),
        "registry": Registration(name=model, mlflow_version="1", run_id="r", uri="sqlite:///m.db"),
        "targets": ("train",),
    }
    previous = champion.digest if champion else None
    if back:
        first = history.versions[0]
        facts |= {"version": first.version, "commit": first.commit}
        ledger.append(RolledBack(**facts, previous=previous, promotion=number, replaced="v2", reason="worse"))
        return
    last = history.versions[-1].digest if history.versions else None
    ledger.append(
        Registered(**facts, previous=last),
        Promoted(**facts, previous=previous, promotion=number, first=number == 1),
    )


@pytest.fixture
def promoted(project: Project) -> Project:
    """Both models are champions at the first commit, with a ledger in this repository."""
    local = {f"model-configs/{name}.yaml": START[f"model-configs/{name}.yaml"] for name in "ab"}
    commit = project.commit({path: _local(text) for path, text in local.items()})
    for name in "ab":
        promote(project, name, commit)
    return project


def _local(config: str) -> str:
    found = re.sub(r"registry: \{name: (\w+)\}", r"registry: {name: \1, ledger: local}", config)
    assert found != config
    return found


def test_since_the_champion_each_model_is_compared_with_its_own_commit(promoted: Project) -> None:
    """What was refused stays in the plan until it is promoted, whatever else is merged meanwhile."""
    start = promoted.git("rev-parse", "HEAD")
    changed = promoted.commit({"a/train.py": "1"})
    promoted.commit({"b/train.py": "1"})
    both = since_champion(promoted.root)
    promote(promoted, "a", changed)
    found = since_champion(promoted.root)

    assert both.models == ("a", "b")
    assert (found.models, found.untouched) == (("b",), ("a",))
    assert found.bases == {"a": changed, "b": start}
    assert to_json(found)["bases"] == found.bases
    assert "1 of 2 models to judge, from what was promoted last" in to_text(found)


def test_since_the_champion_locks_and_parameters_count_per_model(promoted: Project) -> None:
    """As they do between any two commits; a lock is not read as YAML where its text says enough."""
    assert since_champion(promoted.root).models == ()
    promoted.commit({"dvc.lock": LOCK.replace("md5: 2", "md5: 4")})
    locked = since_champion(promoted.root)
    promoted.commit({"dvc.lock": LOCK.replace("\n  ", "\n    "), "params.yaml": str(START["params.yaml"]) + "\n"})
    same = since_champion(promoted.root)

    assert locked.reasons == {"a": ("stage a-train: its entry in dvc.lock changed",)}
    assert same.models == plan(promoted.root, same.bases["a"]).models


def test_a_model_without_a_champion_is_in_the_plan(promoted: Project) -> None:
    promoted.commit({"model-configs/c.yaml": _local(config("c", "b-train"))})
    found = since_champion(promoted.root)

    assert found.reasons == {"c": ("it has no champion yet",)}
    assert found.bases["c"] is None


def test_a_champion_whose_commit_is_not_here_is_in_the_plan(promoted: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing says then that nothing changed."""
    monkeypatch.setattr(Repository, "has", lambda *_: False)
    found = since_champion(promoted.root)

    assert found.models == ("a", "b") and "v1 is the newest version, but" in found.reasons["a"][0]


def test_in_a_shallow_clone_the_ledgers_tags_bring_their_commits(promoted: Project, tmp_path: Path) -> None:
    promoted.commit({path: text.replace("local", "origin") for path, text in _configs(promoted).items()})
    promote(promoted, "a", promoted.git("rev-parse", "HEAD"))
    promoted.commit({"a/train.py": "1"})
    promoted.git("clone", "--quiet", "--bare", ".", f"{tmp_path}/full.git")
    promoted.git("clone", "--quiet", "--depth=1", "--no-tags", f"file://{tmp_path}/full.git", f"{tmp_path}/shallow")
    found = since_champion(tmp_path / "shallow")

    assert found.reasons["a"] == ("stage a-train: a/train.py changed",)
    assert found.reasons["b"][0].startswith("its config")


def _configs(project: Project) -> dict[str, str]:
    names = [f"model-configs/{name}.yaml" for name in "ab"]
    return {name: (project.root / name).read_text() for name in names}


def test_a_ledger_that_is_not_intact_puts_its_model_into_the_plan_and_no_other(promoted: Project) -> None:
    promoted.git("tag", "--delete", "a@v1.0.0")
    promoted.git("tag", "b-something")
    found = since_champion(promoted.root)

    assert found.models == ("a",) and "not intact" in found.reasons["a"][0]


def test_what_was_rolled_back_stays_away_until_something_touches_the_model(promoted: Project) -> None:
    """Compared with the older champion it would be judged with every merge, and refused as known each time."""
    promote(promoted, "a", promoted.commit({"a/train.py": "1"}))
    promote(promoted, "a", "", back=True)
    before = since_champion(promoted.root).models
    promoted.commit({"a/train.py": "2"})

    assert (before, since_champion(promoted.root).models) == ((), ("a",))
