#!/usr/bin/env bash
# Installs the framework that this action belongs to. Reads PYTHON: the interpreter to install it for.
set -euo pipefail

# The runner fetches an action with its whole repository, so the framework's sources at this very commit are above it.
source="$(cd "${GITHUB_ACTION_PATH}/../../.." && pwd)"
home="${RUNNER_TEMP}/passmuster"
environment="${home}/environment"

# Not in the checkout: a `venv.py`, `pip.conf` or `uv.toml` of a pull request would be obeyed there.
mkdir -p "${home}/cache"
cd "${home}"
"${PYTHON}" -I -m venv --without-pip "${environment}"
"${PYTHON}" -I -m pip --python "${environment}/bin/python" --quiet --disable-pip-version-check install \
  --require-hashes --requirement "${source}/requirements/bootstrap.txt"
install=("${environment}/bin/uv" pip install --quiet --python "${environment}/bin/python")
"${install[@]}" --require-hashes --requirement "${source}/requirements/runtime.txt"
"${install[@]}" --no-deps --no-build-isolation "${source}"

# Ubuntu forbids user namespaces to programs that it does not know; with them, a model's code is kept from the network,
# from other processes and from the files that are not its own.
restriction=/proc/sys/kernel/apparmor_restrict_unprivileged_userns
if [[ -e "${restriction}" && "$(<"${restriction}")" != 0 ]]; then
  sudo --non-interactive sysctl --quiet --write kernel.apparmor_restrict_unprivileged_userns=0 ||
    echo "::warning::user namespaces are restricted on this runner: the models' code will run without isolation"
fi

echo "${environment}/bin" >>"${GITHUB_PATH}"
# In the job's own folder: what a pull request's code leaves there, no other job reads.
echo "PASSMUSTER_CACHE=${home}/cache" >>"${GITHUB_ENV}"
echo "cache=${home}/cache" >>"${GITHUB_OUTPUT}"
