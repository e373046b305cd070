// What both actions say to act's server: one call of the artifact service.
'use strict';

exports.input = (name) => (process.env[`INPUT_${name.toUpperCase()}`] || '').trim();

function ids() {
  const claims = JSON.parse(Buffer.from(process.env.ACTIONS_RUNTIME_TOKEN.split('.')[1], 'base64url'));
  const [, run, job] = claims.scp.split(' ').find((scope) => scope.startsWith('Actions.Results:')).split(':');
  return { workflow_run_backend_id: run, workflow_job_run_backend_id: job };
}

exports.call = async (method, body) => {
  const address = `/twirp/github.actions.results.api.v1.ArtifactService/${method}`;
  const answer = await fetch(new URL(address, process.env.ACTIONS_RESULTS_URL), {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${process.env.ACTIONS_RUNTIME_TOKEN}` },
    body: JSON.stringify({ ...ids(), ...body }),
  });
  if (!answer.ok) throw new Error(`${method}: ${answer.status} ${await answer.text()}`);
  return answer.json();
};

exports.main = (work) => work().catch((error) => {
  console.log(`::error::${error.message}`);
  process.exit(1);
});
