"""How well does it track real video? Success AUC per sequence: benchmarks/sequences.py FOLDER [FOLDER ...] [-- OPTIONS]

    make run-benchmark NAME=sequences ARGS="../shared/sequences/Crossing ../shared/sequences/DragonBaby"

Options after -- go to `trdimp track`, for example --weights FILE or --set use_iou_net=false.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import tempfile
from pathlib import Path

from trdimp_ros.cli.main import main as trdimp


def main() -> None:
    words = sys.argv[1:]
    split = words.index("--") if "--" in words else len(words)
    print(f"{'sequence':<16}{'frames':>8}{'AUC':>8}{'mean IoU':>10}{'ms/frame':>10}")
    with tempfile.TemporaryDirectory() as name:
        report = Path(name) / "report.json"
        for folder in words[:split]:
            truth = str(Path(folder, "groundtruth_rect.txt"))
            command = ["track", folder, "--truth", truth, "--json", str(report), *words[split + 1 :]]
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                if trdimp(command) != 0:
                    sys.exit(f"cannot track {folder}")
            result = json.loads(report.read_text())
            print(
                f"{Path(folder).name:<16}{result['frames']:>8}{result['success_auc']:>8.3f}{result['mean_iou']:>10.3f}"
                f"{result['median_ms']:>10.0f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
