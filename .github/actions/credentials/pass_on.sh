#!/usr/bin/env bash
# Sets the variables that were given for the steps that follow; one that is empty would hide what OIDC has set.
set -euo pipefail

names=(
  MLFLOW_TRACKING_URI MLFLOW_TRACKING_USERNAME MLFLOW_TRACKING_PASSWORD MLFLOW_TRACKING_TOKEN
  AWS_REGION AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AZURE_STORAGE_CONNECTION_STRING
)
end="$(cat /proc/sys/kernel/random/uuid)" # nobody can know it beforehand, so no value can end itself and set another
for name in "${names[@]}"; do
  if [[ -n "${!name}" ]]; then
    printf '%s<<%s\n%s\n%s\n' "${name}" "${end}" "${!name}" "${end}" >>"${GITHUB_ENV}"
  fi
done
