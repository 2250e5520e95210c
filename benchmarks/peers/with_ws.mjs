/* Node's ws: node with_ws.mjs echo|fanout PORT [--tls CERT KEY] */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createServer as createPlain } from "node:http";
import { createServer as createSecure } from "node:https";

const [mode, port, ...rest] = process.argv.slice(2);
const require = createRequire(`${process.env.BENCHMARK_NODE_MODULES}/`);
const { WebSocketServer } = require("ws");
const { version } = require("ws/package.json");

const server =
  rest[0] === "--tls"
    ? createSecure({ cert: readFileSync(rest[1]), key: readFileSync(rest[2]) })
    : createPlain();
const wss = new WebSocketServer({ server, perMessageDeflate: { threshold: 0 } });

wss.on("connection", (ws) => {
  ws.on("error", () => {});
  ws.on("message", (data, isBinary) => {
    if (mode === "fanout") {
      for (const other of wss.clients) other.send(data, { binary: isBinary });
    } else {
      ws.send(data, { binary: isBinary });
    }
  });
});

server.listen({ port: Number(port), host: "127.0.0.1", backlog: 4096 }, () => {
  console.log("READY", JSON.stringify({ node: process.version, loop: "libuv", ws: version }));
});
process.stdin.on("end", () => process.exit(0)).resume();
