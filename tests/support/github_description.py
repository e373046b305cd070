"""GitHub's own description of its API (OpenAPI), fetched once and cut down to the operations that are in use.

It comes from the npm package `@octokit/openapi`, at a pinned version and digest, into `.cache/` of the repository. What
the fake receives and answers is held to it, so neither the fake nor the client can drift from what GitHub says.
"""

from __future__ import annotations

import hashlib
import json
import os
import pwd
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

PACKAGE, VERSION = "@octokit/openapi", "23.0.2"
FILE = "package/generated/api.github.com.json"
DIGEST = "829b4bebb19a53133289f7b0bc819f4f1118115821db2ca9f25e9ee995a7da2a"
CACHE = Path(__file__).parents[2] / ".cache" / "github-openapi"

HOST = "https://api.github.com"
REPOSITORY = "/repos/{owner}/{repo}"

#: The operations that the client uses.
PATHS = (
    "/user",
    f"{REPOSITORY}/pulls",
    f"{REPOSITORY}/pulls/{{pull_number}}",
    f"{REPOSITORY}/issues/{{issue_number}}/comments",
    f"{REPOSITORY}/issues/comments/{{comment_id}}",
    f"{REPOSITORY}/check-runs",
    f"{REPOSITORY}/check-runs/{{check_run_id}}",
    f"{REPOSITORY}/commits/{{ref}}",
    f"{REPOSITORY}/commits/{{ref}}/check-runs",
    f"{REPOSITORY}/contents/{{path}}",
    f"{REPOSITORY}/git/trees/{{tree_sha}}",
    f"{REPOSITORY}/deployments",
    f"{REPOSITORY}/deployments/{{deployment_id}}/statuses",
    f"{REPOSITORY}/actions/runs/{{run_id}}",
    f"{REPOSITORY}/actions/runs/{{run_id}}/approvals",
    f"{REPOSITORY}/actions/runs/{{run_id}}/artifacts",
    f"{REPOSITORY}/actions/artifacts/{{artifact_id}}/{{archive_format}}",
)

#: What GitHub's front door answers to any call, declared for an operation or not.
GENERAL = frozenset({401, 403, 404, 429, *range(500, 600)})

_METHODS = ("get", "post", "put", "patch", "delete")
_MISSING: Any = object()


class Drift(AssertionError):
    """The fake answers what GitHub's description does not allow."""


class BadRequest(Exception):
    """GitHub's description does not allow this request."""


class Description:
    """The description, as a judge of requests and answers, and as the maker of what they must hold."""

    def __init__(self, document: dict[str, Any]) -> None:
        from openapi_core import OpenAPI

        self.document = document
        self._judge = OpenAPI.from_dict(document)

    def check_request(self, method: str, path: str, query: Mapping[str, str], body: bytes) -> None:
        """Raise `BadRequest` where GitHub would not know the call: path, parameter, type, enum, length, field."""
        from openapi_core.exceptions import OpenAPIError
        from openapi_core.testing import MockRequest

        request = MockRequest(
            HOST, method.lower(), path, args=dict(query), data=body, content_type="application/json" if body else ""
        )
        try:
            self._judge.validate_request(request)
        except OpenAPIError as exc:
            raise BadRequest(f"{method} {path}: {_why(exc)}") from exc
        operation = self._operation(method, path)
        known = {self._resolved(item)["name"] for item in operation.get("parameters", ())}
        if unknown := set(query) - known:
            raise BadRequest(f"{method} {path}: GitHub has no parameter {', '.join(sorted(unknown))}")
        self._known_fields(method, path, operation, body)

    def check_answer(self, method: str, path: str, status: int, body: bytes) -> None:
        """Raise `Drift` where GitHub would not answer so."""
        from openapi_core.exceptions import OpenAPIError
        from openapi_core.testing import MockRequest, MockResponse

        if status in GENERAL and str(status) not in self._operation(method, path)["responses"]:
            if set(json.loads(body)) - {"message", "documentation_url", "status"}:
                raise Drift(f"{method} {path} answers {status} with more than GitHub's basic error")
            return
        answer = MockResponse(body, status_code=status, content_type="application/json")
        try:
            self._judge.validate_response(MockRequest(HOST, method.lower(), path), answer)
        except OpenAPIError as exc:
            raise Drift(f"{method} {path} answers {status}: {_why(exc)}") from exc

    def fill(self, schema: str, known: Mapping[str, Any]) -> dict[str, Any]:
        """Return an object of a named schema: what is `known`, and of the rest what is required, as empty as may be."""
        found = self._filled({"$ref": f"#/components/schemas/{schema}"}, dict(known))
        assert isinstance(found, dict)
        return found

    def _filled(self, schema: dict[str, Any], known: Any = _MISSING) -> Any:
        schema = self._resolved(schema)
        for option in (*schema.get("allOf", ()), *schema.get("oneOf", ())[:1], *schema.get("anyOf", ())[:1]):
            schema = {**self._resolved(option), "nullable": schema.get("nullable", False)}
        if isinstance(known, list):
            return [self._filled(schema.get("items", {}), item) for item in known]
        if isinstance(known, dict) or (known is _MISSING and schema.get("type") == "object"):
            if known is _MISSING and schema.get("nullable"):
                return None
            return self._object(schema, {} if known is _MISSING else known)
        return known if known is not _MISSING else _empty(schema)

    def _object(self, schema: dict[str, Any], known: dict[str, Any]) -> dict[str, Any]:
        properties = schema.get("properties", {})
        names = {**dict.fromkeys(schema.get("required", ())), **dict.fromkeys(known)}
        return {name: self._filled(properties.get(name, {}), known.get(name, _MISSING)) for name in names}

    def _known_fields(self, method: str, path: str, operation: dict[str, Any], body: bytes) -> None:
        """Refuse fields that GitHub would silently ignore."""
        content = operation.get("requestBody", {}).get("content", {}).get("application/json")
        if not body or content is None:
            return
        fields = set(self._resolved(content["schema"]).get("properties", {}))
        if unknown := set(json.loads(body)) - fields:
            raise BadRequest(f"{method} {path}: GitHub has no field {', '.join(sorted(unknown))}")

    def _operation(self, method: str, path: str) -> dict[str, Any]:
        parts = path.split("/")
        for template, item in self.document["paths"].items():
            wanted = template.split("/")
            if (
                len(wanted) == len(parts)
                and all(w == p or w.startswith("{") for w, p in zip(wanted, parts, strict=True))
                and method.lower() in item
            ):
                found: dict[str, Any] = item[method.lower()]
                return found
        raise BadRequest(f"GitHub has no {method} {path}")

    def _resolved(self, item: dict[str, Any]) -> dict[str, Any]:
        while "$ref" in item:
            item = _at(self.document, item["$ref"])
        return item


@cache
def description() -> Description:
    """Return GitHub's description; the first time on a machine it is fetched."""
    how = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()  # another cut is another file
    kept = CACHE / f"{VERSION}-{how[:12]}.json"
    if not kept.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        draft = kept.with_suffix(f".{os.getpid()}")
        draft.write_text(json.dumps(cut(json.loads(_fetched()))))
        draft.replace(kept)
    return Description(json.loads(kept.read_text()))


def cut(document: dict[str, Any]) -> dict[str, Any]:
    """Return the description with the operations in `PATHS`, and of the components those that they refer to."""
    _mend(document)
    paths = {path: document["paths"][path] for path in PATHS}
    components: dict[str, Any] = {}
    todo = list(_references(paths))
    while todo:
        _, _, kind, name = (reference := todo.pop()).split("/")
        if name not in components.setdefault(kind, {}):
            components[kind][name] = _at(document, reference)
            todo += _references(components[kind][name])
    return {
        "openapi": document["openapi"],
        "info": {"title": "GitHub's API, in part", "version": VERSION},
        "servers": [{"url": HOST}],
        "paths": paths,
        "components": components,
    }


def _fetched() -> bytes:
    """Return the description out of the npm package."""
    home = pwd.getpwuid(os.getuid()).pw_dir  # the tests' own home knows no registry of packages
    with tempfile.TemporaryDirectory() as folder:
        command = ["npm", "pack", "--silent", f"{PACKAGE}@{VERSION}", "--pack-destination", folder]
        subprocess.run(command, check=True, env={**os.environ, "HOME": home}, stdout=subprocess.DEVNULL, timeout=300)
        with tarfile.open(next(Path(folder).glob("*.tgz"))) as archive:
            member = archive.extractfile(FILE)
            assert member is not None
            data = member.read()
    got = hashlib.sha256(data).hexdigest()
    assert got == DIGEST, f"{PACKAGE}@{VERSION} has another content than expected: {got}"
    return data


def _mend(item: Any) -> None:
    """Mend what a strict reader can't use.

    `nullable` beside forms or words none of which is null; a form told by its property `type` that may be an array.
    """
    for part in item.values() if isinstance(item, dict) else item if isinstance(item, list) else ():
        _mend(part)
    if not isinstance(item, dict):
        return
    if item.get("nullable") is True and isinstance(item.get("oneOf"), list):
        item["oneOf"].append({"type": "object", "nullable": True, "enum": [None]})
    if item.get("nullable") is True and isinstance(item.get("enum"), list):
        item["enum"].append(None)
    if isinstance(item.get("discriminator"), dict) and "array" in item["discriminator"].get("mapping", {}):
        del item["discriminator"]


def _references(item: Any) -> Iterator[str]:
    """Yield what is referred to, outside of examples, which are dropped."""
    if isinstance(item, list):
        for part in item:
            yield from _references(part)
    elif isinstance(item, dict):
        item.pop("examples", None)
        if isinstance(reference := item.get("$ref"), str):
            yield reference
        for part in item.values():
            yield from _references(part)


def _at(document: dict[str, Any], reference: str) -> dict[str, Any]:
    found: Any = document
    for part in reference.removeprefix("#/").split("/"):
        found = found[part.replace("~1", "/").replace("~0", "~")]
    assert isinstance(found, dict)
    return found


def _empty(schema: dict[str, Any]) -> Any:
    if schema.get("nullable"):
        return None
    if "enum" in schema:
        return schema["enum"][0]
    if schema.get("format") == "uri":
        return "https://github.example/"
    if schema.get("format") == "date-time":
        return "2026-01-01T00:00:00Z"
    return {"integer": 0, "number": 0, "boolean": False, "array": []}.get(schema.get("type", ""), "")


def _why(exc: BaseException) -> str:
    """Return the innermost reason of a refusal."""
    while exc.__cause__ is not None:
        exc = exc.__cause__
    errors = getattr(exc, "schema_errors", None)
    return (
        "; ".join(f"{'/'.join(map(str, e.absolute_path))}: {e.message[:200]}" for e in errors) if errors else str(exc)
    )


def one_segment(path: str) -> str:
    """Return a path in which what stands for several parts (a file's path) is one, as the templates have it."""
    head, found, rest = path.partition("/contents/")
    return f"{head}{found}{quote(rest, safe='%')}" if found else path
