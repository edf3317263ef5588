"""Folders of sequences with ground truth, in the layouts of OTB, GOT-10k and LaSOT."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from trdimp_ros.evaluation.metrics import read_boxes
from trdimp_ros.media.sources import ImageFolder
from trdimp_ros.tracking import Box

TRUTH_FILES = ("groundtruth_rect.txt", "groundtruth_rect.1.txt", "groundtruth.txt")
"""The first two are OTB's, the last GOT-10k's and LaSOT's."""

ABSENCE_FILES = ("absence.label", "full_occlusion.txt", "out_of_view.txt")
"""1 for a frame without target: GOT-10k's, one line a frame, and LaSOT's, one line in all."""


@dataclass(frozen=True)
class LabelledSequence:
    """One sequence.

    Attributes:
        name: The name of its folder.
        frames: The sequence's images.
        truth: One box a frame, None where there is no target.
    """

    name: str
    frames: ImageFolder
    truth: list[Box | None]


def read_sequence(folder: Path) -> LabelledSequence:
    """Read one sequence.

    Raises:
        ValueError: naming the folder, if it lacks ground truth or images, or their numbers differ.
    """
    truth_file = next((folder / name for name in TRUTH_FILES if (folder / name).is_file()), None)
    if truth_file is None:
        raise ValueError(f"{folder}: no ground truth; looked for {', '.join(TRUTH_FILES)}")
    truth = read_boxes(truth_file)
    for name in ABSENCE_FILES:
        if (folder / name).is_file():
            flags = (folder / name).read_text("utf-8", errors="replace").replace(",", " ").split()
            if len(flags) != len(truth):
                raise ValueError(f"{folder / name}: {len(flags)} entries for {len(truth)} boxes")
            truth = [None if flag == "1" else box for flag, box in zip(flags, truth, strict=True)]
    frames = ImageFolder(folder)
    if len(frames) < len(truth):
        raise ValueError(f"{folder}: {len(truth)} boxes for {len(frames)} images")
    if not truth or truth[0] is None:
        raise ValueError(f"{folder}: the first frame has no target to start with")
    frames.files = frames.files[: len(truth)]
    return LabelledSequence(folder.name, frames, truth)


@dataclass(frozen=True)
class NamedFolder:
    """A sequence's folder among several.

    Attributes:
        name: The folder's name, preceded by its root's where it would not be the only one.
        root: The name of the root that it was found in.
        folder: The folder itself.
    """

    name: str
    root: str
    folder: Path


def find_sequences(roots: Sequence[Path]) -> list[NamedFolder]:
    """The sequences of several roots, each once, with names that differ.

    Args:
        roots: Sequences, or folders of sequences.

    Raises:
        ValueError: naming the root that holds none.
    """
    found: dict[Path, Path] = {}
    for root in roots:
        for folder in sequence_folders(root):
            found.setdefault(folder.resolve(), root)
    folders = [(root.resolve(), folder) for folder, root in found.items()]
    counts = Counter(folder.name for _, folder in folders)
    named = []
    for root, folder in folders:
        inner = folder.relative_to(root)
        unique = folder.name if counts[folder.name] == 1 else str(root.name / inner)
        named.append(NamedFolder(unique, root.name, folder))
    repeated = Counter(one.name for one in named)
    return [replace(one, name=str(one.folder)) if repeated[one.name] > 1 else one for one in named]


def sequence_folders(folder: Path) -> list[Path]:
    """The folder itself if it is a sequence, otherwise all sequences in it and its subfolders, in the order of names.

    Raises:
        ValueError: if there are none.
    """
    if any((folder / name).is_file() for name in TRUTH_FILES):
        return [folder]
    found = sorted({path.parent for name in TRUTH_FILES for path in folder.glob(f"**/{name}")})
    if not found:
        raise ValueError(f"{folder}: no sequences; each needs one of {', '.join(TRUTH_FILES)}")
    return found
