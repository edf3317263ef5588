"""Entry point of the command ``trdimp``: one subcommand per module.

It imports little before it listens for interrupts: loading torch takes seconds.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn, Protocol, cast

from trdimp_ros import __version__
from trdimp_ros.cli.terminal import (
    INTERRUPTED,
    Interrupted,
    flush_output,
    interrupting,
    printable,
    quitting_at_once,
    safe_streams,
)

COMMANDS = ("track", "demo", "bench", "eval", "convert", "train")

EXIT_CODES = (
    "exit codes: 0: done; 2: it cannot be done, and one line says why; 130: interrupted by Ctrl-C or SIGTERM, files "
    "hold what there was until then"
)

QUIET = {"OPENCV_LOG_LEVEL": "SILENT", "OPENCV_FFMPEG_LOGLEVEL": "-8"}
"""Environment that keeps OpenCV from printing lines of its own; ours say what is wrong."""


class Command(Protocol):
    """A module with a subcommand; the first line of its docstring is the help."""

    __doc__: str | None

    def add_arguments(self, parser: argparse.ArgumentParser) -> None: ...

    def run(self, options: argparse.Namespace) -> dict[str, Any]: ...


class Parser(argparse.ArgumentParser):
    """A parser whose messages are safe to print."""

    def error(self, message: str) -> NoReturn:
        super().error(printable(message))


def load_commands() -> dict[str, Command]:
    """The subcommands by name; this loads torch and OpenCV."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    return {name: cast(Command, importlib.import_module(f"trdimp_ros.cli.{name}")) for name in COMMANDS}


def build_parser(commands: dict[str, Command]) -> argparse.ArgumentParser:
    """The parser of all subcommands."""
    parser = Parser(
        prog="trdimp",
        description="Track objects through video with TrDiMP, a transformer-assisted online tracker.",
        epilog=EXIT_CODES,
    )
    parser.add_argument("--version", action="version", version=f"trdimp_ros {__version__}")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, module in commands.items():
        summary = (module.__doc__ or "").splitlines()[0]
        command = subparsers.add_parser(name, help=summary, description=summary, epilog=EXIT_CODES)
        module.add_arguments(command)
        command.add_argument("--json", type=Path, metavar="FILE", help="write what is printed to this file")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: The words after ``trdimp``; None: those of the process.

    Returns:
        The exit code, as `EXIT_CODES` says.
    """
    safe_streams()
    with quitting_at_once():
        commands = load_commands()
        parser = build_parser(commands)
    options = parser.parse_args(arguments)
    try:
        with interrupting(process_ends=arguments is None):
            _run(commands[options.command], options)
            flush_output()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except Exception as error:
        if not _is_refusal(error):
            traceback.print_exc()
            print("this is a defect of trdimp; please report it with the lines above", file=sys.stderr)
        print(f"trdimp {options.command}: {printable(_message(error))}", file=sys.stderr)
        return 2
    return 0


def _run(command: Command, options: argparse.Namespace) -> None:
    from trdimp_ros.media.files import complete_file  # noqa: PLC0415 - it loads OpenCV

    if options.json is None:
        command.run(options)
        return
    with complete_file(options.json) as file:
        try:
            report = command.run(options)
        except Interrupted as interrupt:
            _write_report(file, interrupt.report)
            raise
        _write_report(file, report)


def _write_report(file: Path, report: dict[str, Any]) -> None:
    file.write_text(json.dumps(report, indent=2) + "\n")


def _is_refusal(error: Exception) -> bool:
    """Whether the error says what the user or the machine cannot do, and is not ours."""
    library_errors = ("OutOfMemoryError",)  # torch's, a RuntimeError
    return isinstance(error, (ValueError, OSError, MemoryError)) or type(error).__name__ in library_errors


def _message(error: Exception) -> str:
    if isinstance(error, MemoryError) and not str(error):
        return "out of memory"
    return str(error) or type(error).__name__


if __name__ == "__main__":
    sys.exit(main())
