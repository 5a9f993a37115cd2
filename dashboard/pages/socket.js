// One subscription over graphql-transport-ws, as an async iterator of answers.

const REFUSALS = new Set([4401, 4403]);

/** Yields answers until the server ends it or the reader leaves; throws when the socket breaks. */
export function subscribe(request, token) {
  const address = new URL("/graphql", location.href);
  address.protocol = address.protocol.replace("http", "ws");
  const socket = new WebSocket(address, "graphql-transport-ws");
  const send = (message) => socket.send(JSON.stringify(message));
  const mailbox = createMailbox();

  socket.onopen = () =>
    send({
      type: "connection_init",
      ...(token && { payload: { authorization: `Bearer ${token}` } }),
    });
  socket.onmessage = ({ data }) => {
    const message = JSON.parse(data);
    if (message.type === "connection_ack") send({ id: "1", type: "subscribe", payload: request });
    else if (message.type === "ping") send({ type: "pong" });
    else if (message.type === "next") mailbox.put(message.payload);
    else if (message.type === "error") {
      mailbox.put({ errors: message.payload });
      mailbox.end();
    } else if (message.type === "complete") mailbox.end();
  };
  socket.onclose = ({ code, reason }) => {
    const error = new Error(`The connection was closed: ${reason || code}`);
    error.isRefusal = REFUSALS.has(code);
    mailbox.end(error);
  };
  mailbox.onLeave = () => socket.close(1000);
  return mailbox;
}

/** An async iterator that is filled from outside. */
function createMailbox() {
  const waiting = [];
  let readers = [];
  let isEnded = false;
  let failure = null;

  async function next() {
    while (!waiting.length && !isEnded) await new Promise((wake) => readers.push(wake));
    if (waiting.length) return { done: false, value: waiting.shift() };
    mailbox.onLeave();
    if (failure) throw failure;
    return { done: true, value: undefined };
  }

  function wake() {
    for (const reader of readers) reader();
    readers = [];
  }

  const mailbox = {
    onLeave: () => {},
    put(value) {
      waiting.push(value);
      wake();
    },
    end(error = null) {
      if (isEnded) return;
      isEnded = true;
      failure = error;
      wake();
    },
    next,
    async return() {
      mailbox.end();
      waiting.length = 0;
      mailbox.onLeave();
      return { done: true, value: undefined };
    },
    [Symbol.asyncIterator]: () => mailbox,
  };
  return mailbox;
}
