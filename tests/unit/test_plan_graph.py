"""The quick reading of DVC's graph says what DVC's own says."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from passmuster import _dvc_graph
from passmuster._tree import Folder

FILES = {
    "params.yaml": "sizes: [1, 2]\nmodels: {x: {lr: 0.1}, y: {lr: 0.2}}\nwhere: data\nflag: true\n",
    "extra.json": '{"depth": {"max": 3}}',
    "dvc.yaml": """\
vars: [extra.json, {speed: 7}]
stages:
  plain:
    desc: words
    cmd: [echo 1, echo 2]
    deps: [data/raw.csv, src]
    params: [sizes, models.x, extra.json: [depth.max], whole.toml: ]
    outs: [out/a, out/b.csv: {cache: false, persist: true}]
    metrics: [out/m.json: {cache: false}]
    plots: [out/p.csv: {x: a, y: b}]
  each:
    foreach: ${models}
    do:
      cmd: go ${key} ${item.lr} ${speed} ${flag}
      deps: ["out/a", "${where}/raw.csv"]
      outs: ["out/${key}"]
  grid:
    matrix: {size: "${sizes}", kind: [u, v]}
    cmd: run ${item.size} ${item.kind}
    deps: [out/x]
    outs: ["out/grid-${item.size}-${item.kind}"]
  here:
    wdir: sub
    cmd: pwd
    deps: [../src/a.py]
    params: [k]
    outs: [done]
""",
    "sub/params.yaml": "k: 1\n",
    "sub/dvc.yaml": "stages:\n  nested:\n    cmd: n\n    deps: [done, ../out/y]\n    outs: [nested.txt]\n",
    "src/a.py": "",
    "whole.toml": "a = 1\n",
    "data/raw.csv.dvc": "outs:\n- md5: d41d8cd98f00b204e9800998ecf8427e\n  size: 0\n  path: raw.csv\n",
}


#: Nine times nine times … one: a text of some lines that stands for four billion values.
BOMB = "b0: &b0 [x]\n" + "".join(f"b{n}: &b{n} [{', '.join([f'*b{n - 1}'] * 9)}]\n" for n in range(1, 11))


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DVC_NO_ANALYTICS", "1")
    for path, text in FILES.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    subprocess.run(["git", "init", "--quiet", "."], cwd=tmp_path, check=True)
    monkeypatch.chdir(tmp_path)  # DVC names stages from where it stands
    from dvc.repo import Repo

    Repo.init(str(tmp_path)).close()
    return tmp_path


def test_stages_dependencies_outputs_and_parameters_are_those_of_dvc(root: Path) -> None:
    from dvc.repo import Repo

    def relative(path: str) -> str:
        return Path(path).relative_to(root).as_posix()

    def facts(stage: Any) -> tuple[set[str], set[str], set[tuple[str, tuple[str, ...]]]]:
        params = [dep for dep in stage.deps if hasattr(dep, "params")]
        deps = {relative(dep.fs_path) for dep in stage.deps if dep not in params}
        declared = {(relative(dep.fs_path), tuple(dep.params)) for dep in params}
        return deps, {relative(out.fs_path) for out in stage.outs}, declared

    with Repo(str(root)) as repo:
        theirs = {stage.addressing: facts(stage) for stage in repo.index.stages}
    ours = {
        stage.address: (set(stage.deps), set(stage.outs), {(f, keys or ()) for f, keys in stage.params.items()})
        for stage in _dvc_graph.read(Folder(root)).stages.values()
    }

    # What a template takes from params.yaml is a parameter to DVC; here the resolved stage says it.
    assert {name: found[:2] for name, found in ours.items()} == {name: found[:2] for name, found in theirs.items()}
    assert all(found[2] <= {*theirs[name][2]} for name, found in ours.items() if name in ("plain", "here"))


def test_what_is_upstream_is_what_dvc_would_run(root: Path) -> None:
    import networkx
    from dvc.repo import Repo

    graph = _dvc_graph.read(Folder(root))
    with Repo(str(root)) as repo:
        target = next(stage for stage in repo.index.stages if stage.addressing.endswith("sub/dvc.yaml:nested"))
        upstream = {target, *networkx.descendants(repo.index.graph, target)}
        theirs = {stage.addressing for stage in upstream}

    assert graph.upstream(["sub/dvc.yaml:nested"]) == theirs


@pytest.mark.parametrize(
    ("target", "meant"),
    [
        ("plain", {"plain"}),
        ("dvc.yaml:plain", {"plain"}),
        ("each", {"each@x", "each@y"}),
        ("each@x", {"each@x"}),
        ("sub/dvc.yaml:nested", {"sub/dvc.yaml:nested"}),
        ("sub/dvc.yaml", {"sub/dvc.yaml:nested"}),
        ("out/b.csv", {"plain"}),
        ("data/raw.csv", {"data/raw.csv.dvc"}),
        ("data/raw.csv.dvc", {"data/raw.csv.dvc"}),
        ("nested", set()),
        ("plane", set()),
    ],
)
def test_a_target_is_a_stage_a_group_a_file_or_an_output(root: Path, target: str, meant: set[str]) -> None:
    assert set(_dvc_graph.read(Folder(root)).named(target)) == meant


@pytest.mark.parametrize(
    "text",
    [
        "stages: [",
        "stages: [a]",
        "stages: {a: 1}",
        "stages: {a: {cmd: x}, a: {cmd: y}}",
        "stages: {a: {cmd: x, deps: y}}",
        "stages: {a: {cmd: '${nothing.there}'}}",
        "stages: {a: {foreach: 5, do: {cmd: x}}}",
        "stages: {a: {foreach: [1]}}",
        "a: &a [1]\nb: *b",
        "a: &a {b: *a}",
        BOMB,
    ],
)
def test_what_dvc_would_refuse_is_an_error_that_names_the_file(tmp_path: Path, text: str) -> None:
    subprocess.run(["git", "init", "--quiet", "."], cwd=tmp_path, check=True)
    (tmp_path / "dvc.yaml").write_text(text)

    with pytest.raises(_dvc_graph.GraphError, match=r"^dvc\.yaml: "):
        _dvc_graph.read(Folder(tmp_path))


def test_anchors_and_merge_keys_work_as_in_dvc(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "--quiet", "."], cwd=tmp_path, check=True)
    text = "x: &x {deps: [d], frozen: true}\nstages:\n  a: {<<: *x, cmd: go}\n  b: {<<: [*x], cmd: go, deps: [e]}\n"
    (tmp_path / "dvc.yaml").write_text(text)

    stages = _dvc_graph.read(Folder(tmp_path)).stages

    assert (stages["a"].deps, stages["b"].deps) == (("d",), ("e",))
    assert stages["a"].definition["frozen"] is True


def test_the_entries_of_a_lock_are_its_texts_whatever_stands_in_them(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "--quiet", "."], cwd=tmp_path, check=True)
    text = "schema: '2.0'\nstages:\n  é:\n    cmd: \"a\n\n  b: {\"\n    deps: [{path: x}]\n  c: {cmd: z}\n"
    (tmp_path / "dvc.lock").write_text(text)

    found = _dvc_graph.lock_entries(Folder(tmp_path))

    assert list(found) == ["é", "c"]
    assert found["c"] == "c: {cmd: z}"
