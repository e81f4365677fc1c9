"""The Triton kernels, for where triton is installed: each `*_jit.py` is device code, its neighbour starts it."""
