#!/usr/bin/env bash
# Builds the wheel and runs the unit tests on what is in it, where no source of the framework lies.
set -euo pipefail
cd "$(dirname "$0")/../.."

work="$(mktemp --directory)"
trap 'rm -rf "${work}"' EXIT
uv=(.venv/bin/uv)
"${uv[@]}" build --quiet --wheel --no-build-isolation --python .venv/bin/python --out-dir "${work}/dist"
"${uv[@]}" venv --quiet --python .venv/bin/python "${work}/environment"
"${uv[@]}" pip install --quiet --python "${work}/environment/bin/python" --require-hashes -r requirements/dev.txt
"${uv[@]}" pip install --quiet --python "${work}/environment/bin/python" --no-deps "${work}"/dist/*.whl

mkdir "${work}/tree"
git ls-files -z --cached --others --exclude-standard -- . ':!ci' ':!checks' ':!serving' |
  while IFS= read -r -d '' path; do [[ ! -e "${path}" ]] || printf '%s\0' "${path}"; done |
  tar --create --null --files-from=- | tar --extract --directory "${work}/tree"
cd "${work}/tree"
git init --quiet # some tests ask git what belongs to the project
# These are about the sources.
"${work}/environment/bin/pytest" -n 2 --dist loadfile tests/unit \
  --ignore tests/unit/test_architecture.py --ignore tests/unit/test_gate_docs.py \
  --deselect tests/unit/test_scoring_ahead.py::TestTheProgramItself
