"""How the detector's kernels are compiled: strict arithmetic, kept on disk, no lock of the interpreter, no counting.

Numba counts references to every array that a kernel takes apart, with atomic instructions; in small kernels that call
each other this costs more than their work (a call of 4 ns took 420). The arrays here are made in Python, which holds
them, and no kernel makes one; so the counting is off (`_nrt`, which numba uses for its own parts). A kernel that made
an array would not compile.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

kernel = njit(cache=True, nogil=True, error_model="numpy", _nrt=False)
inlined = njit(cache=True, nogil=True, error_model="numpy", _nrt=False, forceinline=True)


@inlined
def assign(target: NDArray[np.float64], source: NDArray[np.float64]) -> None:
    """Copy the numbers of one array [n] into another; an assignment of slices would make an array."""
    for i in range(target.shape[0]):
        target[i] = source[i]
