"""`proofbox webhook`: what it refuses to start without, and that it ends in order."""

import json
import os
import signal
import subprocess
import sysconfig
from dataclasses import replace
from functools import partial
from pathlib import Path

import httpx2
import pytest

from proofbox.server.cli.commands import cli
from proofbox.server.cli.ending import exit_code
from proofbox.server.cli.webhook import SECRET_VARIABLE, Wanted, secret_of
from proofbox.server.values import SettingsError

CONSOLE_SCRIPT = Path(sysconfig.get_path("scripts")) / "proofbox"
SECRET = "a secret of a webhook"
WANTED = Wanted(
    repositories=("octo/app",), secret_file=None, host="127.0.0.1", port=0, at_once=2, comment=True,
    check=False, reports=None, merged=False, all_tests=False, performance=False, mutation=True,
    python_versions=(), as_json=False,
)  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "secret", "said"),
    [
        (["--repo", "octo/app", "--comment"], "", "There is no secret"),
        (["--repo", "octo/app", "--comment"], "  ", "There is no secret"),
        (["--repo", "octo/app", "--comment"], "short", "could be guessed"),
        (["--comment"], SECRET, "--repo OWNER/REPO"),
        (["--repo", "octo", "--comment"], SECRET, "not 'octo'"),
        (["--repo", "octo/*", "--comment"], SECRET, "not 'octo/*'"),
        (["--repo", "octo/app"], SECRET, "Nobody would see"),
        (["--repo", "octo/app", "--reports", "no/such"], SECRET, "there is no folder"),
    ],
)
def test_it_does_not_start_without_what_makes_it_safe(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    secret: str,
    said: str,
) -> None:
    """Neither without a secret nor without a list of repositories, nor where nobody would see a report."""
    monkeypatch.setenv(SECRET_VARIABLE, secret)
    words = ["webhook", "--port", "0", *arguments]

    code = exit_code(partial(cli.main, words, standalone_mode=False), as_json=False)

    assert code == 2
    assert said in capsys.readouterr().err


def test_the_secret_may_be_in_a_file(tmp_path: Path) -> None:
    """Which wins over the environment; the newline at its end is none of it."""
    file = tmp_path / "secret"
    file.write_text(f"{SECRET} of a file\n")
    wanted = replace(WANTED, secret_file=str(file))

    assert secret_of(wanted, {SECRET_VARIABLE: SECRET}) == f"{SECRET} of a file".encode()
    assert secret_of(WANTED, {SECRET_VARIABLE: SECRET}) == SECRET.encode()
    with pytest.raises(SettingsError, match="No such file"):
        secret_of(replace(WANTED, secret_file=str(tmp_path / "none")), {})


@pytest.mark.slow
def test_it_serves_until_a_signal_and_ends_in_order(tmp_path: Path) -> None:
    """The address is announced once it answers; what is not signed is refused; SIGTERM ends it with 0."""
    command = [CONSOLE_SCRIPT, "webhook", "--repo", "octo/app", "--reports", tmp_path, "--port", "0",
               "--json"]  # fmt: skip
    env = {**os.environ, SECRET_VARIABLE: SECRET, "PROOFBOX_DATA_DIR": str(tmp_path)}
    with subprocess.Popen(
        command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            url = json.loads(process.stdout.readline())["url"]
            answer = httpx2.post(url, content=b"{}", timeout=20)
            process.send_signal(signal.SIGTERM)
            _, errors = process.communicate(timeout=30)
        finally:
            process.kill()

    assert answer.status_code == 401
    assert process.returncode == 0, errors
    assert "Traceback" not in errors
