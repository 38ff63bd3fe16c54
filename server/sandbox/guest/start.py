"""The first file that runs in a jail: puts the guest on the import path for one import."""

# The name that the guest has inside a jail means nothing outside.
# pyright: reportMissingImports=false, reportUnknownVariableType=false, reportUnknownMemberType=false

import sys

sys.path.insert(0, "/guest")
from proofbox_guest import supervisor

sys.path.remove("/guest")
supervisor.main(int(sys.argv[1]))
