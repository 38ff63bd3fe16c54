"""What a project's configuration says about its examples."""

from proofbox.tools.validate_snippets import sphinx


def test_global_setup_is_read_from_conf_py_without_running_it() -> None:
    """Only plain strings and flags count; the rest of the file never runs."""
    conf = (
        "import nothing_here\nraise SystemExit\n"
        "doctest_global_setup = '''\nimport a\n'''\ndoctest_global_cleanup = 'a.close()'\n"
        "doctest_default_flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE\n"
    )

    found = sphinx.from_conf(conf)

    assert (found.setup, found.cleanup) == ("import a\n", "a.close()\n")
    assert set(found.flags) == {"ELLIPSIS", "NORMALIZE_WHITESPACE"}


def test_computed_settings_are_left_out() -> None:
    """A setup that only running could tell is not guessed."""
    assert sphinx.from_conf("doctest_global_setup = open('x').read()").setup == ""
    assert sphinx.from_conf("def :") == sphinx.ProjectSetup()


def test_pytests_flags_are_read() -> None:
    """In every file that pytest reads them from."""
    expected = {"ELLIPSIS": True, "NORMALIZE_WHITESPACE": True}

    assert (
        sphinx.from_pyproject(
            '[tool.pytest.ini_options]\ndoctest_optionflags = ["ELLIPSIS", "NORMALIZE_WHITESPACE"]'
        ).flags
        == expected
    )
    assert (
        sphinx.from_ini("[pytest]\ndoctest_optionflags = ELLIPSIS NORMALIZE_WHITESPACE\n").flags
        == expected
    )
    assert sphinx.from_pyproject("[") == sphinx.from_ini("[") == sphinx.ProjectSetup()
