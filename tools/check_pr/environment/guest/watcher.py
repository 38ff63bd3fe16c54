"""Notices what code tries that not every project does. It reports; what protects is the sandbox.

How to use it, in the process that is to be watched and before any code of the project runs::

    watcher = Watcher(root, home, say)     # say(kind=..., what=..., where=..., when=...), as a channel's
    watcher.when = "install"               # or the id of the test that runs now
    watcher.start()                        # for good: an audit hook cannot be taken away
    watcher.paused = True                  # while code of ours runs that must not be reported

`say` is called once for each different (kind, what, where, when), in the thread that did it, at most `MOST`
times. What does not concern one side alone is for the caller to leave out: compare what base does.

kind: `network` (looking up or connecting to another machine, or a socket of the system), `write` (making,
changing or removing a file outside of the project and temporary folders), `process` (starting one; what it
does then is not seen) and `credentials` (reading or listing where keys are kept, or asking for a variable
that is called like a secret).
what: `host:port`, the path (`~` for the home, `.` for the project, `/tmp/...` for anything temporary), the
command, or the name of the variable.
where: the innermost line of the project's own, `path:line` relative to the project; "" where only others
were at work.
"""

from __future__ import annotations

import inspect
import os
import re
import shlex
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

MOST = 300

_LONGEST = 200
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_TEMPORARY = ("/tmp", "/var/tmp", "/dev")
_LOOPBACK = re.compile(r"127\.|::1$|::ffff:127\.|0\.0\.0\.0$|::$|localhost$|ip6-localhost$|$")
_SECRET_PATHS = re.compile(
    r"(^~/\.(ssh|aws|azure|gnupg|kube|docker|pypirc|netrc|git-credentials|npmrc|pgpass|vault-token"
    r"|mozilla|bitcoin|ethereum|password-store|config/(gh|gcloud|google-chrome|chromium|hub|op))(/|$))"
    r"|^~/_netrc$|^/root(/|$)|^/etc/(shadow|gshadow|sudoers|ssh/)|^/(var/)?run/secrets/"
    r"|^/proc/[^/]+/(environ|mem)$|(^|/)id_(rsa|dsa|ecdsa|ed25519)$"
)
_SECRET_NAMES = re.compile(
    r"(?i)(TOKEN|SECRET|PASSW|PASSPHRASE|CREDENTIAL|API_?KEY|ACCESS_?KEY|PRIVATE_?KEY|AUTH_SOCK)"
)
_NOT_SECRETS = re.compile(r"(?i)TOKENIZERS_")
_RANDOM = re.compile(r"(?<![\w/])(/tmp|/var/tmp|/dev/shm)/[^\s'\":,]+")
_URL = re.compile(r"([a-z][a-z0-9+.-]*)://(?:[^/@\s]*@)?(\[[^\]]*\]|[^/:?#\s]+)(?::(\d+))?")
_PORTS = {"http": "80", "https": "443", "ftp": "21"}
_REMOVING = {
    "os.remove": 1, "os.rmdir": 1, "os.mkdir": 1, "os.chmod": 1, "os.chown": 1, "os.truncate": 1,
    "os.rename": 2, "shutil.move": 2, "shutil.rmtree": 1,
}  # fmt: skip
_LINKING = ("os.link", "os.symlink")  # what is written is the second path


class Watcher:
    """See the module. `root` and `home` are absolute; `say` must not raise; `temporary` are the folders
    that everybody writes to.
    """

    def __init__(
        self,
        root: str,
        home: str,
        say: Callable[..., None],
        temporary: tuple[str, ...] = _TEMPORARY,
    ) -> None:
        self.when = ""
        self.paused = False
        self._root = os.path.realpath(root)
        self._home = os.path.realpath(home)
        self._say = say
        self._seen: set[tuple[str, str, str, str]] = set()
        self._inside: set[int] = set()
        # Code that is watched may replace these in their modules.
        self._thread = threading.get_ident
        self._getcwd = os.getcwd
        self._frame = inspect.currentframe
        self._prefixes = tuple({os.path.realpath(p) for p in (sys.prefix, sys.base_prefix)})
        self._known = (f"{self._root}/", *(f"{each}/" for each in self._prefixes))
        self._own = (self._root, *temporary, *filter(None, [os.environ.get("TMPDIR")]))

    def start(self) -> None:
        """From now on and until the end of the process."""
        sys.addaudithook(self._hook)
        self._watch_variables()

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        judge = _JUDGES.get(event)
        if judge is None or self.paused:
            return
        thread = self._thread()
        if thread in self._inside:
            return
        self._inside.add(thread)
        try:
            for kind, what in judge(self, event, arguments):
                self._tell(kind, what)
        except Exception:  # noqa: BLE001, S110 - it would be raised into the code that is watched
            pass
        finally:
            self._inside.discard(thread)

    def _tell(self, kind: str, what: str) -> None:
        found = (kind, _cut(what), self._where(), self.when)
        if found not in self._seen and len(self._seen) < MOST:
            self._seen.add(found)
            self._say(kind=kind, what=found[1], where=found[2], when=found[3])

    def _where(self) -> str:
        frame: Any = self._frame()
        text = ""  # the place in a text that was executed, like the setup.py that a build backend has read
        while frame is not None:
            name = frame.f_code.co_filename
            path = self._of_project(name)
            if path and not (text and text.rpartition(":")[0] != path):
                return f"{path}:{frame.f_lineno}"
            if path:
                break
            if name == "<string>" and not text:
                path = self._of_project(str(frame.f_globals.get("__file__", "")))
                text = f"{path}:{frame.f_lineno}" if path else ""
            frame = frame.f_back
        return text

    def _of_project(self, name: str) -> str:
        """A file's path relative to the project; empty if it is not in it."""
        path = self._absolute(name) if name[:1] not in ("", "<") else ""
        return path[len(self._root) + 1 :] if path.startswith(f"{self._root}/") else ""

    def _absolute(self, path: Any, folder: Any = -1) -> str:
        """A path as text, absolute; empty for a descriptor."""
        if isinstance(path, int) or path is None:
            return ""
        text = os.fsdecode(path)
        if not text.startswith("/"):
            start = self._getcwd()
            if isinstance(folder, int) and folder >= 0:
                start = os.readlink(f"/proc/self/fd/{folder}")
            text = f"{start}/{text}"
        return os.path.normpath(text)

    def _is_own(self, path: str) -> bool:
        """Whether a file may be written without a word."""
        if any(path == top or path.startswith(f"{top}/") for top in self._own):
            return True
        # The import system tries to keep what it compiled, and does without.
        compiled = path.endswith(".pyc") or "/__pycache__" in path or ".pyc." in path
        return path.startswith("/proc/self/") or (compiled and path.startswith(self._prefixes))

    def _shown(self, path: str) -> str:
        for top, name in ((self._root, "."), (self._home, "~")):
            if path == top or path.startswith(f"{top}/"):
                return name + path[len(top) :]
        return path

    def _written(self, path: Any, folder: Any = -1) -> Iterator[tuple[str, str]]:
        name = self._absolute(path, folder)
        if name and not self._is_own(name):
            yield "write", self._shown(name)

    def opened(self, event: str, arguments: tuple[Any, ...]) -> Iterator[tuple[str, str]]:
        path, mode, flags = (*arguments, None, None)[:3]
        writing = bool(flags & _WRITING) if isinstance(flags, int) else False
        if isinstance(mode, str):
            writing = writing or any(letter in mode for letter in "wax+")
        if writing:
            yield from self._written(path)
        name = self._absolute(path)
        # Links lead to the same place by other names.
        for each in {name, os.path.realpath(name)} if name else ():
            shown = self._shown(each)
            if _SECRET_PATHS.search(shown) and not each.startswith(self._known):
                yield "credentials", shown
                return

    def listed(self, event: str, arguments: tuple[Any, ...]) -> Iterator[tuple[str, str]]:
        yield from self.opened(event, (arguments[0] if arguments else None,))

    def changed(self, event: str, arguments: tuple[Any, ...]) -> Iterator[tuple[str, str]]:
        for path in arguments[: _REMOVING[event]]:
            yield from self._written(path)

    def linked(self, event: str, arguments: tuple[Any, ...]) -> Iterator[tuple[str, str]]:
        yield from self._written(arguments[1])

    def connected(self, event: str, arguments: tuple[Any, ...]) -> Iterator[tuple[str, str]]:
        address = arguments[1]
        if isinstance(address, tuple):
            yield from _reached(address[0], address[1])
        elif isinstance(address, (str, bytes)):
            name = os.fsdecode(address)
            if name.startswith("\0"):
                yield "network", f"unix:@{name[1:]}"
            elif name and not self._is_own(self._absolute(name)):
                yield "network", f"unix:{self._shown(self._absolute(name))}"

    def started(self, event: str, arguments: tuple[Any, ...]) -> Iterator[tuple[str, str]]:
        if event in ("os.fork", "os.forkpty"):
            yield "process", event[3:]
            return
        given = list(arguments[1:] if event == "os.spawn" else arguments)
        words: Any = given[1] if len(given) > 1 and given[1] else given[0]
        if isinstance(words, (str, bytes)) or not hasattr(words, "__iter__"):
            yield "process", self._plain(str(os.fsdecode(words)))
            return
        yield "process", " ".join(self._quoted(str(os.fsdecode(word))) for word in words)

    def _quoted(self, word: str) -> str:
        plain = self._plain(word)
        return plain if plain.startswith(("~", "/tmp/...")) else shlex.quote(plain)

    def _plain(self, word: str) -> str:
        """A word of a command, the same in every run."""
        word = word.replace(self._root, ".").replace(self._home, "~")
        return _RANDOM.sub(r"\1/...", word)

    def _watch_variables(self) -> None:
        kind: Any = type(os.environ)
        original = kind.__getitem__

        def asked(variables: Any, name: Any) -> Any:
            if isinstance(name, str) and _SECRET_NAMES.search(name) and not self.paused:
                self._asked(name)
            return original(variables, name)

        kind.__getitem__ = asked

    def _asked(self, name: str) -> None:
        if not _NOT_SECRETS.match(name):
            self._tell("credentials", f"${name}")


def _reached(host: Any, port: Any) -> Iterator[tuple[str, str]]:
    name = host.decode("utf-8", "replace") if isinstance(host, bytes) else str(host or "")
    if not _LOOPBACK.match(name):
        yield "network", f"{name}:{port}" if port not in (None, 0, "") else name


def _looked_up(_: Watcher, event: str, arguments: tuple[Any, ...]) -> Iterator[tuple[str, str]]:
    yield from _reached(arguments[0], arguments[1] if event == "socket.getaddrinfo" else None)


def _called(_: Watcher, event: str, arguments: tuple[Any, ...]) -> Iterator[tuple[str, str]]:
    """`http.client.connect` and its like: the object, the host, the port."""
    yield from _reached(arguments[1], arguments[2] if len(arguments) > 2 else None)


def _requested(_: Watcher, event: str, arguments: tuple[Any, ...]) -> Iterator[tuple[str, str]]:
    found = _URL.match(str(arguments[0]))
    if found and found.group(1) != "file":
        yield from _reached(found.group(2), found.group(3) or _PORTS.get(found.group(1)))


def _cut(text: str) -> str:
    plain = "".join(letter if letter.isprintable() else " " for letter in text)
    return plain if len(plain) <= _LONGEST else f"{plain[: _LONGEST - 4]} ..."


_JUDGES: dict[str, Callable[[Watcher, str, tuple[Any, ...]], Iterator[tuple[str, str]]]] = {
    "open": Watcher.opened,
    "os.listdir": Watcher.listed,
    "os.scandir": Watcher.listed,
    **dict.fromkeys(_REMOVING, Watcher.changed),
    **dict.fromkeys(_LINKING, Watcher.linked),
    "socket.connect": Watcher.connected,
    "socket.sendto": Watcher.connected,
    "socket.sendmsg": Watcher.connected,
    "socket.getaddrinfo": _looked_up,
    "socket.gethostbyname": _looked_up,
    "urllib.Request": _requested,
    **dict.fromkeys(
        ("http.client.connect", "ftplib.connect", "smtplib.connect", "imaplib.open", "poplib.connect"),
        _called,
    ),
    **dict.fromkeys(
        ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty",
         "pty.spawn"),
        Watcher.started,
    ),
}  # fmt: skip
