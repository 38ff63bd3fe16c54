// Runs files whose names come on descriptor 3 and answers on descriptor 4, keeping global state.
const fs = require("node:fs");
const vm = require("node:vm");
const util = require("node:util");
const readline = require("node:readline");

globalThis.require = require;
const names = readline.createInterface({ input: fs.createReadStream(null, { fd: 3 }) });
names.on("line", async (path) => {
  let answer = {};
  try {
    let value = vm.runInThisContext(fs.readFileSync(path, "utf8"), { filename: "evalmachine.<anonymous>" });
    value = await value;
    if (value !== undefined) answer.text = typeof value === "string" ? value : util.inspect(value);
  } catch (error) {
    answer = { error: error?.name ?? "Error", value: String(error?.message ?? error), stack: String(error?.stack ?? "") };
  }
  fs.writeSync(4, JSON.stringify(answer) + "\n");
});
