"""What can be wrong with a weights file."""


class CheckpointError(ValueError):
    """A weights file that cannot be used; the message names the file and what to do."""


class UnsafeCheckpointError(CheckpointError):
    """A file whose pickle asks for code to be run. Nothing was run."""
