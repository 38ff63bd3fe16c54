"""Runs inside a stand-in sandbox and starts, signals and reads for the server outside.

One connection is one request: a line of JSON, file descriptors beside it, lines of JSON back.
A Python kernel is a fork of this process, which has imported what a kernel needs before it was one.
"""

# pyright: basic, reportUndefinedVariable=false, reportOptionalMemberAccess=false, reportArgumentType=false
# pyright: reportReturnType=false, reportAttributeAccessIssue=false, reportIncompatibleMethodOverride=false
# pyright: reportOptionalSubscript=false

import json
import os
import resource
import runpy
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading

USER = 1000
MEMORY = int(sys.argv[1])
AS_ROOT = sys.argv[2] == "1"


def limits(processes):
    def apply():
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_NPROC, (processes, processes))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    return apply


def spawn(connection, request, descriptors):
    identity = {}
    if AS_ROOT and request["user"] != "root":
        identity = {"user": USER, "group": USER, "extra_groups": []}
    try:
        child = subprocess.Popen(
            request["argv"],
            stdin=descriptors[2] if len(descriptors) > 2 else subprocess.DEVNULL,
            stdout=descriptors[0],
            stderr=descriptors[1],
            env=request["env"],
            cwd=request["cwd"],
            start_new_session=request.get("session", False),
            preexec_fn=limits(request["processes"]),  # noqa: PLW1509 - no locks are taken in it
            **identity,
        )
    except (OSError, subprocess.SubprocessError) as error:
        return answer(connection, {"error": str(error)})
    finally:
        for descriptor in descriptors:
            os.close(descriptor)
    answer(connection, {"pid": child.pid})
    return answer(connection, {"exit": child.wait()})


def kernel(connection, request, descriptors):
    pid = os.fork()
    if pid == 0:
        try:
            become_kernel(request, *descriptors)
        finally:
            os._exit(1)
    for descriptor in descriptors:
        os.close(descriptor)
    answer(connection, {"pid": pid})
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return answer(connection, {"exit": status})


def become_kernel(request, stdout, stderr):
    os.setsid()
    empty = os.open(os.devnull, os.O_RDONLY)
    for target, source in enumerate((empty, stdout, stderr)):
        os.dup2(source, target)
    os.closerange(3, 1024)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    limits(request["processes"])()
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["cwd"])
    sys.path[0:0] = request["env"]["PYTHONPATH"].split(":")
    sys.argv = request["argv"]
    if len(sys.argv[0]) > 1 and sys.argv[0].endswith(".py"):
        runpy.run_path(sys.argv[0], run_name="__main__")
    else:
        from ipykernel import kernelapp

        kernelapp.launch_new_instance()
    os._exit(0)


def kill(connection, request, _):
    try:
        # A number that is a process group's and one that is a process's are told apart by the sign.
        os.kill(request["pid"], request["signal"])
    except ProcessLookupError:
        return answer(connection, {"found": False})
    return answer(connection, {"found": True})


def opened(connection, request, _):
    path = request["path"]
    writing = request["mode"] == "w"
    user = 0 if request.get("user") == "root" else USER
    if writing:
        make_directories(os.path.dirname(path), user)
        if os.path.isdir(path):
            raise IsADirectoryError(21, "path is a directory", path)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        own(path, user)
    else:
        if os.path.isdir(path):
            raise IsADirectoryError(21, "path is a directory", path)
        descriptor = os.open(path, os.O_RDONLY)
    socket.send_fds(connection, [b'{"ok": true}\n'], [descriptor])
    os.close(descriptor)


def make_directories(path, user=USER):
    missing = []
    while path and not os.path.isdir(path):
        missing.append(path)
        path = os.path.dirname(path)
    for directory in reversed(missing):
        if os.path.exists(directory):
            raise OSError(20, "error ensuring directories: path is a file", directory)
        os.mkdir(directory, 0o755)
        own(directory, user)


def own(path, user):
    if AS_ROOT:
        os.chown(path, user, user)


def entry(path):
    status = os.lstat(path)
    target, kind = None, status.st_mode
    if stat.S_ISLNK(kind):
        # The kind of a link is that of what it leads to.
        target = os.path.realpath(path)
        kind = os.stat(target).st_mode if os.path.exists(target) else 0
    return {
        "path": path,
        "directory": stat.S_ISDIR(kind),
        "file": stat.S_ISREG(kind),
        "target": target,
        "size": status.st_size,
        "mode": stat.S_IMODE(status.st_mode),
        "modified": status.st_mtime_ns,
    }


def status(connection, request, _):
    answer(connection, {"entry": entry(request["path"])})


def listing(connection, request, _):
    path, depth = request["path"], request["depth"]
    if not os.path.isdir(path):
        os.stat(path)
        raise NotADirectoryError(20, "path is not a directory", path)
    found = []
    for folder, directories, files in os.walk(path):
        level = len(os.path.relpath(folder, path).split("/")) if folder != path else 0
        found += [entry(os.path.join(folder, name)) for name in directories + files]
        if level + 1 >= depth:
            directories.clear()
    answer(connection, {"entries": found})


def make(connection, request, _):
    if os.path.isdir(request["path"]):
        raise FileExistsError(17, "directory already exists", request["path"])
    make_directories(request["path"])
    status(connection, request, None)


def remove(connection, request, _):
    if os.path.isdir(request["path"]) and not os.path.islink(request["path"]):
        shutil.rmtree(request["path"])
    else:
        os.remove(request["path"])
    answer(connection, {"ok": True})


def move(connection, request, _):
    os.rename(request["path"], request["to"])
    answer(connection, {"entry": entry(request["to"])})


def answer(connection, message):
    try:
        connection.sendall(json.dumps(message).encode() + b"\n")
    except OSError:
        pass


DOES = {
    "spawn": spawn,
    "kernel": kernel,
    "kill": kill,
    "open": opened,
    "stat": status,
    "list": listing,
    "mkdir": make,
    "remove": remove,
    "move": move,
}


def serve(connection):
    with connection:
        data, descriptors, _, _ = socket.recv_fds(connection, 1 << 20, 4)
        while data and not data.endswith(b"\n"):
            data += connection.recv(1 << 20)
        if not data:
            return
        request = json.loads(data)
        try:
            DOES[request["do"]](connection, request, descriptors)
        except OSError as error:
            answer(
                connection, {"errno": error.errno, "message": f"{error.strerror}: {error.filename}"}
            )


def main():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind("/run/standin/agent.new")
    listener.listen(64)
    os.rename("/run/standin/agent.new", "/run/standin/agent")
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve, args=(connection,), daemon=True).start()


main()
