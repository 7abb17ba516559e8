// Servers from npm, each on a port of its own, started and stopped by lines of JSON on standard input:
// {"start": name, "port": n} (0: any) and {"stop": name}. Each is answered with one line: {"name": ..., "port": ...}.
// Argument: the folder that holds node_modules. Ends with its standard input.
'use strict';
const http = require('node:http');
const path = require('node:path');
const readline = require('node:readline');
const { createRequire } = require('node:module');
const load = createRequire(path.join(process.argv[2], 'here.cjs'));

// The version of `ws` that the other packages share.
const { WebSocketServer, createWebSocketStream } = load('ws');

function schema() {
  const { GraphQLObjectType, GraphQLSchema, GraphQLString } = load('graphql');
  const fields = { hello: { type: GraphQLString, resolve: () => 'hello' } };
  return new GraphQLSchema({ query: new GraphQLObjectType({ name: 'Query', fields }) });
}

// name: (HTTP server) => the app on it, as its own documentation begins.
const SERVERS = {
  'socket.io': (server) => { new (load('socket.io').Server)(server); },
  'socket.io-impatient': (server) => {
    new (load('socket.io').Server)(server, { pingInterval: 100, pingTimeout: 1500, connectTimeout: 3000 });
  },
  'socket.io-2-at-old': (server) => { load('socket.io-2')(server, { path: '/old/socket.io' }); },
  'socket.io-2-impatient': (server) => { load('socket.io-2')(server, { pingInterval: 100, pingTimeout: 1500 }); },
  'engine.io-impatient': (server) => { load('engine.io').attach(server, { pingInterval: 100, pingTimeout: 1500 }); },
  'socketcluster-server-impatient': (server) => {
    load('socketcluster-server').attach(server, { pingInterval: 100, pingTimeout: 1500 });
  },
  'socket.io-allow-request': (server) => {
    const allowRequest = (request, answer) => answer('not on the list', false);
    new (load('socket.io').Server)(server, { allowRequest });
  },
  'socket.io-allow-origin': (server) => {
    const allowRequest = (request, answer) => answer('origin not allowed', false);
    new (load('socket.io').Server)(server, { allowRequest });
  },
  'socket.io-polling-only': (server) => {
    new (load('socket.io').Server)(server, { transports: ['polling'] });
  },
  'socket.io-2': (server) => { load('socket.io-2')(server); },
  'engine.io': (server) => { load('engine.io').attach(server); },
  sockjs: (server) => {
    const echo = load('sockjs').createServer({ log: () => {} });
    echo.on('connection', (connection) => connection.on('data', (message) => connection.write(message)));
    echo.installHandlers(server, { prefix: '/sockjs' });
  },
  ws: (server) => {
    const wss = new WebSocketServer({ server, path: '/ws' });
    wss.on('connection', (socket) => socket.on('message', (data, binary) => socket.send(data, { binary })));
  },
  'ws-at-node': (server) => { new WebSocketServer({ server, path: '/node/ws' }); },
  'ws-verify-client': (server) => {
    new WebSocketServer({ server, path: '/ws', verifyClient: (info, done) => done(false, 401) });
  },
  'graphql-ws': (server) => {
    const wss = new WebSocketServer({ server, path: '/graphql', handleProtocols: load('graphql-ws').handleProtocols });
    load('graphql-ws/use/ws').useServer({ schema: schema() }, wss);
  },
  'graphql-ws-token': (server) => {
    const wss = new WebSocketServer({ server, path: '/graphql', handleProtocols: load('graphql-ws').handleProtocols });
    load('graphql-ws/use/ws').useServer({ schema: schema(), onConnect: (ctx) => ctx.connectionParams?.token === 'right' }, wss);
  },
  'subscriptions-transport-ws': (server) => {
    const { execute, subscribe } = load('graphql');
    load('subscriptions-transport-ws').SubscriptionServer.create(
      { schema: schema(), execute, subscribe }, { server, path: '/subscriptions' });
  },
  aedes: async (server) => {
    const broker = await load('aedes').Aedes.createBroker();
    serveMqtt(server, broker);
  },
  'aedes-login': async (server) => {
    const authenticate = (client, name, password, done) => done(null, name === 'sensor');
    serveMqtt(server, await load('aedes').Aedes.createBroker({ authenticate }));
  },
  'stomp-broker-js': (server) => { new (load('stomp-broker-js'))({ server, path: '/stomp' }); },
  'socketcluster-server': (server) => { load('socketcluster-server').attach(server); },
};

function serveMqtt(server, broker) {
  const wss = new WebSocketServer({ server, path: '/mqtt', handleProtocols: (offered) => offered.has('mqtt') && 'mqtt' });
  wss.on('connection', (socket, request) => broker.handle(createWebSocketStream(socket), request));
}

const running = {};

async function start(name, port) {
  const sockets = new Set();
  const server = http.createServer();
  server.on('connection', (socket) => { sockets.add(socket); socket.on('close', () => sockets.delete(socket)); });
  await SERVERS[name](server);
  // Without a listener, a plain request waits for ever.
  if (!server.listenerCount('request')) server.on('request', (request, answer) => answer.writeHead(404).end());
  await new Promise((resolve, reject) => { server.once('error', reject); server.listen(port, '127.0.0.1', resolve); });
  running[name] = { server, sockets };
  return server.address().port;
}

async function stop(name) {
  const { server, sockets } = running[name];
  delete running[name];
  const closed = new Promise((resolve) => server.close(resolve));
  for (const socket of sockets) socket.destroy();
  await closed;
}

// A client that leaves in the middle is nothing that ends the other servers.
process.on('uncaughtException', (error) => console.error(error));
const orders = readline.createInterface({ input: process.stdin });
orders.on('line', async (line) => {
  const order = JSON.parse(line);
  const name = order.start ?? order.stop;
  const answer = { name };
  try {
    if (order.start) answer.port = await start(name, order.port);
    else await stop(name);
  } catch (error) {
    answer.error = String(error);
  }
  console.log(JSON.stringify(answer));
});
orders.on('close', () => process.exit(0));
