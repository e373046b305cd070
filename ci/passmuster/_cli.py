"""The command line: one command per step, named as its module. Data on stdout, talk on stderr.

Only argparse and this file are read for `--help`; a command imports its step when it runs.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from passmuster import __version__
from passmuster._console import harmless
from passmuster.engines import ENGINES
from passmuster.errors import ExitCode, PassmusterError, UsageError, combine

if TYPE_CHECKING:
    from passmuster._git import Repository
    from passmuster.config import ModelConfig
    from passmuster.report import ReportFacts

_EPILOG = """\
exit codes: 0 pass · 2 wrong call or configuration · 3 nothing to do · 4 try again · 10 not measured · 11 a gate failed
            12 inconclusive · 13 not reproducible · 14 refused · 15 lost the race        (docs/exit-codes.md)"""


def run(arguments: Sequence[str] | None = None) -> ExitCode:
    """Parse `arguments`, run the command, return its exit code."""
    parsed = parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], ExitCode] = parsed.command
    return command(parsed)


def parser() -> argparse.ArgumentParser:
    """Return the whole command line; also what the documentation is checked against."""
    top = argparse.ArgumentParser(
        prog="passmuster",
        description="A model reaches production only by passing muster.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"passmuster {__version__}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def add(name: str, command: Callable[[argparse.Namespace], ExitCode], text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        sub.set_defaults(command=command)
        return sub

    sub = add("run", _run, "take models through every step: reproduce, score, gate, report, promote")
    _models(sub, aloud=True)
    sub.add_argument("--first", action="store_true", help="the model has no champion yet; nothing will be compared")
    _force(sub)
    sub.add_argument("--dry-run", action="store_true", help="do all but promote, and say what would be promoted")

    sub = add("init", _init, "bring a repository what it needs: workflows, a first config, owners of the policy")
    sub.add_argument("--model", metavar="NAME", help="the first model's name (default: the repository's)")
    sub.add_argument("--label", metavar="COLUMN", help="the column that is predicted, where its name doesn't tell")
    sub.add_argument("--id", metavar="COLUMN", help="the column that names a row, where its name doesn't tell")
    sub.add_argument("--owner", metavar="@WHO", action="append", default=[], help="who must review changes of policy")
    sub.add_argument("--pin", metavar="OWNER/NAME@SHA", help="the workflows to call (default: this version's)")
    sub.add_argument("--yes", action="store_true", help="ask nothing")
    _dry_run(sub)

    sub = add("lock", _lock, "compile a model's requirements, with those of scoring and serving, into its lock")
    sub.add_argument("model", metavar="MODEL")
    sub.add_argument("--upgrade", action="store_true", help="take the newest versions instead of the locked ones")
    sub.add_argument("--check", action="store_true", help="write nothing; end with 2 where the lock is not in step")

    add("validate", _validate, "check all model configs, and the paths and DVC targets that they name")

    sub = add("plan", _plan, "say which models the change between two commits touches")
    since = sub.add_mutually_exclusive_group()
    since.add_argument("--base", default="origin/main", help="the commit before the change (default: %(default)s)")
    since.add_argument(
        "--since-champion", action="store_true", help="compare each model with the commit of its newest version"
    )
    sub.add_argument("--head", default="HEAD", help="the commit after it (default: %(default)s)")
    sub.add_argument("--exit-code", action="store_true", help="end with 3 where the change touches no model")
    _format(sub, ("text", "json"))

    sub = add("reproduce", _reproduce, "re-run the pipeline of a commit in a clean worktree and compare its outputs")
    _models(sub)
    sub.add_argument("--commit", default="HEAD", help="the commit to re-run (default: %(default)s)")
    _force(sub)

    sub = add("score", _score, "let candidate and champion predict the same rows, each in its own environment")
    _models(sub)
    _commit(sub)
    sub.add_argument("--base", metavar="REF", help="whose test rows count as well (default: the champion's commit)")
    where = sub.add_mutually_exclusive_group()
    where.add_argument("--supplied", action="store_true", help="take the champion that `fetch` brought; ask no MLflow")
    where.add_argument("--no-access", action="store_true", help="the champion is out of reach, as from a fork")

    sub = add("gate", _gate, "measure the candidate, and judge it by the policy")
    _models(sub)
    _commit(sub)
    sub.add_argument("--policy-ref", metavar="REF", help="read the policy, gates and tests from this commit")
    sub.add_argument("--fork", action="store_true", help="it is a fork's: its champion may be out of reach")
    sub.add_argument(
        "--informative", action="store_true", help="write gate-head.json, which decides nothing; end with 0"
    )
    sub.add_argument(
        "--only", metavar="GATE", action="append", default=[], help="show these gates alone; decides nothing"
    )
    sub.add_argument(
        "--engine",
        choices=ENGINES,
        default=ENGINES[0],
        help="who measures the columns in profile, leakage and drift (default: %(default)s)",
    )
    _format(sub, ("text", "json", "markdown"))

    sub = add("report", _report, "write the report from the records; `report post` posts it on the pull request")
    _models(sub)
    _posting(sub)
    sub.add_argument(
        "--format",
        action="append",
        choices=("text", "markdown", "html", "json", "junit"),
        help="print this format; none: write all of them beside the records",
    )

    sub = add("fetch", _fetch, "bring the champion, and the data that a commit names, for a job without secrets")
    _models(sub)
    sub.add_argument("--commit", default="HEAD", help="the commit that will be re-run (default: %(default)s)")
    sub.add_argument("--base", metavar="REF", help="the commit whose test rows count too")

    sub = add("bundle", _bundle, "hand files from one job to the next: `bundle pack MODEL`, `bundle unpack FILE MODEL`")
    whats = sub.add_subparsers(title="commands", metavar="COMMAND", required=True, dest="way")
    for way, text in (("pack", "write one tar file"), ("unpack", "check a tar file, and put its files into place")):
        one = whats.add_parser(way, help=text, description=text[0].upper() + text[1:] + ".")
        if way == "unpack":
            one.add_argument("file", metavar="FILE", type=Path)
        one.add_argument("model", metavar="MODEL")
        one.add_argument("--what", required=True, choices=("supply", "candidate", "records"), help="the kind of files")
        if way == "pack":
            one.add_argument(
                "-o", "--output", dest="file", metavar="FILE", type=Path, required=True, help="the tar file"
            )

    sub = add("conclude", _conclude, "give one answer for a whole run, from what its jobs left")
    sub.add_argument("--plan", required=True, metavar="JSON", help="what `plan --format json` said")
    sub.add_argument("--needs", required=True, metavar="JSON", help="toJSON(needs) of the workflow")
    sub.add_argument(
        "--bundles", required=True, metavar="DIR", type=Path, help="the folder with the bundles of records"
    )
    sub.add_argument("--commit", required=True, help="the commit that was judged")
    sub.add_argument("--base", required=True, metavar="REF", help="the commit whose policy rules")

    sub = add("promote", _promote, "make the judged candidate the champion")
    _models(sub, aloud=True)
    _commit(sub)
    sub.add_argument("--first", action="store_true", help="the model has no champion yet; nothing was compared")
    sub.add_argument("--deployment", metavar="ENVIRONMENT", help="tell GitHub of it as a deployment to ENVIRONMENT")
    _dry_run(sub)

    sub = add("rollback", _rollback, "make an earlier champion the champion again")
    sub.add_argument("model", metavar="MODEL")
    sub.add_argument("--to", metavar="VERSION", help="e.g. v3; default: the champion before this one")
    sub.add_argument("--reason", required=True, help="why; stands in the ledger for good")
    _dry_run(sub)

    sub = add("status", _status, "show every model's champion, and whether ledger and MLflow agree")
    _models(sub)
    _format(sub, ("text", "json"))

    sub = add("history", _history, "show who was champion when, and by whose decision")
    sub.add_argument("model", metavar="MODEL")
    sub.add_argument("--at", metavar="TIME", help="who was champion at this time (ISO 8601, e.g. 2026-11-23T12:00Z)")
    sub.add_argument("--offline", action="store_true", help="read the tags that are here, without asking the remote")
    _format(sub, ("text", "json"))

    sub = add("audit", _audit, "check the evidence of every champion there ever was")
    _models(sub)
    _format(sub, ("text", "json"))
    return top


def _models(sub: argparse.ArgumentParser, *, aloud: bool = False) -> None:
    """Let the call name models; where it may move champions, "all of them" must be said `aloud`."""
    which = "names of configs" + ("" if aloud else "; none: all of them")
    sub.add_argument("models", metavar="MODEL", nargs="*", help=which)
    sub.add_argument("--all", action="store_true", help="all models" + ("" if aloud else ", said aloud"))
    sub.set_defaults(aloud=aloud)


def _posting(sub: argparse.ArgumentParser) -> None:
    posting = sub.add_argument_group("report post [MODEL ...]")
    posting.add_argument("--run", type=int, metavar="ID", help="post what this run of a pull request's workflow left")
    posting.add_argument("--pull-request", type=int, metavar="N", help="post the records that are here to this one")
    posting.add_argument("--dry-run", action="store_true", help="print what would be posted")


def _force(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--force", action="store_true", help="re-run even where the same inputs were re-run already")


def _commit(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--commit", help="read the configs at this commit; what was re-run must be of it")


def _dry_run(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--dry-run", action="store_true", help="say what would be written, and write nothing")


def _format(sub: argparse.ArgumentParser, formats: Sequence[str]) -> None:
    sub.add_argument("--format", choices=formats, default=formats[0], help="of what is printed (default: %(default)s)")


def _repository() -> Repository:
    from passmuster._git import Repository

    return Repository.containing(Path.cwd())


def _choose(configs: dict[str, ModelConfig], args: argparse.Namespace) -> list[ModelConfig]:
    """Return the configs that the call names; none named means all."""
    import difflib

    from passmuster.config import folder as config_folder

    if args.models and args.all:
        raise UsageError("say either models or --all")
    if getattr(args, "aloud", False) and not args.models and not args.all:
        raise UsageError(f"say which models, or --all; there are: {', '.join(configs) or 'none'}")
    for name in args.models:
        if name not in configs:
            near = difflib.get_close_matches(name, configs, 1)
            hint = f"; perhaps you meant {near[0]!r}" if near else f"; there are: {', '.join(configs) or 'none'}"
            raise UsageError(f"there is no model {name!r} in {config_folder()}/{hint}")
    if not configs:
        raise UsageError(f"{config_folder()}/ holds no model; see docs/configuration.md for how to write the first one")
    return [configs[name] for name in args.models or configs]


def _here(args: argparse.Namespace) -> tuple[Path, list[ModelConfig]]:
    """Return the root and the chosen configs as they stand in the work tree."""
    from passmuster import config

    root = _repository().root
    return root, _choose(config.load(root, only=args.models), args)


def _named(root: Path, name: str) -> ModelConfig:
    """Return one model's config as it stands in the work tree."""
    from passmuster import config

    return _choose(config.load(root, only=[name]), argparse.Namespace(models=[name], all=False))[0]


def _at(args: argparse.Namespace, revision: str) -> tuple[Path, list[ModelConfig]]:
    """Return the root and the chosen configs as they stand at `revision`: what is judged is a commit."""
    from passmuster import config

    repository = _repository()
    if repository.run("status", "--porcelain", "--untracked-files=no"):
        _say(f"the work tree has changes that are not committed; what is judged is {revision}")
    return repository.root, _choose(config.load_at(repository, revision, only=args.models), args)


def _candidates(args: argparse.Namespace) -> tuple[Path, list[ModelConfig], str | None]:
    """Return the root, the chosen configs, and the commit that `--commit` names, where it is said."""
    if args.commit is None:
        return *_here(args), None
    root, configs = _at(args, args.commit)
    return root, configs, _repository().commit(args.commit)


def _say(text: str) -> None:
    print(f"passmuster: {harmless(text)}", file=sys.stderr)  # noqa: T201  talk


def _out(text: str) -> None:
    print(harmless(text))  # noqa: T201  data


def _json(value: Any) -> None:
    print(json.dumps(value, indent=1, allow_nan=False))  # noqa: T201  data; what is not ASCII is escaped


def _each(configs: Sequence[ModelConfig], work: Callable[[ModelConfig], ExitCode]) -> ExitCode:
    """Do `work` for each model; one model's trouble does not hide another's."""
    codes = []
    for config in configs:
        try:
            codes.append(work(config))
        except PassmusterError as exc:
            _say(_said_of(config.name, str(exc)))
            codes.append(exc.code)
    return combine(codes)


def _said_of(model: str, said: str) -> str:
    """Return what a step said of a model, with the model's name in front once."""
    return f"{model}: {said.removeprefix(f'{model}: ')}"


def _run(args: argparse.Namespace) -> ExitCode:
    from passmuster import run
    from passmuster._console import stdout, talking

    root, configs = _at(args, "HEAD")
    console = stdout()

    def one(config: ModelConfig) -> ExitCode:
        with talking() as talk:
            ran = run.run(root, config, first=args.first, force=args.force, dry_run=args.dry_run, progress=talk)
        if ran.reports:
            _print_report(root, config.name, "text")
        console.print(harmless(_said_of(config.name, ran.said)), markup=False)
        if "html" in ran.reports:
            console.print(f"report: {ran.reports['html'].relative_to(root)}", markup=False, soft_wrap=True)
        return ran.code

    return _each(configs, one)


def _init(args: argparse.Namespace) -> ExitCode:
    from passmuster import init

    root = _repository().root
    made = init.plan(root, model=args.model, label=args.label, key=args.id, owners=args.owner, pin=args.pin)
    _out(init.to_text(made))
    if not any(change.writes for change in made.changes):
        _say("nothing to write")
        return ExitCode.OK
    if args.dry_run or not (args.yes or _agreed()):
        _say("nothing was written" + ("" if args.dry_run else "; say --yes to write it"))
        return ExitCode.OK
    init.make(root, made)
    _out(f"\nwritten. What is left to you:\n{init.next_steps(made)}")
    return ExitCode.OK


def _agreed() -> bool:
    """Ask the person at the terminal; where nobody sits there, the answer is no."""
    if not sys.stdin.isatty():
        return False
    from rich.prompt import Confirm

    return Confirm.ask("write this?", default=True)


def _lock(args: argparse.Namespace) -> ExitCode:
    from passmuster import lock
    from passmuster._console import talking

    root = _repository().root
    chosen = _named(root, args.model)
    with talking() as talk:
        talk.step(f"compiling {chosen.requirements}")
        changed = lock.lock(root, chosen, check=args.check, upgrade=args.upgrade)
    _out(f"{chosen.requirements}: {'written' if changed else 'in step with its sources'}")
    return ExitCode.OK


def _validate(_: argparse.Namespace) -> ExitCode:
    from passmuster import validate

    _out(validate.to_text(validate.validate(_repository().root)))
    return ExitCode.OK


def _plan(args: argparse.Namespace) -> ExitCode:
    from passmuster import plan

    root = _repository().root
    planned = plan.since_champion(root, args.head) if args.since_champion else plan.plan(root, args.base, args.head)
    if args.format == "json":
        _json(plan.to_json(planned))
    else:
        _out(plan.to_text(planned))
    return ExitCode.NOTHING_TO_DO if args.exit_code and not planned.models else ExitCode.OK


def _reproduce(args: argparse.Namespace) -> ExitCode:
    from passmuster import reproduce
    from passmuster._console import talking

    root, configs = _at(args, args.commit)

    def one(config: ModelConfig) -> ExitCode:
        with talking() as talk:
            found = reproduce.reproduce(root, config, commit=args.commit, force=args.force, progress=talk)
        _out(f"{config.name}: {found.body['decision']}")
        for output in found.body["outputs"]:
            _out(f"  {output['path']}: {output['result']}" + (f" ({output['reason']})" if output["reason"] else ""))
        for reason in reproduce.reasons(found):
            _say(f"{config.name}: {reason}")
        return reproduce.code(found)

    return _each(configs, one)


def _score(args: argparse.Namespace) -> ExitCode:
    from passmuster import promote, score
    from passmuster._console import talking
    from passmuster.ledger import Ledger

    root, configs, commit = _candidates(args)

    def one(config: ModelConfig) -> ExitCode:
        with talking() as talk:
            source: score.ChampionSource | score.NoAccess | None = score.NoAccess()
            if not args.no_access:
                # What was supplied has no way to the remote: the tags in this clone, and the folder, must agree.
                champion = Ledger.of(root, config).read(offline=args.supplied).champion
                source = promote.champion_source(root, config, champion, supplied=args.supplied, progress=talk)
            base = _repository().commit(args.base) if args.base else None
            found = score.score(root, config, commit=commit, base=base, champion=source, progress=talk)
        for split, entry in found.body["candidate"]["predictions"].items():
            _out(f"{config.name}: {split}, {entry['rows']:,} rows: .passmuster/{config.name}/{entry['path']}")
        _out(f"{config.name}: champion: {found.body['champion']['state']}")
        return ExitCode.OK

    return _each(configs, one)


def _gate(args: argparse.Namespace) -> ExitCode:
    from passmuster import gate, report
    from passmuster._console import talking

    if args.informative and (args.only or not args.policy_ref):
        raise UsageError("--informative goes with --policy-ref, and not with --only")
    root, configs, commit = _candidates(args)
    together: list[ReportFacts] = []

    def one(config: ModelConfig) -> ExitCode:
        if not (args.policy_ref or commit) and _repository().run("status", "--porcelain", "--", str(config.path)):
            _say(f"{config.path} has changes that are not committed; a verdict by them promotes nothing")
        with talking() as talk:
            judged = gate.gate(
                root,
                config,
                commit=commit,
                policy_ref=args.policy_ref,
                fork=args.fork,
                informative=args.informative,
                only=args.only,
                engine=args.engine,
                progress=talk,
            )
        # Of some gates alone, or for information, what stands in the folder is another verdict: the whole one.
        partly = bool(args.only) or args.informative
        told = report.part(judged) if partly else report.facts(root / ".passmuster" / config.name)
        _print_facts(told, args.format, together if len(configs) > 1 else None)
        return ExitCode.OK if args.informative else ExitCode(judged.body["code"])

    return _printed(_each(configs, one), together)


def _report(args: argparse.Namespace) -> ExitCode:
    from passmuster import report
    from passmuster._console import talking

    if args.models[:1] == ["post"]:
        return _post(args)
    if args.run or args.pull_request or args.dry_run:
        raise UsageError("--run, --pull-request and --dry-run are for `passmuster report post`")
    root, configs = _here(args)
    together: list[ReportFacts] = []

    def one(config: ModelConfig) -> ExitCode:
        for name in args.format or ():
            _print_report(root, config.name, name, together if len(configs) > 1 else None)
        if not args.format:
            with talking() as talk:
                written = report.report(root, config, progress=talk)
            for path in written.values():
                _out(str(path.relative_to(root)))
        return ExitCode.OK

    return _printed(_each(configs, one), together)


def _post(args: argparse.Namespace) -> ExitCode:
    """Post what a run left, or the records that are here, and end well where it stands, whatever the verdict."""
    from passmuster import intake, posting
    from passmuster._console import talking
    from passmuster.github.client import GitHub

    del args.models[0]
    if args.format or (args.run and (args.models or args.all or args.pull_request)):
        raise UsageError("say either --run ID alone, or models and --pull-request N; a post has one format")
    github = GitHub.from_environment()
    with talking() as talk:
        if args.run:
            found = intake.take(github, args.run, _repository().root, progress=talk)
        else:
            root, configs = _here(args)
            found = intake.of_records(github, root, [config.name for config in configs], args.pull_request)
    for problem in found.problems:
        _say(problem)
    posted = posting.post(github, found, dry_run=args.dry_run)
    if found.pull_request and not args.dry_run:
        _out(f"#{found.pull_request.number}: comment {posted.comment or 'of a newer run'}")
    return ExitCode.OK


def _print_report(root: Path, model: str, name: str, together: list[ReportFacts] | None = None) -> None:
    from passmuster import report

    _print_facts(report.facts(root / ".passmuster" / model), name, together)


def _print_facts(found: ReportFacts, name: str, together: list[ReportFacts] | None = None) -> None:
    """Print a report; where JSON of several models is asked for, keep it, so that all are one document."""
    from passmuster import report
    from passmuster._console import stdout

    if name == "json" and together is not None:
        together.append(found)
    elif name == "text":
        report.text(found, stdout())
    else:
        sys.stdout.write(report.FORMATS[name][1](found))


def _printed(code: ExitCode, together: Sequence[ReportFacts]) -> ExitCode:
    """Print what was kept as one JSON array, and return `code`."""
    from passmuster import report

    if together:
        _json([report.to_json(found) for found in together])
    return code


def _fetch(args: argparse.Namespace) -> ExitCode:
    from passmuster import fetch
    from passmuster._console import talking

    root, configs = _at(args, args.commit)
    repository = _repository()
    commit, base = repository.commit(args.commit), args.base and repository.commit(args.base)

    def one(config: ModelConfig) -> ExitCode:
        with talking() as talk:
            found = fetch.fetch(root, config.name, commit=commit, base=base, progress=talk)
        _out(f"{config.name}: champion: {found.champion or 'none'}; {len(found.objects):,} objects of DVC")
        for missing in found.missing:
            _say(f"{config.name}: neither the cache nor the DVC remote has md5 {missing}; `dvc push` it where it is")
        return ExitCode.OK

    return _each(configs, one)


def _bundle(args: argparse.Namespace) -> ExitCode:
    from passmuster import bundle

    root = _repository().root
    if args.way == "pack":
        _out(str(bundle.pack(root, args.model, args.what, args.file)))
    else:
        names = bundle.unpack(root, args.model, args.what, args.file)
        _out(f"{args.model}: {len(names):,} files of kind {args.what}")
    return ExitCode.OK


def _conclude(args: argparse.Namespace) -> ExitCode:
    from passmuster import conclude
    from passmuster._console import talking
    from passmuster.github import actions
    from passmuster.report import _pull_request as told

    with talking() as talk:
        found = conclude.conclude(
            _repository().root,
            plan=args.plan,
            needs=args.needs,
            bundles=args.bundles,
            commit=args.commit,
            base=args.base,
            progress=talk,
        )
    actions.output("verdict", found.verdict)
    actions.output("digests", json.dumps(found.digests))
    actions.summary(told.summary(found.posting))
    for text in found.said:
        _say(text)
    _out(found.verdict)
    return found.code


def _promote(args: argparse.Namespace) -> ExitCode:
    from passmuster import promote
    from passmuster._console import talking

    root, configs, commit = _candidates(args)

    def one(config: ModelConfig) -> ExitCode:
        with talking() as talk:
            result = promote.promote(
                root,
                config,
                commit=commit,
                first=args.first,
                deployment=args.deployment,
                dry_run=args.dry_run,
                progress=talk,
            )
        _out(str(result))
        return ExitCode.OK

    return _each(configs, one)


def _rollback(args: argparse.Namespace) -> ExitCode:
    from passmuster import rollback
    from passmuster._console import talking

    root = _repository().root
    chosen = _named(root, args.model)
    with talking() as talk:
        result = rollback.rollback(root, chosen, to=args.to, reason=args.reason, dry_run=args.dry_run, progress=talk)
    _out(str(result))
    return ExitCode.OK


def _status(args: argparse.Namespace) -> ExitCode:
    from passmuster import status

    root, configs = _here(args)
    standings = status.status(root, configs)
    if args.format == "json":
        _json(status.to_json(standings))
    else:
        _out(status.to_text(standings))
    return status.code(standings)


def _history(args: argparse.Namespace) -> ExitCode:
    from passmuster import history

    root = _repository().root
    chosen = _named(root, args.model)
    told = history.history(root, chosen, at=_time(args.at), offline=args.offline)
    if args.format == "json":
        _json(history.to_json(told))
    else:
        _out(history.to_text(told))
    return ExitCode.OK


def _time(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        when = datetime.fromisoformat(text)
    except ValueError as exc:
        raise UsageError(f"--at {text!r} is no time; write it as 2026-11-23T12:00Z") from exc
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def _audit(args: argparse.Namespace) -> ExitCode:
    from passmuster import audit
    from passmuster._console import talking

    root, configs = _here(args)
    with talking() as talk:
        audited = audit.audit(root, configs, progress=talk)
    if args.format == "json":
        _json(audit.to_json(audited))
    else:
        _out(audit.to_text(audited))
    return audited.code
