"""Speed, side by side with PyTorch and scikit-learn: ``python -m benchmarks``."""

import os

THREADS = 2

# before NumPy is imported, or it has no effect
for _name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ[_name] = str(THREADS)
