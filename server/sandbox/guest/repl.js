// The JavaScript interpreter of a session: Node's own REPL evaluator (top-level await, let and const across
// cells), fed from descriptor 3 with NUL-ended JSON, answering in kind.
const net = require('net')
const repl = require('repl')
const util = require('util')
const { Duplex } = require('stream')

const nowhere = new Duplex({ read() {}, write(chunk, encoding, done) { done() } })
const session = repl.start({ input: nowhere, output: nowhere, prompt: '', terminal: false, useGlobal: true })
session.removeAllListeners('exit')
// Node hands what code throws to this domain, whose own listener prints it.
session._domain.removeAllListeners('error')
session._domain.on('error', (error) => answer({ error: describe(error) }))
const channel = new net.Socket({ fd: 3, readable: true, writable: true })
let current = null

function describe(error) {
  if (!(error instanceof Error) && !(error && error.stack)) {
    return { name: 'Error', value: String(util.inspect(error)), line: null, traceback: '' }
  }
  const stack = String(error.stack).split('\n')
  const kept = stack.filter((line) => !/\(?(node:|\[eval|\/guest\/|repl\.js)/.test(line))
  const place = /cell\.js:(\d+)|REPL\d*:(\d+)/.exec(String(error.stack))
  const line = place ? Number(place[1] || place[2]) : null
  return { name: String(error.name), value: String(error.message), line, traceback: kept.join('\n') }
}

function answer(reply) {
  if (!current) return
  const token = current.token
  for (const [name, value] of Object.entries(current.saved)) {
    if (value === undefined) delete process.env[name]
    else process.env[name] = value
  }
  current = null
  channel.write(JSON.stringify({ token, ...reply }) + '\0')
}

function run(request) {
  const saved = {}
  for (const [name, value] of Object.entries(request.env)) {
    saved[name] = process.env[name]
    process.env[name] = value
  }
  current = { token: request.token, saved }
  session.eval(request.code + '\n', session.context, 'cell.js', (error, value) => {
    if (error instanceof repl.Recoverable) error = error.err
    const tell = (reply) => { if (current && current.token === request.token) answer(reply) }
    const done = () => {
      if (value === undefined) tell({})
      else tell({ text: util.inspect(value, { depth: 4, maxArrayLength: 200 }) })
    }
    if (error) answer({ error: describe(error) })
    // `main()` at the end is what the code does. Of other promises the rejection is told a turn later.
    else if (util.types.isPromise(value)) value.then(done, (error) => tell({ error: describe(error) }))
    else setImmediate(done)
  })
}

process.on('uncaughtException', (error) => answer({ error: describe(error) }))
process.on('unhandledRejection', (error) => answer({ error: describe(error) }))

let buffer = ''
channel.setEncoding('utf8')
channel.on('data', (data) => {
  buffer += data
  let end
  while ((end = buffer.indexOf('\0')) >= 0) {
    const request = JSON.parse(buffer.slice(0, end))
    buffer = buffer.slice(end + 1)
    run(request)
  }
})
channel.on('end', () => process.exit(0))
