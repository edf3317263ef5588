"""Parameters declared once: kinds from annotations, the three forms of a value, refusals in one wording."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trdimp_ros.parameters import (
    Boolean,
    Choice,
    Number,
    NumberList,
    PairList,
    Text,
    WholeNumber,
    changed_by_text,
    check_parameters,
    parameter,
    parameter_values,
    parameters_of,
    section,
    with_parameters,
)


@dataclass(frozen=True)
class Lens:
    zoom: float = parameter(1.0, "Magnification.", 0.5, 8.0)
    focus: Literal["near", "far"] = parameter("far", "Where the lens is sharp.", dynamic=False)

    def __post_init__(self) -> None:
        check_parameters(self)
        if self.focus == "near" and self.zoom > 4.0:
            raise ValueError(f"zoom must be at most 4 where focus is near, got {self.zoom}")


@dataclass(frozen=True)
class Camera:
    on: bool = parameter(True, "Whether the camera runs.")
    rows: int = parameter(480, "Height of the image in pixels.", 1)
    gain: float = parameter(1.0, "Amplification.", maximum=10.0, above=0.0)
    name: str = parameter("camera", "Name of the camera.")
    bus: str = parameter("usb", "What the camera hangs on.", choices=("usb", "csi"))
    box: tuple[float, float, float, float] = parameter((0.0, 0.0, 0.0, 0.0), "Region x, y, w, h.")
    scales: tuple[float, ...] = parameter((1.0,), "Scales.", 0.5, 2.0, shortest=1, longest=3)
    points: tuple[tuple[float, float], ...] = parameter(((0.0, 1.0),), "Points.", -1.0, 1.0)
    lens: Lens = section(Lens)

    def __post_init__(self) -> None:
        check_parameters(self)


KINDS = {name: info.kind for name, info in parameters_of(Camera).items()}


def test_kinds_come_from_annotations():
    assert {
        "on": Boolean(),
        "rows": WholeNumber(1),
        "gain": Number(maximum=10.0, above=0.0),
        "name": Text(),
        "bus": Choice(("usb", "csi")),
        "box": NumberList(shortest=4, longest=4),
        "scales": NumberList(0.5, 2.0, shortest=1, longest=3),
        "points": PairList(-1.0, 1.0),
        "lens.zoom": Number(0.5, 8.0),
        "lens.focus": Choice(("near", "far")),
    } == KINDS
    assert not parameters_of(Camera)["lens.focus"].dynamic


def test_an_annotation_without_a_kind_is_a_mistake_of_the_programmer():
    @dataclass(frozen=True)
    class Wrong:
        when: complex = parameter(0j, "No kind of parameter is complex.")

    with pytest.raises(TypeError, match=r"Wrong.when: no kind of parameter is annotated <class 'complex'>"):
        parameters_of(Wrong)


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("on", 1, "on must be true or false, got 1"),
        ("rows", 0, "rows must be a whole number of at least 1, got 0"),
        ("rows", 2.5, "rows must be a whole number of at least 1, got 2.5"),
        ("rows", True, "rows must be a whole number of at least 1, got True"),
        ("gain", 0.0, "gain must be a number above 0 and of at most 10, got 0.0"),
        ("gain", float("nan"), "gain must be a number above 0 and of at most 10, got nan"),
        ("gain", 10**400, "gain must be a number above 0 and of at most 10, got 1000"),
        ("bus", "pci", "bus must be one of usb, csi, got 'pci'"),
        ("bus", ["usb"], "bus must be one of usb, csi, got ['usb']"),
        ("box", (1.0,), "box must be 4 numbers, got (1.0,)"),
        ("scales", (), "scales must be 1 to 3 numbers from 0.5 to 2, got ()"),
        ("points", ((0.1,),), "points must be at most 32 pairs of numbers from -1 to 1, got ((0.1,),)"),
        ("lens.zoom", 9.0, "lens.zoom must be a number from 0.5 to 8, got 9.0"),
        ("lense.zoom", 1.0, "unknown parameter 'lense.zoom'; did you mean lens.zoom?"),
    ],
)
def test_a_refusal_names_parameter_wish_and_value(name, value, text):
    with pytest.raises(ValueError) as refusal:
        with_parameters(Camera(), {name: value})
    assert str(refusal.value).startswith(text)
    assert len(str(refusal.value)) < 200


def test_construction_refuses_in_the_same_words():
    with pytest.raises(ValueError, match=r"^scales must be 1 to 3 numbers from 0.5 to 2, got \(9.0,\)$"):
        Camera(scales=(9.0,))
    with pytest.raises(ValueError, match=r"^lens.zoom must be at most 4 where focus is near, got 5.0$"):
        with_parameters(Camera(), {"lens.zoom": 5.0, "lens.focus": "near"})


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ("rows=x", "rows must be a whole number of at least 1, got 'x'"),
        ("rows=2.5", "rows must be a whole number of at least 1, got '2.5'"),
        ("points=1:2:3", "points must be at most 32 pairs of numbers from -1 to 1, got ((1.0, 2.0, 3.0),)"),
        ("points=1,2", "points must be at most 32 pairs"),
        ("on=maybe", "on must be true or false, got 'maybe'"),
        ("rows", "a change is written NAME=VALUE, got 'rows'"),
        ("row=1", "unknown parameter 'row'; did you mean rows?"),
    ],
)
def test_text_that_is_no_value_is_refused(change, text):
    with pytest.raises(ValueError) as refusal:
        changed_by_text(Camera(), [change])
    assert str(refusal.value).startswith(text)


@pytest.mark.parametrize(
    ("name", "plain", "text"),
    [
        ("gain", 1, "gain needs a decimal point in YAML and ROS: write 1.0, not 1"),
        ("gain", 99, "gain must be a number above 0 and of at most 10, got 99"),
        ("box", [1, 2, 3, 4], "box needs decimal points in YAML and ROS: write [1.0, 2.0, 3.0, 4.0], not [1, 2, 3, 4]"),
        ("box", [1.0], "box must be 4 numbers, got (1.0,)"),
        ("box", "1234", "box must be 4 numbers, got '1234'"),
        ("box", None, "box must be 4 numbers, got None"),
        ("points", [1.0, 0.5, 0.25], "points holds pairs and must have an even count of numbers, got 3"),
        ("on", 1, "on must be true or false, got 1"),
        ("bus", False, "bus must be one of usb, csi, got False"),
    ],
)
def test_plain_values_that_do_not_fit_are_refused(name, plain, text):
    with pytest.raises(ValueError) as refusal:
        KINDS[name].from_plain(name, plain)
    assert str(refusal.value) == text


def test_words_that_yaml_takes_for_truth_values_are_understood():
    switch = Choice(("off", "on", "auto"))
    plain_values = (False, True, "off", "auto")
    assert [switch.from_plain("switch", plain) for plain in plain_values] == ["off", "on", "off", "auto"]
    with pytest.raises(ValueError, match=r"^switch must be one of off, auto, got True$"):
        Choice(("off", "auto")).from_plain("switch", True)


NUMBERS = st.floats(-1.0, 1.0)
VALUES = st.fixed_dictionaries(
    {
        "on": st.booleans(),
        "rows": st.integers(1, 10**9),
        "gain": st.floats(0.0, 10.0, exclude_min=True),
        "name": st.text(max_size=20),
        "bus": st.sampled_from(["usb", "csi"]),
        "box": st.tuples(*[st.floats(allow_nan=False, allow_infinity=False)] * 4),
        "scales": st.lists(st.floats(0.5, 2.0), min_size=1, max_size=3).map(tuple),
        "points": st.lists(st.tuples(NUMBERS, NUMBERS), max_size=32).map(tuple),
        "lens.zoom": st.floats(0.5, 4.0),
        "lens.focus": st.sampled_from(["near", "far"]),
    }
)


@given(VALUES)
def test_values_survive_the_plain_form_and_text(values):
    config = with_parameters(Camera(), values)
    assert parameter_values(config) == values
    for name, value in values.items():
        kind = KINDS[name]
        assert kind.from_plain(name, kind.to_plain(value)) == value
        assert kind.parse(name, _text(value)) == value


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(":".join(map(repr, item)) if isinstance(item, tuple) else repr(item) for item in value)
    return value if isinstance(value, str) else repr(value)
