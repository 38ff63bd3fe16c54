"""Stands for pip: an index of two packages and of what the image has, reachable when the sandbox's network lets it be."""

# pyright: basic, reportUndefinedVariable=false, reportOptionalMemberAccess=false, reportArgumentType=false
# pyright: reportReturnType=false, reportAttributeAccessIssue=false, reportIncompatibleMethodOverride=false
# pyright: reportOptionalSubscript=false

import glob
import importlib.metadata
import importlib.util
import json
import os
import re
import shutil
import sys

INDEX = {
    "tinyfact": "def factorial(n):\n    return n * factorial(n - 1) if n else 1\n",
    "tinytwo": "",
}


def offer(name, site):
    """Put the image's own package into another environment, whatever its version."""
    try:
        files = importlib.metadata.files(name) or ()
    except importlib.metadata.PackageNotFoundError:
        return False
    tops = {file.parts[0] for file in files if file.parts[0] != ".."}
    for top in tops:
        source = str(importlib.metadata.distribution(name).locate_file(top))
        # Programs have a /tmp of their own, and the image's packages may be below this machine's.
        if os.path.isdir(source):
            shutil.copytree(source, os.path.join(site, top), dirs_exist_ok=True)
        elif os.path.exists(source):
            shutil.copy(source, site)
    return True


def main():
    arguments = sys.argv[1:]
    wanted = arguments[arguments.index("--") + 1 :]
    with open("/run/standin/network.json") as file:
        network = json.load(file)
    if not network["index"]:
        sys.exit("WARNING: Retrying: NewConnectionError: Temporary failure in name resolution")
    if arguments[0] != "install" or ["--only-binary", ":all:"] != arguments[1:3]:
        sys.exit("ERROR: the stand-in only installs wheels")
    site = "/opt/site"
    if "--python" in arguments:
        target = arguments[arguments.index("--python") + 1]
        (site,) = glob.glob(f"{os.path.dirname(target)}/../lib/python3*/site-packages")
    os.makedirs(site, exist_ok=True)
    for requirement in wanted:
        name = re.match(r"[A-Za-z0-9_.-]+", requirement)[0].lower()
        if name not in INDEX and "--python" in arguments and offer(name, site):
            continue
        if name not in INDEX and importlib.util.find_spec(name):
            continue  # the image has it
        if name not in INDEX or "==9" in requirement:
            sys.exit(f"ERROR: No matching distribution found for {requirement}")
        with open(os.path.join(site, f"{name}.py"), "w") as module:
            module.write(INDEX[name])


main()
