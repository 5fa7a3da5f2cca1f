"""Sparse tensors as text: what is written comes back, and what is wrong has a line."""

import gzip
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdecomp.io import CheckpointError, _tns, read_tns, write_tns
from tdecomp.ops import coo


@pytest.fixture
def written(tmp_path):
    def write(text, name="t.tns"):
        path = tmp_path / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    return write


def assert_same(x, y):
    assert x.shape == y.shape
    np.testing.assert_array_equal(x.indices, y.indices)
    assert x.values.tobytes() == y.values.tobytes()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tns")


@pytest.mark.parametrize("suffix", [".tns", ".tns.gz"])
@given(
    shape=st.lists(st.integers(1, 10**9), min_size=1, max_size=5),
    values=st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=9),
    seed=st.integers(0, 99),
)
def test_a_tensor_comes_back(folder, suffix, shape, values, seed):
    rng = np.random.default_rng(seed)
    indices = np.stack([rng.choice(n, len(values)) for n in np.minimum(shape, 1000)])
    x = coo(indices, np.asarray(values, float), shape)
    if not np.isfinite(x.values).all():
        return
    write_tns(folder / f"t{suffix}", x)
    assert_same(read_tns(folder / f"t{suffix}"), x)


@pytest.mark.parametrize("chunk", [1, 7, 64, 1 << 23])
def test_chunks_do_not_show(written, monkeypatch, chunk):
    monkeypatch.setattr(_tns, "_CHUNK", chunk)
    rng = np.random.default_rng(0)
    x = coo(rng.integers(0, 9, (3, 50)), rng.standard_normal(50), (9, 10, 11))
    path = written("")
    write_tns(path, x)
    assert_same(read_tns(path), x)
    path.write_bytes(path.read_bytes() + b"\n1 x 1 1\n")
    with pytest.raises(CheckpointError, match=rf"line {x.nnz + 3}: coordinates are integers"):
        read_tns(path)


def test_blanks_and_comments_are_skipped(written):
    text = "# made by hand\r\n\r\n  1\t1 2  0.5 # first\r\n#\n2 1 3 -4e0\n\n1 1 2 1\n#end"
    x = read_tns(written(text))
    assert x.shape == (2, 1, 3)
    assert x.values.tolist() == [1.5, -4.0]


@pytest.mark.parametrize(
    "head", ["# shape: 4 5\n", "2\n4 5\n", "\n# made\n2\n# by hand\n4\t5\r\n", "#shape:4 5 \r\n"]
)
def test_a_header_tells_the_shape(written, head):
    assert read_tns(written(head + "1 2 3.0\n")).shape == (4, 5)
    assert read_tns(written(head)).shape == (4, 5)
    assert read_tns(written(head + "1 2 3.0"), shape=(6, 7)).shape == (6, 7)
    with pytest.raises(CheckpointError, match=r"within the shape \(4, 5\), found '1 6 1'"):
        read_tns(written(head + "1 6 1\n"))


def test_gzip_is_known_by_its_bytes(written):
    assert read_tns(written(gzip.compress(b"1 2 3\n", mtime=0))).values.tolist() == [3.0]


def test_comments_may_stand_anywhere(written, monkeypatch):
    monkeypatch.setattr(_tns, "_CHUNK", 8)
    text = "1 1 1\n# shape: 9 9 of old\n2 2 2\n# shape: 3 3\n1 2 5\n"
    assert read_tns(written(text)).shape == (2, 2)


def test_what_is_written_can_be_read_elsewhere(tmp_path):
    write_tns(tmp_path / "t.tns", coo([[0, 1], [2, 0]], [0.1, 4.0]))
    table = np.loadtxt(tmp_path / "t.tns")
    np.testing.assert_array_equal(table, [[1, 3, 0.1], [2, 1, 4.0]])


def test_the_same_tensor_gives_the_same_file(tmp_path):
    x = coo([[0, 1], [2, 0]], [0.1, 4.0])
    for name in ("a.tns.gz", "b.tns.gz"):
        write_tns(tmp_path / name, x)
    assert (tmp_path / "a.tns.gz").read_bytes() == (tmp_path / "b.tns.gz").read_bytes()


def test_a_million_lines_take_seconds(tmp_path):
    rng = np.random.default_rng(0)
    x = coo(rng.integers(0, 10**6, (3, 10**5)), rng.standard_normal(10**5), (10**6,) * 3)
    write_tns(tmp_path / "t.tns", x)
    start = time.process_time()
    assert read_tns(tmp_path / "t.tns").nnz == 10**5
    assert time.process_time() - start < 2  # a tenth of the lines, ten times the patience


# --- What is refused ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 1 2\n1 1\n", "line 2: coordinates of 2 modes and a value are expected, found '1 1'"),
        ("1 1 2\n\n1 1 1 1\n", "line 3: coordinates of 2 modes"),
        ("\n7\n", "line 2: coordinates of 1 modes and a value are expected, found '7'"),
        ("1 1 2\n0 1 2\n", "line 2: coordinates are integers from 1 on, found '0 1 2'"),
        ("1 -1 2\n", "line 1: coordinates are integers from 1 on"),
        ("1 1.0 2\n", "line 1: coordinates are integers from 1 on"),
        ("1 9223372036854775808 2\n", "line 1: coordinates are integers from 1 on"),
        ("1 1 2\n1 2 two\n", "line 2: the value must be a finite number, found '1 2 two'"),
        ("1 1 nan\n", "line 1: the value must be a finite number"),
        ("1 1 1e999\n", "line 1: the value must be a finite number"),
        ("# c\n3\n4 5\n1 1 1\n", "line 3: 3 lengths are announced, found 2"),
        ("# shape: 0 2\n1 1 1\n", r"tells the shape \(0, 2\), which no tensor has"),
        ("", "has no entries, and does not tell its shape"),
        ("# nothing\n\n", "has no entries, and does not tell its shape"),
        (b"\x00\xff\x80 1 1\n", "line 1: coordinates are integers"),
        (gzip.compress(b"1 1 1\n" * 99, mtime=0)[:-9], "is damaged"),
        (b"\x1f\x8b junk", "is damaged"),
    ],
)
def test_what_is_wrong_has_a_line(written, text, message):
    with pytest.raises(CheckpointError, match=message):
        read_tns(written(text))


def test_a_wrong_shape_is_refused(written):
    path = written("1 2 3\n")
    with pytest.raises(ValueError, match=r"shape\[0\] must be an int >= 1"):
        read_tns(path, shape=(0, 2))
    with pytest.raises(CheckpointError, match="line 1: coordinates of 3 modes"):
        read_tns(path, shape=(2, 2, 2))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"t\.tns"):
        read_tns(tmp_path / "t.tns")


def test_only_real_tensors_become_text(tmp_path):
    with pytest.raises(TypeError, match="x must be a COO"):
        write_tns(tmp_path / "t.tns", np.ones(2))
    with pytest.raises(TypeError, match="real NumPy arrays to become text, got complex128"):
        write_tns(tmp_path / "t.tns", coo([[0]], [1j]))
    assert not list(tmp_path.iterdir())
