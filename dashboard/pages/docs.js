// Swagger UI over /openapi.json; "Try it out" sends the token of whoever is signed in.

import { authorization, showSession } from "./session.js";

const dark = matchMedia("(prefers-color-scheme: dark)");
const follow = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", follow);
follow();

showSession();
window.SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#docs",
  deepLinking: true,
  displayRequestDuration: true,
  docExpansion: "list",
  defaultModelsExpandDepth: -1,
  filter: true,
  validatorUrl: null,
  requestInterceptor: (request) => {
    request.headers = { ...authorization(), ...request.headers };
    return request;
  },
});
