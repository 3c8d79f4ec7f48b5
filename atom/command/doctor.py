"""`python main.py doctor`: whether what is configured can be used, and the cure."""

import asyncio
import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import asdict
from typing import Annotated

import typer

from atom.client.doctor import Finding, examine_new
from atom.client.postgres import FEW
from atom.command.project import Project
from atom.errors import ConfigError


def doctor_command(
    context: typer.Context,
    is_strict: Annotated[
        bool,
        typer.Option(
            "--strict", help="Exit 1 for anything that is configured and not well."
        ),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document.")
    ] = False,
) -> None:
    """Ask every service: configured, reachable, permitted, version, latency, cure.

    Exits 1 if the server would not start.
    """
    project: Project = context.obj
    problems, remarks = [*project.problems], [*project.runtime.config.remarks]
    findings: list[Finding] = []
    with ExitStack() as servers:
        try:
            servers.enter_context(project.runtime.servers(join=True, workers=1))
        except ConfigError as error:
            problems += error.problems
        config = project.runtime.config.replace(FEW)
        findings = asyncio.run(examine_new(project.runtime.clients, config))
    is_fatal = bool(problems) or any(
        each.required and not each.is_well for each in findings
    )
    is_well = not remarks and all(each.is_well for each in findings)
    if as_json:
        document = {
            "ok": not is_fatal and (is_well or not is_strict),
            "problem": problems,
            "remark": remarks,
            "client": [asdict(each) for each in findings],
        }
        sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    else:
        for line in (
            *(f"problem  {each}" for each in problems),
            *(f"remark   {each}" for each in remarks),
            *lines(findings),
        ):
            sys.stdout.write(f"{line}\n")
    if is_fatal or (is_strict and not is_well):
        raise typer.Exit(1)


def lines(findings: Iterable[Finding]) -> Iterator[str]:
    """Yield the findings for people: what needs care first, what is off last."""
    ordered = sorted(findings, key=lambda each: (each.is_well, each.state == "off"))
    for each in ordered:
        details = [
            each.version,
            "" if each.latency_ms is None else f"{each.latency_ms:g} ms",
            each.problem,
            each.cure,
        ]
        yield f"{each.state:8} {each.name:28} " + ", ".join(filter(None, details))
