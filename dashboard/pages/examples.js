// The tabs that a first visitor finds.

export const examples = [
  `# Agents and their newest readings.
# Sign in above, then press the button or Ctrl-Enter.
query Agents {
  agents(first: 10) {
    totalCount
    nodes {
      uuid
      name
      isOnline
      lastSeenAt
      cpuUsage
      latest { metric value unit time quality }
    }
    pageInfo { hasNextPage endCursor }
  }
}
`,
  `# Readings as columns: averages of each minute
# over the last hour.
query Series {
  series(select: {}, every: "1m", maxPoints: 60) {
    agentUuid
    deviceName
    metric
    unit
    timestamps
    values
  }
}
`,
  `# Readings as they come. The square button ends it.
subscription Live {
  readings(maxHz: 1) {
    agentUuid
    deviceName
    metric
    unit
    timestamps
    values
    cursor
  }
}
`,
  `# A key that lets ten agents register. Shown once.
mutation NewKey {
  createProvisioningKey(
    description: "Hall 2"
    agentsMax: 10
    expiresInDays: 30
  ) {
    key
    id
  }
}
`,
  `# Fleets, and agents picked by their tags. Give them tags with setAgentTags,
# or many at once with changeTags.
query Fleets {
  fleets(first: 10) { nodes { name agentCount onlineCount } }
  agents(filter: { selector: "site=berlin, line in (a, b)" }) {
    totalCount
    nodes { name tags fleet { name } }
  }
}
`,
  `# Who did what, newest first.
query Audit {
  auditEvents(first: 20) {
    nodes { createdAt eventType severity actor userId subject ipAddress details }
  }
}
`,
  `# Who you are, and what you may do.
query Me {
  me { username email fullName role permissions }
}
`,
].map((query) => ({ query }));
