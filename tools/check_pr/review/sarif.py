"""The annotations of a report as SARIF 2.1.0, for code scanning."""

import hashlib
import importlib.metadata
import json
from collections import Counter
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from .annotations import RULES
from .report import AnnotationReport, PrReport, Severity

_LEVELS: dict[Severity, str] = {"error": "error", "warning": "warning", "notice": "note"}


def to_sarif(report: PrReport) -> str:
    """One run with a result an annotation. Without a verdict on the code the run was no success."""
    used = [rule for rule in RULES if any(one.rule == rule for one in report.annotations)]
    run = {
        "tool": {"driver": _driver(used)},
        "automationDetails": {"id": "proofbox/check_pr/"},
        "columnKind": "unicodeCodePoints",
        "invocations": [_invocation(report)],
        "results": _results(report.annotations, used),
        "properties": {"verdict": report.verdict, "needsReview": report.needs_review},
    }
    log = {
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [run],
    }
    return json.dumps(log, indent=2, ensure_ascii=False) + "\n"


def _driver(used: Iterable[str]) -> dict[str, Any]:
    return {
        "name": "proofbox",
        "semanticVersion": importlib.metadata.version("proofbox"),
        "rules": [
            {
                "id": rule,
                "name": "".join(word.title() for word in rule.split("_")),
                "shortDescription": {"text": RULES[rule].title},
                "fullDescription": {"text": f"{RULES[rule].title}."},
                "help": {"text": f"{RULES[rule].title}. The report of proofbox has the evidence."},
                "defaultConfiguration": {"level": _LEVELS[RULES[rule].severity]},
            }
            for rule in used
        ],
    }


def _invocation(report: PrReport) -> dict[str, Any]:
    told = [("error", problem) for one in report.projects for problem in one.problems]
    if report.verdict in {"errored", "skipped"}:
        told.insert(0, ("error", report.reason))
    if report.annotations_more:
        told.append(("warning", f"{report.annotations_more} more findings are not listed."))
    notifications = [{"level": level, "message": {"text": _text(text)}} for level, text in told]
    return {
        "executionSuccessful": report.verdict in {"passed", "failed"},
        "toolExecutionNotifications": notifications,
    }


def _results(annotations: Iterable[AnnotationReport], used: list[str]) -> list[dict[str, Any]]:
    # The line is no part of it: what moves is the same finding. Those that are alike are numbered.
    seen: Counter[str] = Counter()
    results: list[dict[str, Any]] = []
    for one in annotations:
        said = "\0".join((one.rule, one.path, one.side, one.message.partition("\n")[0]))
        mark = hashlib.sha256(said.encode()).hexdigest()[:32]
        seen[mark] += 1
        results.append(
            {
                "ruleId": one.rule,
                "ruleIndex": used.index(one.rule),
                "level": _LEVELS[one.severity],
                "message": {"text": _text(f"{one.title}: {one.message}{_left(one)}")},
                "locations": [{"physicalLocation": _place(one)}],
                "partialFingerprints": {"proofbox/v1": f"{mark}:{seen[mark]}"},
                "properties": {"side": one.side, "inDiff": one.in_diff},
            }
        )
    return results


def _left(one: AnnotationReport) -> str:
    return f"\n(Line {one.line} of base.)" if one.side == "LEFT" else ""


def _place(one: AnnotationReport) -> dict[str, Any]:
    place: dict[str, Any] = {
        # Encoded, or a file's name could be an address on the web.
        "artifactLocation": {"uri": quote(one.path), "uriBaseId": "%SRCROOT%"}
    }
    # Readers have head only, where a line of base is another one.
    if one.side == "RIGHT":
        place["region"] = {"startLine": one.line, "endLine": max(one.line, one.end_line)}
    return place


def _text(text: str) -> str:
    # SARIF takes a target in round brackets after square ones for a link, in plain text too.
    return text.replace("](", "] (") or "(nothing was said)"
