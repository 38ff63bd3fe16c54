"""What resolving and building came to, put together: two environments, remarks, and who is to blame."""

from dataclasses import replace

from ...run_generated_tests.manifest import Manifest
from ..pull.pull import Pull
from .environment import Environment, PackageChange
from .locks import read_lock
from .making import Made
from .needs import Pinned
from .pythons import Python, accepts


class Settling:
    """For one pull request on one Python. `notes` and `conflicts` are those so far, `python` is that one."""

    def __init__(self, pull: Pull, manifests: tuple[Manifest, Manifest], python: Python) -> None:
        self.notes: list[str] = []
        self.conflicts: list[str] = []
        self._pull = pull
        self._manifests = manifests
        self.python = python

    def note(self, text: str) -> None:
        """A remark for the report, once."""
        if text and text not in self.notes:
            self.notes.append(text)

    def settled(
        self, pins: tuple[Pinned, Pinned], made: tuple[Made, Made]
    ) -> tuple[Environment, Environment]:
        """Both environments, with whose fault it is that something is not there."""
        for done in made:
            self.note(done.note)
        base = _environment(pins[0], made[0], self._manifests[0], self.python)
        head = _environment(pins[1], made[1], self._manifests[1], self.python)
        self._remark(pins)
        if made[0].problem and made[1].problem and "ours" not in (made[0].fault, made[1].fault):
            # The pull request is not to blame, and much can be told without.
            self.note(f"Neither side can be built; both are tested as they lie. {made[1].problem}")
        elif made[1].problem:
            head = _spoilt(head, made[1].problem, _blame(made[1]))
        if made[0].problem and made[0].fault == "ours":
            base = _spoilt(base, made[0].problem, "ours")
        elif made[0].problem and not made[1].problem:
            self.note(f"Base cannot be built and is tested as it lies. {made[0].problem}")
        if not accepts([self._manifests[1].requires_python], self.python.version):
            wanted = f"requires Python {self._manifests[1].requires_python}"
            if accepts([self._manifests[0].requires_python], self.python.version):
                head = _spoilt(
                    head, f"Head {wanted}, base still runs on {self.python.version}.", "project"
                )
            else:
                head = _spoilt(
                    head, f"Head {wanted}; here is Python {self.python.version}.", "ours"
                )
        if pins[1].resolution.fault == "project" and not pins[0].resolution.problem:
            said = f"Head's requirements cannot be met: {pins[1].resolution.problem}"
            self.conflicts.append(said)
        return base, head

    def _remark(self, pins: tuple[Pinned, Pinned]) -> None:
        before, after = pins
        for name, pinned in (("base", before), ("head", after)):
            if pinned.left:
                self.note(
                    f"Left out of {name}'s tests, as it cannot be had: {', '.join(pinned.left)}."
                )
            if pinned.resolution.too_old:
                self.note(
                    f"{name.capitalize()} asks for pytest {pinned.resolution.too_old}, which cannot be driven; its tests "
                    f"are run by pytest {pinned.resolution.versions.get('pytest', '')}."
                )
        if before.newest is not None:
            self.note(f"Packages as of {before.newest:%Y-%m-%d}, as base knew them.")
        if not after.resolution.problem and after.newest != before.newest:
            until = f"those of {after.newest:%Y-%m-%d}" if after.newest else "newer ones"
            self.note(
                f"Head's requirements cannot be met by packages of that time, but by {until}."
            )
        locks = [read_lock(tree.files)[0] for tree in (self._pull.base, self._pull.head)]
        changed = [c.path for c in self._pull.changes if c.path in locks]
        if changed:
            self.note(
                f"{changed[0]} changes: both sides have base's versions wherever head's requirements accept them."
            )


def _blame(made: Made) -> str:
    return "ours" if made.fault == "ours" or made.lacking else "project"


def _spoilt(environment: Environment, problem: str, fault: str) -> Environment:
    if environment.problem:
        return environment
    return replace(environment, problem=problem, fault="ours" if fault == "ours" else "project")


def _environment(pinned: Pinned, made: Made, manifest: Manifest, python: Python) -> Environment:
    resolution = pinned.resolution
    how = [*manifest.how, *([made.how] if made.how else [])]
    count = f"{len(resolution.pins)} packages" if resolution.pins else "nothing could be resolved"
    return Environment(
        packages=resolution.pins,
        python=python.asked,
        built=made.built,
        how=f"{'; '.join(how) or 'No requirements are written down'}; {count}; Python {python.version}.",
        behaviours=made.behaviours,
        problem=resolution.problem,
        fault=resolution.fault,
    )


def differences(base: Environment, head: Environment) -> tuple[PackageChange, ...]:
    """Packages whose versions are not the same; none where one side has none at all."""
    before = dict(pin.split("==", 1) for pin in base.packages)
    after = dict(pin.split("==", 1) for pin in head.packages)
    if not before or not after:
        return ()
    return tuple(
        PackageChange(name, before.get(name, ""), after.get(name, ""))
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    )
