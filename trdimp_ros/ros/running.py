"""Starting and ending a node the same way everywhere: clean exit on Ctrl-C, one line for a bad parameter."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from typing import TypeVar

import rclpy
from rclpy.exceptions import (
    InvalidParameterTypeException,
    InvalidParameterValueException,
    ParameterException,
)
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

NodeType = TypeVar("NodeType", bound=Node)


WAKE_UP_SECONDS = 0.2
"""Python sees a signal only between two waits, so no wait may be longer."""


def _ignore(node: Node) -> None:
    """Nothing to do at start or end."""


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
        Exit code: 0 after a signal, 2 for parameters that cannot be used.
    """
    # rclpy's own handlers would invalidate the context before a last message, such as a stop, could be published.
    rclpy.init(args=arguments, signal_handler_options=SignalHandlerOptions.NO)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    node: NodeType | None = None
    try:
        node = make()
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        started(node)
        while rclpy.ok():
            executor.spin_once(timeout_sec=WAKE_UP_SECONDS)
    except (KeyboardInterrupt, ExternalShutdownException, SystemExit) as reason:
        code = reason.code if isinstance(reason, SystemExit) else 0
        return int(code or 0)
    except InvalidParameterTypeException as error:
        print(f"bad parameter: {error}. In YAML a double needs a point: write 1.0, not 1", file=sys.stderr)
        return 2
    except (InvalidParameterValueException, ParameterException, ValueError) as error:
        print(f"cannot start: {error}", file=sys.stderr)
        return 2
    finally:
        if node is not None:
            stopping(node)
            node.destroy_node()
        rclpy.try_shutdown()
    return 0
