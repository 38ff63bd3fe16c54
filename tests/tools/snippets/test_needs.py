"""Which package a missing module is in, and who allows it."""

from pathlib import Path

import pytest

from proofbox.tools.validate_snippets import needs

PYPROJECT = """
[project]
name = "documented"
dependencies = ["httpx[http2]>=0.27", "evil @ https://example.com/evil.whl", "not a requirement"]
[project.optional-dependencies]
images = ["Pillow>10"]
[dependency-groups]
docs = ["only-windows; sys_platform == 'win32'", { include-group = "test" }]
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project's folder with its manifests."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "pyproject.toml").write_text(PYPROJECT)
    (tmp_path / "requirements-docs.txt").write_text(
        "# for the pages\nPyYAML==6.0  # comment\n-r other.txt\nhttps://example.com/a.whl\n"
    )
    return tmp_path


@pytest.mark.parametrize(
    ("module", "requirement"),
    [
        ("httpx", "httpx[http2]>=0.27"),
        ("PIL.Image", "Pillow>10"),
        ("yaml", "PyYAML==6.0"),
        ("evil", ""),
        ("only_windows", ""),
        ("requests", ""),
    ],
)
def test_a_module_is_brought_by_what_the_project_names(
    project: Path, module: str, requirement: str
) -> None:
    """By name and version, from its manifests above the page; never from an address."""
    found = needs.of_project(project / "docs", [project])

    assert needs.allowed(module, found) == requirement


def test_a_manifest_outside_the_roots_is_not_read(project: Path) -> None:
    """The folders that may be read bound the search."""
    assert needs.of_project(project / "docs", [project / "docs"]) == ()
    (project / "docs" / "requirements.txt").symlink_to(project / "requirements-docs.txt")
    assert needs.of_project(project / "docs", [project / "docs"]) == ()


def test_a_yaml_document_gets_its_parser() -> None:
    """It is ours to bring; no project has to name it."""
    assert needs.allowed("yaml", ()) == "pyyaml"
