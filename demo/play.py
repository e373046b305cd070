"""Play the story that the README tells, in a scratch clone under `.demo/` with a remote and an MLflow of its own.

Everything is done by the commands that a user would type. The folder is kept, so a second run shows that nothing is
trained again; it is made anew when the project's commit has changed.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.panel import Panel
from rich.rule import Rule
from rich.syntax import Syntax

from passmuster.environments import ensure

PROJECT = Path(__file__).resolve().parent.parent
FOLDER = Path(os.environ.get("PASSMUSTER_DEMO", PROJECT / ".demo"))
REMOTE = FOLDER / "remote.git"
CLONE = FOLDER / "clone"
PLAYED = FOLDER / "played"

console = Console(highlight=False, emoji=False)


def main() -> int:
    """Play all acts, or, where they were played, show that nothing is left to do."""
    head = output("git", "rev-parse", "HEAD", cwd=PROJECT)
    if PLAYED.exists() and PLAYED.read_text() == head:
        return once_more()
    if FOLDER.exists():
        shutil.rmtree(FOLDER)
    clone()
    first_champion()
    better_candidate()
    bad_candidate()
    rollback_and_forth()
    loan_pricing()
    PLAYED.write_text(head)
    reports()
    return 0


def clone() -> None:
    """Clone the project as it is committed; its tags, and with them its ledger, stay behind."""
    FOLDER.mkdir(parents=True)
    run("git", "clone", "--quiet", "--bare", "--no-tags", str(PROJECT), str(REMOTE), cwd=FOLDER)
    run("git", "clone", "--quiet", str(REMOTE), str(CLONE), cwd=FOLDER)
    branch = output("git", "branch", "--show-current")
    if branch != "main":  # a checkout of a commit, as CI makes it, has no branch; the story plays on main
        run("git", "switch", "--quiet", "--force-create", "main")
        run("git", "push", "--quiet", "origin", "main")


def first_champion() -> None:
    """Judge the committed model by absolute limits alone, since there is nothing to compare it with."""
    act("Act 1", "credit-default has no champion yet. A person says so with --first; absolute limits must hold.")
    passmuster("run", "credit-default", "--first", expect=0)
    keep_report("act-1")


def better_candidate() -> None:
    """Train on all features; the paired comparison on the same rows must not show harm."""
    act("Act 2", "A better candidate: compared with the champion in pairs, row by row, and promoted.")
    propose("act-2", "Use more features, and gradient boosting")
    passmuster("run", "credit-default", expect=0)
    keep_report("act-2")


def bad_candidate() -> None:
    """Make a plausible mistake on a branch; it must be refused with the reason."""
    act("Act 3", "A planted mistake on a branch. It trains without an error; it must not pass.")
    run("git", "switch", "--quiet", "--create", "bad-idea")
    propose("act-3", "Count defaults of home owners as good: the sale of the house pays the loan back")
    passmuster("run", "credit-default", expect=11)
    keep_report("act-3")
    run("git", "switch", "--quiet", "main")


def rollback_and_forth() -> None:
    """Bring the first champion back, then the second again; the ledger only grows."""
    act("Rollback", "One command brings the earlier champion back; another undoes that. History is append-only.")
    passmuster("rollback", "credit-default", "--reason", "complaints from the branches", expect=0)
    passmuster("rollback", "credit-default", "--to", "v2", "--reason", "it was the branches' form", expect=0)
    passmuster("history", "credit-default", expect=0)


def loan_pricing() -> None:
    """Do the same for a regression, in an environment of its own."""
    act("Act 4", "loan-pricing: a regression, with other versions of the same libraries.")
    passmuster("run", "loan-pricing", "--first", expect=0)
    keep_report("act-4")
    passmuster("status", expect=0)


def once_more() -> int:
    """Run everything again where nothing changed."""
    act("Once more", "Nothing has changed since the last time, so nothing is trained.")
    passmuster("run", "--all", expect=0)
    passmuster("history", "credit-default", expect=0)
    passmuster("status", expect=0)
    reports()
    return 0


def propose(act_name: str, message: str) -> None:
    """Do a data scientist's work: edit the parameters, run the pipeline, commit, push."""
    edit = PROJECT / "demo" / f"{act_name}.patch"
    console.print(Syntax(changed_lines(edit), "diff", background_color="default"))
    run("git", "apply", str(edit))
    lock = CLONE / "models/credit-default/requirements.txt"
    path = f"{ensure(lock).parent}{os.pathsep}{os.environ['PATH']}"
    with console.status("dvc repro: the data scientist trains"):
        run(sys.executable, "-m", "dvc", "repro", "--quiet", "credit-default-evaluate", env={"PATH": path})
    run("git", "commit", "--quiet", "--all", "--message", message)
    run("git", "push", "--quiet", "origin", "HEAD")


def changed_lines(patch: Path) -> str:
    """Return the lines of `patch` that people want to see."""
    return "\n".join(line for line in patch.read_text().splitlines() if re.match(r"[-+ ](?!--|\+\+)", line))


def passmuster(*arguments: str, expect: int) -> None:
    """Run passmuster as a user would, and stop the story where it ends otherwise than told."""
    console.print(f"\n[bold]$ passmuster {' '.join(arguments)}[/]")
    code = subprocess.run(
        [sys.executable, "-m", "passmuster", *arguments], cwd=CLONE, env=environment(), check=False
    ).returncode
    if code != expect:
        console.print(f"[red]the story expects exit code {expect}, but this ended with {code}[/]")
        sys.exit(code or 1)
    console.print(f"[dim]exit code {code}[/]")


def keep_report(name: str) -> None:
    """Copy the act's report, which the next act would replace."""
    model = "loan-pricing" if name == "act-4" else "credit-default"
    target = FOLDER / "reports" / f"{name}.html"
    target.parent.mkdir(exist_ok=True)
    shutil.copyfile(CLONE / ".passmuster" / model / "report.html", target)


def reports() -> None:
    """Say where the reports are."""
    lines = [
        str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
        for path in sorted((FOLDER / "reports").iterdir())
    ]
    console.print(Panel("\n".join(lines), title="one HTML report per act", expand=False))


def act(title: str, text: str) -> None:
    """Announce what comes."""
    console.print()
    console.print(Rule(f"[bold]{title}[/]"))
    console.print(text)


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment of the story's commands: an identity that needs no configuration, an MLflow of its own."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "GIT_", "DVC_"))}
    identity = {
        f"GIT_{who}_{what}": value
        for who in ("AUTHOR", "COMMITTER")
        for what, value in (("NAME", "demo"), ("EMAIL", "demo@localhost"))
    }
    return {**kept, **identity, "DVC_NO_ANALYTICS": "1", **(extra or {})}


def run(*command: str, cwd: Path = CLONE, env: Mapping[str, str] | None = None) -> None:
    """Run a command that must succeed; its output is shown only where it does not."""
    done = subprocess.run(command, cwd=cwd, env=environment(env), capture_output=True, text=True, check=False)
    if done.returncode:
        console.print(
            f"[red]{' '.join(command)} ended with {done.returncode}[/]\n{done.stdout}{done.stderr}", markup=False
        )
        sys.exit(1)


def output(*command: str, cwd: Path = CLONE) -> str:
    """Return what a command prints."""
    return subprocess.run(
        command, cwd=cwd, env=environment(), capture_output=True, text=True, check=True
    ).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
