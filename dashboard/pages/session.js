// Who is signed in, in this tab only; and the form for it in the bar above the pages.

const KEY = "fleetgraph.session";
const LOGIN = `mutation SignIn($username: String!, $password: String!) {
  login(username: $username, password: $password) {
    accessToken
    expiresAt
    mustChangePassword
    user { username role }
  }
}`;

const listeners = new Set();
let current = stored();
let timer = 0;

/** The session, or null: `{token, expiresAt, username, role}`. */
export function session() {
  return current;
}

/** Headers that say who asks. */
export function authorization() {
  return current ? { Authorization: `Bearer ${current.token}` } : {};
}

/** Calls `listener(session)` now, and whenever someone signs in or out. */
export function watchSession(listener) {
  listeners.add(listener);
  listener(current);
}

/** Forgets the session; `reason` is shown above the form. */
export function signOut(reason = "") {
  change(null);
  showForm(reason);
}

/** Puts the form, or the person's name, into the bar. */
export function showSession() {
  const place = document.createElement("div");
  place.id = "session";
  document.getElementById("bar").append(place);
  if (current) showPerson();
  else showForm("");
  awaitEnd();
}

async function signIn(username, password) {
  const response = await fetch("/graphql", {
    method: "POST",
    headers: { "Content-Type": "application/json", Accept: "application/json" },
    body: JSON.stringify({ query: LOGIN, variables: { username, password } }),
  });
  const answer = await response.json();
  if (!answer.data?.login) throw new Error(answer.errors?.[0]?.message ?? response.statusText);
  const { accessToken, expiresAt, mustChangePassword, user } = answer.data.login;
  change({ token: accessToken, expiresAt, mustChangePassword, ...user });
}

function change(next) {
  current = next;
  if (next) sessionStorage.setItem(KEY, JSON.stringify(next));
  else sessionStorage.removeItem(KEY);
  awaitEnd();
  for (const listener of listeners) listener(current);
}

function stored() {
  const found = JSON.parse(sessionStorage.getItem(KEY) ?? "null");
  return found && Date.parse(found.expiresAt) > Date.now() ? found : null;
}

function awaitEnd() {
  clearTimeout(timer);
  if (!current) return;
  const milliseconds = Date.parse(current.expiresAt) - Date.now();
  timer = setTimeout(() => signOut("The session has ended."), Math.max(0, milliseconds));
}

function showPerson() {
  const who = document.createElement("span");
  who.textContent = `Signed in as ${current.username} (${current.role})`;
  const out = button("Sign out", "button");
  out.addEventListener("click", () => signOut());
  if (current.mustChangePassword) who.textContent += "; the password has to be changed";
  document.getElementById("session").replaceChildren(who, out);
}

function showForm(reason) {
  const form = document.createElement("form");
  form.id = "session";
  const problem = document.createElement("span");
  problem.role = "alert";
  problem.textContent = reason;
  const username = input("User name or e-mail", "text", "username");
  const password = input("Password", "password", "current-password");
  const submit = button("Sign in", "submit");
  const help = document.createElement("a");
  Object.assign(help, { href: "/account", textContent: "Forgot your password, or invited?" });
  form.append(problem, username, password, submit, help);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    submit.disabled = true;
    problem.textContent = "";
    try {
      await signIn(username.value, password.value);
      form.replaceWith(Object.assign(document.createElement("div"), { id: "session" }));
      showPerson();
    } catch (error) {
      problem.textContent = error.message;
      password.select();
    } finally {
      submit.disabled = false;
    }
  });
  document.getElementById("session").replaceWith(form);
}

function input(label, type, autocomplete) {
  const made = document.createElement("input");
  Object.assign(made, { type, autocomplete, placeholder: label, required: true });
  made.setAttribute("aria-label", label);
  return made;
}

function button(text, type) {
  return Object.assign(document.createElement("button"), { type, textContent: text });
}
