"""JavaScript in a session on this machine: what a promise comes to is what the code did."""

from pathlib import Path

import anyio
import pytest

from proofbox.server.sandbox import InvalidInput, SandboxRequest
from proofbox.server.sandbox.local.backend import LocalBackend

MAIN = "async function main() {{ await new Promise(r => setTimeout(r, 20)); {} }}\n"
AT_ONCE = "async function main() { await 0; throw new TypeError('no') }\nmain()\n5"


async def test_code_that_ends_in_a_promise_has_done_what_that_did(local_cache: Path) -> None:
    """Nobody awaits `main()` at the end of a script; what it raises, also beside other code, is no pass."""
    backend = LocalBackend(cache_dir=local_cache)
    sandbox = await backend.create(SandboxRequest(owner="promises"))
    if "javascript" not in backend.languages:
        with pytest.raises(InvalidInput):
            await sandbox.run_code("1", language="javascript")
        await backend.close()
        return
    codes = (MAIN.format("throw new TypeError('no')") + "main()", AT_ONCE)
    well = MAIN.format("console.log('done')") + "main()"

    with anyio.fail_after(30):
        ran = [await sandbox.run_code(code, language="javascript") for code in (*codes, well)]
    await backend.close()

    assert [(one.outcome, one.error and one.error.name) for one in ran] == [
        ("raised", "TypeError"),
        ("raised", "TypeError"),
        ("completed", None),
    ]
    assert ran[2].stdout.text == "done\n"
