"""The methods of `tdecomp.compress` under the names that the command line gives them."""

METHODS = ("svd", "fwsvd", "asvd", "svd_llm", "afm")
NEEDS_CALIBRATION = METHODS[1:]
