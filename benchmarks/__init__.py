"""Speed, side by side with PyTorch and scikit-learn: ``python -m benchmarks``."""

import os

# before NumPy is imported, or it has no effect; one's own OPENBLAS_NUM_THREADS is kept
THREADS = int(os.environ.setdefault("OPENBLAS_NUM_THREADS", "2"))
os.environ["MKL_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = str(THREADS)
