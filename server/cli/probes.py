"""Attempts to break out of a sandbox, as code for its interpreter.

A probe defines `attempt()`, which returns what it got hold of, or None if it got nothing, and raises
when it is refused. `GIVEN` is what this machine holds and must not be reachable. A probe does no harm
where it succeeds: what could change its process happens in a child, and it cleans up after itself.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass

_FRAME = """
import ctypes, errno, glob, json, os, platform, socket, tempfile
GIVEN = json.loads({given!r})
libc = ctypes.CDLL(None, use_errno=True)

def call(answer):
    if answer == -1:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return f'it was allowed ({{answer}})'

def reached(paths):
    for path in paths:
        try:
            with open(path, 'rb') as file:
                if GIVEN['token'].encode() in file.read(1 << 20):
                    return path
        except OSError:
            pass

def answer():
    try:
        return [attempt(), 'nothing there']
    except Exception as error:
        return [None, f'{{type(error).__name__}}: {{error}}']

def answer_of_child():
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.write(write, json.dumps(answer()).encode())
        os._exit(0)
    os.close(write)
    os.waitpid(child, 0)
    with os.fdopen(read) as file:
        return json.loads(file.read())

{code}

got, why = answer_of_child()
print(json.dumps({{'ran': GIVEN['token'][::-1], 'got': got, 'why': why}}))
"""


@dataclass(frozen=True, slots=True)
class Probe:
    """One attempt. `in_jail`: it makes sense only where the sandbox shares this machine's kernel."""

    name: str
    code: str
    in_jail: bool = False

    def source(self, given: Mapping[str, object]) -> str:
        """The code to run; it prints one line of JSON: `ran` proves that it did."""
        return _FRAME.format(given=json.dumps(given), code=self.code)


PROBES = (
    Probe(
        "read a file in this user's home directory, or in /tmp",
        "def attempt(): return reached(GIVEN['files'])",
    ),
    Probe(
        "find this machine's environment variables",
        "def attempt(): return reached(glob.glob('/proc/*/environ')) or "
        "next((name for name in os.environ if GIVEN['token'] in os.environ[name]), None)",
    ),
    Probe(
        "see this machine's processes",
        "def attempt(): return reached(glob.glob('/proc/*/cmdline'))",
    ),
    Probe(
        "connect to a server on this machine",
        "def attempt(): socket.create_connection(('127.0.0.1', GIVEN['port']), 3); return 'it answered'",
    ),
    Probe(
        "connect to an abstract socket of this machine",
        "def attempt():\n    socket.socket(socket.AF_UNIX).connect('\\0' + GIVEN['abstract'])\n"
        "    return 'it answered'",
    ),
    Probe(
        "connect to the internet",
        "def attempt(): socket.create_connection(('1.1.1.1', 443), 3); return 'it answered'",
    ),
    Probe(
        "mount a file system",
        "def attempt():\n"
        "    folder = tempfile.mkdtemp().encode()\n"
        "    try:\n"
        "        got = call(libc.mount(b'none', folder, b'tmpfs', 0, None))\n"
        "        libc.umount2(folder, 2)\n"
        "        return got\n"
        "    finally:\n"
        "        os.rmdir(folder)",
        in_jail=True,
    ),
    Probe(
        "make namespaces of its own",
        "def attempt(): return call(libc.unshare(0x10000000))",
        in_jail=True,
    ),
    Probe(
        "trace another process",
        # PTRACE_SEIZE does not stop what it seizes, and ends with the tracer.
        "def attempt(): return call(libc.ptrace(0x4206, os.getppid() or 1, None, None))",
        in_jail=True,
    ),
    Probe(
        "become root",
        "def attempt(): os.setuid(0); return f'uid {os.getuid()}'",
        in_jail=True,
    ),
    Probe(
        "open a disk or the kernel's memory",
        "def attempt():\n"
        "    disks = ['/dev/' + line.split()[3] for line in open('/proc/partitions').readlines()[2:]]\n"
        "    for path in ('/dev/mem', '/dev/kmsg', '/proc/kcore', *disks):\n"
        "        if os.access(path, os.R_OK) and open(path, 'rb').read(1): return path",
        in_jail=True,
    ),
    Probe(
        "write to the system or to the shared packages",
        "def attempt():\n"
        "    for folder in ('/usr', '/etc', os.path.dirname(json.__file__), '/proc/sys/kernel', '/sys'):\n"
        "        try:\n"
        "            path = folder + '/proofbox-doctor-' + GIVEN['token']\n"
        "            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))\n"
        "            os.remove(path)\n"
        "            return folder\n"
        "        except OSError:\n"
        "            pass",
        in_jail=True,
    ),
    Probe(
        "use kernel calls that it never needs (bpf, keyctl, perf, userfaultfd, io_uring)",
        "def attempt():\n"
        "    numbers = {'x86_64': (321, 250, 298, 323, 425), 'aarch64': (280, 219, 241, 282, 425)}\n"
        "    for number in numbers[platform.machine()]:\n"
        "        ctypes.set_errno(0)\n"
        "        libc.syscall(number, 0, 0, 0, 0, 0)\n"
        "        if ctypes.get_errno() not in (errno.EPERM, errno.EACCES, errno.ENOSYS):\n"
        "            return f'system call {number} was let through'",
        in_jail=True,
    ),
)

LIMITS = """
import json, os, resource
def soft(name):
    value = resource.getrlimit(getattr(resource, name))[0]
    return None if value == resource.RLIM_INFINITY else value
names = {'memory_bytes': 'RLIMIT_DATA', 'processes': 'RLIMIT_NPROC', 'file_bytes': 'RLIMIT_FSIZE',
         'open_files': 'RLIMIT_NOFILE', 'cpu_seconds': 'RLIMIT_CPU'}
seen = {name: soft(constant) for name, constant in names.items()}
disk = os.statvfs(os.path.expanduser('~'))
seen['disk_bytes'] = disk.f_frsize * disk.f_blocks
print(json.dumps(seen))
"""
