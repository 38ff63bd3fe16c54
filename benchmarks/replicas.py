"""500 sessions over two replicas and the stand-in for E2B, with create latency and faults injected.

    uv run benchmarks/replicas.py [--sessions 500] [--limit 20] [--at-once 16] [--store URL] [--json]

Starts two `proofbox serve --http` that share a store (SQLite, or the one that --store names). Each client sets a variable in a
session, looks at it three times, on a replica by chance each time, and closes it. The stand-in, a process of whose
sandboxes really runs Python, takes 0.2 s longer for each start, and refuses, drops and kills now and then.

Exit 1, and what it was on stderr, when a session is lost or wrong without being told so, a sandbox is left at the end, or more
existed at one time than the limit allows (the stand-in counts, and does not refuse).
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import anyio

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from replica_load import Findings, load


def main() -> int:
    """Run it, and say what was found."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sessions", type=int, default=500)
    parser.add_argument("--limit", type=int, default=20)
    parser.add_argument("--at-once", type=int, default=16)
    parser.add_argument("--store", default="")
    parser.add_argument("--json", action="store_true", dest="as_json")
    given = parser.parse_args()
    began = time.monotonic()

    async def run() -> Findings:
        return await load(
            given.sessions,
            limit=given.limit,
            at_once=given.at_once,
            folder=Path(folder),
            store=given.store,
        )

    with tempfile.TemporaryDirectory(prefix="replicas-") as folder:
        found = anyio.run(run)
    facts = {
        "sessions": found.sessions,
        "calls": len(found.seconds),
        "call_seconds_p50": round(found.percentile(50), 3),
        "call_seconds_p95": round(found.percentile(95), 3),
        "seconds": round(time.monotonic() - began),
        "faults": dict(found.faults),
        "told": dict(found.told),
        "sandboxes_made": found.created,
        "most_at_once": found.most_at_once,
        "limit": given.limit,
        "left": found.left,
        "broken": found.broken,
    }
    if given.as_json:
        sys.stdout.write(json.dumps(facts, indent=1) + "\n")
    else:
        for name, value in facts.items():
            sys.stdout.write(f"{name:18} {value}\n")
    for line in found.broken:
        sys.stderr.write(f"BROKEN: {line}\n")
    return 1 if found.broken else 0


if __name__ == "__main__":
    sys.exit(main())
