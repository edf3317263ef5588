"""A stand-in for ROS's `launch` and `launch_ros`, which cannot be installed by pip: runs a launch file, starts nothing.

It does what launch 3.7.1 and launch_ros 0.28.0 do with those parts that this package's launch files use, and keeps the
nodes that would be started. Where the real ones can be imported, test/ros/test_launch_files.py runs them as well.
"""

from __future__ import annotations

import os
import sys
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Launched:
    """What a launch file did.

    Attributes:
        configurations: The launch arguments with their values.
        nodes: What would be started, in order, as the arguments of launch_ros's `Node`.
        environment: The environment variables that the launch file sets.
        log_folder: The launch's log folder.
    """

    log_folder: Path
    configurations: dict[str, str] = field(default_factory=dict)
    nodes: list[dict[str, Any]] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def launch_configurations(self) -> dict[str, str]:
        """The name under which launch files find the arguments in the context."""
        return self.configurations


class Substitution:
    """Text that is known when the launch runs."""

    def __init__(self, text: Callable[[Launched], str]) -> None:
        self._text = text

    def perform(self, context: Launched) -> str:
        return self._text(context)


class Action:
    """Something that a launch does."""

    def __init__(self, function: Callable[[Launched], list[Any] | None]) -> None:
        self.execute = function


def run_launch_file(path: Path, share: Path, launched: Launched) -> None:
    """Run a launch file's actions in order, as the launch service does; an exception stops them and is passed on.

    Args:
        path: The launch file.
        share: Stands for the share folder of the package.
        launched: Holds the launch arguments given, and gets everything that happens.
    """
    with _modules(launched.log_folder, share):
        _execute(_load(path), launched)


def _load(path: Path) -> list[Any]:
    module = types.ModuleType("launch_file")
    exec(compile(path.read_text(), str(path), "exec"), module.__dict__)
    return module.generate_launch_description()


def _execute(actions: list[Any], launched: Launched) -> None:
    for action in actions:
        _execute(action.execute(launched) or [], launched)


def _text(value: Any, context: Launched) -> str:
    return value.perform(context) if isinstance(value, Substitution) else str(value)


@contextmanager
def _modules(log_folder: Path, share: Path) -> Iterator[None]:
    """`import launch` and the rest give the stand-ins."""

    def declare(name: str, default_value: Any, description: str, choices: list[str] | None = None) -> Action:
        def execute(context: Launched) -> None:
            value = context.configurations.setdefault(name, _text(default_value, context))
            if choices is not None and value not in choices:
                raise RuntimeError(f'Argument "{name}" provided value "{value}" is not valid. Valid are: {choices}')

        return Action(execute)

    def node(**options: Any) -> Action:
        def execute(context: Launched) -> None:
            context.nodes.append(
                {
                    key: _text(value, context) if isinstance(value, Substitution) else value
                    for key, value in options.items()
                }
            )

        return Action(execute)

    def set_variable(name: str, value: Any) -> Action:
        return Action(lambda context: context.environment.update({name: _text(value, context)}))

    def include(source: Substitution, launch_arguments: Any = ()) -> Action:
        def execute(context: Launched) -> list[Any]:
            context.configurations |= {name: _text(value, context) for name, value in launch_arguments}
            return _load(Path(source.perform(context)))

        return Action(execute)

    def environment(name: str, default_value: Any) -> Substitution:
        return Substitution(lambda context: os.environ.get(name) or _text(default_value, context))

    def path_join(parts: list[Any]) -> Substitution:
        return Substitution(lambda context: os.path.join(*(_text(part, context) for part in parts)))

    def prefix_namespace(pushed: str | None, namespace: str | None) -> str | None:
        if not pushed or namespace is None or namespace.startswith("/"):
            return pushed if namespace is None else namespace
        return f"{pushed.rstrip('/')}/{namespace}".rstrip("/")

    contents: dict[str, dict[str, Any]] = {
        "launch": {"LaunchDescription": list},
        "launch.actions": {
            "DeclareLaunchArgument": declare,
            "EmitEvent": lambda event: Action(lambda context: None),
            "IncludeLaunchDescription": include,
            "OpaqueFunction": Action,
            "RegisterEventHandler": lambda handler: Action(lambda context: None),
            "SetEnvironmentVariable": set_variable,
        },
        "launch.event_handlers": {"OnProcessExit": lambda **options: None},
        "launch.events": {"Shutdown": lambda: None},
        "launch.launch_description_sources": {"PythonLaunchDescriptionSource": lambda path: path},
        "launch.logging": {
            "launch_config": types.SimpleNamespace(get_log_file_path=lambda name: str(log_folder / name))
        },
        "launch.substitutions": {
            "EnvironmentVariable": environment,
            "LaunchConfiguration": lambda name: Substitution(lambda context: context.configurations[name]),
            "PathJoinSubstitution": path_join,
        },
        "launch_ros": {},
        "launch_ros.actions": {"Node": node},
        "launch_ros.substitutions": {"FindPackageShare": lambda name: Substitution(lambda context: str(share))},
        "launch_ros.utilities": {
            "make_namespace_absolute": lambda name: name if name.startswith("/") else f"/{name}",
            "prefix_namespace": prefix_namespace,
        },
    }
    before = {name: sys.modules.get(name) for name in contents}
    for name, content in contents.items():
        sys.modules[name] = types.ModuleType(name)
        vars(sys.modules[name]).update(content)
    try:
        yield
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module
