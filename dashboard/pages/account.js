// The forms of /account: each is sent to the REST API as JSON, its answer told in words below.

const NOT_REACHED = "Fleetgraph was not reached. Try again.";

for (const form of document.forms) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    void submit(form);
  });
}

async function submit(form) {
  const button = form.querySelector("button");
  const told = form.querySelector('[role="status"]');
  button.disabled = true;
  told.textContent = "";
  try {
    const { ok, message } = await send(form);
    told.classList.toggle("problem", !ok);
    told.textContent = message;
    if (ok) form.reset();
  } finally {
    button.disabled = false;
  }
}

async function send(form) {
  let response;
  try {
    response = await fetch(form.action, {
      method: "POST",
      headers: { "Content-Type": "application/json", Accept: "application/json" },
      body: JSON.stringify(inputs(form)),
    });
  } catch {
    return { ok: false, message: NOT_REACHED };
  }
  // A proxy in between may answer with something else than JSON.
  const answer = await response.json().catch(() => ({}));
  const message = answer.message ?? `${response.status} ${response.statusText}`;
  return { ok: response.ok, message };
}

/** What was filled in; blanks around a pasted code do not belong to it. */
function inputs(form) {
  const filled = [...form.elements]
    .filter((each) => each.name && each.value)
    .map((each) => [each.name, each.type === "password" ? each.value : each.value.trim()]);
  return Object.fromEntries(filled);
}
