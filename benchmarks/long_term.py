"""Targets that leave and come back elsewhere, and look-alikes that cross: with and without what is meant for them.

    make run-benchmark NAME=long_term ARGS="--settings off all --weights FILE --set reacquire_share=0.8"

Rendered scenes (`trdimp_ros.media.scripted_scene`) with exact truth. For each setting and seed, one line: returns found
again and after how many frames (median), frames without the target and frames with it that were said to be it (state
normal) on something else, crossings after which a target was another one, the mean overlap of present targets, and the
time of a frame. Seeds 0, 1 and 2 are those that are reported; thresholds are chosen with others (--seeds 100 101 102).
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from trdimp_ros.checkpoints import bundled_network, load_network
from trdimp_ros.media.scene_script import SceneScript
from trdimp_ros.media.scripted_scene import ScriptedScene
from trdimp_ros.models import TrDiMPNet
from trdimp_ros.parameters import changed_by_text
from trdimp_ros.testing.long_term_settings import LONG_TERM_SETTINGS
from trdimp_ros.tracking import Box, LongTermTracker, State, TrackerConfig, TrackResult, preset
from trdimp_ros.tracking.devices import threads_in_use, use_threads
from trdimp_ros.tracking.engines import choose_engine, share_threads
from trdimp_ros.tracking.geometry import intersection_over_union

VISIBLE = 0.5
"""A target counts as present when this share of it can be seen, and has returned in the first such frame."""
ON_TARGET = 0.3
"""Overlap with the truth from which on a box is on the target."""
PATIENCE = 100
"""A return must be noticed within so many frames, or until the target leaves again."""
AFTER_CROSSING = 15
"""Frames after a crossing in which the targets may sort themselves out."""


@dataclass
class Tally:
    """What was counted in one scene.

    Attributes:
        delays: Frames from each return until the target was found again; None: not found.
        absent: Frames in which nothing of a target could be seen.
        wrong: Those of them in which its state was normal.
        present: Frames in which a target was present.
        misplaced: Those of them in which its state was normal and its box on something else.
        crossings: Crossings that could be judged.
        exchanged: Those of them after which a target was on another object.
        overlaps: The overlap with the truth in every frame in which a target was present.
        milliseconds: The time that every frame took.
        events: What happened, in words.
    """

    delays: list[int | None] = field(default_factory=list)
    absent: int = 0
    wrong: int = 0
    present: int = 0
    misplaced: int = 0
    crossings: int = 0
    exchanged: int = 0
    overlaps: list[float] = field(default_factory=list)
    milliseconds: list[float] = field(default_factory=list)
    events: list[str] = field(default_factory=list)

    def line(self) -> str:
        """The figures in one line."""
        found = [delay for delay in self.delays if delay is not None]
        median = f"{np.median(found):.0f}" if found else "-"
        return (
            f"returns {len(found)}/{len(self.delays)}, median delay {median}; said normal while absent "
            f"{self.wrong}/{self.absent}, on something else while present {self.misplaced}/{self.present}; crossings "
            f"with an exchange {self.exchanged}/{self.crossings}; mean overlap {np.mean(self.overlaps):.3f}; "
            f"{np.mean(self.milliseconds):.0f} ms a frame"
        )

    def add(self, other: Tally) -> None:
        """Take in another scene."""
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)


def run(scene: ScriptedScene, network: TrDiMPNet, config: TrackerConfig) -> Tally:
    """Track all targets of a scene from its first frame on, and count."""
    targets = scene.script.targets
    engine = share_threads(choose_engine("auto", torch.device("cpu")), threads_in_use())
    tracker = LongTermTracker(network, config, targets, engine=engine)
    for number in range(targets):
        box = scene.box(0, number)
        assert box is not None
        tracker.add(number, scene.frame(0), box)
    tally, results = Tally(), []
    for index in range(1, len(scene)):
        image = scene.frame(index)
        start = time.perf_counter()
        results.append(tracker.track(image))
        tally.milliseconds.append(1e3 * (time.perf_counter() - start))
    for number in range(targets):
        _count_target(tally, scene, number, [result[number] for result in results])
    _count_crossings(tally, scene, [{name: result[name] for name in result} for result in results])
    return tally


def _count_target(tally: Tally, scene: ScriptedScene, number: int, results: list[TrackResult]) -> None:
    """Count one target's frames and returns."""
    was_absent, returned = False, None

    def note(delay: int | None) -> None:
        tally.delays.append(delay)
        tally.events.append(f"target {number} returned in frame {returned}: {delay}")

    for index, result in enumerate(results, start=1):
        seen, box = scene.visibility(index, number), scene.box(index, number)
        overlap = 0.0 if box is None else intersection_over_union(result.box, box)
        sure = result.state in (State.NORMAL, State.HARD_NEGATIVE)
        if seen == 0.0:
            tally.absent += 1
            tally.wrong += sure
            if returned is not None:
                note(None)
            was_absent, returned = True, None
        elif seen >= VISIBLE:
            tally.present += 1
            tally.misplaced += sure and overlap < ON_TARGET
            tally.overlaps.append(overlap if result.found else 0.0)
            if was_absent:
                was_absent, returned = False, index
        if returned is not None:
            if sure and overlap >= ON_TARGET:
                note(index - returned)
                returned = None
            elif index - returned > PATIENCE:
                note(None)
                returned = None
    if returned is not None and len(results) - returned > PATIENCE // 2:
        note(None)


def _count_crossings(tally: Tally, scene: ScriptedScene, results: list[dict[object, TrackResult]]) -> None:
    """A crossing is judged where its targets were followed before it."""
    for crossing in scene.crossings():
        before, after = crossing.start - 1, crossing.end + AFTER_CROSSING
        if before < 1 or after > len(results):
            continue
        tracked = [who for who in (crossing.one, crossing.other) if who < scene.script.targets]
        if any(scene.visibility(after, who) < VISIBLE for who in (crossing.one, crossing.other)):
            continue
        if all(_on(results[before - 1][who].box, scene.box(before, who)) for who in tracked):
            other = {crossing.one: crossing.other, crossing.other: crossing.one}
            exchanged = any(_on(results[after - 1][who].box, scene.box(after, other[who])) for who in tracked)
            tally.crossings += 1
            tally.exchanged += exchanged
            if exchanged:
                tally.events.append(f"exchange in {crossing}")


def _on(box: Box, truth: Box | None) -> bool:
    return truth is not None and intersection_over_union(box, truth) >= ON_TARGET


def scene_of(options: argparse.Namespace, seed: int) -> ScriptedScene:
    """The scene that the options ask for: two targets and a look-alike."""
    script = SceneScript(
        width=options.width,
        height=options.width * 3 // 4,
        frames=options.frames,
        seed=seed,
        look_alikes=1,
        crossings=max(options.frames // 100, 1),
        absences=max(options.frames // 400, 1),
        camera_turn=options.camera_turn,
        camera_shake=options.camera_shake,
    )
    return ScriptedScene(script)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=1500)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--settings", nargs="+", choices=LONG_TERM_SETTINGS, default=list(LONG_TERM_SETTINGS))
    parser.add_argument("--weights", type=Path, help="default: the bundled ones")
    parser.add_argument("--set", dest="changes", action="append", default=[], metavar="NAME=VALUE[,NAME=VALUE]")
    parser.add_argument("--width", type=int, default=640)
    parser.add_argument("--camera-turn", type=float, default=0.0)
    parser.add_argument("--camera-shake", type=float, default=0.0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--events", action="store_true", help="print every return and every exchange")
    options = parser.parse_args()
    use_threads(options.threads)
    network, _ = load_network(options.weights) if options.weights else bundled_network()
    for name in options.settings:
        for changes in options.changes or [""]:
            config = replace(preset("compact"), **LONG_TERM_SETTINGS[name])  # type: ignore[arg-type]
            config = changed_by_text(config, [change for change in changes.split(",") if change])
            title, total = f"{name} {changes}".strip(), Tally()
            for seed in options.seeds:
                tally = run(scene_of(options, seed), network, config)
                print(f"{title}, seed {seed}: {tally.line()}", flush=True)
                for event in tally.events if options.events else ():
                    print(f"    {event}", flush=True)
                total.add(tally)
            print(f"{title}, all seeds: {total.line()}", flush=True)


if __name__ == "__main__":
    main()
