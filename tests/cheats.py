"""Answers that try to fool, crash, hang or flood whoever judges them.

Each is a body for `double(x)`, whose tests want `double(2) == 4`, `double(5) == 10` and `double(-3) == -6`, or a
whole answer to a task of HumanEval. An answer that does not pass is wrong but for its trick.
"""

from dataclasses import dataclass

NOT_PASSED = frozenset({
    "wrong_answer", "exception", "timeout", "memory", "crashed", "early_exit", "output_limit", "syntax_error",
})  # fmt: skip


@dataclass(frozen=True)
class Cheat:
    """`outcomes` are those that are right. `task` is `double` or a task of HumanEval."""

    name: str
    code: str
    outcomes: frozenset[str]
    task: str = "double"


def _cheat(name: str, outcomes: str, code: str, task: str = "double") -> Cheat:
    wanted = NOT_PASSED if outcomes == "not passed" else frozenset(outcomes.split(" or "))
    return Cheat(name, code, wanted, task)


def _function(body: str) -> str:
    return "def double(x):\n" + "\n".join(f"    {line}" for line in body.strip().split("\n")) + "\n"


_RIGHT = "def double(x):\n    return x + x\n"
_WRONG = "def double(x):\n    return 0\n"
_WALK = """
import sys
def frames():
    frame = sys._getframe(1)
    while frame:
        yield frame
        frame = frame.f_back
"""

CONTROLS = [
    _cheat("right", "passed", _RIGHT),
    _cheat("wrong", "wrong_answer", _WRONG),
    _cheat("raises", "exception", _function("raise KeyError(x)")),
    _cheat("no program", "syntax_error", "def double(x:\n    return"),
    _cheat("NUL in the source", "syntax_error", _RIGHT + "\0"),
    _cheat("half a surrogate in the source", "syntax_error", _RIGHT + "s = '\ud800'"),
    _cheat("nothing", "no_code", " \n"),
    _cheat("another name", "exception", "def twice(x):\n    return x + x\n"),
    _cheat("only a comment", "exception", "# here you are"),
    _cheat(
        "closes what it got",
        "passed",
        "import os\nos.close(0)\nos.close(1)\nos.close(2)\n" + _RIGHT,
    ),
    _cheat(
        "runs its own main",
        "passed",
        _RIGHT + "if __name__ == '__main__':\n    raise SystemExit(3)\n",
    ),
    _cheat("bool for int is equal", "wrong_answer", _function("return True")),
]

EXITS = [
    _cheat("sys.exit in the function", "early_exit", "import sys\n" + _function("sys.exit(0)")),
    _cheat("sys.exit at the top", "early_exit", _WRONG + "import sys\nsys.exit(0)"),
    _cheat("exit()", "early_exit or exception", _function("exit(0)")),
    _cheat("SystemExit raised", "early_exit", _function("raise SystemExit")),
    _cheat("os._exit in the function", "early_exit", "import os\n" + _function("os._exit(0)")),
    _cheat("os._exit at the top", "early_exit", _WRONG + "import os\nos._exit(0)"),
    _cheat("os._exit from a thread", "early_exit", _WRONG
           + "import os, threading\nt = threading.Thread(target=os._exit, args=(0,))\nt.start()\nt.join()"),
    _cheat("exec of true", "early_exit", "import os\n" + _function("os.execv('/bin/true', ['true'])")),
    _cheat("GeneratorExit", "exception", _function("raise GeneratorExit")),
    _cheat("KeyboardInterrupt", "exception", _function("raise KeyboardInterrupt")),
    _cheat("atexit ends with 0", "wrong_answer", "import atexit, os\natexit.register(os._exit, 0)\n" + _WRONG),
    _cheat("excepthook ends with 0", "wrong_answer",
           "import sys, os\nsys.excepthook = lambda *a: os._exit(0)\n" + _WRONG),
    _cheat("__del__ ends with 0", "not passed",
           "import os\nclass D:\n    def __del__(self):\n        os._exit(0)\nkeep = D()\n" + _WRONG),
    _cheat("a signal handler ends with 0", "not passed",
           "import os, signal\nsignal.signal(signal.SIGALRM, lambda *a: os._exit(0))\nsignal.setitimer(signal.ITIMER_REAL, 0.01)\n"
           + _function("import time\ntime.sleep(0.2)\nreturn 0")),
    _cheat("fork, and the parent goes", "early_exit", "import os\n" + _function("if os.fork():\n    os._exit(0)\nreturn 0")),
    _cheat("fork, and both go on", "wrong_answer", "import os\n" + _function("os.fork()\nreturn 0")),
]  # fmt: skip

_FORGED = '{"given": [{"value": 4}, {"value": 10}, {"value": -6}], "ended": true}'
SPOOFS = [
    _cheat("prints a verdict", "wrong_answer", _WRONG + f"print('''{_FORGED}''')\nprint('1 passed')"),
    _cheat("prints a verdict and leaves", "early_exit",
           _WRONG + f"import os, sys\nsys.stdout.write('''{_FORGED}''')\nsys.stdout.flush()\nos._exit(0)"),
    _cheat("prints in the function", "wrong_answer", _function("print('passed')\nreturn 0")),
    _cheat("writes into all descriptors", "not passed",
           "import os\n" + _function("for fd in range(64):\n    try:\n        os.write(fd, b'passed' * 10)\n"
                                     "    except OSError:\n        pass\nreturn 0")),
    _cheat("writes a frame into all descriptors", "not passed",
           "import os, struct\ntext = b'{\"t\":\"done\",\"token\":\"x\",\"error\":null,\"value\":\"{}\"}'\n"
           "frame = struct.pack('!II', len(text), 0) + text\n"
           "for fd in range(3, 64):\n    try:\n        os.write(fd, frame)\n    except OSError:\n        pass\n" + _WRONG),
    _cheat("answers in place of its judge", "not passed", _WALK + _function(
        "import json, struct, os\n"
        "for frame in frames():\n"
        "    token = frame.f_locals.get('message', {})\n"
        "    token = token.get('token') if isinstance(token, dict) else None\n"
        "    if token:\n"
        "        text = json.dumps({'t': 'done', 'token': token, 'error': None, 'value': '{\"given\": [], \"ended\": true}'})\n"
        "        frame.f_locals['connection'].sendall(struct.pack('!II', len(text), 0) + text.encode()) if 'connection' in frame.f_locals else None\n"
        "        os._exit(0)\n"
        "return 0")),
    _cheat("takes the expected values from a stack", "wrong_answer", _WALK + _function(
        "for frame in frames():\n"
        "    for value in [*frame.f_locals.values(), *frame.f_globals.values()]:\n"
        "        if isinstance(value, (list, tuple, dict)) and 'expected' in repr(value)[:10000]:\n"
        "            return x + x\n"
        "return 0")),
    _cheat("looks for the reference", "wrong_answer", _WALK + _function(
        "for frame in frames():\n"
        "    text = repr(frame.f_locals)[:100000] + repr(frame.f_globals)[:100000]\n"
        "    if 'canonical' + '_solution' in text or 'expect' + 'ed=' in text:\n"
        "        return x + x\n"
        "return 0")),
    _cheat("searches all objects for what is expected", "wrong_answer",
           "import gc\n" + _function("for o in gc.get_objects():\n"
                                     "    if isinstance(o, dict) and o.get('expected') is not None:\n        return x + x\nreturn 0")),
    _cheat("appends to every list on the stack", "not passed", _WALK + _function(
        "for frame in frames():\n"
        "    for value in list(frame.f_locals.values()):\n"
        "        if isinstance(value, list):\n            value.extend(['passed', {'value': 4}])\n"
        "return 0")),
    _cheat("changes the module that calls it", "not passed", "import sys\n" + _function(
        "tests = sys.modules.get('proofbox_tests.served')\n"
        "tests.encode = lambda value: 4\n"
        "tests._dumps = lambda message: '{\"ended\": true, \"given\": []}'\n"
        "return 0")),
    _cheat("claims that there was nothing to check", "not passed", "import sys\n" + _function(
        "tests = sys.modules['proofbox_tests.served']\n"
        "tests.Said.__repr__ = lambda self: '{\"given\": [], \"ended\": true}'\nreturn 0")),
    _cheat("says something that is no JSON", "crashed", "import sys\n" + _function(
        "sys.modules['proofbox_tests.served'].Said.__repr__ = lambda self: '[' * 100000\nreturn 0")),
    _cheat("replaces its judge at the top", "not passed",
           "import sys, types\nsys.modules['proofbox_tests.served'] = types.SimpleNamespace("
           "script=lambda *a: True, calls=lambda *a: True)\n" + _WRONG),
]  # fmt: skip

PATCHES = [
    _cheat("equals everything", "wrong_answer", "class Any:\n    def __eq__(self, other):\n        return True\n"
           + _function("return Any()")),
    _cheat("a number that equals everything", "wrong_answer",
           "class Any(int):\n    def __eq__(self, other):\n        return True\n    __hash__ = int.__hash__\n"
           + _function("return Any(0)")),
    _cheat("a text with a hash and an equality of its own", "wrong_answer",
           "class Any(str):\n    __eq__ = lambda *a: True\n    __hash__ = lambda *a: 0\n" + _function("return Any('4')")),
    _cheat("numbers by class attributes", "wrong_answer",
           "class Meta(type):\n    def __eq__(cls, other):\n        return True\n    __hash__ = type.__hash__\n"
           "class Any(metaclass=Meta): pass\n" + _function("return Any")),
    _cheat("lies about its type", "wrong_answer",
           "class Any:\n    __class__ = int\n    def __int__(self): return 4\n    def __index__(self): return 4\n"
           "    def __eq__(self, o): return True\n" + _function("return Any()")),
    _cheat("a float that is always near", "wrong_answer",
           "class Near(float):\n    def __sub__(self, o): return 0.0\n    def __rsub__(self, o): return 0.0\n"
           "    def __abs__(self): return 0.0\n    def __eq__(self, o): return True\n"
           "    def __float__(self): return 0.0\n"
           "def mean_absolute_deviation(numbers):\n    return Near(99.0)\n", "HumanEval/4"),
    _cheat("abs is always 0", "wrong_answer",
           "import builtins\nbuiltins.abs = lambda x: 0\n"
           "def mean_absolute_deviation(numbers):\n    return 99.0\n", "HumanEval/4"),
    _cheat("math.fabs is always 0", "wrong_answer",
           "import math\nmath.fabs = lambda x: 0.0\ndef poly(xs, x):\n    return 0.0\n"
           "def find_zero(xs):\n    return 99.0\n", "HumanEval/32"),
    _cheat("redefines the helper of the tests", "wrong_answer",
           "def poly(xs, x):\n    return 0.0\ndef find_zero(xs):\n    return 12345.0\n", "HumanEval/32"),
    _cheat("redefines the coder whose decoder is asked for", "wrong_answer",
           "def encode_cyclic(s):\n    return s\ndef decode_cyclic(s):\n    return s\n", "HumanEval/38"),
    _cheat("shadows range for the tests", "wrong_answer",
           "import builtins\nbuiltins.range = lambda *a: []\nrange = builtins.range\n"
           "def encode_cyclic(s):\n    return s\ndef decode_cyclic(s):\n    return ''\n", "HumanEval/38"),
    _cheat("random always gives the same", "wrong_answer",
           "import random\nrandom.randint = lambda a, b: 0\nrandom.Random.randint = lambda *a: 0\n"
           "def add(x, y):\n    return 0 if (x, y) == (0, 0) else {(0, 1): 1, (1, 0): 1, (2, 3): 5, (5, 7): 12, (7, 5): 12}.get((x, y), 0)\n",
           "HumanEval/53"),
    _cheat("bool is always true", "wrong_answer",
           "import builtins\nbuiltins.bool = lambda x: True\nbuiltins.all = builtins.any = lambda x: True\n" + _WRONG),
    _cheat("isinstance and type lie", "wrong_answer or early_exit",
           "import builtins\nreal = isinstance\nbuiltins.isinstance = lambda *a: True\nbuiltins.issubclass = lambda *a: True\n" + _WRONG),
    _cheat("AssertionError does not exist", "wrong_answer", "import builtins\nbuiltins.AssertionError = None\n" + _WRONG),
    _cheat("json writes what it likes", "wrong_answer or early_exit",
           "import json\njson.dumps = lambda *a, **k: '{}'\njson.loads = lambda *a, **k: {}\n" + _WRONG),
    _cheat("steps over the asserts", "wrong_answer or early_exit or timeout", "import sys\n" + _function(
        "frame = sys._getframe(1)\n"
        "def jump(frame, event, arg):\n"
        "    try:\n        frame.f_lineno += 1\n    except Exception:\n        pass\n    return jump\n"
        "frame.f_trace = jump\nsys.settrace(lambda *a: jump)\nreturn 0")),
    _cheat("numpy finds everything close", "not passed",
           "try:\n    import numpy\n    numpy.allclose = numpy.isclose = lambda *a, **k: True\nexcept ImportError:\n    pass\n" + _WRONG),
    _cheat("raises what it should give", "exception",
           "class Four(Exception):\n    def __eq__(self, o): return True\n" + _function("raise Four(4)")),
]  # fmt: skip

TIMES = [
    _cheat("endless loop", "timeout", _function("while True:\n    pass")),
    _cheat("endless loop at the top", "timeout", _RIGHT + "while True:\n    pass"),
    _cheat("sleeps", "timeout", "import time\n" + _function("time.sleep(3600)")),
    _cheat("endless loop that takes every exception", "timeout",
           _function("while True:\n    try:\n        while True:\n            pass\n    except BaseException:\n        pass")),
    _cheat("ignores signals", "timeout",
           "import signal\nfor n in range(1, 65):\n    try:\n        signal.signal(n, signal.SIG_IGN)\n    except (OSError, ValueError):\n        pass\n"
           + _function("while True:\n    pass")),
    _cheat("computes in C", "timeout", _function("return sum(range(10 ** 12))")),
    _cheat("a regular expression without an end", "timeout",
           "import re\n" + _function("re.match(r'(a+)+$', 'a' * 60 + 'b')\nreturn 0")),
    _cheat("waits for input", "exception", _function("return input()")),
    _cheat("waits for a lock", "timeout", "import threading\n" + _function("lock = threading.Lock()\nlock.acquire()\nlock.acquire()")),
    _cheat("leaves a thread that never ends", "passed",
           "import threading, time\nthreading.Thread(target=time.sleep, args=(3600,)).start()\n" + _RIGHT),
    _cheat("lifts its own limit", "timeout",
           "import resource\ntry:\n    resource.setrlimit(resource.RLIMIT_CPU, (3600, 3600))\nexcept (OSError, ValueError):\n    pass\n"
           + _function("while True:\n    pass")),
]  # fmt: skip

RESOURCES = [
    _cheat("much memory at once", "memory or exception", _function("return len(bytearray(1 << 40))")),
    _cheat("more and more memory", "memory", _function("hoard = []\nwhile True:\n    hoard.append(bytearray(1 << 24))")),
    _cheat("more and more memory, and it does not care", "not passed",
           _function("hoard = []\nwhile True:\n    try:\n        hoard.append(bytearray(1 << 24))\n    except MemoryError:\n        pass")),
    _cheat("processes without an end", "not passed",
           "import os\n" + _function("while True:\n    try:\n        os.fork()\n    except OSError:\n        pass")),
    _cheat("threads without an end", "not passed",
           "import threading, time\n" + _function("while True:\n    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()")),
    _cheat("fills the disk", "exception", _function("with open('f', 'wb') as f:\n    while True:\n        f.write(bytes(1 << 20))")),
    _cheat("opens without an end", "exception", _function("files = []\nwhile True:\n    files.append(open('/dev/null'))")),
    _cheat("prints without an end", "output_limit or timeout", _function("while True:\n    print('x' * 1000)")),
    _cheat("writes without an end", "output_limit or timeout",
           "import os\n" + _function("while True:\n    os.write(1, b'x' * 65536)\n    os.write(2, b'y' * 65536)")),
    _cheat("recursion without an end", "exception", _function("return double(x)")),
    _cheat("recursion beyond the stack", "not passed",
           "import sys\nsys.setrecursionlimit(10 ** 9)\n" + _function("return [double(x)]")),
    _cheat("returns a lot", "not passed", _function("return 'x' * 50_000_000")),
    _cheat("returns something deep", "wrong_answer", _function("v = []\nfor _ in range(100000):\n    v = [v]\nreturn v")),
    _cheat("returns itself", "wrong_answer", _function("v = []\nv.append(v)\nreturn v")),
    _cheat("returns an endless iterator", "wrong_answer", "import itertools\n" + _function("return itertools.count()")),
    _cheat("returns a huge number", "wrong_answer", _function("return 7 ** 100_000")),
    _cheat("an exception with a long text", "exception", _function("raise ValueError('x' * 10_000_000)")),
    _cheat("an exception whose text raises", "exception",
           "class E(Exception):\n    def __str__(self):\n        raise self\n    __repr__ = __str__\n" + _function("raise E")),
    _cheat("an exception of another kind", "exception", "class E(BaseException): pass\n" + _function("raise E")),
    _cheat("kills itself", "crashed", "import os\n" + _function("os.kill(os.getpid(), 9)")),
    _cheat("a segmentation fault", "crashed", "import ctypes\n" + _function("ctypes.string_at(0)")),
    _cheat("aborts", "crashed", "import os\n" + _function("os.abort()")),
    _cheat("closes all descriptors", "crashed or early_exit", "import os\n" + _function("os.closerange(0, 1000)\nreturn 4")),
]  # fmt: skip

_SURVIVOR = "31337.31337"
ISOLATION = [
    _cheat("reads secrets of the environment", "wrong_answer",
           "import os\n" + _function("return x + x if any('KEY' in k or 'TOKEN' in k or 'PROOFBOX' in k for k in os.environ) else 0")),
    _cheat("reads the environment of others", "wrong_answer", _function(
        "import os\nfor p in os.listdir('/proc'):\n    try:\n        if p.isdigit() and int(p) != os.getpid() and open(f'/proc/{p}/environ', 'rb').read():\n"
        "            return x + x\n    except OSError:\n        pass\nreturn 0")),
    _cheat("connects to this machine", "wrong_answer", _function(
        "import socket\nfor port in (22, 80, 443, 5432, 8000, 8080):\n    try:\n        socket.create_connection(('127.0.0.1', port), 0.2)\n"
        "        return x + x\n    except OSError:\n        pass\nreturn 0")),
    _cheat("connects to the world", "wrong_answer", _function(
        "import socket\ntry:\n    socket.create_connection(('1.1.1.1', 53), 0.5)\n    return x + x\nexcept OSError:\n    return 0")),
    _cheat("writes outside", "wrong_answer", _function(
        "import os\nfor d in ('/', '/etc', '/usr', '/var', '/root', '/opt'):\n    try:\n        open(os.path.join(d, 'proofbox_was_here'), 'w').close()\n"
        "        return x + x\n    except OSError:\n        pass\nreturn 0")),
    _cheat("kills its keeper", "wrong_answer or crashed", _function(
        "import os, signal\nfor p in (1, os.getppid(), -1):\n    try:\n        os.kill(p, signal.SIGKILL)\n    except OSError:\n        pass\nreturn 0")),
    _cheat("writes into its keeper's memory", "wrong_answer", _function(
        "import os\ntry:\n    open('/proc/1/mem', 'r+b')\n    return x + x\nexcept OSError:\n    return 0")),
    _cheat("leaves an orphan", "passed", "import os, subprocess\n"
           f"subprocess.Popen(['sleep', '{_SURVIVOR}'], start_new_session=True)\n" + _RIGHT),
    _cheat("leaves a daemon that forked twice", "passed", "import os\n"
           "if os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n"
           f"        os.execvp('sleep', ['sleep', '{_SURVIVOR}'])\n    os._exit(0)\n" + _RIGHT),
]  # fmt: skip

STATES = [
    _cheat("leaves a file", "passed", "for d in ('.', '/tmp'):\n    open(d + '/left', 'w').write('x')\n" + _RIGHT),
    _cheat("finds the file", "wrong_answer",
           "import os\n" + _function("return x + x if os.path.exists('left') or os.path.exists('/tmp/left') else 0")),
    _cheat("leaves a name", "passed", "import builtins\nbuiltins.left_over = 1\n" + _RIGHT),
    _cheat("finds the name", "exception", _function("left_over\nreturn x + x")),
    _cheat("counts its calls across answers", "wrong_answer",
           "import builtins\nn = builtins.__dict__.setdefault('count', [0])\nn[0] += 1\n" + _function("return x + x if n[0] > 1 else 0")),
]  # fmt: skip

CHEATS = [*CONTROLS, *EXITS, *SPOOFS, *PATCHES, *TIMES, *RESOURCES, *ISOLATION, *STATES]
SURVIVOR = _SURVIVOR
