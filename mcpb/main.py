"""What a host starts of the bundle: the server on stdio, with the folders that the user chose as arguments."""

import os
import sys

from proofbox.server.cli import main

# Hosts leave the names of options in place that the user has not set.
for name in [name for name, value in os.environ.items() if value.startswith("${user_config.")]:
    del os.environ[name]
if folders := [each for each in sys.argv[1:] if each and not each.startswith("${")]:
    os.environ["PROOFBOX_ROOTS"] = os.pathsep.join(folders)
sys.argv[1:] = []
main()
