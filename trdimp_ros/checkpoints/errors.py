"""What can be wrong with a weights file, and how texts that come out of one are shown."""

MAX_SHOWN = 160
"""How many characters of a file's text a message shows."""


class CheckpointError(ValueError):
    """A weights file that cannot be used; the message is one line that names the file and what to do."""


class UnsafeCheckpointError(CheckpointError):
    """A file whose pickle asks for code to be run. Nothing was run."""


def printable(text: str, limit: int = MAX_SHOWN) -> str:
    """Text from a file or a path, safe for a terminal and a log: cut, on one line, control characters escaped.

    Args:
        text: Any text; it may hold lone surrogates, as names of files that are not UTF-8 do.
        limit: The most characters that are shown.
    """
    shown = "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text[: limit + 1]
    )
    return shown if len(shown) <= limit else f"{shown[:limit]}..."
