"""Parameters of the running node: effect, refusal, atomicity, answer time."""

from __future__ import annotations

import time

import numpy as np
import pytest
from lifecycle_msgs.msg import Transition
from rcl_interfaces.srv import DescribeParameters

from trdimp_ros.msg import TrackState
from trdimp_ros.ros import parameters
from trdimp_ros.testing.ros_harness import System, running_system
from trdimp_ros.testing.tiny import small_scene

FRAMES, BOXES = small_scene()


@pytest.fixture(scope="module")
def configured(tmp_path_factory, tiny_weights):
    """One tracker for all refusals: none of them may change it."""
    with running_system(tmp_path_factory.mktemp("parameters"), tiny_weights) as system:
        system.start_tracker()
        yield system


def test_a_threshold_flips_the_state_of_the_next_frame(system: System):
    system.start_tracker()
    client = system.client
    client.begin(FRAMES[0], BOXES[0])
    assert client.track(FRAMES[1]).state == TrackState.NORMAL
    assert client.set_parameters(tracker__target_not_found_threshold=2.0) == (True, "")
    assert client.track(FRAMES[2]).state == TrackState.NOT_FOUND
    assert client.set_parameters(tracker__target_not_found_threshold=-1.0, tracker__uncertain_threshold=2.0)[0]
    assert client.track(FRAMES[3]).state == TrackState.UNCERTAIN
    assert client.set_parameters(tracker__uncertain_threshold=0.0, tracker__hard_sample_threshold=2.0)[0]
    state = client.track(FRAMES[4])
    assert (state.state, state.distractor) == (TrackState.NORMAL, True)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"tracker__learning_rate": 7.0}, "learning_rate"),
        ({"tracker__learning_rate": float("nan")}, "learning_rate"),
        ({"tracker__train_skipping": 0}, "train_skipping"),
        ({"tracker__image_sample_size": 128}, "cleanup"),
        ({"tracker__augmentation_rotations": [1.0]}, "cleanup"),
        ({"preset": "trsiam"}, "cleanup"),
        ({"model__device": "cpu"}, "cleanup"),
        ({"tracker__use_iou_net": "yes"}, ""),
    ],
)
def test_a_bad_or_fixed_value_is_refused_and_nothing_changes(configured: System, values, reason):
    system = configured
    good = {"tracker__hard_negative_threshold": 0.7}
    done, why = system.client.set_parameters(**good, **values)
    assert not done
    assert reason in why
    assert why
    unchanged = system.client.get_parameter_value("tracker.hard_negative_threshold")
    assert unchanged.double_value == 0.5


def test_a_preset_is_adopted_at_configure_and_overrides_stay(system: System):
    system.start_tracker(active=False, autostart=False, tracker__learning_rate=0.05)
    client = system.client
    assert client.set_parameters(preset="trdimp_lasot") == (True, "")
    assert client.change_state(Transition.TRANSITION_CONFIGURE)
    assert client.get_parameter_value("tracker.transformer_skipping").integer_value == 0
    assert client.get_parameter_value("tracker.learning_rate").double_value == 0.05


def test_every_parameter_describes_itself(system: System):
    system.start_tracker(active=False, autostart=False)
    names = [*parameters.NODE_PARAMETERS, *parameters.tracker_descriptors()]
    request = DescribeParameters.Request(names=names)
    descriptors = system.client.call(DescribeParameters, "tracker/describe_parameters", request).descriptors
    assert [descriptor.name for descriptor in descriptors] == names
    assert all(descriptor.description for descriptor in descriptors)
    by_name = {descriptor.name: descriptor for descriptor in descriptors}
    assert by_name["tracker.learning_rate"].floating_point_range[0].to_value == 1.0
    assert by_name["tracker.train_skipping"].integer_range[0].from_value == 1


def test_parameters_are_answered_while_the_tracker_is_busy(system: System):
    """Tracking runs outside the executor's thread: answers do not wait for frames, which take far longer here."""
    system.start_tracker(tracker__image_sample_size=352, tracker__train_skipping=1, tracker__net_opt_update_iter=20)
    client = system.client
    client.begin(FRAMES[0], BOXES[0])
    times = []
    for index in range(30):
        client.send_image(FRAMES[index % len(FRAMES)])
        start = time.monotonic()
        assert client.set_parameters(tracker__hard_negative_threshold=0.4 + 0.01 * index)[0]
        times.append(time.monotonic() - start)
    # The measured distribution is in docs/benchmarks.md; here only that it is not seconds.
    assert np.median(times) < 1.0
