"""Requests: the newest for an id counts, floods are bounded, a reset is in force at once."""

from __future__ import annotations

from trdimp_ros.sessions import InitRequest
from trdimp_ros.sessions.requests import MAX_ORDERS, RequestBox
from trdimp_ros.tracking import Box

BOX = Box(1, 2, 3, 4)


def ids(box: RequestBox) -> list[str]:
    return [waiting.request.id for waiting in box.waiting()]


def request(target_id: str = "", x: float = 1) -> InitRequest:
    return InitRequest(Box(x, 2, 3, 4), id=target_id)


def test_the_newest_request_for_an_id_keeps_its_place_in_the_line():
    box = RequestBox(4)
    for x in range(1000):
        box.put(request("a", x), restart=True)
        if x == 0:
            box.put(request("b"), restart=False)
    assert ids(box) == ["a", "b"]
    assert box.waiting()[0].request.box.x == 999
    assert box.replaced == 999


def test_requests_without_id_wait_side_by_side_up_to_the_room_for_targets():
    box = RequestBox(2)
    for x in range(5):
        box.put(request(x=x), restart=False)
    assert [waiting.request.box.x for waiting in box.waiting()] == [3, 4]


def test_a_flood_of_new_ids_does_not_push_out_a_restart():
    box = RequestBox(2)
    box.put(request("good"), restart=True)
    for number in range(100):
        box.put(request(f"noise {number}"), restart=False)
    assert ids(box) == ["good", "noise 98", "noise 99"]


def test_a_reset_empties_the_line_and_spares_what_comes_after():
    box = RequestBox(2)
    box.put(request("a"), restart=False)
    stale = box.waiting()[0]
    box.reset()
    box.put(request("a"), restart=False)
    assert box.take(stale) is None
    orders = box.take(box.waiting()[0])
    assert orders is not None
    assert orders.everything
    assert not box.has_orders


def test_dropping_takes_the_waiting_request_out_too():
    box = RequestBox(2)
    box.put(request("a"), restart=False)
    box.put(request("b"), restart=False)
    assert box.drop("a")
    assert not box.drop("c")
    assert ids(box) == ["b"]
    assert box.take_orders().ids == {"a", "c"}
    assert not box.has_orders


def test_a_flood_of_drops_is_bounded():
    box = RequestBox(2)
    for number in range(5000):
        box.drop(f"nobody {number}")
    assert len(box.take_orders().ids) == MAX_ORDERS


def test_a_replaced_request_cannot_be_taken():
    box = RequestBox(1)
    box.put(request("a"), restart=False)
    stale = box.waiting()[0]
    box.put(request("a", x=9), restart=False)
    assert box.take(stale) is None
    assert len(box) == 1
