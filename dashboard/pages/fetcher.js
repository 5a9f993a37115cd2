// How GraphiQL reaches the endpoint: POST, and a WebSocket for each subscription.

import { authorization, session, signOut } from "./session.js";
import { subscribe } from "./socket.js";

const ENDED = "Sign in again: the session was refused.";

/** Returns a fetcher; a new one makes GraphiQL ask for the schema again. */
export function createFetcher() {
  return (given, { headers } = {}) => {
    const { kind, request } = look(given);
    return kind === "subscription" ? follow(request) : ask(request, headers);
  };
}

async function ask(request, headers = {}) {
  const response = await fetch("/graphql", {
    method: "POST",
    headers: {
      "Content-Type": "application/json",
      Accept: "application/graphql-response+json, application/json;q=0.9",
      ...authorization(),
      ...headers,
    },
    body: JSON.stringify(request),
  });
  const answer = await read(response);
  const refused = answer.errors?.some((each) => each.extensions?.code === "UNAUTHENTICATED");
  if (session() && !headers.Authorization && (response.status === 401 || refused)) signOut(ENDED);
  return answer;
}

/** A proxy in between may answer with something else than JSON. */
async function read(response) {
  const text = await response.text();
  try {
    return JSON.parse(text);
  } catch {
    return { errors: [{ message: `${response.status} ${response.statusText}: ${text}` }] };
  }
}

async function* follow(request) {
  try {
    yield* subscribe(request, session()?.token);
  } catch (error) {
    if (session() && error.isRefusal) signOut(ENDED);
    throw error;
  }
}

/** What GraphiQL knows of the document lags behind the editor, so it is looked at again. */
function look(request) {
  let operations = [];
  try {
    const { definitions } = window.GraphiQL.GraphQL.parse(request.query);
    operations = definitions.filter((each) => each.kind === "OperationDefinition");
  } catch {
    // The server says what is wrong, and where.
  }
  const named = operations.find((each) => each.name?.value === request.operationName);
  const chosen = named ?? operations[0];
  const operationName = named || operations.length !== 1 ? request.operationName : undefined;
  return { kind: chosen?.operation, request: { ...request, operationName } };
}
