"""Reading what a golden set says of its entries."""

from __future__ import annotations

import pytest

from trdimp_ros.testing.golden_manifest import GoldenEntry, manifest_of_readme, read_manifest, write_manifest

README = """
| key | shape | type | tol | what |
|---|---|---|---|---|
| `clip.npz` | not | an | entry | of modules.npz |
| `localize/plain/scores` | 4x3x23x23 | f32 | 4e-06 | score maps, sample scales 1, 1.1, 0.9 |
| `backbone/conv1` | 1x4x22x22 | f32 | input | full shape (1, 64, 176, 176), stored [0::1, 0::16, :, ::8] |
| `backbone/conv1.stats` | 3 | f64 | rel 1e-05 | mean |
"""


def test_a_table_is_converted_to_typed_entries(tmp_path):
    entries = manifest_of_readme(README)
    assert entries == {
        "localize/plain/scores": GoldenEntry(4e-6, None, {"sample_scales": [1.0, 1.1, 0.9]}),
        "backbone/conv1": GoldenEntry(0.0, [[0, None, 1], [0, None, 16], [None, None], [None, None, 8]]),
        "backbone/conv1.stats": GoldenEntry(1e-5),
    }
    write_manifest(tmp_path, entries)
    assert read_manifest(tmp_path) == entries


def test_an_entry_without_the_inputs_of_its_kind_is_refused():
    with pytest.raises(ValueError, match="sample scales"):
        manifest_of_readme(README.replace("sample scales 1, 1.1, 0.9", "three scales"))
