"""The report as JUnit XML, which CI systems show test by test."""

import re
from xml.etree import ElementTree as ET

from .report import TestReport, TestsReport

# What XML 1.0 cannot hold, not even escaped.
_UNFIT = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def to_junit(report: TestsReport) -> str:
    """One suite with a case a test; what concerns the suite as a whole is a case of its own, so that no
    system takes a suite that was not judged for a good one.
    """
    root = ET.Element("testsuites", name="proofbox tests")
    suite = ET.SubElement(root, "testsuite", name=f"python {report.python}".strip())
    for test in report.tests:
        _add(suite, test)
    if report.verdict != "passed" and not any(one.verdict != "keep" for one in report.tests):
        tag = {"errored": "error", "skipped": "skipped"}.get(report.verdict, "failure")
        case = ET.SubElement(suite, "testcase", classname="suite", name="(suite)")
        ET.SubElement(case, tag, message=_fit(report.reason))
    for element in (suite, root):
        for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            element.set(name, str(sum(1 for _ in suite.iter(tag))))
        element.set("tests", str(len(suite)))
    root.set("time", f"{report.duration_seconds:.3f}")
    ET.indent(root)
    return ET.tostring(root, encoding="unicode") + "\n"


def _add(suite: ET.Element, test: TestReport) -> None:
    file, _, name = test.id.partition("::")
    case = ET.SubElement(suite, "testcase", classname=_fit(file), name=_fit(name or "(file)"))
    case.set("file", _fit(file))
    case.set("time", f"{test.duration_seconds:.6f}")
    if test.line is not None:
        case.set("line", str(test.line))
    if test.verdict == "keep":
        return
    tag = "skipped" if test.kind in {"skipped", "xfailed"} else "failure"
    detail = ET.SubElement(
        case, tag, type=test.kind, message=_fit(f"{test.verdict}: {test.reason}")
    )
    detail.text = _fit("\n".join(test.more))


def _fit(text: str) -> str:
    return _UNFIT.sub("\ufffd", text)
