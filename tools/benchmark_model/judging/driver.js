"use strict";
// Runs an answer in JavaScript, calls it, and says what came back on a descriptor of its own. With `tests` in the
// request there is no answer: the calls and the expected values of tests of MultiPL-E are what is said.
const fs = require("fs");
const vm = require("vm");
const channel = Number(process.argv[2]);
const request = JSON.parse(fs.readFileSync("request.json", "utf8"));
const write = fs.writeSync.bind(fs);
const stringify = JSON.stringify.bind(JSON);

function say(message) {
  const data = Buffer.from(stringify(message));
  for (let sent = 0; sent < data.length; ) sent += write(channel, data, sent);
}

function encode(value, depth = 0) {
  if (depth > 150) return { opaque: "value that is too deep" };
  if (value === null || value === undefined) return null;
  if (typeof value === "boolean" || typeof value === "string") return value;
  if (typeof value === "number") return Number.isFinite(value) ? value : { number: String(value) };
  if (typeof value === "bigint") return value < 0n ? { int: "-0x" + (-value).toString(16) } : { int: "0x" + value.toString(16) };
  if (Array.isArray(value)) return Array.from(value, (item) => encode(item, depth + 1));
  const pair = ([key, item]) => [encode(key, depth + 1), encode(item, depth + 1)];
  if (value instanceof Map) return { dict: Array.from(value, pair) };
  if (value instanceof Set) return { set: Array.from(value, (item) => encode(item, depth + 1)) };
  const prototype = Object.getPrototypeOf(value);
  const plain = typeof value === "object" && (prototype === null || Object.getPrototypeOf(prototype) === null);
  return plain ? { dict: Object.entries(value).map(pair) } : { opaque: typeof value };
}

function decode(said) {
  if (Array.isArray(said)) return said.map(decode);
  if (said === null || typeof said !== "object") return said;
  const [mark, content] = Object.entries(said)[0];
  if (mark === "dict") return Object.fromEntries(content.map(([key, item]) => [key, decode(item)]));
  if (mark === "set") return new Set(content.map(decode));
  if (mark === "number") return Number(content);
  if (mark === "int") return content.startsWith("-") ? -BigInt(content.slice(1)) : BigInt(content);
  return decode(content);
}

function described(error) {
  const name = error && error.name ? String(error.name) : "Error";
  const text = error && error.message !== undefined ? String(error.message) : String(error);
  const line = /answer\.js:(\d+)/.exec((error && error.stack) || "");
  return { classes: [name.slice(0, 100)], text: text.slice(0, 500), line: line ? Number(line[1]) : null };
}

async function answer() {
  const source = fs.readFileSync("answer.js", "utf8");
  let script;
  try {
    script = new vm.Script(source, { filename: "answer.js" });
  } catch (error) {
    return { syntax: described(error).text, line: described(error).line };
  }
  const given = [];
  try {
    globalThis.require = require;
    globalThis.module = { exports: {} };
    globalThis.exports = globalThis.module.exports;
    script.runInThisContext();
    const entry = new vm.Script(`typeof ${request.entry} === "undefined" ? module.exports.${request.entry} : ${request.entry}`);
    const candidate = entry.runInThisContext();
    if (typeof candidate !== "function") throw new ReferenceError(`${request.entry} is not defined`);
    for (const call of request.calls) given.push({ value: encode(await candidate(...call.map(decode))) });
  } catch (error) {
    return { given, error: described(error) };
  }
  return { given, ended: true };
}

function tests() {
  const given = [];
  let calls = [];
  const record = (actual, expected) => given.push([calls[actual.call], encode(expected)]);
  const stub = new Proxy(() => {}, { get: (_, name) => (/^(deepEqual|deepStrictEqual|equal|strictEqual)$/.test(name) ? record : stub) });
  globalThis.require = (name) => (/assert/.test(name) ? stub : require(name));
  globalThis[request.entry] = (...call) => ({ call: calls.push(call.map((item) => encode(item))) - 1 });
  new vm.Script(request.tests).runInThisContext();
  return { given, ended: true };
}

async function main() {
  const message = request.tests === undefined ? await answer() : tests();
  say(message);
  process.reallyExit(0);
}

main();
