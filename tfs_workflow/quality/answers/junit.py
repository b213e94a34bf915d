"""A report as JUnit XML, which CI systems show: a suite for each model, a test for each case."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

from tfs_workflow.quality.answers.report import CaseResult, ModelReport, Report
from tfs_workflow.state.atomic_file import write_named

# What XML 1.0 cannot carry, not even escaped.
_UNPRINTABLE = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write_junit(path: str, report: Report) -> None:
    """Write the report to a file; raises ConfigError where that cannot be."""
    root = ElementTree.Element("testsuites", name="tfs verify")
    for model in report.models:
        root.append(_suite(model))
    if report.stopped:
        stopped = ElementTree.SubElement(root, "testsuite", name="stopped", tests="1", errors="1")
        case = ElementTree.SubElement(stopped, "testcase", name="every case is asked", classname="verify")
        _noted(case, "error", report.stopped)
    write_named(Path(path), ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n")


def _suite(model: ModelReport) -> ElementTree.Element:
    refused = sum(bool(result.error) for result in model.results)
    counts = {"tests": len(model.results), "errors": refused, "failures": len(model.results) - model.held - refused}
    seconds = sum(result.seconds for result in model.results)
    suite = ElementTree.Element("testsuite", name=model.target.model, time=f"{seconds:.6f}")
    suite.attrib |= {name: str(count) for name, count in counts.items()}
    suite.extend(_test(model.target.model, result) for result in model.results)
    return suite


def _test(model: str, result: CaseResult) -> ElementTree.Element:
    case = ElementTree.Element("testcase", name=result.case.where, classname=model, time=f"{result.seconds:.6f}")
    if not result.held:
        _noted(case, "error" if result.error else "failure", "\n".join(result.lines()))
    return case


def _noted(case: ElementTree.Element, kind: str, text: str) -> None:
    text = _UNPRINTABLE.sub("?", text)
    ElementTree.SubElement(case, kind, message=text.partition("\n")[0]).text = text
