"""One runnable script a figure: ``python -m figures.beta_tradeoff``."""
