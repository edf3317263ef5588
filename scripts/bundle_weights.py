"""Put a trained network into the package: float16, with its origin in the metadata.

python3 scripts/bundle_weights.py run/network.safetensors --note "what was run, when, where"
"""

from __future__ import annotations

import argparse
from pathlib import Path

from trdimp_ros.checkpoints import BUNDLED_PRESET, load_network
from trdimp_ros.checkpoints.weights import BUNDLED_WEIGHTS, file_sha256, save_network


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", type=Path)
    parser.add_argument("--note", default="", help="how it was trained, kept in the file's metadata")
    options = parser.parse_args()
    network, info = load_network(options.network)
    save_network(
        network, BUNDLED_WEIGHTS, half=True, preset=BUNDLED_PRESET, source=options.note, source_sha256=info.sha256
    )
    megabytes = BUNDLED_WEIGHTS.stat().st_size / 1e6
    print(f"wrote {BUNDLED_WEIGHTS}: {megabytes:.1f} MB, SHA-256 {file_sha256(BUNDLED_WEIGHTS)}")


if __name__ == "__main__":
    main()
