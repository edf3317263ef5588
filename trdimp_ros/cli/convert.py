"""Convert the official checkpoint to .safetensors."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import Any

from trdimp_ros.checkpoints import convert
from trdimp_ros.cli.options import OFFICIAL_PRESET
from trdimp_ros.cli.outputs import check_outputs
from trdimp_ros.cli.terminal import printable
from trdimp_ros.tracking import PRESETS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "source", type=Path, metavar="trdimp_net.pth.tar", help="official checkpoint, or any weights file"
    )
    parser.add_argument("target", type=Path, metavar="weights.safetensors", help="file to write")
    parser.add_argument(
        "--preset", choices=list(PRESETS), default=OFFICIAL_PRESET, help="stored beside them (%(default)s)"
    )


def run(options: argparse.Namespace) -> dict[str, Any]:
    check_outputs({"the target": options.target, "--json": options.json}, [options.source])
    info = convert(options.source, options.target, options.preset)
    megabytes = options.target.stat().st_size / 1e6
    print(f"wrote {printable(str(options.target))}: {megabytes:.0f} MB, SHA-256 {info.sha256}")
    print(f"from {printable(str(info.source))}: SHA-256 {info.source_sha256}")
    return dataclasses.asdict(info)
