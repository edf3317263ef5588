"""What README.md shows works as it is written."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from trdimp_ros.cli.main import build_parser, load_commands
from trdimp_ros.parameters import parameters_of
from trdimp_ros.tracking import TrackerConfig

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    """The fenced blocks of a language; without one: plain text, mostly commands."""
    fenced = re.findall(r"^```(\w*)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    return [text for name, text in fenced if name == language]


def test_the_python_examples_run_one_after_the_other(capsys):
    library = [block for block in blocks("python") if "class " not in block and "def on_state" not in block]
    assert len(library) == 3
    names: dict = {}
    for block in library:
        exec(compile(block, "README.md", "exec"), names)
    printed = capsys.readouterr().out
    assert printed.count("NORMAL") >= 20, printed
    assert "refused" not in printed, "the example's box of the past was caught up with"


def test_the_control_node_is_the_example():
    (snippet,) = (block for block in blocks("python") if "def on_state" in block)
    assert snippet in (ROOT / "examples" / "turn_to_target.py").read_text()


def test_every_option_that_is_shown_exists():
    parser = build_parser(load_commands())
    (synopsis,) = (block for block in blocks("") if "trdimp bench" in block)
    calls = re.split(r"^trdimp ", synopsis, flags=re.MULTILINE)[1:]
    assert len(calls) == 6
    (subparsers,) = (action for action in parser._actions if isinstance(action.choices, dict))
    for call in calls:
        name = call.split()[0]
        known = {option for action in subparsers.choices[name]._actions for option in action.option_strings}
        shown = set(re.findall(r"--[a-z-]+", call))
        assert shown <= known, name


@pytest.mark.parametrize("document", ["README.md", *(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))])
def test_every_file_that_is_linked_exists(document):
    text = (ROOT / document).read_text()
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", text)
    missing = [link for link in links if "://" not in link and not (ROOT / document).parent.joinpath(link).exists()]
    assert missing == []


def test_every_tracker_parameter_that_is_named_exists():
    known = set(parameters_of(TrackerConfig))
    named = set(re.findall(r"ros2 param \w+ /tracker tracker\.([a-z_]+)", README))
    named |= set(re.findall(r"--set ([a-z_]+)=", README))
    assert named
    assert named <= known


def test_the_nodes_parameters_have_the_defaults_that_are_shown():
    pytest.importorskip("rclpy")
    from trdimp_ros.ros.tracker_parameters import TrackerNodeParameters  # noqa: PLC0415

    known = parameters_of(TrackerNodeParameters)
    table = README.partition("### Parameters of `tracker`")[2].partition("###")[0]
    shown = dict(re.findall(r"^\| `([a-z_.]+)` \| (\S+) \|", table, re.MULTILINE))
    defaults = {name: str(known[name].default) for name in shown}
    defaults = {
        name: {"True": "true", "False": "false", "": "(empty)"}.get(text, text) for name, text in defaults.items()
    }
    assert shown == defaults
    groups = ("tracker.", "candidates.")
    assert {name for name in known if not name.startswith(groups)} <= set(shown), "every other one is in the table"
