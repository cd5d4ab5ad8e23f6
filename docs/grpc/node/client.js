// Asks a service for its health, as its gray rules say: node client.js xds:///reviews x-release=canary
'use strict';

const grpc = require('@grpc/grpc-js');
const health = require('grpc-health-check');
require('@grpc/grpc-js-xds').register(); // the scheme xds:///

const [target, ...headers] = process.argv.slice(2);
const metadata = new grpc.Metadata();
for (const header of headers) metadata.add(...header.split('='));

const Health = grpc.makeGenericClientConstructor(health.service, 'Health');
const client = new Health(target, grpc.credentials.createInsecure());
client.check({}, metadata, { deadline: Date.now() + 20_000 }, (error, answer) => {
  if (error) throw error;
  console.log(answer.status);
  client.close();
  process.exit(0); // the connection to Grayplane would keep the program running
});
