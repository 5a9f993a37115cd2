// Swagger UI over /openapi.json; "Try it out" asks as whoever is signed in.

import { showSession, watchSession } from "./session.js";

const dark = matchMedia("(prefers-color-scheme: dark)");
const follow = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", follow);
follow();

showSession();
let isAuthorized = false;
const ui = window.SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#docs",
  deepLinking: true,
  displayRequestDuration: true,
  docExpansion: "list",
  defaultModelsExpandDepth: -1,
  filter: true,
  validatorUrl: null,
  onComplete: () =>
    watchSession((session) => {
      if (session) ui.preauthorizeApiKey("bearer", session.token);
      else if (isAuthorized) ui.authActions.logout(["bearer"]);
      isAuthorized = session !== null;
    }),
});
