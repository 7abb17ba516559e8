// One conversation of Node's `ws` with the chat app, told as one line of JSON.
// Arguments: the folder of node_modules, and JSON {url, host, ca, deflate, protocol, large, fragments, heartbeat}.
'use strict';
const path = require('node:path');
const fs = require('node:fs');
const crypto = require('node:crypto');
const [folder, given] = process.argv.slice(2);
const WebSocket = require(path.join(folder, 'node_modules', 'ws'));
const asked = JSON.parse(given);
const told = { pings: 0 };
const options = {
  headers: { Host: asked.host },
  servername: asked.host,
  ca: fs.readFileSync(asked.ca),
  perMessageDeflate: asked.deflate,
};
const client = new WebSocket(asked.url, asked.protocol ? [asked.protocol] : [], options);
const waiting = [];
const heard = [];
const next = () => new Promise((resolve) => { if (heard.length) resolve(heard.shift()); else waiting.push(resolve); });
client.on('message', (data) => {
  const message = JSON.parse(data.toString());
  if (waiting.length) waiting.shift()(message); else heard.push(message);
});
client.on('ping', () => { told.pings += 1; });
client.on('error', (error) => { told.error = String(error); console.log(JSON.stringify(told)); process.exit(1); });
const closed = new Promise((resolve) => client.on('close', (code, reason) => resolve([code, reason.toString()])));
const hash = (text) => crypto.createHash('sha256').update(text).digest('hex');

client.on('open', async () => {
  told.extensions = client.extensions;
  told.protocol = client.protocol;
  told.welcome = (await next()).type;
  client.send('héllo');
  told.echo = (await next()).message;
  client.send('x'.repeat(asked.large));
  told.large = hash((await next()).message);
  const pong = new Promise((resolve) => client.once('pong', (data) => resolve(data.toString())));
  client.ping('still there?');
  told.pong = await pong;
  asked.fragments.forEach((part, at) => client.send(part, { fin: at === asked.fragments.length - 1 }));
  told.fragments = (await next()).message;
  const begun = Date.now();
  while (asked.heartbeat && told.pings === 0 && Date.now() - begun < 5000) await new Promise((resolve) => setTimeout(resolve, 20));
  client.close(4001, 'enough');
  told.closed = await closed;
  console.log(JSON.stringify(told));
});
