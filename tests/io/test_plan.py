"""The plan of a compressed checkpoint survives the file, and nothing else passes for one."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdecomp.io import (
    CheckpointError,
    CheckpointWriter,
    Plan,
    Record,
    decode_plan,
    encode_plan,
    factor_names,
    open_checkpoint,
    read_plan,
    stored_names,
)

RECORD = Record("svd", (3, 2, 2), "BF16", {"rows": [0]}, (3, 4), 2, 0.25)
PLAN = Plan({"w": RECORD}, {"tied": "w"}, {"versions": {"tdecomp": "0.1.0"}, "keep": 0.5})

lengths = st.integers(1, 6)


@st.composite
def records(draw):
    m, n = draw(lengths), draw(lengths)
    return Record(
        method=draw(st.text()),
        shape=draw(st.sampled_from([(m, n), (m * n,), (n, 1, m)])),
        dtype=draw(st.sampled_from(["F32", "F16", "BF16", "F64"])),
        layout=draw(st.dictionaries(st.text(), st.lists(st.integers()))),
        matrix_shape=(m, n),
        rank=draw(st.integers(1, min(m, n))),
        relative_error=draw(st.floats(0, 1e300)),
    )


@given(plan=st.dictionaries(st.text(), records(), min_size=1), settings=st.dictionaries(
    st.text(), st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.none()
))  # fmt: skip
def test_a_plan_comes_back_equal(plan, settings):
    alias = "".join(plan) + "'"
    original = Plan(plan, {alias: next(iter(plan))}, settings)
    assert decode_plan(encode_plan(original)) == original


def test_the_text_is_the_documented_one():
    content = json.loads(encode_plan(PLAN)["tdecomp"])
    assert content["format"] == 1
    assert content["plan"]["w"]["relative_error"] == 0.25
    assert content["tied"] == {"tied": "w"}
    assert content["settings"]["keep"] == 0.5


def test_a_foreign_checkpoint_is_told_apart():
    with pytest.raises(ValueError, match="not written by tdecomp compress"):
        decode_plan({"format": "pt"})


def test_a_later_format_is_told():
    text = json.dumps(json.loads(encode_plan(PLAN)["tdecomp"]) | {"format": 2})
    with pytest.raises(ValueError, match=r"has format 2, .* upgrade tdecomp"):
        decode_plan({"tdecomp": text})


@pytest.mark.parametrize(
    "text",
    ["", "1", "[]", "{}", "null", '{"format": 1}', "[" * 100_000, '{"format": 1, "plan": 3}'],
)
def test_a_damaged_plan_is_refused(text):
    with pytest.raises(ValueError, match="damaged, or not of tdecomp compress"):
        decode_plan({"tdecomp": text})


@pytest.mark.parametrize(
    "change",
    [
        {"rank": 0},
        {"rank": 4},
        {"rank": 2.0},
        {"matrix_shape": (4, 4)},
        {"matrix_shape": (12,)},
        {"shape": (-3, -4)},
        {"shape": None},
        {"dtype": "F33"},
        {"relative_error": -0.1},
        {"relative_error": "small"},
        {"method": 1},
        {"layout": []},
    ],
)
def test_an_impossible_record_is_neither_read_nor_written(change):
    content = json.loads(encode_plan(PLAN)["tdecomp"])
    content["plan"]["w"] |= change
    with pytest.raises(ValueError, match="damaged"):
        decode_plan({"tdecomp": json.dumps(content)})
    with pytest.raises(ValueError, match="damaged"):
        encode_plan(PLAN._replace(records={"w": RECORD._replace(**change)}))


@pytest.mark.parametrize("error", [np.nan, np.inf])
def test_an_error_that_is_no_number_is_not_written(error):
    with pytest.raises(ValueError, match="not JSON compliant"):
        encode_plan(PLAN._replace(records={"w": RECORD._replace(relative_error=error)}))


@pytest.mark.parametrize("tied", [{"w": "w"}, {"a": "b", "b": "w"}])
def test_a_tie_ends_at_a_stored_tensor(tied):
    with pytest.raises(ValueError, match="is tied to one that is tied itself"):
        encode_plan(PLAN._replace(tied=tied))


def test_every_tensor_knows_where_it_is_stored():
    assert stored_names(["w", "kept", "tied"], PLAN) == {
        "w": factor_names("w"),
        "kept": ("kept",),
        "tied": (),
    }


@pytest.mark.parametrize("taken", ["w.left", "w.right"])
def test_a_name_that_a_factor_needs_is_a_collision(taken):
    for names in (["w", taken], [taken, "w"]):
        with pytest.raises(ValueError, match=f"would both be stored as '{taken}'"):
            stored_names(names, PLAN)


def test_the_same_name_is_free_when_its_owner_is_compressed():
    plan = PLAN._replace(records={"w": RECORD, "w.left": RECORD})
    assert stored_names(["w", "w.left"], plan)["w.left"] == ("w.left.left", "w.left.right")


def compressed(path, **factors):
    with CheckpointWriter(path) as writer:
        for name, array in factors.items():
            writer.add(f"w.{name}", array)
        writer.finish({"format": "pt"} | encode_plan(PLAN))
    return open_checkpoint(path)


def test_a_compressed_checkpoint_is_read_with_its_plan(tmp_path):
    factors = {"left": np.ones((3, 2)), "right": np.ones((2, 4))}
    with compressed(tmp_path / "t.safetensors", **factors) as checkpoint:
        assert read_plan(checkpoint) == PLAN


@pytest.mark.parametrize(
    ("factors", "message"),
    [
        ({"left": np.ones((3, 2))}, r"'w\.right' has shape \(2, 4\), found nothing"),
        ({"left": np.ones((2, 3)), "right": np.ones((2, 4))}, r"found \(2, 3\)"),
    ],
)
def test_factors_that_contradict_the_plan_are_refused(tmp_path, factors, message):
    with (
        compressed(tmp_path / "t.safetensors", **factors) as checkpoint,
        pytest.raises(CheckpointError, match=message),
    ):
        read_plan(checkpoint)
