// Puts one file into a zip that stores it as it is, and hands that to act's server.
'use strict';
const fs = require('fs');
const path = require('path');
const { input, call, main } = require('./protocol.cjs');

function crc32(bytes) { // zlib has it from Node 20 on
  let crc = ~0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}

function zip(name, content) {
  const file = Buffer.from(name);
  const common = Buffer.alloc(26); // version … extra length, the same in both headers
  common.writeUInt16LE(20, 0);
  common.writeUInt16LE(0x800, 2); // names are UTF-8
  common.writeUInt16LE(0x21, 8); // a date that exists
  common.writeUInt32LE(crc32(content), 10);
  common.writeUInt32LE(content.length, 14);
  common.writeUInt32LE(content.length, 18);
  common.writeUInt16LE(file.length, 22);
  const local = Buffer.concat([Buffer.from('PK\x03\x04', 'latin1'), common, file, content]);
  const central = Buffer.concat([Buffer.from('PK\x01\x02\x14\x00', 'latin1'), common, Buffer.alloc(14), file]);
  const end = Buffer.alloc(22);
  end.write('PK\x05\x06', 'latin1');
  end.writeUInt16LE(1, 8);
  end.writeUInt16LE(1, 10);
  end.writeUInt32LE(central.length, 12);
  end.writeUInt32LE(local.length, 16);
  return Buffer.concat([local, central, end]);
}

async function put(address, body) {
  const answer = await fetch(address, { method: 'PUT', body, headers: { 'x-ms-blob-type': 'BlockBlob' } });
  if (!answer.ok) throw new Error(`PUT: ${answer.status} ${await answer.text()}`);
}

main(async () => {
  const file = input('path');
  if (!fs.existsSync(file)) throw new Error(`no file at ${file}`);
  const content = zip(path.basename(file), fs.readFileSync(file));
  const name = input('name');
  const made = await call('CreateArtifact', { name, version: 4 });
  const address = made.signedUploadUrl || made.signed_upload_url;
  await put(`${address}&comp=block&blockid=MDAwMA==`, content);
  await put(`${address}&comp=blocklist`, '<BlockList><Latest>MDAwMA==</Latest></BlockList>');
  await call('FinalizeArtifact', { name, size: String(content.length) });
  console.log(`uploaded ${name}: ${content.length} bytes`);
});
