// Drives every tool with one of the TypeScript SDKs, for tests/test_typescript.py.
//
// Usage: node drive.mjs v1|v2 legacy|auto TARGET, where TARGET is JSON: {url, token} or {command, args}.
// Calls come as JSON on stdin: [name, arguments, field of the result to remember]; "$session" in arguments
// stands for what was remembered as session. Prints what came back, as JSON.

import { readFileSync } from "node:fs";

const [version, era, target] = [process.argv[2], process.argv[3], JSON.parse(process.argv[4])];
const calls = JSON.parse(readFileSync(0, "utf8"));
const package_ = version === "v1" ? "@modelcontextprotocol/sdk/client/" : "@modelcontextprotocol/client";
const of = (v1, v2) => import(version === "v1" ? package_ + v1 : package_ + v2);

const { Client } = await of("index.js", "");
const { StreamableHTTPClientTransport } = await of("streamableHttp.js", "");
const { StdioClientTransport } = await of("stdio.js", "/stdio");

const transport = target.url
  ? new StreamableHTTPClientTransport(new URL(target.url), {
      requestInit: { headers: target.token ? { Authorization: `Bearer ${target.token}` } : {} },
    })
  : new StdioClientTransport({ ...target, env: process.env, stderr: "ignore" });
const options = version === "v2" && era === "auto" ? { versionNegotiation: { mode: "auto" } } : {};
const client = new Client({ name: "drive", version: "1" }, options);
await client.connect(transport);

const call = (name, args, more = {}) => {
  const settings = { timeout: 300_000, ...more };
  const params = { name, arguments: args };
  return version === "v1" ? client.callTool(params, undefined, settings) : client.callTool(params, settings);
};

const remembered = {};
const filledIn = (value) =>
  JSON.parse(JSON.stringify(value).replace(/"\$(\w+)"/g, (_, name) => JSON.stringify(remembered[name])));

const results = [];
for (const [name, args, field] of calls) {
  const result = await call(name, filledIn(args));
  const facts = result.structuredContent ?? {};
  if (field) remembered[field] = field === "job" ? facts.job?.job_id : facts.session_id;
  results.push([name, result.isError ?? false, facts.verdict ?? facts.state ?? null, result.content?.[0]?.text ?? null]);
}

const progress = [];
const slow = { code: "import time\nfor i in range(600):\n    print(i, flush=True)\n    time.sleep(0.1)", timeout_seconds: 100 };
const giveUp = new AbortController();
let ending = "it came to its end";
try {
  await call("execute_code", filledIn({ ...slow, session_id: "$session" }), {
    signal: giveUp.signal,
    onprogress: (one) => {
      progress.push(one.message);
      if (progress.length === 2) giveUp.abort("enough");
    },
  });
} catch {
  ending = "it was given up";
}
// Calls of one session wait for each other: this one is answered only because the other was stopped.
const started = performance.now();
const after = await call("execute_code", filledIn({ code: "'after'", session_id: "$session" }));
const waited = (performance.now() - started) / 1000;

const tools = (await client.listTools()).tools.map((tool) => tool.name);
await client.close();
console.log(JSON.stringify({ tools, results, progress, ending, waited, after: after.structuredContent }));
process.exit(0);
