"""Kernels for bash and JavaScript: a long-lived process behind Jupyter's protocol.

As with E2B's bash kernel, a non-zero status is an error without a name, and a bash that has ended is a
success: there is a new one, and it says so on stdout.
"""

# pyright: basic, reportUndefinedVariable=false, reportOptionalMemberAccess=false, reportArgumentType=false
# pyright: reportReturnType=false, reportAttributeAccessIssue=false, reportIncompatibleMethodOverride=false
# pyright: reportOptionalSubscript=false

import fcntl
import json
import os
import selectors
import subprocess
import sys

from ipykernel.kernelapp import IPKernelApp
from ipykernel.kernelbase import Kernel

LANGUAGE = os.environ["STANDIN_LANGUAGE"]
COMMANDS = {
    "bash": [
        "bash",
        "--norc",
        "-c",
        'trap : INT; while IFS= read -r f <&3; do . "$f"; echo $? >&4; done',
    ],
    "javascript": ["node", "/opt/standin/cells.js"],
}


class ProcessKernel(Kernel):
    implementation = LANGUAGE
    implementation_version = "1"
    language = LANGUAGE
    language_version = "1"
    language_info = {  # noqa: RUF012 - as the base class has it
        "name": LANGUAGE,
        "mimetype": "text/plain",
        "file_extension": ".txt",
    }
    banner = LANGUAGE
    child = None

    def start(self):
        super().start()
        self.begin()

    def begin(self):
        down, self.requests = os.pipe()
        self.answers, up = os.pipe()
        renumber = "import os,sys; a,b=map(int,sys.argv[1:3]); os.dup2(a,3); os.dup2(b,4); os.execvp(sys.argv[3],sys.argv[3:])"
        # Above the numbers that are wanted, so that neither overwrites the other; and no third one of
        # either, since it would hide that the child has ended.
        down, up = self.moved(down), self.moved(up)
        self.child = subprocess.Popen(
            [sys.executable, "-c", renumber, str(down), str(up), *COMMANDS[LANGUAGE]],
            pass_fds=(down, up),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        os.close(down)
        os.close(up)

    @staticmethod
    def moved(descriptor):
        above = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 10)
        os.close(descriptor)
        return above

    def do_execute(
        self, code, silent, store_history=True, user_expressions=None, allow_stdin=False, **_
    ):
        if self.child.poll() is not None:
            self.begin()
        path = f"/tmp/cell-{os.getpid()}-{self.execution_count}"
        with open(path, "w") as cell:
            cell.write(code)
        os.write(self.requests, f"{path}\n".encode())
        try:
            answer = self.pump()
        except KeyboardInterrupt:
            # The child was interrupted too, and answers when it has stopped.
            self.pump()
            return self.failed("KeyboardInterrupt", "", [])
        return self.result(answer)

    def result(self, answer):
        if LANGUAGE == "bash":
            if answer != "0":
                return self.failed("", answer, [])
        else:
            told = json.loads(answer)
            if told.get("error"):
                return self.failed(told["error"], told["value"], [told["stack"]])
            if told.get("text") is not None:
                data = {"text/plain": told["text"]}
                content = {"data": data, "metadata": {}, "execution_count": self.execution_count}
                self.send_response(self.iopub_socket, "execute_result", content)
        return {
            "status": "ok",
            "execution_count": self.execution_count,
            "payload": [],
            "user_expressions": {},
        }

    def failed(self, name, value, traceback):
        content = {"ename": name, "evalue": value, "traceback": traceback}
        self.send_response(self.iopub_socket, "error", content)
        return {"status": "error", "execution_count": self.execution_count, **content}

    def ended(self):
        if LANGUAGE != "bash":
            return '{"error": "Exit", "value": "", "stack": ""}'
        said = {"name": "stdout", "text": "Restarting Bash"}
        self.send_response(self.iopub_socket, "stream", said)
        self.begin()
        return "0"

    def pump(self):
        """Pass output on until the child answers, and what it wrote before that."""
        answer = b""
        with selectors.DefaultSelector() as wait:
            wait.register(self.answers, selectors.EVENT_READ, None)
            wait.register(self.child.stdout, selectors.EVENT_READ, "stdout")
            wait.register(self.child.stderr, selectors.EVENT_READ, "stderr")
            while True:
                ready = wait.select(0 if answer.endswith(b"\n") else None)
                streams = [key for key, _ in ready if key.data]
                if not streams and answer.endswith(b"\n"):
                    return answer.decode().strip()
                for key in streams:
                    data = os.read(key.fd, 65536)
                    if not data:
                        wait.unregister(key.fileobj)
                        continue
                    text = data.decode(errors="replace")
                    self.send_response(
                        self.iopub_socket, "stream", {"name": key.data, "text": text}
                    )
                if any(key.data is None for key, _ in ready):
                    data = os.read(self.answers, 65536)
                    if not data:
                        return self.ended()
                    answer += data


IPKernelApp.launch_instance(kernel_class=ProcessKernel)
