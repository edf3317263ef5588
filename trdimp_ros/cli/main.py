"""Entry point of the command ``trdimp``: one subcommand per module."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from trdimp_ros import __version__
from trdimp_ros.cli import bench, convert, demo, track, train
from trdimp_ros.cli import eval as evaluate

COMMANDS = {"track": track, "demo": demo, "bench": bench, "eval": evaluate, "convert": convert, "train": train}


def build_parser() -> argparse.ArgumentParser:
    """The parser of all subcommands."""
    parser = argparse.ArgumentParser(
        prog="trdimp", description="Track one object through video with TrDiMP, a transformer-assisted online tracker."
    )
    parser.add_argument("--version", action="version", version=f"trdimp_ros {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, module in COMMANDS.items():
        summary = (module.__doc__ or "").splitlines()[0]
        command = commands.add_parser(name, help=summary, description=summary)
        module.add_arguments(command)
        command.add_argument("--json", type=Path, metavar="FILE", help="write what is printed to this file")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code: 0, 2 for input that cannot be used, 130 for Ctrl-C."""
    options = build_parser().parse_args(arguments)
    try:
        report = COMMANDS[options.command].run(options)
        if options.json is not None:
            options.json.write_text(json.dumps(report, indent=2) + "\n")
    except (ValueError, OSError) as error:
        print(f"trdimp {options.command}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
