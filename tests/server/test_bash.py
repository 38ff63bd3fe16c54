"""Bash code that ends with `exit`: what is made of it, run by a real bash."""

import subprocess

import pytest

from proofbox.server.sandbox.bash import exit_as_status, with_pipeline


def run(code: str) -> tuple[str, int | None]:
    """What a bash that lives on prints for it, and the status that it gives; None if it exited."""
    script = f'eval "$1" </dev/null; status=$?; echo "lives $status" >&2; exit 99 # {len(code)}'
    done = subprocess.run(
        ["bash", "-c", script, "bash", code], capture_output=True, text=True, check=False
    )
    lives = done.stderr.rpartition("lives ")[2].strip() if done.returncode == 99 else ""
    return done.stdout, int(lives) if lives else None


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("exit 0", 0),
        ("exit", 0),
        ("false; exit", 1),
        ("false\nexit $?", 1),
        ('rc=3\nexit "$rc"', 3),
        ("rc=3; exit ${rc};", 3),
        ("true && exit 0", 0),
        ("false || exit 4  # it is so", 4),
        ("sleep 0 & exit 0", 0),
        ("echo one\nexit 0\n\n# the end\n", 0),
        ("if true; then exit 0; else exit 1; fi", 0),
        ("if false; then exit 0; else exit 1; fi # done", 1),
        ("if false; then\n  exit 0\nelif true; then\n  echo two\n  exit 2  # two\nfi\n", 2),
        ("case a in\n  b) exit 1 ;;\n  *)\n    exit 0\n    ;;\nesac", 0),
        ("if true; then\n  if true; then\n    exit 0\n  fi # so\nelse exit 1\nfi", 0),
    ],
)
def test_an_exit_at_the_end_is_a_status(code: str, status: int) -> None:
    """Bash lives on, and prints what it would have printed."""
    printed = subprocess.run(
        ["bash", "-c", code], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )

    assert (printed.returncode, run(code)[1]) == (status, None)
    assert run(exit_as_status(code)) == (printed.stdout, status)


@pytest.mark.parametrize(
    "code",
    [
        "exit 0\necho never",
        "if true; then exit 0; fi\necho never",
        "if true; then exit 0; echo never; fi",
        "if true; then\n  exit 0\n  echo never\nfi",
        "if true; then exit 0 && echo never; fi",
        "if true; then\n  if true; then exit 0; fi\n  echo never\nfi",
        "case a in *) if true; then exit 0; fi; echo never ;; esac",
        "for one in 1 2; do exit 0; done",
        "if true; then for one in 1 2; do exit 0; done; fi",
        "case a in *) exit 0; echo never ;; esac",
        "f() { exit 0; }\nif true; then f; echo never; exit 0; fi",
        "f() { exit 0; }; f; echo never; exit 0",
        "true && exit 0 || exit 1",
        "exec true",
        "trap 'exit 0' EXIT; exec true",
    ],
)
def test_an_exit_before_the_end_stays_one(code: str) -> None:
    """What follows did not run, and that must not read like success."""
    assert run(exit_as_status(code))[1] is None


@pytest.mark.parametrize(
    "code",
    [
        "",
        "# exit 0",
        "echo \\\nexit 0",
        "echo 'a; exit 0'",
        'echo "a\n; exit 0 # "',
        "cat <<END\nexit 0\nEND",
        "echo 'if true; then'; true \\\nexit 0",
        "exit_now=1",
        "echo if\necho fi",
    ],
)
def test_what_only_looks_like_an_exit_is_left_alone(code: str) -> None:
    """It is an argument, or text."""
    assert exit_as_status(code) == code


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("false | cat", 1),
        ("nosuch 2>/dev/null | cat  # so", 127),
        ("set -u; (exit 3) | (exit 4) | true;", 4),
        ("cat <<END | grep -v a\na | b\nEND", 1),
        ("cat <<END\na | b\nEND", 0),
        ("yes | head -1", 0),
        ("if false | cat; then echo yes; fi", 0),
        ("if false | grep -q x; then echo yes; fi", 0),
        ("while false | grep -q x; do echo; done", 0),
        ("false | cat\ntrue", 0),
        ("false | cat || echo no; echo yes", 0),
        ("false || true | cat", 0),
        ("seq 2 | while read -r n; do echo $n; done", 0),
    ],
)
def test_a_pipeline_at_the_end_is_as_good_as_its_worst_part(code: str, status: int) -> None:
    """It prints what it would have printed, even where bash says what it does."""
    for options in ("", "set -x\n"):
        plain, whole = (
            subprocess.run(
                ["bash", "-c", options + each], capture_output=True, text=True, check=False
            )
            for each in (code, with_pipeline(code))
        )

        assert whole.returncode == status
        assert whole.stdout == plain.stdout
        assert sorted(whole.stderr.split("\n")) == sorted(plain.stderr.split("\n"))


@pytest.mark.parametrize("code", ["echo a", "a | cat <<END\nb", "a | cat <<$x\n$x", "a | b \\"])
def test_what_would_take_the_check_for_its_own_text_is_left_alone(code: str) -> None:
    """An open here-document, or a line that goes on."""
    assert with_pipeline(code) == code
