"""Put a trained network into the package: float16, with its origin in the metadata.

    python3 scripts/bundle_weights.py run/network.safetensors --note "what was run, when, where"
    python3 scripts/bundle_weights.py run/network.safetensors --part appearance_head=head/network.safetensors

With ``--part`` a part of the network is taken from another file, as heads that were trained by themselves; both must
have the same backbone.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from trdimp_ros.checkpoints import BUNDLED_PRESET, load_network
from trdimp_ros.checkpoints.errors import CheckpointError
from trdimp_ros.checkpoints.weights import BUNDLED_WEIGHTS, file_sha256, save_network
from trdimp_ros.models import TrDiMPNet


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", type=Path)
    parser.add_argument("--part", dest="parts", action="append", default=[], metavar="NAME=FILE")
    parser.add_argument("--note", default="", help="how it was trained, kept in the file's metadata")
    parser.add_argument("--out", type=Path, default=BUNDLED_WEIGHTS, help="(%(default)s)")
    options = parser.parse_args()
    try:
        network, info = load_network(options.network)
        for part in options.parts:
            name, equals, file = part.partition("=")
            if not equals:
                parser.error(f"--part needs NAME=FILE, got {part!r}")
            take_part(network, name, load_network(Path(file))[0])
    except CheckpointError as error:
        raise SystemExit(f"error: {error}") from error
    save_network(network, options.out, half=True, preset=BUNDLED_PRESET, source=options.note, source_sha256=info.sha256)
    megabytes = options.out.stat().st_size / 1e6
    print(f"wrote {options.out}: {megabytes:.1f} MB, SHA-256 {file_sha256(options.out)}")


def take_part(network: TrDiMPNet, name: str, source: TrDiMPNet) -> None:
    """Copy a part of another network, whose backbone must be the same (as float16).

    Raises:
        SystemExit: for a part that either of them lacks, or another backbone.
    """
    parts = [dict(one.named_children()) for one in (network, source)]
    if any(part.get(name) is None for part in parts):
        raise SystemExit(f"--part {name}: not in both files; there are {', '.join(sorted(parts[0]))}")
    backbones = [one.backbone.state_dict() for one in (network, source)]
    same = backbones[0].keys() == backbones[1].keys() and all(
        torch.equal(value.half(), backbones[1][key].half()) for key, value in backbones[0].items()
    )
    if not same:
        raise SystemExit(f"--part {name}: the files' backbones differ, so it would not know what it is given")
    parts[0][name].load_state_dict(parts[1][name].state_dict())


if __name__ == "__main__":
    main()
