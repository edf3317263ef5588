"""When the work for a new template is done: in its own frame, or shared out among the frames until the next one."""

from __future__ import annotations

import itertools

from trdimp_ros.tracking.config import TrackerConfig
from trdimp_ros.tracking.device_steps import DeviceSteps
from trdimp_ros.tracking.template_memory import TemplateStep


def learn_template(steps: DeviceSteps, index: int, remember: bool, config: TrackerConfig) -> None:
    """Store the located frame in a target's template memory, or do a share of what is left to do for the last one.

    Args:
        steps: What works on the memories; the inputs of an update have been sent.
        index: The target's index.
        remember: Whether the frame is stored.
        config: The parameters in force.
    """
    templates = steps.memories(index).templates
    if not remember:
        _run(steps, index, _share(steps, index, config, retire=True))
        return
    _run(steps, index, templates.next_steps())
    templates.claim_slot()
    steps.learn_template(index)
    # Nothing can retire: the upload names the slot of this frame, and not the one that is next after it.
    spread = config.spread_learning
    _run(steps, index, _share(steps, index, config, retire=False) if spread else templates.next_steps(retire=False))
    if templates.refresh_is_due():
        templates.refresh()
        steps.stage("template memory")


def go_on_with_template(steps: DeviceSteps, index: int, config: TrackerConfig) -> None:
    """Do a share of what is left until the template stored last is seen, in a frame that nothing is learned from.

    Args:
        steps: What works on the memories; no inputs need have been sent.
        index: The target's index.
        config: The parameters in force.
    """
    _run(steps, index, _share(steps, index, config, retire=False))


def _share(steps: DeviceSteps, index: int, config: TrackerConfig, retire: bool) -> list[TemplateStep]:
    """The steps that one frame takes."""
    templates = steps.memories(index).templates
    return templates.next_steps(
        templates.steps_a_frame(max(config.transformer_skipping, 1), config.spread_learning), retire
    )


def _run(steps: DeviceSteps, index: int, some: list[TemplateStep]) -> None:
    for retires, group in itertools.groupby(some, key=lambda step: step.kind == "retire"):
        for step in group:
            steps.run_template_step(index, step)
        steps.stage("retiring template" if retires else "template memory")
