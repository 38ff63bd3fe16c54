"""proofbox in your own tests and scripts: a client that is connected to a server in the same process.

In a suite, name this module once in the topmost conftest.py; each test that asks for `proofbox` has a client:

    pytest_plugins = ["proofbox.server.testing"]

    @pytest.mark.anyio
    async def test_it(proofbox: Proofbox) -> None:
        report = await proofbox.call("execute_code", code="assert 6 * 7 == 42")
        assert report.verdict == "passed"

Elsewhere, `connected` gives the same client. pytest need not be installed for that.
"""

from .client import Proofbox, ToolRefused, connected

__all__ = ["Proofbox", "ToolRefused", "connected"]

# pytest reads this, and nobody else imports pytest. There is no entry point: it would be loaded into every
# suite of an environment that proofbox happens to be installed in.
pytest_plugins = (f"{__name__}.fixtures",)
