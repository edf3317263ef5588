"""Track the target of a rendered scene, and compare with the exact truth."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from tqdm import tqdm

from trdimp_ros.checkpoints import BUNDLED_PRESET
from trdimp_ros.cli.options import add_tracker_arguments, build_session
from trdimp_ros.cli.outputs import check_outputs
from trdimp_ros.cli.terminal import printable
from trdimp_ros.cli.track import summary, track_frames
from trdimp_ros.media.drawing import VideoWriter, contact_sheet, draw_result, write_image
from trdimp_ros.media.scene import RenderedScene
from trdimp_ros.tracking import State
from trdimp_ros.tracking.geometry import intersection_over_union

VISIBLE = 0.5
"""Share of the target that must be seen for a frame to count as visible."""

SHEET_TILES = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_tracker_arguments(parser)
    parser.add_argument("--out", type=Path, default=Path("out"), metavar="FOLDER", help="for the results (%(default)s)")


def run(options: argparse.Namespace) -> dict[str, Any]:
    video, sheet = options.out / "demo.mp4", options.out / "demo.png"
    check_outputs({"--out": video, "--out ": sheet, "--json": options.json}, [options.weights])
    scene = RenderedScene()
    if options.weights is None and options.preset not in (None, BUNDLED_PRESET):
        print("Without trained weights the box predictor is noise; tracking without it (use_iou_net=false).")
        options.changes = ["use_iou_net=false", *options.changes]
    session, weights = build_session(options, 1)
    options.out.mkdir(parents=True, exist_ok=True)
    tracked, tiles, ious, absent = [], [], [], []
    with VideoWriter(video, scene.rate) as writer:
        frames = tqdm(track_frames(session, scene, [scene.box(0)]), total=len(scene), unit="frame", disable=None)
        for index, one in enumerate(frames):
            result = one.results["1"]
            drawn = draw_result(one.frame, result, scene.box(index))
            writer.write(drawn)
            if index % (len(scene) // SHEET_TILES) == 0:
                tiles.append(drawn)
            tracked.append((result, one.milliseconds))
            visibility = scene.visibility(index)
            if visibility >= VISIBLE:
                ious.append(intersection_over_union(result.box, scene.box(index)))
            elif visibility == 0.0:
                absent.append(result.state != State.NORMAL)
    write_image(sheet, contact_sheet(tiles))

    report = summary(tracked) | {
        "weights": weights.name,
        "preset": options.preset,
        "mean_iou_visible": round(sum(ious) / len(ious), 4),
        "visible_frames": len(ious),
        "absent_frames": len(absent),
        "absent_not_normal": sum(absent),
        "video": str(video),
        "contact_sheet": str(sheet),
    }
    print(
        f"{report['frames']} frames; weights: {printable(weights.name)}"
        + ("" if weights.trained else " (nobody trained them)")
    )
    print(f"mean IoU {report['mean_iou_visible']:.3f} over the {len(ious)} frames in which the target is visible")
    print(f"{sum(absent)} of the {len(absent)} frames without target reported as not normal")
    print(f"{report['median_ms']:.0f} ms a frame (median); wrote {printable(f'{video} and {sheet}')}")
    return report
