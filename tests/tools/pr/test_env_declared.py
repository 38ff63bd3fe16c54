"""How projects say what they need, in all the ways that are in use."""

from collections.abc import Mapping

import pytest

from proofbox.tools.run_generated_tests.manifest import read_manifest
from proofbox.tools.run_generated_tests.poetry import constraint
from proofbox.tools.run_generated_tests.setup_script import COMPUTED, read_setup

_PROJECT = '[project]\nname = "thing"\nversion = "1"\n'


@pytest.mark.parametrize(
    ("files", "runtime", "tests"),
    [
        (
            {
                "pyproject.toml": _PROJECT + 'dependencies = ["attrs"]\n'
                '[project.optional-dependencies]\nall = ["idna"]\ntest = ["thing[all]", "hypothesis"]\n'
                'docs = ["sphinx"]\n'
            },
            ("attrs",),
            ("idna", "hypothesis"),
        ),
        (
            {
                "pyproject.toml": _PROJECT + '[dependency-groups]\nbase = ["pytest"]\n'
                'tests = [{include-group = "base"}, {include-group = "tests"}, "anyio"]\n'
            },
            (),
            ("pytest", "anyio"),
        ),
        (
            {
                "pyproject.toml": '[project]\nname = "thing"\ndynamic = ["version", "dependencies"]\n'
                '[tool.setuptools.dynamic]\ndependencies = {file = ["needs.txt"]}\n',
                "needs.txt": "attrs>=20  # why\n-e .\n--no-index\nidna \\\n  --hash=sha256:00\n",
            },
            ("attrs>=20", "idna"),
            (),
        ),
        (
            {
                "pyproject.toml": '[tool.poetry]\nname = "thing"\nversion = "1"\n[tool.poetry.dependencies]\n'
                'python = "^3.8"\nattrs = "^22.1"\nidna = {version = "~3.4", extras = ["a"], optional = false}\n'
                'mine = {path = "../mine"}\nnever = {version = "*", optional = true}\n'
                '[tool.poetry.group.test.dependencies]\npytest = "*"\n'
            },
            ("attrs>=22.1,<23", "idna[a]>=3.4,<3.5"),
            ("pytest",),
        ),
        (
            {
                "pyproject.toml": '[tool.flit.metadata]\nmodule = "thing"\nrequires = ["attrs"]\n'
                '[tool.flit.metadata.requires-extra]\ntest = ["pytest"]\n'
            },
            ("attrs",),
            ("pytest",),
        ),
        (
            {
                "setup.cfg": "[metadata]\nname = thing\n[options]\ninstall_requires =\n  attrs; python_version>'3'\n"
                "  idna\ntests_require = mock\n[options.extras_require]\ntesting =\n  pytest>=7\n  thing\n"
            },
            ("attrs; python_version>'3'", "idna"),
            ("mock", "pytest>=7"),
        ),
        (
            {
                "setup.py": "from setuptools import setup\nneeds = ['attrs']\nextras = {'test': ['pytest']}\n"
                "setup(name='thing', version='1', install_requires=needs + ['idna'],\n"
                "      extras_require=extras, python_requires='>=3.8')\n"
            },
            ("attrs", "idna"),
            ("pytest",),
        ),
        (
            {
                "requirements.txt": "-r requirements/base.txt\nidna\n",
                "requirements/base.txt": "-c limits.txt\n-r ../requirements.txt\nattrs\n",
                "requirements/tests.txt": "pytest\n",
            },
            ("attrs", "idna"),
            ("pytest",),
        ),
        (
            {
                "pyproject.toml": _PROJECT,
                "tox.ini": "[testenv]\ndeps =\n  pytest\n  py39: mock\n  -r{toxinidir}/more.txt\n  .\n",
                "more.txt": "idna\n",
            },
            (),
            ("pytest", "idna"),
        ),
        (
            {
                "pyproject.toml": _PROJECT,
                "noxfile.py": "session.install('.', 'pytest', \"mock>1\", '-r', 'more.txt')\n",
                "more.txt": "anyio\n",
            },
            (),
            ("pytest", "mock>1", "anyio"),
        ),
        (
            {
                "pyproject.toml": _PROJECT + '[project.optional-dependencies]\nqa = ["idna"]\n'
                '[tool.tox.env_run_base]\ndeps = ["pytest"]\nextras = ["qa"]\n'
            },
            (),
            ("pytest", "idna"),
        ),
        (
            {
                "pyproject.toml": _PROJECT + 'dependencies = ["inner", "attrs", "black"]\n'
                '[tool.uv.sources]\ninner = {workspace = true}\n[tool.uv]\ndev-dependencies = ["pytest", "black"]\n'
            },
            ("attrs", "black"),
            ("pytest",),
        ),
    ],
    ids=[
        *("extras", "groups", "dynamic", "poetry", "flit", "setup.cfg", "setup.py", "requirements"),
        *("tox", "nox", "tox in TOML", "workspace"),
    ],
)
def test_requirements_are_found_where_projects_write_them(
    files: Mapping[str, str], runtime: tuple[str, ...], tests: tuple[str, ...]
) -> None:
    """Those to import it and those to test it, and in words where they were."""
    manifest = read_manifest({path: text.encode() for path, text in files.items()})

    assert (manifest.runtime, manifest.tests) == (runtime, tests)
    assert manifest.how
    assert not manifest.computed


def test_what_only_the_build_knows_is_told_apart_from_nothing() -> None:
    """A list that a script computes must not read as an empty one."""
    script = (
        b"from setuptools import setup\nsetup(name='thing', install_requires=open('x').read())\n"
    )
    changed = b"needs = ['a']\nif 1:\n    needs.append('b')\nsetup(install_requires=needs)\n"

    computed = read_manifest({"setup.py": script})
    dynamic = read_manifest(
        {"pyproject.toml": b'[project]\nname = "thing"\ndynamic = ["dependencies"]\n'}
    )

    assert (computed.computed, computed.name) == (True, "thing")
    assert dynamic.computed
    assert read_setup(changed)["install_requires"] is COMPUTED
    assert read_setup(b"not python (") == read_setup(b"x = 1") == {}


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("^1.2.3", ">=1.2.3,<2"),
        ("^0.2.3", ">=0.2.3,<0.3"),
        ("^0.0.3", ">=0.0.3,<0.0.4"),
        ("^0", ">=0,<1"),
        ("~1.2", ">=1.2,<1.3"),
        ("~1", ">=1,<2"),
        ("~=1.4", "~=1.4"),
        ("1.2", "==1.2"),
        ("1.*", "==1.*"),
        ("*", ""),
        (">=1,<2 || >=3", ">=3"),
        (">=1.0 <2.0", ">=1.0,<2.0"),
        ("!=1.5", "!=1.5"),
    ],
)
def test_poetrys_constraints_mean_what_poetry_means(written: str, meant: str) -> None:
    """By its documentation: the caret goes to the next version that may break."""
    assert constraint(written) == meant
