// Apollo Server on its own small HTTP server.
import { ApolloServer } from "@apollo/server";
import { startStandaloneServer } from "@apollo/server/standalone";
import { callerOf, facts, schema } from "./shared.mjs";

await startStandaloneServer(new ApolloServer({ schema }), {
  listen: { port: facts.port, host: "127.0.0.1" },
  context: async ({ req }) => ({ caller: callerOf(req.headers.authorization) }),
});
