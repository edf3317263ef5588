"""Write CHANGELOG.rst, which ROS's release tools read, from CHANGELOG.md: `make changelog`.

A test checks that it is current.

Of Markdown these are known: ``## Unreleased`` and ``## 1.2.3 (2026-01-31)`` as headings of versions, ``###`` headings,
lists, code and links.
"""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
TITLE = "Changelog for package trdimp_ros"


def to_rst(markdown: str) -> str:
    """The changelog in the form of REP 132."""
    lines = ["^" * len(TITLE), TITLE, "^" * len(TITLE)]
    depth = -1  # of the list item that the last line belongs to; -1: of none
    for line in markdown.splitlines():
        item = re.match(r"( *)[-*] +(.*)", line)
        if line.startswith("# ") or not line.strip():
            depth = -1 if line.strip() else depth
            continue
        if line.startswith("## "):
            version = line[3:].strip().replace("Unreleased", "Forthcoming")
            lines += ["", version, "-" * len(version)]
            depth = -1
        elif line.startswith("### "):
            lines += ["", f"**{inline(line[4:].strip())}**", ""]
            depth = -1
        elif item:
            if len(item[1]) != depth:  # a list in a list, and the end of one, need a blank line
                lines.append("")
            depth = len(item[1])
            lines.append(f"{item[1]}* {inline(item[2])}")
        else:
            lines.append(inline(line))
    return "\n".join(re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).splitlines()) + "\n"


def inline(text: str) -> str:
    """Code and links in a line."""
    text = re.sub(r"(?<!`)`([^`]+)`(?!`)", r"``\1``", text)
    return re.sub(r"\[([^]]+)\]\(([^)]+)\)", r"`\1 <\2>`_", text)


def main() -> None:
    (ROOT / "CHANGELOG.rst").write_text(to_rst((ROOT / "CHANGELOG.md").read_text()))


if __name__ == "__main__":
    main()
