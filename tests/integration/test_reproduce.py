"""Re-runs of real pipelines: what must, and must not, count as reproduced."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

import pytest

from passmuster import digest, environments, record
from passmuster.errors import UsageError
from passmuster.progress import Silent
from passmuster.record import Record
from passmuster.reproduce import input_digest, reasons, reproduce
from support.tiny_project import MODEL, OUTPUTS, PIPELINE, TRAIN, TinyProject, config


@pytest.fixture(autouse=True)
def _isolated(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / ".cache"))
    monkeypatch.setenv("DVC_NO_ANALYTICS", "1")
    monkeypatch.setenv("PASSMUSTER_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture
def project(tmp_path: Path) -> TinyProject:
    return TinyProject(tmp_path / "project")


class Said:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def step(self, text: str) -> None:
        self.lines.append(text)


def again(project: TinyProject, **changes: object) -> Record:
    return reproduce(project.root, config(**changes), progress=Silent())


def results(found: Record) -> dict[str, str]:
    return {output["path"]: output["result"] for output in found.body["outputs"]}


def output(found: Record, path: str) -> dict[str, object]:
    return next(item for item in found.body["outputs"] if item["path"] == path)


SINGLE = {
    "pipeline": {"targets": ("train",), "model": "out/model", "outputs": {}},
    "data": {"train": "raw.csv", "test": "raw.csv"},
}
ONE_STAGE = """\
    stages:
      train:
        cmd: python train.py
        deps: [train.py, raw.csv]
        outs: [out/model]
"""
ONE_FILE = """\
    from pathlib import Path
    {before}
    Path("out/model").mkdir(parents=True, exist_ok=True)
    Path("out/model/weights").write_text({weights})
"""


def one_stage(project: TinyProject, weights: str, before: str = "") -> None:
    """Make the pipeline one stage that writes `weights`, as the scripted failures of DVC do."""
    project.write("dvc.yaml", ONE_STAGE)
    project.write("train.py", ONE_FILE.format(weights=weights, before=before))


class TestTheScriptedFailuresOfDvc:
    def test_r1_a_training_that_gives_other_bytes_each_time_is_not_reproducible(self, project: TinyProject) -> None:
        one_stage(project, "repr(random.random())", "import random")
        project.commit()

        found = again(project, **SINGLE)

        assert found.body["decision"] == "not reproducible"
        assert results(found) == {"out/model": "different"}

    def test_r2_a_model_made_by_hand_and_committed_to_the_lock_is_not_reproducible(self, project: TinyProject) -> None:
        one_stage(project, "'HONEST'")
        project.commit()
        project.write("out/model/weights", "FABRICATED")
        project.dvc("commit", "-q", "-f")
        project.commit(repro=False)

        found = again(project, **SINGLE)

        assert project.says("status") == "Data and pipelines are up to date."
        assert found.body["decision"] == "not reproducible"
        assert (project.root / ".passmuster/tiny/model/weights").read_text() == "HONEST"

    def test_r3_a_poisoned_run_cache_and_an_untracked_helper_do_not_help(
        self, project: TinyProject, tmp_path: Path
    ) -> None:
        helper = "\n    ".join(["try:", "    from helper import V", "except ImportError:", "    V = 'HONEST'"])
        one_stage(project, "V", helper)
        project.dvc("remote", "add", "-d", "-q", "shared", str(tmp_path / "remote"))
        project.write("helper.py", "V = 'POISONED'\n")
        project.write(".gitignore", "helper.py\n")
        project.commit()
        project.dvc("push", "-q", "--run-cache")

        found = again(project, **SINGLE)

        assert found.body["decision"] == "not reproducible"
        assert (project.root / ".passmuster/tiny/model/weights").read_text() == "HONEST"

    def test_r3_main_without_the_poisoned_lock_is_judged_on_its_own_re_run(
        self, project: TinyProject, tmp_path: Path
    ) -> None:
        helper = "\n    ".join(["try:", "    from helper import V", "except ImportError:", "    V = 'HONEST'"])
        one_stage(project, "V", helper)
        project.commit()
        lock = (project.root / "dvc.lock").read_text()
        project.write("helper.py", "V = 'POISONED'\n")
        project.repro("--force")
        (project.root / "helper.py").unlink()
        (project.root / "dvc.lock").write_text(lock)

        found = again(project, **SINGLE)

        assert found.body["decision"] == "reproducible"
        assert (project.root / ".passmuster/tiny/model/weights").read_text() == "HONEST"

    def test_r4_a_lock_that_pairs_new_code_with_old_output_is_not_reproducible(self, project: TinyProject) -> None:
        edit = "Path('train.py').write_text(Path('train.py').read_text().replace('OLD', 'NEW'))"
        one_stage(project, "'OLD'", edit)
        project.repro()
        code = (project.root / "train.py").read_text()
        assert "'NEW'" in code
        project.write("train.py", code.replace(edit.replace("OLD", "NEW"), "pass  #").replace(edit, "pass"))
        project.dvc("commit", "-q", "-f")
        project.commit(repro=False)

        found = again(project, **SINGLE)

        assert project.says("status") == "Data and pipelines are up to date."
        assert found.body["decision"] == "not reproducible"
        assert results(found) == {"out/model": "different"}

    def test_r4_a_stage_that_edits_its_own_code_is_not_reproducible_though_its_output_repeats(
        self, project: TinyProject
    ) -> None:
        one_stage(project, "'SAME'", "Path('train.py').open('a').write('# edited')")
        project.commit()
        project.git("commit", "-q", "--amend", "-a", "--no-edit")

        found = again(project, **SINGLE)

        assert results(found) == {"out/model": "identical"}
        assert found.body["decision"] == "not reproducible"
        assert "train.py changed while the stages ran" in " ".join(reasons(found))


class TestAnHonestPipeline:
    def test_repeats_and_hands_on_model_and_data_named_by_digest(self, project: TinyProject) -> None:
        commit = project.commit()

        found = again(project)

        target = project.root / ".passmuster/tiny"
        assert found.body["decision"] == "reproducible"
        assert results(found)["out/predictions.csv"] == "identical"
        assert output(found, "out/model")["reason"] == "by out/predictions.csv"
        assert found.body["commit"] == commit
        assert found.body["model_digest"] == digest.of_path(target / "model")
        assert (target / "model/passmuster.lock").read_text() == "# nothing\n"
        assert found.body["data"]["test"]["rows"] == 10
        assert found.body["data"]["test"]["digest"] == digest.of_file(target / "data/test.parquet")
        assert found.body["train_ids"]["rows"] == 10
        assert found.body["params"] == {"seed": 1}
        assert found.body["metrics"]["mean_absolute_error"] == 2.0
        assert found.body["environment"].keys() == {"lock", "python", "platform", "cpu_count"}
        assert record.read(target / "reproduce.json", "reproduce") == found

    def test_leaves_the_workspace_and_the_cache_as_they_were(self, project: TinyProject) -> None:
        project.commit()
        project.write("train.py", "an unfinished edit\n")
        project.write("notes.txt", "mine\n")
        before = _state(project)

        again(project)

        assert _state(project) == before
        assert len(project.git("worktree", "list").splitlines()) == 1

    def test_is_not_run_again_for_the_same_inputs_unless_forced(self, project: TinyProject) -> None:
        project.commit()
        first = again(project)
        said, forced = Said(), Said()
        begun: list[str] = []

        second = reproduce(project.root, config(), meanwhile=lambda: begun.append("second"), progress=said)
        third = reproduce(project.root, config(), force=True, meanwhile=lambda: begun.append("third"), progress=forced)

        assert second.digest == first.digest
        assert "reused" in said.lines[-1]
        assert not any("reused" in line for line in forced.lines)
        assert begun == ["third"]
        assert third.body["model_digest"] != first.body["model_digest"]

    def test_is_reused_by_a_commit_that_touches_nothing_of_it_and_names_that_commit(self, project: TinyProject) -> None:
        project.write("src/keep.txt", "x\n")
        project.commit()
        first = again(project)
        (project.root / "src/keep.txt").write_text("y\n")
        commit = project.commit(repro=False)

        second = again(project)

        assert second.body["model_digest"] == first.body["model_digest"]
        assert second.body["commit"] == commit
        assert second.context["reused_from"] == first.digest

    def test_is_not_reused_where_a_file_of_it_was_altered(self, project: TinyProject) -> None:
        project.commit()
        again(project)
        model = project.root / ".passmuster/tiny/model/MLmodel"
        model.write_text("{}")

        found = again(project)

        assert model.read_text() != "{}"
        assert found.body["decision"] == "reproducible"

    def test_runs_its_stages_where_they_can_write_to_nothing_of_the_users(
        self, project: TinyProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Where the system allows to keep them from it; the record says whether it did."""
        places = [str(tmp_path / "cache"), str(project.root / ".git"), str(project.root / ".passmuster")]
        monkeypatch.setenv("PASSMUSTER_CACHE", places[0])
        one_stage(
            project,
            "'\\n'.join(planted)",
            f"""
    planted = []
    for place in {places!r}:
        try:
            Path(place, "planted").write_text("")
            planted.append(place)
        except OSError:
            pass""",
        )
        project.commit()

        found = again(project, **SINGLE)

        open_ = [] if found.body["isolation"]["files"] else places
        weights = (project.root / ".passmuster/tiny/model/weights").read_text()
        assert found.body["isolation"] == environments.isolation(network=True).to_json()
        assert weights.splitlines() == open_

    def test_runs_its_stages_without_secrets_in_the_environment(
        self, project: TinyProject, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        one_stage(project, "os.environ.get('AWS_SECRET_ACCESS_KEY', 'none')", "import os")
        project.commit()
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")

        found = again(project, **SINGLE)

        assert found.body["decision"] == "reproducible"
        assert (project.root / ".passmuster/tiny/model/weights").read_text() == "none"

    def test_hands_on_its_lock_and_not_the_requirements_that_mlflow_finds_in_the_project_around(
        self, project: TinyProject
    ) -> None:
        """Beside a `pyproject.toml` with `uv.lock`, MLflow writes that project's requirements into the model."""
        project.write("pyproject.toml", '[project]\nname = "other"\nversion = "1"\ndependencies = ["nothing-such"]\n')
        project.write("uv.lock", "version = 1\n")
        project.write("train.py", TRAIN + '    (model / "requirements.txt").write_text("nothing-such==1")\n')
        project.commit()

        found = again(project)

        lock = project.root / ".passmuster/tiny/model/passmuster.lock"
        assert found.body["decision"] == "reproducible"
        assert lock.read_text() == "# nothing\n"
        assert found.body["environment"]["lock"] == digest.of_file(lock)

    def test_of_an_older_commit_is_run_as_that_commit_was(self, project: TinyProject) -> None:
        first = project.commit()
        project.write("settings.py", "SCALE = 3\n")
        project.write("train.py", TRAIN + "\n")
        project.commit()

        found = reproduce(project.root, config(), commit=first, progress=Silent())

        assert found.body["commit"] == first
        assert found.body["decision"] == "reproducible"
        assert found.body["metrics"]["mean_absolute_error"] == 2.0

    def test_finds_none_of_its_committed_outputs_not_even_those_that_persist(self, project: TinyProject) -> None:
        metrics = Path("out/metrics.json")
        kept = "out/metrics.json: {cache: false, persist: true}"
        counting = 'json.dumps({"runs": 1 + Path("out/metrics.json").exists()})'
        written = TRAIN.replace('json.dumps({"mean_absolute_error": abs(mean), "rows": len(test)})', counting)
        project.write("train.py", written)
        project.write("dvc.yaml", PIPELINE.replace("out/metrics.json: {cache: false}", kept))
        project.commit()
        assert json.loads((project.root / metrics).read_text()) == {"runs": 1}

        found = again(
            project,
            pipeline={"outputs": {MODEL: OUTPUTS[MODEL], "out/predictions.csv": OUTPUTS["out/predictions.csv"]}},
        )

        assert found.body["decision"] == "reproducible"
        assert found.body["metrics"] == {"runs": 1}


class TestTheInputDigest:
    def test_follows_code_parameters_lock_policy_and_modules_that_no_stage_declares(self, project: TinyProject) -> None:
        project.write("code/train.py", TRAIN)
        project.write("code/settings.py", "SCALE = 1\n")
        project.write("dvc.yaml", PIPELINE.replace("train.py", "code/train.py"))
        project.commit()
        seen = [input_digest(project.root, config()), input_digest(project.root, config(name="other"))]
        for path, text in {
            "code/settings.py": "SCALE = 2\n",
            "params.yaml": "seed: 2\nother: 2\n",
            "requirements.txt": "# another\n",
            "raw.csv": "id,x,y\n1,1,1\n2,2,2\n",
        }.items():
            project.write(path, text)
            project.commit(repro=False)
            seen.append(input_digest(project.root, config()))

        assert len(set(seen)) == len(seen)

    @pytest.mark.parametrize(
        ("cmd", "path"),
        [
            ("python train.py", "settings.py"),
            ("python train.py", "lib/helper.py"),
            ("python code/train.py", "code/train.py"),
            ("PYTHONPATH=lib python code/train.py", "lib/helper.py"),
            ("python -m code.train", "lib/helper.py"),
        ],
    )
    def test_follows_what_a_command_runs_whether_or_not_the_stage_declares_it(
        self, project: TinyProject, cmd: str, path: str
    ) -> None:
        """Else a model of the old code would be taken for one of the new."""
        for file in ("code/train.py", "lib/helper.py"):
            project.write(file, "")
        project.write(
            "dvc.yaml",
            ONE_STAGE.replace("deps: [train.py, raw.csv]", "deps: [raw.csv]").replace("python train.py", cmd),
        )
        project.commit(repro=False)
        before = input_digest(project.root, config(**SINGLE))
        project.write(path, "X = 2\n")
        project.commit(repro=False)

        assert input_digest(project.root, config(**SINGLE)) != before

    def test_does_not_follow_undeclared_parameters_and_files_elsewhere(self, project: TinyProject) -> None:
        project.commit()
        before = input_digest(project.root, config())
        project.write("params.yaml", "seed: 1\nother: 3\n")
        project.write("docs/page.md", "news\n")
        project.commit(repro=False)

        assert input_digest(project.root, config()) == before


class TestDataThatIsNotInGit:
    @pytest.fixture
    def tracked(self, project: TinyProject) -> TinyProject:
        project.dvc("add", "-q", "raw.csv")
        project.commit()
        return project

    def test_comes_from_the_users_cache_which_no_stage_can_alter(self, project: TinyProject) -> None:
        project.dvc("add", "-q", "raw.csv")
        project.write(
            "train.py", TRAIN + '    Path("raw.csv").chmod(0o644)\n    Path("raw.csv").write_text("spoilt")\n'
        )
        project.write("raw.csv.bak", (project.root / "raw.csv").read_text())
        project.repro()
        shutil.move(project.root / "raw.csv.bak", project.root / "raw.csv")
        project.commit(repro=False)
        before = _tree(project.root / ".dvc/cache")

        found = again(project)

        assert found.body["decision"] == "not reproducible"
        assert "raw.csv changed while the stages ran" in " ".join(reasons(found))
        assert _tree(project.root / ".dvc/cache") == before

    def test_is_brought_and_the_run_repeats(self, tracked: TinyProject) -> None:
        found = again(tracked)

        assert found.body["decision"] == "reproducible"

    def test_comes_from_the_remote_also_where_its_path_is_relative(self, tracked: TinyProject, tmp_path: Path) -> None:
        tracked.dvc("remote", "add", "-d", "-q", "shared", "../remote")
        tracked.dvc("push", "-q")
        tracked.commit(repro=False)
        shutil.rmtree(tracked.root / ".dvc/cache")

        found = again(tracked)

        assert (tmp_path / "remote").is_dir()
        assert found.body["decision"] == "reproducible"

    def test_comes_from_the_checkouts_remotes_whatever_the_commit_would_choose(
        self, tracked: TinyProject, tmp_path: Path
    ) -> None:
        """A commit of somebody else's must not lead this user's credentials to another place."""
        tracked.dvc("remote", "add", "-d", "-q", "theirs", "../theirs")
        tracked.dvc("push", "-q")
        foreign = tracked.commit(repro=False)
        tracked.git("checkout", "-q", "HEAD~1")
        shutil.rmtree(tracked.root / ".dvc/cache")
        said = Said()

        found = reproduce(tracked.root, config(), commit=foreign, progress=said)

        assert found.body["decision"] == "error"
        assert "no DVC remote is set" in " ".join(reasons(found))
        assert any("sets core.remote, remote.theirs.url otherwise" in line for line in said.lines)

    def test_that_nobody_has_is_an_error_that_says_so(self, tracked: TinyProject) -> None:
        shutil.rmtree(tracked.root / ".dvc/cache")

        found = again(tracked)

        assert found.body["decision"] == "error"
        assert set(results(found).values()) == {"error"}
        assert "no DVC remote is set" in " ".join(reasons(found))
        assert found.body["model_digest"] is None

    def test_that_was_altered_in_the_cache_is_not_taken(self, tracked: TinyProject) -> None:
        for file in (tracked.root / ".dvc/cache/files").rglob("*"):
            if file.is_file() and file.read_text().startswith("id,x,y\n1,"):
                file.chmod(0o644)
                file.write_text("id,x,y\n1,1,1\n2,2,2\n")

        found = again(tracked)

        assert found.body["decision"] == "error"


class TestAFreshCloneWithAnEmptyCacheAndNoRemote:
    def test_can_judge_where_the_references_are_in_git(self, project: TinyProject, tmp_path: Path) -> None:
        project.commit()
        project.git("clone", "-q", "--depth", "1", f"file://{project.root}", str(tmp_path / "clone"))

        found = reproduce(tmp_path / "clone", config(), progress=Silent())

        assert found.body["decision"] == "reproducible"

    def test_says_error_and_never_within_tolerance_where_the_old_content_is_gone(
        self, project: TinyProject, tmp_path: Path
    ) -> None:
        noise = '"mean_absolute_error": abs(mean) + __import__("random").random() * 1e-12'
        project.write("train.py", TRAIN.replace('"mean_absolute_error": abs(mean)', noise))
        project.write("dvc.yaml", PIPELINE.replace("metrics.json: {cache: false}", "metrics.json: {cache: true}"))
        project.commit()
        project.git("clone", "-q", str(project.root), str(tmp_path / "clone"))

        here = again(project)
        there = reproduce(tmp_path / "clone", config(), progress=Silent())

        assert results(here)["out/metrics.json"] == "within tolerance"
        assert here.body["decision"] == "reproducible"
        assert results(there)["out/metrics.json"] == "error"
        assert there.body["decision"] == "error"


class TestWhatIsNotAPass:
    def test_metrics_beyond_their_tolerance_with_numbers(self, project: TinyProject) -> None:
        noise = '"mean_absolute_error": abs(mean) + __import__("random").random()'
        project.write("train.py", TRAIN.replace('"mean_absolute_error": abs(mean)', noise))
        project.commit()

        found = again(project)

        details = output(found, "out/metrics.json")["details"]
        assert found.body["decision"] == "not reproducible"
        assert results(found)["out/metrics.json"] == "different"
        assert isinstance(details, dict)
        assert details["where"]["metric"] == "mean_absolute_error"
        assert 0 < details["max_abs"] < 1

    def test_metrics_that_are_nan_although_their_bytes_repeat(self, project: TinyProject) -> None:
        project.write("train.py", TRAIN.replace("abs(mean)", 'float("nan")'))
        project.commit()

        found = again(project)

        assert results(found)["out/metrics.json"] == "error"
        assert found.body["decision"] == "error"

    def test_a_committed_metrics_file_that_is_not_the_one_of_the_lock(self, project: TinyProject) -> None:
        project.commit()
        project.write("out/metrics.json", json.dumps({"mean_absolute_error": 0.1, "rows": 10}))
        project.commit(repro=False)

        found = again(project)

        assert found.body["decision"] == "not reproducible"
        assert "not the one that its dvc.lock names" in str(output(found, "out/metrics.json")["reason"])

    def test_a_stage_that_fails_from_the_commit_alone(self, project: TinyProject) -> None:
        project.write("train.py", "import helper\n" + _unindented(TRAIN))
        project.write("helper.py", "")
        project.write(".gitignore", "helper.py\n")
        project.commit()

        found = again(project)

        assert found.body["decision"] == "not reproducible"
        assert results(found)["out/model"] == "not re-run"
        assert "No module named 'helper'" in " ".join(reasons(found))

    def test_a_stage_that_hangs_beyond_the_time_limit(self, project: TinyProject) -> None:
        project.commit()
        project.write("train.py", "import time\ntime.sleep(600)\n")
        project.commit(repro=False)

        found = again(project, pipeline={"timeout": 6.0})

        assert found.body["decision"] == "not reproducible"
        assert "took longer than pipeline.timeout" in " ".join(reasons(found))

    def test_a_frozen_stage(self, project: TinyProject) -> None:
        project.commit()
        project.dvc("freeze", "train")
        project.commit(repro=False)

        found = again(project)

        assert found.body["decision"] == "not reproducible"
        assert set(results(found).values()) == {"not re-run"}

    def test_a_commit_without_its_lock(self, project: TinyProject) -> None:
        project.commit()
        (project.root / "dvc.lock").unlink()
        project.commit(repro=False)

        found = again(project)

        assert found.body["decision"] == "error"
        assert set(results(found).values()) == {"error"}

    def test_a_stage_that_the_lock_does_not_know(self, project: TinyProject) -> None:
        project.repro("prepare")
        project.commit(repro=False)

        found = again(project)

        assert results(found)["out/data"] == "identical"
        assert results(found)["out/metrics.json"] == "error"
        assert found.body["decision"] == "error"

    def test_a_later_stage_that_alters_what_an_earlier_one_made(self, project: TinyProject) -> None:
        project.commit()
        project.write("train.py", TRAIN + '    Path("out/data/test.csv").write_text("id,x,y\\n1,1,1\\n")\n')
        project.commit(repro=False)

        found = again(project)

        assert found.body["decision"] == "not reproducible"
        assert "out/data changed after the stage" in " ".join(reasons(found))

    def test_a_model_directory_with_another_lock_inside(self, project: TinyProject) -> None:
        project.write("train.py", TRAIN + '    (model / "passmuster.lock").write_text("evil")\n')
        project.commit()

        found = again(project)

        assert found.body["decision"] == "error"
        assert found.body["model_digest"] is None

    def test_a_run_that_is_cut_off_leaves_no_record_of_an_earlier_one(
        self, project: TinyProject, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        project.commit()
        again(project)
        project.write("settings.py", "SCALE = 3\n")
        project.write("train.py", TRAIN + "\n")
        project.commit()
        monkeypatch.setattr("passmuster.environments.ensure", lambda *_, **__: 1 / 0)

        with pytest.raises(ZeroDivisionError):
            again(project)
        assert not (project.root / ".passmuster/tiny/reproduce.json").exists()

    def test_the_results_of_an_earlier_run_are_not_left_beside_a_failed_one(self, project: TinyProject) -> None:
        project.commit()
        again(project)
        project.write("prepare.py", "raise SystemExit(1)\n")
        project.commit(repro=False)

        found = again(project)

        assert found.body["decision"] == "not reproducible"
        assert not (project.root / ".passmuster/tiny/model").exists()


class TestAConfigThatDoesNotFit:
    @pytest.mark.parametrize(
        "pipeline",
        [{"model": "elsewhere/model"}, {"targets": ("no-such-stage",)}, {"outputs": {"nothing.json": "x"}}],
    )
    def test_is_a_usage_error(self, project: TinyProject, pipeline: dict[str, object]) -> None:
        project.commit()
        if "outputs" in pipeline:
            pipeline = {"outputs": {"nothing.json": next(iter(config().pipeline.outputs.values()))}}

        with pytest.raises(UsageError, match=r"make|no DVC stage"):
            again(project, pipeline=pipeline)

    def test_only_what_is_upstream_of_the_targets_is_run(self, project: TinyProject) -> None:
        extra = "  other:\n    cmd: exit 1\n    deps: [raw.csv]\n    outs: [other.txt]\n"
        project.repro()
        project.write("dvc.yaml", _unindented(PIPELINE) + extra)
        project.commit(repro=False)

        found = again(project)

        assert found.body["stages"] == ["dvc.yaml:prepare", "dvc.yaml:train"]
        assert found.body["decision"] == "reproducible"


def _unindented(text: str) -> str:
    return "\n".join(line.removeprefix("    ") for line in text.splitlines()) + "\n"


def _tree(folder: Path) -> dict[str, str]:
    return {str(path): digest.of_file(path) for path in folder.rglob("*") if path.is_file()}


def _state(project: TinyProject) -> dict[str, object]:
    files = _tree(project.root)
    mine = {p: d for p, d in files.items() if "/.passmuster/" not in p and "/.git/" not in p and "/.dvc/tmp/" not in p}
    return {"status": project.git("status", "--porcelain"), "files": mine, "branches": project.git("branch", "-a")}


class TestALink:
    def test_of_the_commit_by_which_an_output_leaves_the_repository_is_refused(
        self, project: TinyProject, tmp_path: Path
    ) -> None:
        """What lies there is the user's; it would be removed before the stages run."""
        (tmp_path / "mine" / "model").mkdir(parents=True)
        (tmp_path / "mine" / "model" / "diary").write_text("dear diary")
        (project.root / "out").symlink_to(tmp_path / "mine")
        project.write("dvc.yaml", ONE_STAGE)
        project.commit(repro=False)

        with pytest.raises(UsageError, match="behind a link"):
            again(project, **SINGLE)
        assert (tmp_path / "mine" / "model" / "diary").exists()

    def test_of_the_commit_in_dvcs_own_folder_is_refused(self, project: TinyProject, tmp_path: Path) -> None:
        """The worktree's own settings would be written where it leads."""
        (tmp_path / "precious").write_text("mine")
        (project.root / ".dvc" / "config.local").symlink_to(tmp_path / "precious")
        project.git("add", "--force", ".dvc/config.local")
        project.commit(repro=False)

        with pytest.raises(UsageError, match=r"\.dvc/config\.local is a link"):
            again(project)
        assert (tmp_path / "precious").read_text() == "mine"

    def test_in_the_path_of_the_folder_for_temporary_files_is_no_trouble(
        self, project: TinyProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As macOS has one."""
        project.dvc("add", "-q", "raw.csv")
        project.commit()
        (tmp_path / "real").mkdir()
        (tmp_path / "link").symlink_to(tmp_path / "real")
        monkeypatch.setenv("TMPDIR", str(tmp_path / "link"))
        monkeypatch.setattr(tempfile, "tempdir", None)

        assert again(project).body["decision"] == "reproducible"
