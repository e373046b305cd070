// Takes artifacts from act's server and writes the files in their zips.
'use strict';
const fs = require('fs');
const path = require('path');
const zlib = require('zlib');
const { input, call, main } = require('./protocol.cjs');

function* entries(zip) {
  let end = zip.length - 22;
  while (zip.readUInt32LE(end) !== 0x06054b50) end--;
  let at = zip.readUInt32LE(end + 16);
  for (let left = zip.readUInt16LE(end + 10); left > 0; left--) {
    const [method, size] = [zip.readUInt16LE(at + 10), zip.readUInt32LE(at + 20)];
    const [name, extra, comment] = [28, 30, 32].map((offset) => zip.readUInt16LE(at + offset));
    const local = zip.readUInt32LE(at + 42);
    const start = local + 30 + zip.readUInt16LE(local + 26) + zip.readUInt16LE(local + 28);
    const content = zip.subarray(start, start + size);
    yield [zip.toString('utf8', at + 46, at + 46 + name), method ? zlib.inflateRawSync(content) : content];
    at += 46 + name + extra + comment;
  }
}

function wanted(artifact) {
  if (input('name')) return artifact.name === input('name');
  const [before, after] = input('pattern').split('*');
  return artifact.name.startsWith(before) && artifact.name.endsWith(after);
}

main(async () => {
  const chosen = ((await call('ListArtifacts', {})).artifacts || []).filter(wanted);
  // As the real one: a name must be there, a pattern may match nothing.
  if (!chosen.length && input('name')) throw new Error(`Unable to find artifact ${input('name')}`);
  for (const { name } of chosen) {
    const told = await call('GetSignedArtifactURL', { name });
    const answer = await fetch(told.signedUrl || told.signed_url);
    if (!answer.ok) throw new Error(`GET ${name}: ${answer.status}`);
    const folder = input('name') || input('merge-multiple') === 'true' ? input('path') : path.join(input('path'), name);
    for (const [file, content] of entries(Buffer.from(await answer.arrayBuffer()))) {
      fs.mkdirSync(folder, { recursive: true });
      fs.writeFileSync(path.join(folder, path.basename(file)), content);
    }
    console.log(`downloaded ${name}`);
  }
});
