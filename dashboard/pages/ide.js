// GraphiQL with our session, transport and examples.

import { examples } from "./examples.js";
import { createFetcher } from "./fetcher.js";
import { showSession, watchSession } from "./session.js";

const { React, ReactDOM, GraphiQL, GraphiQLPluginExplorer } = window;

const root = ReactDOM.createRoot(document.getElementById("ide"));
const plugins = [GraphiQLPluginExplorer.explorerPlugin({ showAttribution: false })];

showSession();
watchSession(() =>
  root.render(
    React.createElement(GraphiQL, {
      // Another person may see another schema.
      fetcher: createFetcher(),
      plugins,
      defaultTabs: examples,
      shouldPersistHeaders: false,
    }),
  ),
);
