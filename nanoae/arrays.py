"""What the annotations call an array."""

from typing import Any, TypeAlias

from numpy.typing import NDArray

# float32 or float64, as the data are; complex for the complex-step check
Array: TypeAlias = NDArray[Any]
