// A WebSocket peer made of a library of Node: an echo server, or a client that tells what it saw.
//
//   node peer.js server ws|websocket              prints its port, then serves until it is ended
//   node peer.js client ws|websocket URI [flags]  prints one line of JSON, then ends
//
// Flags of the client: "plain" offers no compression, "server-closes" asks the server to close.
// What both libraries shall do is written once; each brings the few calls in which they differ.

"use strict";

const http = require("http");
const path = require("path");
const { createRequire } = require("module");

// The packages are installed outside the sources; WIREBIRD_NODE says where.
const load = createRequire(path.join(process.env.WIREBIRD_NODE, "package.json"));
const BIG = 1000000;

// Echo server

function listen(server) {
  server.listen(0, "localhost", () => console.log(server.address().port));
}

function closeCommand(text) {
  const found = /^\/close (\d+) (.*)$/.exec(text);
  return found && { code: Number(found[1]), reason: found[2] };
}

function serveWs() {
  const { WebSocketServer } = load("ws");
  const server = http.createServer();
  const handleProtocols = (offered) => (offered.has("v2") ? "v2" : false);
  const sockets = new WebSocketServer({ server, perMessageDeflate: true, handleProtocols });
  sockets.on("connection", (socket) => {
    socket.on("message", (data, isBinary) => {
      const command = isBinary ? null : closeCommand(data.toString());
      if (command) socket.close(command.code, command.reason);
      else socket.send(data, { binary: isBinary });
    });
    socket.on("close", (code, reason) => console.log(JSON.stringify([code, reason.toString()])));
  });
  listen(server);
}

function serveWebsocket() {
  const WebSocketServer = load("websocket").server;
  const httpServer = http.createServer();
  const server = new WebSocketServer({ httpServer, maxReceivedFrameSize: 2 ** 21 });
  server.on("request", (request) => {
    const protocol = request.requestedProtocols.includes("v2") ? "v2" : null;
    const connection = request.accept(protocol, request.origin);
    connection.on("message", (message) => {
      if (message.type === "binary") return connection.sendBytes(message.binaryData);
      const command = closeCommand(message.utf8Data);
      if (command) return connection.close(command.code, command.reason);
      return connection.sendUTF(message.utf8Data);
    });
    connection.on("close", (code, reason) => console.log(JSON.stringify([code, reason])));
  });
  listen(httpServer);
}

// Client

// The steps of a client: what it sends, and what must come back; `send` and `close` are given.
class Conversation {
  constructor(flags) {
    this.steps = [
      "Hello", "", "Zürich – 東京 🐦", "x".repeat(65536), "é".repeat(BIG / 2),
      Buffer.from([0, 255]), Buffer.alloc(BIG, "0123456789"),
    ];
    this.commands = [["/fragments", "in three"], ["/ping", "pong came"]];
    this.serverCloses = flags.includes("server-closes");
    this.seen = { echoed: 0, commands: 0 };
  }

  next() {
    if (this.seen.echoed < this.steps.length) this.send(this.steps[this.seen.echoed]);
    else if (this.seen.commands < this.commands.length) this.send(this.commands[this.seen.commands][0]);
    else if (!this.seen.pong) this.ping("from node");
    else if (this.serverCloses) this.send("/close 4001 because");
    else this.close(4000, "bye – é");
  }

  received(data) {
    if (this.seen.echoed < this.steps.length) {
      const sent = this.steps[this.seen.echoed];
      const isSame = Buffer.isBuffer(sent) ? Buffer.isBuffer(data) && sent.equals(data) : sent === data;
      if (!isSame) throw new Error(`echo ${this.seen.echoed} differs`);
      this.seen.echoed += 1;
    } else {
      const expected = this.commands[this.seen.commands][1];
      if (data !== expected) throw new Error(`got ${data}, expected ${expected}`);
      this.seen.commands += 1;
    }
    this.next();
  }

  ponged(data) {
    this.seen.pong = data.toString();
    this.next();
  }

  opened(protocol, extensions) {
    Object.assign(this.seen, { protocol, extensions });
    this.next();
  }

  closed(code, reason) {
    console.log(JSON.stringify({ ...this.seen, code, reason: reason.toString() }));
  }
}

function converseWs(uri, conversation, flags) {
  const WebSocket = load("ws");
  const options = { perMessageDeflate: !flags.includes("plain") };
  const socket = new WebSocket(uri, ["v1", "v2"], options);
  conversation.send = (data) => socket.send(data);
  conversation.ping = (data) => socket.ping(data);
  conversation.close = (code, reason) => socket.close(code, reason);
  socket.on("open", () => conversation.opened(socket.protocol, socket.extensions));
  socket.on("message", (data, isBinary) => conversation.received(isBinary ? data : data.toString()));
  socket.on("pong", (data) => conversation.ponged(data));
  socket.on("close", (code, reason) => conversation.closed(code, reason));
}

function converseWebsocket(uri, conversation) {
  const Client = load("websocket").client;
  // Small fragments, which nobody else of our peers sends by itself.
  const client = new Client({ maxReceivedFrameSize: 2 ** 21, fragmentationThreshold: 4096 });
  client.on("connectFailed", (error) => { throw error; });
  client.on("connect", (connection) => {
    conversation.send = (data) => connection.send(data);
    conversation.ping = (data) => connection.ping(data);
    conversation.close = (code, reason) => connection.close(code, reason);
    connection.on("message", (message) => {
      conversation.received(message.type === "utf8" ? message.utf8Data : message.binaryData);
    });
    connection.on("pong", (data) => conversation.ponged(data));
    connection.on("close", (code, reason) => conversation.closed(code, reason));
    conversation.opened(connection.protocol, "");
  });
  client.connect(uri, ["v1", "v2"]);
}

const [role, library, uri, ...flags] = process.argv.slice(2);
if (role === "server") (library === "ws" ? serveWs : serveWebsocket)();
else (library === "ws" ? converseWs : converseWebsocket)(uri, new Conversation(flags), flags);
