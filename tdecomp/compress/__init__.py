r"""Network weights made smaller: one problem, many weights.

Every method here returns two factors that solve the same problem,

.. math:: \min_{\operatorname{rank} \hat W \le r} \| L \, (W - \hat W) \, R \|_F ,

and every method is a choice of the weights :math:`L` and :math:`R`:

=========  =======================================  =============================================
method     weights                                  keeps best
=========  =======================================  =============================================
`svd`      none                                     the entries of the checkpoint
`asvd`     :math:`R` = size of the inputs           entries that meet large inputs
`svd_llm`  :math:`R R^*` = their second moments     the outputs of the layer
`afm`      :math:`R R^*` = their covariance         the outputs, with a new bias
`fwsvd`    :math:`R` = sums of the Fisher diagonal  entries that the loss feels
`gfwsvd`   :math:`L \otimes R` = Fisher factors     the loss
=========  =======================================  =============================================

The error is in each case the tail of the singular values of :math:`L W R`, known before anything
is built. So spectra are all that `allocate` needs to share one budget out among many matrices.

To train further without training everything, `pissa` and `soka` take the principal part out of
a weight, as outer or as Kronecker products, and leave the rest as it is.

What the data says is streamed into `Calibration`, `TokenCounts` and `Fisher`, gathered for each
tensor in `Statistics`, which also knows the `Weights` of each method. All of it works on plain
arrays of any library; :func:`tdecomp.torch.calibrate` collects it from a model.

>>> import numpy as np
>>> from tdecomp.compress import Calibration, Statistics, allocate
>>> rng = np.random.default_rng(0)
>>> model = {name: rng.standard_normal((60, 40)) for name in ("first", "second")}
>>> inputs = {name: rng.standard_normal((200, 40)) * 0.9 ** np.arange(40) for name in model}
>>> weights = {
...     name: Statistics(inputs=Calibration.of(x)).weights("svd_llm") for name, x in inputs.items()
... }
>>> spectra = [weights[name].spectrum(w) for name, w in model.items()]
>>> allocation = allocate(spectra, [w.shape for w in model.values()], keep=0.5)
>>> small = {
...     name: weights[name].fit(w, rank=rank)
...     for (name, w), rank in zip(model.items(), allocation.ranks)
... }
>>> round(allocation.error, 6) == round(allocation.bound, 6)  # proven optimal
True
"""

from tdecomp.compress._adapted import Adapted
from tdecomp.compress._afm import Affine, afm
from tdecomp.compress._allocate import Allocation, allocate
from tdecomp.compress._asvd import asvd
from tdecomp.compress._calibration import Calibration
from tdecomp.compress._fisher import Fisher
from tdecomp.compress._fwsvd import fwsvd
from tdecomp.compress._gfwsvd import gfwsvd
from tdecomp.compress._layout import Layout, layout_of
from tdecomp.compress._pissa import pissa
from tdecomp.compress._soka import soka
from tdecomp.compress._statistics import METHODS, Statistics, pack, unpack
from tdecomp.compress._svd import svd
from tdecomp.compress._svd_llm import svd_llm
from tdecomp.compress._tokens import TokenCounts
from tdecomp.compress._weights import Weights

__all__ = [
    "METHODS",
    "Adapted",
    "Affine",
    "Allocation",
    "Calibration",
    "Fisher",
    "Layout",
    "Statistics",
    "TokenCounts",
    "Weights",
    "afm",
    "allocate",
    "asvd",
    "fwsvd",
    "gfwsvd",
    "layout_of",
    "pack",
    "pissa",
    "soka",
    "svd",
    "svd_llm",
    "unpack",
]
