"""The report as JUnit XML, which CI systems show test by test."""

import re
from collections.abc import Collection
from xml.etree import ElementTree as ET

from .report import FileReport, SnippetReport, SnippetsReport

# What XML 1.0 cannot hold, not even escaped.
_UNFIT = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_TAGS = {"failed": "failure", "errored": "error", "skipped": "skipped"}


def to_junit(
    report: SnippetsReport,
    known: Collection[tuple[str, int]] = (),
    complaints: Collection[str] = (),
) -> str:
    """One suite a file and one test a snippet. A file without snippets is a skipped test, so that no
    system takes it for a good one.

    `known` are the failures of a baseline by file and index: they are skipped. `complaints` are
    failures of the run itself.
    """
    root = ET.Element("testsuites", name="proofbox snippets")
    for file in report.files:
        suite = ET.SubElement(root, "testsuite", name=_fit(file.file))
        for result in sorted(file.results, key=lambda result: result.snippet_index):
            is_known = (file.file, result.snippet_index) in known
            _add_snippet(suite, file, result, known=is_known)
        if not file.results:
            case = ET.SubElement(suite, "testcase", classname=_fit(file.file), name="(file)")
            ET.SubElement(case, _TAGS[file.verdict], message=_fit(file.reason))
        _count(suite)
    if complaints:
        suite = ET.SubElement(root, "testsuite", name="baseline")
        for complaint in complaints:
            case = ET.SubElement(suite, "testcase", classname="baseline", name=_fit(complaint))
            ET.SubElement(case, "failure", message=_fit(complaint))
        _count(suite)
    _count(root)
    root.set("time", f"{report.duration_seconds:.3f}")
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=False) + "\n"


def _add_snippet(
    suite: ET.Element, file: FileReport, result: SnippetReport, *, known: bool
) -> None:
    name = result.id or f"line {result.line}"
    case = ET.SubElement(suite, "testcase", classname=_fit(file.file), name=_fit(name))
    case.set("file", _fit(file.file))
    case.set("line", str(result.error_line or result.line))
    tag = _TAGS.get(result.verdict)
    if tag is None:
        return
    if known:
        said = f"A known failure: {result.reason}"
        ET.SubElement(case, "skipped", type=result.kind, message=_fit(said))
        return
    message = result.reason or result.kind
    element = ET.SubElement(case, tag, type=result.kind, message=_fit(message))
    if result.verdict != "skipped":
        parts = [
            f"{file.file}:{result.error_line or result.line}: {result.error_text.strip()}",
            result.error if result.error != result.reason else "",
            result.hint,
            result.diff,
        ]
        element.text = _fit("\n".join(part for part in parts if part))


def _count(element: ET.Element) -> None:
    cases = list(element.iter("testcase"))
    element.set("tests", str(len(cases)))
    for tag, name in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
        element.set(name, str(sum(case.find(tag) is not None for case in cases)))


def _fit(text: str) -> str:
    return _UNFIT.sub("\N{REPLACEMENT CHARACTER}", text)
