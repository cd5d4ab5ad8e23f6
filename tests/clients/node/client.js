// A proxyless gRPC client in JavaScript: each line on standard input is a call, each line on standard output its
// end. The lines are those of tests/clients/client.py.
'use strict';

const readline = require('node:readline');
const grpc = require('@grpc/grpc-js');
require('@grpc/grpc-js-xds').register();

const client = new grpc.Client(process.argv[2], grpc.credentials.createInsecure());
const asIs = (bytes) => bytes;

function call(asked) {
  const metadata = new grpc.Metadata();
  for (const [name, value] of asked.metadata) metadata.add(name, value);
  const options = { deadline: Date.now() + asked.timeout * 1000 };
  client.makeUnaryRequest(asked.method, asIs, asIs, Buffer.alloc(0), metadata, options, (error, response) => {
    const ended = { id: asked.id, code: error ? error.code : 0, message: error ? error.details : '', body: '' };
    if (!error) ended.body = response.toString();
    process.stdout.write(`${JSON.stringify(ended)}\n`);
  });
}

readline.createInterface({ input: process.stdin }).on('line', (line) => call(JSON.parse(line)));
