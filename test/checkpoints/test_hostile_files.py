"""Weights files that are built to do harm, loaded in child processes with limits on time and memory."""

from __future__ import annotations

import contextlib
import os
import pickletools
import resource
import signal
import zipfile
from collections.abc import Iterator

import pytest
import torch

from trdimp_ros.checkpoints import CheckpointError, load_network
from trdimp_ros.checkpoints.inert_pickle import MAX_OPERATIONS, MAX_PICKLE_BYTES
from trdimp_ros.checkpoints.opened_file import open_weights_file
from trdimp_ros.checkpoints.safetensors_file import read_safetensors
from trdimp_ros.checkpoints.weights import save_network
from trdimp_ros.models import TrDiMPNet
from trdimp_ros.testing.limited_loading import Outcome, load_all
from trdimp_ros.testing.tiny import tiny_network
from trdimp_ros.testing.weights_attacks import all_attacks

FUZZ_CASES = 4000


@pytest.fixture(scope="module")
def outcomes() -> dict[str, Outcome]:
    found = load_all("trdimp_ros.testing.weights_attacks:attack", 0, len(all_attacks()))
    return {outcome.name: outcome for outcome in found}


@pytest.mark.parametrize(
    ("name", "pattern"), [pytest.param(case.name, pattern, id=case.name) for case, pattern in all_attacks()]
)
def test_an_attack_is_refused_in_one_line_within_the_limits(outcomes, name, pattern):
    assert outcomes[name].refused, outcomes[name].text
    with pytest.raises(CheckpointError, match=pattern):
        raise CheckpointError(outcomes[name].text)


def test_no_file_of_thousands_harms_the_process_that_loads_it():
    """A seeded fuzz; a failure names the case, and weights_fuzz.case(number) makes its file again."""
    found = load_all("trdimp_ros.testing.weights_fuzz:case", 0, FUZZ_CASES)
    assert len(found) == FUZZ_CASES
    assert [outcome for outcome in found if not outcome.good] == []
    # Otherwise the files are so wrong that nothing behind the first check was reached.
    assert sum(outcome.text == "accepted" for outcome in found) > FUZZ_CASES / 50
    assert len({outcome.text.split(": ", 1)[1][:25] for outcome in found if outcome.refused}) > 25


@contextlib.contextmanager
def as_someone_else() -> Iterator[None]:
    """Root may read everything."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


def test_a_file_that_may_not_be_read_is_refused(tmp_path):
    path = tmp_path / "w.safetensors"
    save_network(tiny_network(), path)
    path.chmod(0)
    with (
        as_someone_else(),
        pytest.raises(CheckpointError, match=r"w\.safetensors: cannot be opened \(Permission denied\)"),
    ):
        load_network(path)


@pytest.mark.parametrize("name", ["w\udcff\x1b[2J.safetensors", "x" * 300 + ".pth", "a\0b.pth"])
def test_any_path_is_refused_in_one_printable_line(tmp_path, name):
    with pytest.raises(CheckpointError) as caught:
        load_network(tmp_path / name)
    assert str(caught.value).isprintable()


def test_a_file_that_is_cut_while_it_is_read_is_refused(tmp_path):
    """A mapped file would end the process by a signal here."""
    path = tmp_path / "w.safetensors"
    save_network(tiny_network(), path)
    with open_weights_file(path) as file:
        tensors = read_safetensors(file)[0]
        status = path.stat()
        os.truncate(path, status.st_size // 2)
        with pytest.raises(CheckpointError, match="ends after"):
            [tensor.read() for tensor in tensors.values()]
        os.truncate(path, status.st_size)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_a_file_that_is_written_to_while_it_is_read_is_refused(tmp_path):
    path = tmp_path / "w.safetensors"
    save_network(tiny_network(), path)
    with contextlib.ExitStack() as stack:
        read_safetensors(stack.enter_context(open_weights_file(path)))
        os.truncate(path, path.stat().st_size + 1)
        with pytest.raises(CheckpointError, match="written to while it was read"):
            stack.close()


def test_a_file_that_is_replaced_while_it_is_read_stays_the_old_one(tmp_path):
    path = tmp_path / "w.safetensors"
    save_network(tiny_network(), path)
    with open_weights_file(path) as file:
        tensors = read_safetensors(file)[0]
        (tmp_path / "other").write_bytes(b"something else")
        (tmp_path / "other").replace(path)
        name = "feature_extractor.conv1.weight"
        assert torch.equal(tensors[name].read(), tiny_network().state_dict()[name])


def test_texts_of_the_metadata_are_cut_and_printable(tmp_path):
    path = tmp_path / "w.safetensors"
    save_network(tiny_network(), path, preset="\x1b[2Jtrdimp\n", source="x" * 5000, source_sha256="no\nhash")
    info = load_network(path)[1]
    assert info.preset == r"\x1b[2Jtrdimp\n"
    assert len(info.source) < 1100
    assert info.source_sha256 == ""
    assert info.name == "w.safetensors"


def test_an_official_checkpoint_is_far_within_the_budgets(tmp_path):
    """With the state of its optimiser, which holds twice as many tensors as the network."""
    path = tmp_path / "net.pth.tar"
    with torch.device("meta"):
        layout = TrDiMPNet().state_dict()
    state = {name: torch.zeros(1) for name in layout}
    moments = {
        index: {"step": 1, "exp_avg": torch.zeros(1), "exp_avg_sq": torch.zeros(1)} for index in range(len(state))
    }
    torch.save({"net": state, "optimizer": {"state": moments}}, path)
    with zipfile.ZipFile(path) as archive:
        pickled = archive.read("net.pth/data.pkl")
    assert 3 * len(pickled) < MAX_PICKLE_BYTES
    assert 3 * sum(1 for _ in pickletools.genops(pickled)) < MAX_OPERATIONS
    with pytest.raises(CheckpointError, match="has shape"):  # it was read to its end
        load_network(path)


def test_a_network_that_cannot_be_written_leaves_the_old_file(tmp_path):
    path = tmp_path / "w.safetensors"
    save_network(tiny_network(), path)
    before = path.read_bytes()
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limit[1]))  # as a full disk
    try:
        with pytest.raises(CheckpointError, match="cannot write"):
            save_network(tiny_network(), path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, handler)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == [path.name]
