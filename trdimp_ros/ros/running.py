"""Starting and ending a node the same way everywhere: clean exit on Ctrl-C, one line for a bad parameter."""

from __future__ import annotations

import re
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import TypeVar

import rclpy
from rclpy.exceptions import ParameterException
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.logging import LoggingSeverity, get_logger_effective_level, set_logger_level
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

NodeType = TypeVar("NodeType", bound=Node)


WAKE_UP_SECONDS = 0.2
"""Python sees a signal only between two waits, so no wait may be longer."""


STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class _FirstSignal:
    """Signal handler: the first signal ends the node, later ones must not cut off what it does at the end.

    Attributes:
        received: Whether there was one: a callback or a destructor may swallow the exception that it raises.
    """

    def __init__(self) -> None:
        self.received = False
        for number in STOP_SIGNALS:
            signal.signal(number, self)

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.received = True
        for stop in STOP_SIGNALS:
            signal.signal(stop, signal.SIG_IGN)
        raise KeyboardInterrupt


def _ignore(node: Node) -> None:
    """Nothing to do at start or end."""


ARGUMENT_FORMS = {
    "parameter override rule": "a parameter is given as -p NAME:=VALUE",
    "remap rule": "a name is remapped as -r FROM:=TO",
    "log level": "known are debug, info, warn, error, fatal",
}
"""What rcl's error texts speak of, and what they do not say."""


def _initialize(arguments: list[str] | None) -> None:
    """Start rclpy, with no line of rcl's own about arguments that it refuses: the exception says more.

    Raises:
        RuntimeError: for arguments or files that rcl cannot read.
    """
    set_logger_level("rcl", LoggingSeverity.FATAL)
    # rclpy's own handlers would invalidate the context before a last message, such as a stop, could be published.
    rclpy.init(args=arguments, signal_handler_options=SignalHandlerOptions.NO)
    if get_logger_effective_level("rcl") == LoggingSeverity.FATAL:  # else the command line chose a level for it
        set_logger_level("rcl", LoggingSeverity.UNSET)


def _argument_error(error: Exception) -> str:
    """One line from rcl's text about the arguments: without the places in its sources, with what is wanted."""
    text = str(error)
    if type(error).__name__ == "UnknownROSArgsError":
        return f"unknown arguments after --ros-args: {text}"
    text = re.sub(r",? at [^\s,]+:\d+", "", text).replace("failed to initialize rcl: ", "")
    hint = next((form for words, form in ARGUMENT_FORMS.items() if words in text), None)
    return " ".join(text.replace(". Error: error not set", "").split()) + (f" ({hint})" if hint else "")


def run_node(
    make: Callable[[], NodeType],
    arguments: list[str] | None = None,
    started: Callable[[NodeType], None] = _ignore,
    stopping: Callable[[NodeType], None] = _ignore,
) -> int:
    """Spin a node until SIGINT, SIGTERM or an exception.

    Args:
        make: Makes the node.
        arguments: Command line, None: sys.argv.
        started: Called once before spinning.
        stopping: Called at the end, whatever happened.

    Returns:
        Exit code: 0 after a signal, 2 for arguments or parameters that cannot be used.
    """
    try:
        _initialize(arguments)
    except (RuntimeError, ValueError) as error:  # rcl's errors about arguments and files are RuntimeErrors
        print(f"cannot start: {_argument_error(error)}", file=sys.stderr)
        return 2
    stop = _FirstSignal()
    node: NodeType | None = None
    try:
        node = make()
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        started(node)
        while rclpy.ok() and not stop.received:
            executor.spin_once(timeout_sec=WAKE_UP_SECONDS)
    except (KeyboardInterrupt, ExternalShutdownException, SystemExit) as reason:
        code = reason.code if isinstance(reason, SystemExit) else 0
        return int(code or 0)
    except (ParameterException, ValueError) as error:
        print(f"cannot start: {error}", file=sys.stderr)
        return 2
    finally:
        if node is not None:
            stopping(node)
            node.destroy_node()
        rclpy.try_shutdown()
    return 0
