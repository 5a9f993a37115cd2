// graphql-yoga over HTTP, and graphql-ws over WebSocket, on one schema.
import { createServer } from "node:http";
import { createYoga } from "graphql-yoga";
import { useServer } from "graphql-ws/use/ws";
import { WebSocketServer } from "ws";
import { callerOf, facts, listenForEvents, schema } from "./shared.mjs";

const yoga = createYoga({
  schema,
  logging: false,
  graphiql: false,
  context: ({ request }) => ({ caller: callerOf(request.headers.get("authorization")) }),
});
const server = createServer(yoga);
const sockets = new WebSocketServer({ server, path: "/graphql" });
useServer({ schema, onConnect: ({ connectionParams }) => {
  callerOf(connectionParams?.authorization);
} }, sockets);
listenForEvents();
server.keepAliveTimeout = 60_000;
server.listen({ port: facts.port, host: "127.0.0.1", backlog: 4096 });
