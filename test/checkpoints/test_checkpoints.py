"""Weight files: the official format in both containers, safetensors, and every way in which a file can be wrong."""

from __future__ import annotations

import collections
import io
import os
import pickle
import sys
import types
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from trdimp_ros.checkpoints import CheckpointError, UnsafeCheckpointError, convert, load_network, untrained_network
from trdimp_ros.checkpoints.opened_file import open_weights_file
from trdimp_ros.checkpoints.torch_file import find_entry, read_torch_file
from trdimp_ros.checkpoints.weights import file_sha256, save_network
from trdimp_ros.models import NetworkConfig, TrDiMPNet
from trdimp_ros.testing.tiny import TINY_NETWORK, tiny_network


@pytest.fixture(scope="session")
def network() -> TrDiMPNet:
    return untrained_network()[0]


STUB_CLASSES = {
    "ltr.admin.model_constructor": ["NetConstructor"],
    "ltr.admin.settings": ["Settings"],
    "ltr.admin.local": ["EnvironmentSettings"],
    "ltr.admin.stats": ["AverageMeter", "StatValue"],
    "dlframework.common.utils": ["Namespace"],
}


@pytest.fixture
def foreign(monkeypatch) -> dict[str, type]:
    """Stub classes under the original's module names; call `monkeypatch.undo` before loading."""
    classes = {}
    for module_name, names in STUB_CLASSES.items():
        parts = module_name.split(".")
        for depth in range(1, len(parts) + 1):
            name = ".".join(parts[:depth])
            if name not in sys.modules:
                monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
        for name in names:
            cls = type(name, (), {"__module__": module_name, "__qualname__": name})
            setattr(sys.modules[module_name], name, cls)
            classes[name] = cls
    return classes


def filled(cls: type, **attributes) -> object:
    instance = cls()
    instance.__dict__.update(attributes)
    return instance


def official_checkpoint(network: TrDiMPNet, foreign: dict[str, type]) -> dict:
    """As the original's trainer writes it, with made-up values."""
    state = network.state_dict()
    meter = filled(foreign["AverageMeter"], val=0.5, history=[1.0, 2.0], current=filled(foreign["StatValue"], val=1))
    return {
        "epoch": 50,
        "actor_type": "DiMPActor",
        "net_type": "DiMPnet",
        "net": state,
        "net_info": {"version": None},
        "constructor": filled(foreign["NetConstructor"], fun_name="dimpnet50", args=(), kwds={"filter_size": 4}),
        "optimizer": {
            "state": {0: {"step": 3, "exp_avg": torch.ones(5)}},
            "param_groups": [{"lr": 1e-4, "params": [0]}],
        },
        "stats": collections.OrderedDict(train=collections.OrderedDict(Loss=meter)),
        "settings": filled(foreign["Settings"], env=filled(foreign["EnvironmentSettings"], lasot_dir="/data")),
        "old": filled(foreign["Namespace"], x=1),
    }


def stored_tensors(path: Path, *names: str) -> list[torch.Tensor]:
    """Tensors of the entry ``net``."""
    with open_weights_file(path) as file:
        net = find_entry(read_torch_file(file), "net")
        return [find_entry(net, name).read() for name in names]


@pytest.mark.parametrize("zip_container", [True, False], ids=["zip", "legacy"])
def test_official_checkpoint_loads_without_its_classes(network, foreign, tmp_path, monkeypatch, zip_container):
    path = tmp_path / "trdimp_net.pth.tar"
    torch.save(official_checkpoint(network, foreign), path, _use_new_zipfile_serialization=zip_container)
    monkeypatch.undo()
    assert not any(name.split(".")[0] in ("ltr", "dlframework") for name in sys.modules)

    loaded, info = load_network(path)
    expected = network.state_dict()
    assert list(loaded.state_dict()) == list(expected)
    assert all(torch.equal(tensor, expected[name]) for name, tensor in loaded.state_dict().items())
    assert info.sha256 == file_sha256(path)
    assert not any(name.split(".")[0] in ("ltr", "dlframework") for name in sys.modules)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_objects_of_every_pickle_protocol_become_placeholders(foreign, tmp_path, monkeypatch, protocol):
    path = tmp_path / "any.pth.tar"
    content = {"net": {"x": torch.arange(6.0).view(2, 3).t()}, "settings": filled(foreign["Settings"], a=1)}
    torch.save(content, path, pickle_protocol=protocol)
    monkeypatch.undo()
    assert torch.equal(stored_tensors(path, "x")[0], torch.arange(6.0).view(2, 3).t())


def test_tensors_on_a_gpu_and_shared_storages_load(tmp_path):
    base = torch.arange(10, dtype=torch.int64)
    path = tmp_path / "shared.pth"
    torch.save({"net": {"a": base[2:5], "b": base, "c": torch.ones(2, dtype=torch.bfloat16)}}, path)
    data = path.read_bytes().replace(b"X\x03\x00\x00\x00cpu", b"X\x06\x00\x00\x00cuda:0")
    names = zipfile.ZipFile(path).namelist()
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(tmp_path / "gpu.pth", "w") as new:
        for name in names:
            content = old.read(name)
            if name.endswith("data.pkl"):
                content = content.replace(b"X\x03\x00\x00\x00cpu", b"X\x06\x00\x00\x00cuda:0")
                assert b"cuda:0" in content
            new.writestr(name, content)
    assert data
    part, whole, ones = stored_tensors(tmp_path / "gpu.pth", "a", "b", "c")
    assert torch.equal(part, torch.tensor([2, 3, 4]))
    assert torch.equal(whole, base)
    assert ones.dtype == torch.bfloat16


class RunsCode:
    """Pickles as a call."""

    def __init__(self, function, *arguments) -> None:
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def attack_file(path: Path, payload: object, container: str) -> None:
    if container == "plain pickle":
        path.write_bytes(pickle.dumps({"net": payload}, protocol=2))
    else:
        torch.save({"net": payload}, path, _use_new_zipfile_serialization=container == "zip")


@pytest.mark.parametrize("container", ["zip", "legacy", "plain pickle"])
@pytest.mark.parametrize("kind", ["os.system", "exec", "eval", "open", "import", "own class"])
def test_a_pickle_that_runs_code_is_refused_and_nothing_runs(tmp_path, container, kind):
    witness = tmp_path / "witness"
    code = f"open({str(witness)!r}, 'w').close()"
    payload = {
        "os.system": RunsCode(os.system, f"touch {witness}"),
        "exec": RunsCode(exec, code),
        "eval": RunsCode(eval, code),
        "open": RunsCode(io.open, str(witness), "w"),
        "import": RunsCode(__import__, "antigravity"),
        "own class": RunsCode(Touches, str(witness)),
    }[kind]
    path = tmp_path / "attack.pth.tar"
    attack_file(path, payload, container)
    witness.unlink(missing_ok=True)
    with pytest.raises(UnsafeCheckpointError, match=r"attack\.pth\.tar.*nothing was run"):
        load_network(path)
    assert not witness.exists()
    assert "antigravity" not in sys.modules


class Touches:
    """Leaves a trace when it is made or given state."""

    def __init__(self, path: str) -> None:
        Path(path).touch()

    def __setstate__(self, state: dict) -> None:
        Path(state["path"]).touch()


def test_a_class_that_acts_on_its_state_is_never_made(tmp_path):
    witness = tmp_path / "witness"
    trap = Touches.__new__(Touches)
    trap.path = str(witness)
    path = tmp_path / "trap.pth"
    torch.save({"net": {"x": torch.ones(1)}, "trap": trap}, path)
    assert torch.equal(stored_tensors(path, "x")[0], torch.ones(1))
    assert not witness.exists()


def test_a_missing_file_says_where_to_get_it(tmp_path):
    with pytest.raises(CheckpointError, match=r"nowhere\.pth\.tar: does not exist.*README"):
        load_network(tmp_path / "nowhere.pth.tar")
    with pytest.raises(CheckpointError, match="is a folder"):
        load_network(tmp_path)


@pytest.mark.parametrize("zip_container", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("share", [0.001, 0.3, 0.9, 0.999])
def test_a_truncated_checkpoint_is_refused(tmp_path, zip_container, share):
    path = tmp_path / "cut.pth.tar"
    torch.save({"net": tiny_network().state_dict()}, path, _use_new_zipfile_serialization=zip_container)
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(CheckpointError, match=r"cut\.pth\.tar"):
        load_network(path)


def test_random_damage_never_escapes_as_another_error(tmp_path):
    generator = torch.Generator().manual_seed(0)
    path = tmp_path / "damaged.pth"
    for zip_container in (True, False):
        torch.save({"net": {"a": torch.ones(3), "b": {"c": 1}}}, path, _use_new_zipfile_serialization=zip_container)
        data = path.read_bytes()
        for _ in range(300):
            damaged = bytearray(data)
            for position in torch.randint(len(data), (4,), generator=generator).tolist():
                damaged[position] = int(torch.randint(256, (1,), generator=generator))
            path.write_bytes(damaged)
            with pytest.raises(CheckpointError):  # never this architecture, whatever was hit
                load_network(path)


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04rest", b"\x80\x02K\x01."])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "other.pth.tar"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"other\.pth\.tar"):
        load_network(path)


def test_a_wrong_architecture_lists_at_most_ten_entries(network, tmp_path):
    state = dict(network.state_dict())
    for name in list(state)[:12]:
        del state[name]
    path = tmp_path / "wrong.pth.tar"
    torch.save({"net": state}, path)
    with pytest.raises(CheckpointError) as caught:
        load_network(path)
    assert str(caught.value).count("missing ") == 10
    assert "and 2 more" in str(caught.value)

    state = dict(network.state_dict())
    state["extra"] = torch.ones(1)
    state["bb_regressor.iou_predictor.weight"] = torch.ones(1, 7)
    torch.save({"net": state}, path)
    with pytest.raises(CheckpointError, match=r"unexpected extra; .*\(1, 7\), expected \(1, 512\)"):
        load_network(path)


def test_a_checkpoint_without_network_says_so(tmp_path):
    path = tmp_path / "other.pth"
    torch.save([1, 2], path)
    with pytest.raises(CheckpointError, match="no network"):
        load_network(path)
    torch.save({"net": {"a": 1}}, path)
    with pytest.raises(CheckpointError, match="not all tensors"):
        load_network(path)


def test_conversion_keeps_everything_and_records_the_source(network, tmp_path):
    source, target = tmp_path / "trdimp_net.pth.tar", tmp_path / "weights.safetensors"
    torch.save({"net": network.state_dict()}, source)
    written = convert(source, target, "trsiam")
    loaded, info = load_network(target)
    assert all(torch.equal(tensor, network.state_dict()[name]) for name, tensor in loaded.state_dict().items())
    assert info == written
    assert (info.preset, info.source, info.source_sha256) == ("trsiam", source.name, file_sha256(source))
    assert loaded.config == NetworkConfig()


def test_a_smaller_architecture_travels_with_its_weights(tmp_path):
    path = tmp_path / "tiny.safetensors"
    save_network(tiny_network(), path, preset="trdimp")
    loaded, _ = load_network(path)
    assert loaded.config == TINY_NETWORK


def test_bad_safetensors_are_refused(tmp_path):
    path = tmp_path / "w.safetensors"
    save_network(tiny_network(), path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match=r"w\.safetensors.*truncated"):
        load_network(path)
    save_file({"x": torch.ones(1)}, path)
    with pytest.raises(CheckpointError, match="no architecture"):
        load_network(path)
    save_file({"x": torch.ones(1)}, path, metadata={"architecture": "{}"})
    with pytest.raises(CheckpointError, match="not a network configuration"):
        load_network(path)
    with pytest.raises(CheckpointError, match=r"\.safetensors, got"):
        convert(path, tmp_path / "w.bin")


def test_untrained_weights_are_reproducible(network):
    again = untrained_network()[0].state_dict()
    assert all(torch.equal(tensor, again[name]) for name, tensor in network.state_dict().items())
    assert not untrained_network()[1].trained
