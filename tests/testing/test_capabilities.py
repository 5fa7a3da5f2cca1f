import numpy as np


def test_x(xp, dtype):
    x = xp.asarray(np.eye(3), dtype)
    assert xp.to_numpy(x).dtype == dtype
