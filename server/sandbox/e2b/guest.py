"""What this backend runs inside the sandbox for itself: settling in, looking around, killing."""

import json
import shlex
from dataclasses import dataclass

HOME = "/home/user"

# In the environment of every command, so that what it starts can be found and killed: envd signals
# one process only, and a lost stream kills nothing.
MARK = "PROOFBOX_COMMAND"

# IPython's advice after `sys.exit()` is for somebody at a prompt, and where it was called is not shown;
# `exit(1)` lets the cell go on and then the kernel end, as if all were well; and so it is with a command behind
# `!` that fails. And its streams send what a fifth of
# a second printed as one message, which can be 100 MB; so pieces are cut and sent. IPython replaces
# `write` of the stream for every cell and puts it back, hence the property.
_SETTLE_IN = """\
import json, os, platform, sys, warnings
warnings.filterwarnings("ignore", "To exit: use 'exit'")

def end_like_a_script(shell):
    show = shell.showtraceback
    def showtraceback(*args, exception_only=False, **kwargs):
        return show(*args, **kwargs)
    shell.showtraceback = showtraceback
    class Exit(type(shell.exiter)):
        def __call__(self, code=0, keep_kernel=None):
            raise SystemExit(code)
    shell.exiter.__class__ = Exit

class ExitStatus(Exception):
    pass

def fail_like_a_script(shell):
    system, run = shell.system, shell.run_ast_nodes
    failed = []
    def remember(proofbox_command):
        text = shell.var_expand(proofbox_command, depth=1)
        expand, shell.var_expand = shell.var_expand, lambda text, *_, **__: text
        try:
            system(text)
        finally:
            shell.var_expand = expand
        if status := shell.user_ns.get("_exit_code"):
            failed.append(ExitStatus("exit status %s: !%s" % (status, text)))
    async def run_ast_nodes(nodes, cell_name, *args, **kwargs):
        failed.clear()
        result = kwargs.get("result", args[2] if len(args) > 2 else None)
        if await run(nodes, cell_name, *args, **kwargs):
            return True
        if failed:
            if result is not None:
                result.error_in_exec = failed[0]
            shell.showtraceback((ExitStatus, failed[0], None))
        return bool(failed)
    shell.system, shell.run_ast_nodes = remember, run_ast_nodes

# Another replica may have settled in before.
fresh = not hasattr(sys.stdout, "proofbox")
try:
    from IPython import get_ipython
    if fresh:
        end_like_a_script(get_ipython())
        fail_like_a_script(get_ipython())
except Exception:
    pass

def in_pieces(stream, most=65536):
    kind = type(stream)
    inner = stream.write
    waiting = 0
    def write(self):
        whole = inner
        def pieces(text):
            nonlocal waiting
            if not isinstance(text, str):
                return whole(text)
            for start in range(0, len(text), most):
                waiting += len(text[start : start + most])
                whole(text[start : start + most])
                if waiting >= most:
                    waiting = 0
                    self.flush()
            return len(text)
        pieces.__wrapped__ = whole
        return pieces
    def replace(self, new):
        nonlocal inner
        inner = getattr(new, "__wrapped__", new)
    members = {"write": property(write, replace), "proofbox": True}
    stream.__class__ = type(kind.__name__, (kind,), members)

for stream in (sys.stdout, sys.stderr):
    if fresh and hasattr(stream, "pub_thread"):
        try:
            in_pieces(stream)
        except Exception:
            pass
killed = 0
try:
    for line in open("/proc/vmstat"):
        if line.startswith("oom_kill "):
            killed = int(line.split()[1])
except OSError:
    pass
sys.stdout.write(json.dumps({
    "python": platform.python_version(), "executable": sys.executable,
    "kernel": os.getpid(), "server": os.getppid(), "out_of_memory_kills": killed,
}))
"""

SETTLE_IN = f"__import__('builtins').exec({_SETTLE_IN!r}, {{}})"

# `young`: what was started in the last seconds beside the kernels, in their control group (in E2B's
# machine that is the service that runs the kernels, so the system's own processes are spared).
# `mark`: what carries a command's mark, and its descendants. Twice nothing found: done.
_KILL = """\
import json, os, signal, sys, time
want = json.loads(sys.argv[1])
tick = os.sysconf("SC_CLK_TCK")

def group(pid):
    try:
        return open("/proc/%s/cgroup" % pid).read()
    except OSError:
        return None

def processes():
    now = float(open("/proc/uptime").read().split()[0])
    found = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            rest = open("/proc/%s/stat" % name, "rb").read().rsplit(b")", 1)[1].split()
        except OSError:
            continue
        if rest[0] not in b"ZX":
            found[int(name)] = (int(rest[1]), now - int(rest[19]) / tick)
    return found

def line_of(pid, found):
    while pid in found:
        yield pid
        pid = found[pid][0]

def marked(pid):
    try:
        return want["mark"].encode() in open("/proc/%d/environ" % pid, "rb").read()
    except OSError:
        return False

def victims(found):
    own = set(line_of(os.getpid(), found)) | {1, want["server"]}
    if want["mark"]:
        roots = {pid for pid in found if pid not in own and marked(pid)}
        return {pid for pid in found if pid not in own and roots & set(line_of(pid, found))}
    age = want["young"] + time.monotonic() - began + found[os.getpid()][1]
    kernels = {pid for pid in found if found[pid][0] == want["server"]}
    fresh = {pid for pid in kernels if found[pid][1] < age}
    home = group(want["server"])
    return {
        pid for pid in found
        if pid not in own | kernels and found[pid][1] < age
        and not fresh & set(line_of(pid, found)) and group(pid) == home
    }

began = time.monotonic()
quiet = 0
for _ in range(200):
    for pid in victims(processes()):
        quiet = 0
        try:
            os.kill(pid, signal.SIGKILL)
        except OSError:
            pass
    quiet += 1
    if quiet > 2:
        break
    time.sleep(0.01)
"""

# Seconds added to the time that code ran, so that what it started first is counted too.
_SLACK = 0.25


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the kernel said about itself. `server` is the process that starts kernels."""

    python: str
    executable: str
    kernel: int
    server: int
    out_of_memory_kills: int


def surroundings(printed: str) -> Surroundings:
    """Reads what `SETTLE_IN` printed. Raises ValueError."""
    try:
        return Surroundings(**json.loads(printed))
    except TypeError as error:
        raise ValueError(f"unexpected answer: {printed[:200]!r}") from error


def kill_young(server: int, seconds: float) -> str:
    """A command that kills what code of the last `seconds` started, but no kernel."""
    return _kill({"mark": "", "young": seconds + _SLACK, "server": server})


def kill_marked(mark: str) -> str:
    """A command that kills everything that the command with this mark started."""
    return _kill({"mark": mark, "young": 0, "server": 0})


def _kill(want: dict[str, object]) -> str:
    return f"exec python3 -I -S -c {shlex.quote(_KILL)} {shlex.quote(json.dumps(want))}"


def wrapped(command: str | list[str], seconds: float) -> str:
    """The command in a session and under a deadline of its own, should proofbox vanish meanwhile.

    Bash's own remarks on how its child died do not belong to the command's output.
    """
    inner = ["bash", "-c", command] if isinstance(command, str) else command
    return (
        "exec 3>&2 2>/dev/null; "
        f"setsid -w timeout -k 5 {seconds:.0f} {shlex.join(inner)} </dev/null 2>&3 3>&-; exit $?"
    )
