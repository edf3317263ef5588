"""Reading a checkpoint's pickle without importing, running, hashing or printing anything that the file names.

A pickle is a program for a small stack machine. Python's own interpreter of it can be made to hang, to fill the memory
or to overflow the stack by a few hundred bytes, whatever it is allowed to import. This one knows only the instructions
that torch.save writes, builds plain values from them, and has budgets: its time and memory are bounded by the length of
the pickle, which is bounded itself.

What the names in a pickle mean is in `inert_globals`. Objects of unknown classes become `IGNORED`, and what is done to
them has no effect. A call of anything that is not known is refused.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from trdimp_ros.checkpoints.errors import CheckpointError, UnsafeCheckpointError, printable
from trdimp_ros.checkpoints.inert_globals import IGNORED, MAX_NAME, Entries, Global, find_global
from trdimp_ros.checkpoints.stored_tensor import Storage

MAX_PICKLE_BYTES = 4 << 20
"""The official network's pickle, with the optimiser's state, has 0.12 MB; the numbers are elsewhere in the file."""

MAX_OPERATIONS = 500_000
"""The same pickle has 40,000."""

MAX_ARGUMENTS = 16
"""The most arguments of a call. No operation's time depends on a value that was made before, such as a long tuple."""


def _no_storage(_identifier: object) -> Storage:
    raise CheckpointError("damaged: a tensor where none is expected")


_MISSING = object()
"""At an index of the memo that nothing was put into."""


class InertUnpickler:
    """Reads the pickles at the start of some bytes, one after the other.

    Args:
        data: The bytes; the last pickle may be followed by other things.

    Attributes:
        position: Where the next pickle begins.
    """

    def __init__(self, data: bytes) -> None:
        self.position = 0
        self._data = data
        self._operations = 0
        self._stack: list[Any] = []
        self._outer: list[list[Any]] = []  # stacks below each mark
        self._memo: list[Any] = []
        self._find_storage: Callable[[object], Storage] = _no_storage

    def load(self, find_storage: Callable[[object], Storage] = _no_storage) -> object:
        """The next pickle's value: numbers, texts, bytes, lists, tuples, `Entries`, `StoredTensor`, `IGNORED`, ...

        Args:
            find_storage: Turns a persistent id (the tuple that stands for a storage) into a `Storage`.

        Raises:
            CheckpointError: for a pickle that is damaged or over a budget, or holds what torch.save does not write.
            UnsafeCheckpointError: if it asks for a call of anything that is not known here.
        """
        self._stack, self._outer, self._memo = [], [], []
        self._find_storage = find_storage
        while True:
            self._operations += 1
            if self._operations > MAX_OPERATIONS:
                raise CheckpointError(f"its pickle has more than {MAX_OPERATIONS} operations; this is no checkpoint")
            code = self.take(1)
            if code == b".":
                return self.pop()
            operation = OPERATIONS.get(code)
            if operation is None:
                raise CheckpointError(f"its pickle has opcode 0x{code[0]:02x}, which torch.save does not write")
            operation(self)

    # What the operations are made of.

    def take(self, count: int) -> bytes:
        """The next bytes."""
        end = self.position + count
        if end > len(self._data):
            raise CheckpointError(
                f"truncated or damaged: its pickle ends too early, or has more than {MAX_PICKLE_BYTES} bytes; "
                "download or copy it again"
            )
        taken = self._data[self.position : end]
        self.position = end
        return taken

    def take_number(self, layout: str) -> Any:
        """The next number, packed as `struct` says."""
        return struct.unpack(layout, self.take(struct.calcsize(layout)))[0]

    def take_line(self) -> str:
        """The next line, without its end."""
        end = self._data.find(b"\n", self.position, self.position + MAX_NAME + 1)
        if end < 0:
            raise CheckpointError("damaged: the name of a class does not end")
        line = self.take(end + 1 - self.position)
        return line[:-1].decode("utf-8", "replace")

    def push(self, value: object) -> None:
        self._stack.append(value)

    def top(self) -> Any:
        if not self._stack:
            raise CheckpointError("damaged: its pickle takes more values than it makes")
        return self._stack[-1]

    def pop(self) -> Any:
        value = self.top()
        del self._stack[-1]
        return value

    def mark(self) -> None:
        self._outer.append(self._stack)
        self._stack = []

    def pop_to_mark(self) -> list[Any]:
        """All values since the last mark."""
        if not self._outer:
            raise CheckpointError("damaged: its pickle has a mark too few")
        values, self._stack = self._stack, self._outer.pop()
        return values

    def put(self, index: int) -> None:
        """Remember the topmost value. Indices are counted up, so that none is beyond the number of operations."""
        if index > self._operations:
            raise CheckpointError(f"damaged: its pickle remembers something at index {index}, out of order")
        self._memo += [_MISSING] * (index + 1 - len(self._memo))
        self._memo[index] = self.top()

    def memoize(self) -> None:
        self._memo.append(self.top())

    def get(self, index: int) -> None:
        """Push what was remembered."""
        if index >= len(self._memo) or self._memo[index] is _MISSING:
            raise CheckpointError(f"damaged: its pickle remembers nothing at index {index}")
        self.push(self._memo[index])

    def set_items(self, pairs: list[Any]) -> None:
        """Enter keys and values, alternating, into the topmost value."""
        target = self.top()
        if isinstance(target, Entries) and len(pairs) % 2 == 0:
            target.extend(zip(pairs[::2], pairs[1::2], strict=True))
        elif target is not IGNORED:
            raise CheckpointError("damaged: its pickle sets items of something that is no dictionary")

    def append_items(self, values: list[Any]) -> None:
        """Append to the topmost value."""
        target = self.top()
        if type(target) is list:
            target.extend(values)
        elif target is not IGNORED:
            raise CheckpointError("damaged: its pickle appends to something that is no list")

    def call(self) -> None:
        """Call the function below the topmost value with the tuple that is the topmost value."""
        arguments, function = self.pop(), self.pop()
        if not isinstance(function, Global) or function.call is None:
            name = printable(function.name) if isinstance(function, Global) else "something that is no function"
            raise UnsafeCheckpointError(
                f"the pickle asks to call {name}; refused, nothing was run. Use a checkpoint from a source you trust"
            )
        if not isinstance(arguments, tuple) or len(arguments) > MAX_ARGUMENTS:
            raise CheckpointError("damaged: its pickle calls a function with no tuple of arguments, or a long one")
        try:
            self.push(function.call(*arguments))
        except TypeError as error:  # too few arguments
            raise CheckpointError(f"damaged: its pickle calls {function.name} with wrong arguments") from error

    def make(self, with_names: bool) -> None:
        """Make an object of a class, of which nothing is kept."""
        for _ in range(2 if with_names else 1):
            self.pop()
        if not isinstance(self.pop(), Global):
            raise CheckpointError("damaged: its pickle makes an object of something that is no class")
        self.push(IGNORED)

    def global_of_stack(self) -> None:
        name, module = self.pop(), self.pop()
        self.push(find_global(module, name))

    def set_state(self) -> None:
        """Give the object below the topmost value a state, which is dropped."""
        self.pop()
        self.top()

    def find_storage(self) -> None:
        """Replace a persistent id by the storage that it stands for."""
        self.push(self._find_storage(self.pop()))

    def push_tuple(self, count: int) -> None:
        self.push(tuple(reversed([self.pop() for _ in range(count)])))

    def push_frozen_set(self) -> None:
        self.pop_to_mark()
        self.push(IGNORED)

    def push_long(self) -> None:
        self.push(int.from_bytes(self.take(self.take_number("<B")), "little", signed=True))

    def push_text(self, layout: str) -> None:
        self.push(self.take(self.take_number(layout)).decode("utf-8", "replace"))

    def push_bytes(self, layout: str) -> None:
        self.push(self.take(self.take_number(layout)))


OPERATIONS: dict[bytes, Callable[[InertUnpickler], object]] = {
    # Frames and the protocol's number say nothing that is needed.
    b"\x80": lambda machine: machine.take(1),
    b"\x95": lambda machine: machine.take(8),
    b"(": InertUnpickler.mark,
    b"0": lambda machine: machine.pop(),
    b"1": lambda machine: machine.pop_to_mark(),
    # Constants and numbers
    b"N": lambda machine: machine.push(None),
    b"\x88": lambda machine: machine.push(True),
    b"\x89": lambda machine: machine.push(False),
    b"J": lambda machine: machine.push(machine.take_number("<i")),
    b"K": lambda machine: machine.push(machine.take_number("<B")),
    b"M": lambda machine: machine.push(machine.take_number("<H")),
    b"\x8a": lambda machine: machine.push_long(),
    b"G": lambda machine: machine.push(machine.take_number(">d")),
    # Texts and bytes
    b"X": lambda machine: machine.push_text("<I"),
    b"\x8c": lambda machine: machine.push_text("<B"),
    b"\x8d": lambda machine: machine.push_text("<Q"),
    b"B": lambda machine: machine.push_bytes("<I"),
    b"C": lambda machine: machine.push_bytes("<B"),
    b"\x8e": lambda machine: machine.push_bytes("<Q"),
    b"\x96": lambda machine: machine.push_bytes("<Q"),
    # Containers
    b")": lambda machine: machine.push(()),
    b"\x85": lambda machine: machine.push_tuple(1),
    b"\x86": lambda machine: machine.push_tuple(2),
    b"\x87": lambda machine: machine.push_tuple(3),
    b"t": lambda machine: machine.push(tuple(machine.pop_to_mark())),
    b"]": lambda machine: machine.push([]),
    b"a": lambda machine: machine.append_items([machine.pop()]),
    b"e": lambda machine: machine.append_items(machine.pop_to_mark()),
    b"}": lambda machine: machine.push(Entries()),
    b"s": lambda machine: machine.set_items([machine.pop(), machine.pop()][::-1]),
    b"u": lambda machine: machine.set_items(machine.pop_to_mark()),
    b"\x8f": lambda machine: machine.push(IGNORED),
    b"\x90": lambda machine: machine.append_items(machine.pop_to_mark()),
    b"\x91": InertUnpickler.push_frozen_set,
    # Memory
    b"q": lambda machine: machine.put(machine.take_number("<B")),
    b"r": lambda machine: machine.put(machine.take_number("<I")),
    b"\x94": InertUnpickler.memoize,
    b"h": lambda machine: machine.get(machine.take_number("<B")),
    b"j": lambda machine: machine.get(machine.take_number("<I")),
    # Classes, calls and storages
    b"c": lambda machine: machine.push(find_global(machine.take_line(), machine.take_line())),
    b"\x93": InertUnpickler.global_of_stack,
    b"R": InertUnpickler.call,
    b"\x81": lambda machine: machine.make(with_names=False),
    b"\x92": lambda machine: machine.make(with_names=True),
    b"b": InertUnpickler.set_state,
    b"Q": lambda machine: machine.find_storage(),
}
"""What the instructions that torch.save writes (pickle protocols 2 to 5) do. `pickletools` describes them."""
